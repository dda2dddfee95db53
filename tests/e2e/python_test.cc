/// Python works in a sandbox as it does after os.fork(), wherever the sandbox comes from.

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Python : public Suite<Bare> {};

TEST_F(Python, ThreadsAndLocks) {
  const Reply reply = call(
      "import concurrent.futures, logging, os, threading\n"
      "logging.basicConfig(format='%(message)s')\n"
      "lock, again, local = threading.Lock(), threading.RLock(), threading.local()\n"
      "local.value = 'of the main thread'\n"
      "def handler(e):\n"
      "    main = threading.main_thread()\n"
      "    facts = [main.ident == threading.get_ident(),\n"
      "             main.native_id == threading.get_native_id() == os.getpid(),\n"
      "             threading.current_thread() is main, threading.active_count(), local.value]\n"
      "    seen = []\n"
      "    def work(n):\n"
      "        with lock, again, again:\n"
      "            seen.append(threading.get_native_id())\n"
      "        logging.warning('thread %d', n)\n"
      "    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]\n"
      "    for t in threads: t.start()\n"
      "    for t in threads: t.join()\n"
      "    with concurrent.futures.ThreadPoolExecutor(4) as pool:\n"
      "        squares = list(pool.map(lambda n: n * n, range(5)))\n"
      "    return facts + [len(seen), os.getpid() in seen, squares]\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, R"([true,true,true,1,"of the main thread",8,false,[0,1,4,9,16]])");
  const std::string logs = api().record_of(reply).text("logs");
  for (int i = 0; i < 8; ++i) {
    EXPECT_NE(logs.find("thread " + std::to_string(i) + "\n"), std::string::npos) << logs;
  }
}

TEST_F(Python, ForksOfTheHandlersOwn) {
  // While another thread takes logging's lock all the time.
  const Reply reply = call(
      "import logging, os, random, threading\n"
      "logging.basicConfig()\n"
      "order = []\n"
      "os.register_at_fork(before=lambda: order.append('before'),\n"
      "                    after_in_parent=lambda: order.append('parent'),\n"
      "                    after_in_child=lambda: order.append('child'))\n"
      "def handler(e):\n"
      "    done = threading.Event()\n"
      "    def chatter():\n"
      "        while not done.wait(0.0001): logging.getLogger(os.urandom(4).hex())\n"
      "    thread = threading.Thread(target=chatter); thread.start()\n"
      "    drawn = []\n"
      "    for _ in range(3):\n"
      "        reader, writer = os.pipe()\n"
      "        child = os.fork()\n"
      "        if child == 0:\n"
      "            logging.warning('from the child')\n"
      "            os.write(writer, repr([order[-2:], random.random()]).encode())\n"
      "            os._exit(threading.active_count())\n"
      "        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 1: return 'it failed'\n"
      "        drawn.append(eval(os.read(reader, 1000)))\n"
      "    done.set(); thread.join()\n"
      "    return [order, [d[0] for d in drawn], len({d[1] for d in drawn} | "
      "{random.random()})]\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, R"([["before","parent","before","parent","before","parent"],)"
                        R"([["before","child"],["before","child"],["before","child"]],4])");
}

TEST_F(Python, OtherProcesses) {
  const Reply reply = call(
      "import multiprocessing, os, random, subprocess, sys\n"
      "def draw(n):\n"
      "    return [n * n, os.getpid() != 2, random.random()]\n"
      "def handler(e):\n"
      "    said = [subprocess.run(command, capture_output=True, text=True).stdout for command in\n"
      "            (['/bin/echo', 'hi'], [sys.executable, '-c', 'print(1 + 1)'])]\n"
      "    for method in ('fork', 'spawn'):\n"
      "        with multiprocessing.get_context(method).Pool(2) as pool:\n"
      "            rows = pool.map(draw, range(4), chunksize=1)\n"
      "        said.append([[r[0] for r in rows], all(r[1] for r in rows),\n"
      "                     len({r[2] for r in rows})])\n"
      "    return said\n",
      "{}", R"({"timeout":"30s"})");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, R"(["hi\n","2\n",[[0,1,4,9],true,4],[[0,1,4,9],true,4]])");
}

TEST_F(Python, ExtensionModules) {
  const Reply reply = call(
      "import _ctypes, array, ctypes, decimal, lzma, sqlite3\n"
      "third = decimal.Decimal(1) / 3\n"
      "base = sqlite3.connect(':memory:')\n"
      "base.execute('create table t(a)')\n"
      "base.execute('insert into t values (7)')\n"
      "libc = ctypes.CDLL(None)\n"
      "back = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)\n"
      "packed = lzma.compress(b'x' * 1000)\n"
      "def handler(e):\n"
      "    base.execute('insert into t values (8)')\n"
      "    return [str(third + 1)[:6], base.execute('select a from t').fetchall(),\n"
      "            libc.abs(-5), back(41), len(lzma.decompress(packed))]\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, R"(["1.3333",[[7],[8]],5,42,1000])");
}

TEST_F(Python, MuchMemoryBuiltAtImport) {
  ASSERT_DEPLOYED(api().deploy("t",
                               "import zlib\n"
                               "data = bytes(range(256)) * 200_000\n"
                               "names = [str(n) for n in range(100_000)]\n"
                               "def handler(e):\n"
                               "    facts = [len(data), zlib.crc32(data), len(set(names))]\n"
                               "    names.clear()\n"
                               "    return facts\n"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(api().invoke("t").body, "[51200000,2697320902,100000]");
  }
}

TEST_F(Python, FreshMemoryIsZero) {
  // What was freed at import must not shine through where malloc trusts the kernel's zeros.
  const Reply reply = call(
      "import gc, mmap, random\n"
      "large = [bytearray(b'x' * random.randrange(1, 200_000)) for _ in range(300)]\n"
      "small = [bytes(bytearray(b'y' * random.randrange(1, 4000))) for _ in range(3000)]\n"
      "del large[::2], small[::3]\n"
      "def dirty(blocks):\n"
      "    return sum(len(b) - b[:].count(0) for b in blocks)\n"
      "def handler(e):\n"
      "    found = 10_000_000 - bytes(10_000_000).count(0)\n"
      "    for size in (1, 1000, 4096, 65536, 130_000, 131_072, 1 << 20, 5 << 20):\n"
      "        found += dirty([bytearray(size) for _ in range(30)])\n"
      "    found += dirty([mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
      "                    for _ in range(20)])\n"
      "    total = sum(map(len, [b'z' * (n * 37 % 50_000) for n in range(2000)]))\n"
      "    large.clear(); small.clear(); gc.collect()\n"
      "    found += dirty([bytearray(100_000) for _ in range(300)])\n"
      "    return [found, total]\n",
      "{}", R"({"timeout":"30s"})");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, "[0,41563000]");
}

TEST_F(Python, DeepRecursion) {
  const Reply reply = call(
      "import sys\n"
      "def depth(n):\n"
      "    return 0 if n == 0 else 1 + depth(n - 1)\n"
      "def handler(e):\n"
      "    try:\n"
      "        depth(10 ** 6)\n"
      "    except RecursionError:\n"
      "        sys.setrecursionlimit(20_000)\n"
      "        return depth(15_000)\n");
  EXPECT_EQ(reply.body, "15000") << reply.status;
}

TEST_F(Python, CollectingGarbage) {
  const Reply reply = call(
      "import gc\n"
      "class Node: pass\n"
      "def rings():\n"
      "    for _ in range(1000):\n"
      "        node = Node(); node.self = node\n"
      "        yield node\n"
      "kept = list(rings())\n"
      "def handler(e):\n"
      "    kept.clear()\n"
      "    list(rings())\n"
      "    found = gc.collect() >= 1000\n"
      "    gc.unfreeze()\n"
      "    gc.collect()\n"
      "    gc.freeze()\n"
      "    return [found, gc.isenabled(), gc.get_freeze_count() > 0]\n");
  EXPECT_EQ(reply.body, "[true,true,true]") << reply.status;
}

TEST_F(Python, EventLoopsAndSockets) {
  const Reply reply = call(
      "import asyncio, socket, ssl\n"
      "context = ssl.create_default_context()\n"
      "async def twice(n):\n"
      "    await asyncio.sleep(0.01)\n"
      "    return 2 * n\n"
      "def handler(e):\n"
      "    server = socket.create_server(('127.0.0.1', 0))\n"
      "    client = socket.create_connection(server.getsockname())\n"
      "    client.sendall(b'over loopback')\n"
      "    return [asyncio.run(twice(4)), server.accept()[0].recv(100).decode(),\n"
      "            context.verify_mode == ssl.CERT_REQUIRED, socket.gethostbyname('localhost')]\n");
  EXPECT_EQ(reply.body, R"([8,"over loopback",true,"127.0.0.1"])") << reply.status;
}

TEST_F(Python, NumericLibrariesMayUseTheCpusOfTheFunction) {
  const Reply reply = call(
      "import os\n"
      "def handler(e):\n"
      "    expected = str(min(2, len(os.sched_getaffinity(0))))\n"
      "    return [os.environ[name + '_NUM_THREADS'] == expected\n"
      "            for name in ('OPENBLAS', 'OMP', 'MKL')]\n",
      "{}", R"({"cpu":2})");
  EXPECT_EQ(reply.body, "[true,true,true]") << reply.status;
}

TEST_F(Python, TheFolderAnImportWentTo) {
  const Reply reply = call(
      "import os\n"
      "os.chdir('/usr')\n"
      "def handler(e):\n"
      "    return os.getcwd()\n");
  EXPECT_EQ(reply.body, "\"/usr\"") << reply.status;
}

}  // namespace
}  // namespace sock::e2e
