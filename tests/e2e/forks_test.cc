/// What the standard library and numpy do after os.fork(), done in the clone of a zygote: a clone
/// is made by a raw system call, from sealed memory, with at-fork hooks held back (zygote/runtime).

#include <string>

#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

struct WithNumpyZygote {
  static const char* text() { return "[zygotes]\nsets = [[\"numpy\"]]\n"; }
};

class Forks : public Suite<WithNumpyZygote> {
 protected:
  /// A handler that answers true when everything behaved, else says what did not.
  void expect_true(const std::string& body, const std::string& options = "{}") {
    const std::string source =
        "import os\n"
        "def in_child(work):\n"
        "    read, write = os.pipe()\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        try:\n"
        "            os.write(write, repr(work()).encode())\n"
        "        finally:\n"
        "            os._exit(0)\n"
        "    os.close(write)\n"
        "    with os.fdopen(read) as pipe:\n"
        "        text = pipe.read()\n"
        "    os.waitpid(pid, 0)\n"
        "    return eval(text)\n" +
        body;
    const Reply reply = call(source, "{}", options);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "true");
  }
};

TEST_F(Forks, Threading) {
  expect_true(
      "import threading\n"
      "def handler(event):\n"
      "    main = threading.main_thread()\n"
      "    assert threading.current_thread() is main and main.ident == threading.get_ident()\n"
      "    assert main.native_id == threading.get_native_id() == os.getpid()\n"
      "    assert threading.active_count() == 1, threading.enumerate()\n"
      "    counter, lock = [0], threading.Lock()\n"
      "    def add():\n"
      "        for _ in range(1000):\n"
      "            with lock: counter[0] += 1\n"
      "    threads = [threading.Thread(target=add) for _ in range(4)]\n"
      "    [t.start() for t in threads]; [t.join() for t in threads]\n"
      "    assert counter == [4000]\n"
      "    done = threading.Event()\n"
      "    waiting = threading.Thread(target=done.wait); waiting.start()\n"
      "    alone = in_child(lambda: (threading.active_count(),\n"
      "                              threading.current_thread() is threading.main_thread()))\n"
      "    done.set(); waiting.join()\n"
      "    assert alone == (1, True), alone\n"
      "    return True\n");
}

TEST_F(Forks, Logging) {
  expect_true(
      "import io, logging, threading\n"
      "def handler(event):\n"
      "    stream = io.StringIO()\n"
      "    logger = logging.getLogger('forks'); logger.addHandler(logging.StreamHandler(stream))\n"
      "    held, done = threading.Event(), threading.Event()\n"
      "    def hold():\n"
      "        with logger.handlers[0].lock:\n"
      "            held.set(); done.wait()\n"
      "    holder = threading.Thread(target=hold); holder.start(); held.wait()\n"
      "    def log():\n"
      "        logger.warning('below'); return stream.getvalue()\n"
      "    below = in_child(log)\n"
      "    done.set(); holder.join()\n"
      "    logger.warning('above')\n"
      "    assert below == 'below\\n' and stream.getvalue() == 'above\\n', below\n"
      "    return True\n");
}

TEST_F(Forks, Random) {
  const std::string source =
      "import os, random\n"
      "kept = random.Random()\n"
      "def handler(event):\n"
      "    values = [random.getrandbits(64)]\n"
      "    for _ in range(2):\n"
      "        read, write = os.pipe()\n"
      "        if os.fork() == 0:\n"
      "            os.write(write, b'%d' % random.getrandbits(64)); os._exit(0)\n"
      "        os.wait(); values.append(int(os.read(read, 99)))\n"
      "    values.append(kept.getrandbits(64))\n"
      "    return [str(value) for value in values] if len(set(values)) == 4 else values\n";
  const Reply one = call(source);
  const Reply two = api().invoke("t", "{}");
  ASSERT_EQ(one.status, 200) << one.body;
  ASSERT_EQ(two.status, 200) << two.body;
  // Texts: no two of the four are the same.
  EXPECT_EQ(one.body.substr(0, 2), "[\"") << one.body;
  for (const auto& value : one.json().as_array()) {
    EXPECT_EQ(two.body.find(value.as_string().c_str()), std::string::npos) << two.body;
  }
}

TEST_F(Forks, ConcurrentFutures) {
  expect_true(
      "import concurrent.futures, multiprocessing\n"
      "def square(n): return n * n\n"
      "def handler(event):\n"
      "    with concurrent.futures.ThreadPoolExecutor(3) as pool:\n"
      "        assert list(pool.map(square, range(9))) == [n * n for n in range(9)]\n"
      "        def again():\n"
      "            with concurrent.futures.ThreadPoolExecutor(2) as other:\n"
      "                return list(other.map(square, range(3)))\n"
      "        assert in_child(again) == [0, 1, 4]\n"
      "    fork = multiprocessing.get_context('fork')\n"
      "    with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as pool:\n"
      "        assert list(pool.map(square, range(9))) == [n * n for n in range(9)]\n"
      "    return True\n");
}

constexpr const char* kMultiprocessing =
    "import multiprocessing\n"
    "def work(pipe, queue, n):\n"
    "    pipe.send([n + 1, multiprocessing.current_process().name]); queue.put(n)\n"
    "def handler(event):\n"
    "    context = multiprocessing.get_context('METHOD')\n"
    "    queue, (ours, theirs) = context.Queue(), context.Pipe()\n"
    "    child = context.Process(target=work, args=(theirs, queue, 41), name='worker')\n"
    "    child.start()\n"
    "    assert ours.poll(30)\n"
    "    assert ours.recv() == [42, 'worker'] and queue.get(timeout=30) == 41\n"
    "    child.join(30)\n"
    "    assert child.exitcode == 0, child.exitcode\n"
    "    return True\n";

std::string with_method(const std::string& method) {
  std::string source = kMultiprocessing;
  return source.replace(source.find("METHOD"), 6, method);
}

TEST_F(Forks, MultiprocessingFork) { expect_true(with_method("fork")); }

TEST_F(Forks, MultiprocessingSpawn) { expect_true(with_method("spawn")); }

TEST_F(Forks, Ssl) {
  expect_true(
      "import ssl\n"
      "def handler(event):\n"
      "    context = ssl.create_default_context()\n"
      "    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()\n"
      "    client = context.wrap_bio(incoming, outgoing, server_hostname='example.org')\n"
      "    try:\n"
      "        client.do_handshake()\n"
      "    except ssl.SSLWantReadError:\n"
      "        pass\n"
      "    assert outgoing.pending > 100\n"
      "    drawn = {in_child(lambda: ssl.RAND_bytes(16)) for _ in range(3)}\n"
      "    drawn.add(ssl.RAND_bytes(16))\n"
      "    assert len(drawn) == 4\n"
      "    return True\n");
}

TEST_F(Forks, Numpy) {
  const Reply packages = api().get("/v1/packages");
  if (packages.body.find("\"numpy\"") == std::string::npos) GTEST_SKIP() << "no numpy here";
  expect_true(
      "import numpy\n"
      "def handler(event):\n"
      "    def product():\n"
      "        a = numpy.arange(250_000, dtype=float).reshape(500, 500)\n"
      "        inverse = numpy.linalg.inv(a + 1e6 * numpy.eye(500))\n"
      "        return bool(numpy.allclose(inverse @ (a + 1e6 * numpy.eye(500)), numpy.eye(500)))\n"
      "    assert product() and in_child(product)\n"
      "    # Blocks that grow, shrink and are given back, inside and outside the heap that was "
      "sealed.\n"
      "    grown = numpy.zeros(10)\n"
      "    for size in (1_000, 100_000, 1_000_000, 5_000_000, 100):\n"
      "        grown.resize(size, refcheck=False); assert not grown[10:].any()\n"
      "    assert not numpy.zeros(3_000_000).any()\n"
      "    return True\n",
      R"({"requirements":["numpy"]})");
}

TEST_F(Forks, TheZygotesThatServedThisAreSealed) {
  Reply reply;
  const auto all_sealed = [&] {
    reply = api().get("/v1/zygotes");
    const auto& zygotes = reply.json().at("zygotes").as_array();
    return !zygotes.empty() && std::ranges::all_of(zygotes, [](const auto& zygote) {
      return zygote.at("sealed").as_bool() && zygote.at("seal_error").as_string().empty();
    });
  };
  // One may just be starting.
  EXPECT_TRUE(eventually(all_sealed, Millis(60'000))) << reply.body;
}

}  // namespace
}  // namespace sock::e2e
