// Zygotes and clones against the real kernel: a keeper, a shell, a zygote, a clone in it.

#include "zygote/zygote.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fstream>
#include <string>

#include "base/file.h"
#include "sandbox/keeper.h"
#include "sandbox/verify.h"
#include "tests/zygote/zygote_fixture.h"
#include "zygote/wire.h"

namespace sock::zygote {
namespace {

namespace asio = boost::asio;

TEST_F(ZygoteTest, ClonesRunConfinedAndAnswerOnce) {
  auto zygote = run(loop_, Zygote::start(options()));
  ASSERT_TRUE(zygote) << zygote.error().describe();
  Confined clone = make(**zygote, 4321);
  std::string payload;
  ASSERT_EQ(read_type(clone.connection.get(), payload), FrameType::kParked);
  sandbox::Expectation expected = expectation(clone, 4321);
  sandbox::Subject process = subject(clone.process.pidfd());
  auto verified = sandbox::verify_confined(process, expected);
  EXPECT_TRUE(verified) << verified.error().describe();
  // As on a kernel that tells nothing through pidfds.
  process.pidfd = expected.shell.pidfd = -1;
  verified = sandbox::verify_confined(process, expected);
  EXPECT_TRUE(verified) << verified.error().describe();
  // The shell has stayed in our cgroup namespace, so a clone that is not in ours is not in its.
  EXPECT_EQ(inode_of("/proc/" + std::to_string(expected.shell.pid) + "/ns/cgroup"),
            inode_of("/proc/self/ns/cgroup"));
  EXPECT_EQ(call(clone,
                 "import os\n"
                 "def handler(event):\n"
                 "    return [event['n'] + 1, os.getpid(), os.getuid()]\n",
                 R"({"n":41})"),
            "[42,2,4321]");
}

TEST_F(ZygoteTest, VerificationNoticesAMissingLayer) {
  // This very process is nobody's sandbox.
  const sandbox::Subject own{::getpid(), -1};
  const auto self = sandbox::verify_confined(own, {.shell = own});
  ASSERT_FALSE(self);
  EXPECT_NE(self.error().message.find("Seccomp"), std::string::npos) << self.error().describe();
  // A confined clone held against another sandbox's init.
  auto zygote = run(loop_, Zygote::start(options()));
  ASSERT_TRUE(zygote);
  Confined one = make(**zygote, 4321), other = make(**zygote, 4322);
  std::string payload;
  ASSERT_EQ(read_type(one.connection.get(), payload), FrameType::kParked);
  const auto complaint = [&](const sandbox::Expectation& expected) {
    sandbox::Subject process = subject(one.process.pidfd());
    const auto verified = sandbox::verify_confined(process, expected);
    process.pidfd = -1;
    const auto by_path = sandbox::verify_confined(process, expected);
    EXPECT_EQ(verified.has_value(), by_path.has_value()) << "depends on the kernel's age";
    return verified ? "" : verified.error().message;
  };
  const auto not_its = [](const std::string& kind) {
    return kind + " namespace is not as it must be: it is not the sandbox's";
  };
  const sandbox::Expectation right = expectation(one, 4321);
  EXPECT_EQ(complaint(right), "");
  EXPECT_EQ(complaint(expectation(other, 4321)), not_its("pid"));
  EXPECT_TRUE(complaint(expectation(one, 4322)).starts_with("Uid is not"));
  auto wrong = right;
  wrong.network = inode_of("/proc/self/ns/net");
  EXPECT_EQ(complaint(wrong), not_its("net"));
  wrong = right;
  wrong.user = inode_of("/proc/self/ns/user");
  EXPECT_EQ(complaint(wrong), not_its("user"));
  if (!read_file(AT_FDCWD, "/proc/self/cgroup").value_or("").contains("0::/")) {
    GTEST_SKIP() << "no cgroup v2 to look at";
  }
  wrong = right;
  wrong.cgroup = "slots/999";
  EXPECT_TRUE(complaint(wrong).starts_with("cgroup is not"));
  const Fd folder(::open(task_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  wrong.cgroup_folder = folder.get();
  EXPECT_TRUE(complaint(wrong).starts_with("cgroup is not")) << "some folder is not its group";
}

TEST_F(ZygoteTest, ShellsAreBuiltManyAtATimeAndSayWhatFails) {
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto nowhere = run(loop_, keeper_->build_shell(null.get(), 1 << 20));
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().step, "join netns");
  // More than the keeper's socket holds requests.
  constexpr int kMany = 64;
  const Fd net(::open(("/proc/" + std::to_string(keeper_->pid()) + "/ns/net").c_str(),
                      O_RDONLY | O_CLOEXEC));
  int built = 0, failed = 0;
  auto build = [&]() -> asio::awaitable<void> {
    auto shell = co_await keeper_->build_shell(net.get(), 1 << 20);
    if (shell && is_first_process(shell->pidfd())) {
      ++built;
    } else {
      ++failed;
    }
  };
  for (int i = 0; i < kMany; ++i) asio::co_spawn(loop_, build, asio::detached);
  loop_.restart();
  while (built + failed < kMany) loop_.run_one();
  EXPECT_EQ(built, kMany);
}

TEST_F(ZygoteTest, ChildZygotesHoldTheirParentsModulesAndMore) {
  std::ofstream(task_ / "marker.py") << "value = 7\n";
  auto root = run(loop_, Zygote::start(options()));
  ASSERT_TRUE(root) << root.error().describe();
  ZygoteConfig additions;
  additions.modules = {"marker"};
  auto child = run(loop_, (*root)->fork_child(std::move(additions), Millis(10'000)));
  ASSERT_TRUE(child) << child.error().describe();
  const std::string source =
      "import sys\n"
      "def handler(event):\n"
      "    return ['marker' in sys.modules, 'json' in sys.modules]\n";
  std::string payload;
  Confined from_child = make(**child, 1001);
  ASSERT_EQ(read_type(from_child.connection.get(), payload), FrameType::kParked);
  EXPECT_EQ(call(from_child, source, "{}"), "[true,true]");
  Confined from_root = make(**root, 1002);
  ASSERT_EQ(read_type(from_root.connection.get(), payload), FrameType::kParked);
  EXPECT_EQ(call(from_root, source, "{}"), "[false,true]");
}

TEST_F(ZygoteTest, TwoClonesDoNotShareRandomness) {
  auto zygote = run(loop_, Zygote::start(options()));
  ASSERT_TRUE(zygote);
  const std::string source =
      "import random, ssl, secrets, tempfile, uuid, multiprocessing\n"
      "def handler(event):\n"
      "    return [random.random(), ssl.RAND_bytes(8).hex(), secrets.token_hex(8),\n"
      "            next(tempfile._get_candidate_names()), str(uuid.uuid1()), str(uuid.uuid4()),\n"
      "            bytes(multiprocessing.current_process().authkey).hex()]\n";
  std::string payload;
  Confined one = make(**zygote, 1001), other = make(**zygote, 1002);
  ASSERT_EQ(read_type(one.connection.get(), payload), FrameType::kParked);
  ASSERT_EQ(read_type(other.connection.get(), payload), FrameType::kParked);
  const std::string first = call(one, source, "{}"), second = call(other, source, "{}");
  // Same shape, no value in common.
  ASSERT_EQ(std::ranges::count(first, ','), 6);
  std::size_t from = 0;
  for (std::size_t comma = 0; comma != std::string::npos; from = comma + 1) {
    comma = first.find(',', from);
    const std::string value = first.substr(from, comma - from);
    EXPECT_EQ(second.find(value), std::string::npos) << value << " repeats in " << second;
    if (comma == std::string::npos) break;
  }
}

TEST_F(ZygoteTest, ForkedWorkBehavesInAClone) {
  // What is held back at fork in a zygote's clones must be there for the forks a handler makes.
  auto zygote = run(loop_, Zygote::start(options()));
  ASSERT_TRUE(zygote);
  std::string payload;
  Confined clone = make(**zygote, 1001);
  ASSERT_EQ(read_type(clone.connection.get(), payload), FrameType::kParked);
  const std::string source =
      "import concurrent.futures, logging, multiprocessing, os, random, threading\n"
      "def draw(pipe):\n"
      "    logging.getLogger('x').warning('from the child')\n"
      "    pipe.send([random.random(), threading.main_thread().native_id == os.getpid()])\n"
      "def handler(event):\n"
      "    main = threading.main_thread().native_id == threading.get_native_id()\n"
      "    held, done = threading.Event(), threading.Event()\n"
      "    lock = logging.getLogger().handlers or logging.basicConfig()\n"
      "    def hold():\n"
      "        logging._acquireLock(); held.set(); done.wait(); logging._releaseLock()\n"
      "    thread = threading.Thread(target=hold); thread.start(); held.wait()\n"
      "    threading.Timer(0.2, done.set).start()\n"
      "    context = multiprocessing.get_context('fork')\n"
      "    values = []\n"
      "    for _ in range(2):\n"
      "        ours, theirs = context.Pipe()\n"
      "        child = context.Process(target=draw, args=(theirs,)); child.start()\n"
      "        values.append(ours.recv() if ours.poll(20) else None); child.join(20)\n"
      "    thread.join()\n"
      "    with concurrent.futures.ThreadPoolExecutor(2) as pool:\n"
      "        squares = list(pool.map(lambda n: n * n, range(4)))\n"
      "    return [main, values[0] is not None and values[0] != values[1],\n"
      "            [v and v[1] for v in values], squares]\n";
  EXPECT_EQ(call(clone, source, "{}"), "[true,true,[true,true],[0,1,4,9]]");
}

TEST_F(ZygoteTest, RefusesPackagesThatMisbehaveAtImport) {
  struct Case {
    const char* name;
    const char* source;
    const char* finding;
  };
  const Case cases[] = {
      {"raises", "raise RuntimeError('no thanks')\n", "no thanks"},
      {"threads",
       "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n",
       "threads are running"},
      {"descriptors", "import os\nkept = os.open('/dev/null', os.O_RDONLY)\n", "is open on"},
      {"shares", "import mmap\nkept = mmap.mmap(-1, 4096)\n", "writable shared memory"},
      {"children", "import subprocess\nkept = subprocess.Popen(['sleep', '99'])\n", "child"},
      {"exits", "import os\nos._exit(0)\n", "died while importing"},
  };
  for (const auto& test : cases) {
    std::ofstream(task_ / (std::string(test.name) + ".py")) << test.source;
    auto zygote = run(loop_, Zygote::start(options({test.name})));
    ASSERT_FALSE(zygote) << test.name;
    EXPECT_NE(zygote.error().describe().find(test.finding), std::string::npos)
        << test.name << ": " << zygote.error().describe();
  }
}

TEST_F(ZygoteTest, AnImportThatNeverEndsIsCutOff) {
  std::ofstream(task_ / "sleeps.py") << "import time\ntime.sleep(999)\n";
  auto slow = options({"sleeps"});
  slow.import_timeout = Millis(1500);
  const auto before = Clock::now();
  auto zygote = run(loop_, Zygote::start(std::move(slow)));
  ASSERT_FALSE(zygote);
  EXPECT_EQ(zygote.error().code, Code::kTimeout);
  EXPECT_LT(Clock::now() - before, Millis(10'000));
}

TEST_F(ZygoteTest, NothingOfSockdsReachesIt) {
  ::setenv("SOCK_TEST_SECRET", "hunter2", 1);
  auto zygote = run(loop_, Zygote::start(options()));
  ASSERT_TRUE(zygote);
  const std::string environ = "/proc/" + std::to_string((*zygote)->process().pid()) + "/environ";
  std::ifstream file(environ);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find("OPENBLAS_NUM_THREADS=1"), std::string::npos);
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace sock::zygote
