/// What a call can see of others: nothing.

#include <signal.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <set>
#include <thread>

#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Neighbours : public Suite<Bare> {};

TEST_F(Neighbours, GlobalsBeginAnew) {
  ASSERT_DEPLOYED(api().deploy("count",
                               "import json, os\nn = 0\n"
                               "def handler(e):\n"
                               "    global n\n"
                               "    n += 1\n"
                               "    json.seen = getattr(json, 'seen', 0) + 1\n"
                               "    os.environ['SEEN'] = os.environ.get('SEEN', '') + 'x'\n"
                               "    return [n, json.seen, os.environ['SEEN']]\n"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(api().invoke("count").body, R"([1,1,"x"])");
}

TEST_F(Neighbours, FilesAreGoneForTheNextCallOfAnyFunction) {
  const char* const source =
      "import os\n"
      "def handler(e):\n"
      "    seen = os.listdir('/tmp') + os.listdir('/dev/shm')\n"
      "    for folder in ('/tmp', '/dev/shm'):\n"
      "        with open(folder + '/secret', 'w') as f:\n"
      "            f.write('secret')\n"
      "    return seen\n";
  ASSERT_DEPLOYED(api().deploy("one", source));
  ASSERT_DEPLOYED(api().deploy("two", source));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(api().invoke("one").body, "[]");
    EXPECT_EQ(api().invoke("two").body, "[]");
  }
}

TEST_F(Neighbours, SystemVMemoryIsNotShared) {
  // A segment made by one call, looked for by the next: IPC_CREAT is 01000.
  ASSERT_DEPLOYED(
      api().deploy("shm",
                   "import ctypes\n"
                   "libc = ctypes.CDLL(None)\n"
                   "def handler(create):\n"
                   "    return libc.shmget(0x50434b, 4096, 0o1600 if create else 0o600)\n"));
  ASSERT_TRUE(succeeded(api().invoke("shm", "true")));
  EXPECT_EQ(api().invoke("shm", "false").body, "-1");
}

TEST_F(Neighbours, RunningCallsDoNotMeet) {
  ASSERT_DEPLOYED(api().deploy(
      "holder",
      "import os, socket, time\n"
      "def handler(e):\n"
      "    open('/tmp/held', 'w').write('held')\n"
      "    open('/dev/shm/held', 'w').write('held')\n"
      "    s = socket.socket(socket.AF_UNIX)\n"
      "    s.bind('\\0held')\n"
      "    s.listen()\n"
      "    t = socket.socket()\n"
      "    t.bind(('127.0.0.1', 4711))\n"
      "    t.listen()\n"
      "    time.sleep(2)\n"
      "    return {n: os.readlink('/proc/self/ns/' + n) for n in os.listdir('/proc/self/ns')}\n"));
  ASSERT_DEPLOYED(api().deploy(
      "seeker",
      "import os, socket\n"
      "def reach(kind, address):\n"
      "    try:\n"
      "        socket.socket(kind).connect(address)\n"
      "        return True\n"
      "    except OSError:\n"
      "        return False\n"
      "def handler(e):\n"
      "    found = [os.path.exists('/tmp/held'), os.path.exists('/dev/shm/held'),\n"
      "             reach(socket.AF_UNIX, '\\0held'), reach(socket.AF_INET, ('127.0.0.1', 4711)),\n"
      "             len([n for n in os.listdir('/proc') if n.isdigit()]) > 3]\n"
      "    return [found, {n: os.readlink('/proc/self/ns/' + n)\n"
      "                    for n in os.listdir('/proc/self/ns')}]\n"));
  Reply held;
  std::thread holder([&] { held = Api(daemon().socket()).invoke("holder"); });
  const bool running = eventually([&] { return api().get("/v1/health").number("running") == 1; });
  // The holder has started; a few looks while it sleeps.
  std::vector<Reply> looks;
  for (int i = 0; i < 10; ++i) {
    looks.push_back(api().invoke("seeker"));
    std::this_thread::sleep_for(Millis(100));
  }
  holder.join();
  ASSERT_TRUE(running);
  ASSERT_TRUE(succeeded(held));
  for (const Reply& look : looks) {
    ASSERT_TRUE(succeeded(look));
    EXPECT_EQ(boost::json::serialize(look.json().at(0)), "[false,false,false,false,false]");
    for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "uts"}) {
      EXPECT_NE(look.json().at(1).at(name), held.json().at(name)) << name;
    }
  }
}

TEST_F(Neighbours, NothingOutlivesItsCall) {
  const Reply reply = call(
      "import os, signal, time\n"
      "def handler(e):\n"
      "    for _ in range(3):\n"
      "        if os.fork() == 0:\n"
      "            os.setsid()\n"
      "            if os.fork() == 0:\n"
      "                for n in (1, 2, 3, 15):\n"
      "                    signal.signal(n, signal.SIG_IGN)\n"
      "                __import__('ctypes').CDLL(None).prctl(15, b'sock-outlive', 0, 0, 0)\n"
      "                while True:\n"
      "                    time.sleep(1)\n"
      "            os._exit(0)\n"
      "        os.wait()\n"
      "    time.sleep(0.2)\n"
      "    return [open(f'/proc/{n}/comm').read().strip()\n"
      "            for n in os.listdir('/proc') if n.isdigit()].count('sock-outlive')\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, "3") << "the daemons did not start: the test proves nothing";
  // A settled record means that the sandbox is gone.
  ASSERT_EQ(api().record_of(reply).status, 200U);
  EXPECT_TRUE(processes_named("sock-outlive").empty());
}

TEST_F(Neighbours, TheHostSeesAConfinedProcess) {
  ASSERT_DEPLOYED(
      api().deploy("visible",
                   "import time\n"
                   "def handler(e):\n"
                   "    __import__('ctypes').CDLL(None).prctl(15, b'sock-visible', 0, 0, 0)\n"
                   "    time.sleep(30)\n"));
  std::thread caller([] { (void)Api(daemon().socket()).invoke("visible"); });
  const bool appeared = eventually([] { return processes_named("sock-visible").size() == 1; });
  const auto pids = processes_named("sock-visible");
  if (appeared && pids.size() == 1) {
    EXPECT_EQ(status_field(pids[0], "Seccomp"), "2");
    EXPECT_EQ(status_field(pids[0], "NoNewPrivs"), "1");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      EXPECT_EQ(status_field(pids[0], set), "0000000000000000") << set;
    }
    for (const char* ids : {"Uid", "Gid"}) {
      EXPECT_EQ(("\t" + status_field(pids[0], ids) + "\t").find("\t0\t"), std::string::npos)
          << ids << ": " << status_field(pids[0], ids);
    }
    const auto ours = processes_of(daemon().cgroup_parent(), daemon().folder());
    EXPECT_TRUE(std::any_of(ours.begin(), ours.end(), [&](const Seen& seen) {
      return seen.pid == pids[0];
    })) << "not in a cgroup of this instance";
    // That ends the call.
    EXPECT_EQ(::kill(pids[0], SIGKILL), 0);
  }
  caller.join();
  EXPECT_TRUE(appeared);
}

TEST_F(Neighbours, NothingRandomRepeats) {
  ASSERT_DEPLOYED(api().deploy("dice",
                               "import os, random, secrets, ssl, tempfile, uuid\n"
                               "import multiprocessing as m\n"
                               "def handler(e):\n"
                               "    return [random.random(), random.Random().random(),\n"
                               "            secrets.token_hex(8), ssl.RAND_bytes(8).hex(),\n"
                               "            str(uuid.uuid4()), str(uuid.uuid1()),\n"
                               "            tempfile.mktemp(), os.urandom(8).hex(),\n"
                               "            m.current_process().authkey.hex()]\n"));
  constexpr int kCalls = 60;
  std::vector<std::set<std::string>> seen(9);
  for (int i = 0; i < kCalls; ++i) {
    const Reply reply = api().invoke("dice");
    ASSERT_TRUE(succeeded(reply));
    const auto values = reply.json();
    for (std::size_t k = 0; k < seen.size(); ++k) {
      seen[k].insert(boost::json::serialize(values.at(k)));
    }
  }
  for (std::size_t k = 0; k < seen.size(); ++k) EXPECT_EQ(seen[k].size(), kCalls) << k;
}

}  // namespace
}  // namespace sock::e2e
