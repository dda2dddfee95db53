/// Handlers that die, leave, or break the rules of answering.

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

struct Death {
  const char* name;
  const char* body;  ///< of the handler
  int exit;          ///< in the record; -1 = any but 0
};

void PrintTo(const Death& death, std::ostream* out) { *out << death.name; }

class Deaths : public Suite<Bare>, public testing::WithParamInterface<Death> {};

TEST_P(Deaths, AreReportedAsKilled) {
  const Death& death = GetParam();
  const Reply reply = call(
      "import ctypes, os, resource, signal, sys\ndef handler(e):\n    print('last words')\n    " +
      std::string(death.body) + "\n");
  ASSERT_TRUE(failed(reply, 502, "killed"));
  EXPECT_NE(reply.text("errorMessage"), "");
  const Reply record = api().record_of(reply);
  EXPECT_EQ(record.text("status"), "killed");
  if (death.exit >= 0) {
    EXPECT_EQ(record.number("exit"), death.exit);
  } else {
    EXPECT_NE(record.number("exit"), 0);
  }
  EXPECT_EQ(record.text("logs").substr(0, 11), "last words\n");
  EXPECT_EQ(call("def handler(e):\n    return 'fine'\n").body, "\"fine\"");
}

INSTANTIATE_TEST_SUITE_P(
    By, Deaths,
    testing::Values(Death{"Exit", "os._exit(3)", 3}, Death{"ExitZero", "os._exit(0)", 0},
                    Death{"SegfaultSignal", "os.kill(os.getpid(), signal.SIGSEGV)", 139},
                    Death{"Segfault", "ctypes.string_at(0)", 139},
                    Death{"Abort", "os.abort()", 134},
                    Death{"Kill", "os.kill(os.getpid(), signal.SIGKILL)", 137},
                    Death{"Term", "os.kill(os.getpid(), signal.SIGTERM)", 143},
                    Death{"Group", "os.kill(0, signal.SIGKILL)", 137},
                    Death{"Everybody",
                          "if os.fork() == 0:\n        os.kill(-1, signal.SIGKILL)\n"
                          "        os._exit(5)\n    os.wait()\n    os._exit(6)",
                          137},
                    Death{"ForbiddenArchitecture",
                          // int 0x80 with getpid's 32-bit number, from a page made executable.
                          "import mmap; m = mmap.mmap(-1, 4096, prot=7); "
                          "m.write(bytes.fromhex('b814000000cd80c3')); "
                          "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof("
                          "ctypes.c_char.from_buffer(m)))()",
                          -1}),
    [](const auto& one) { return std::string(one.param.name); });

class Endings : public Suite<Bare> {};

TEST_F(Endings, OfManyAtOnceAreAccountedForOneByOne) {
  ASSERT_DEPLOYED(api().deploy("use",
                               "import os, time\n"
                               "def handler(n):\n"
                               "    held = b'x' * (n << 20)\n"
                               "    while time.process_time() < n / 500:\n"
                               "        pass\n"
                               "    if n % 32 == 0:\n"
                               "        os._exit(0)\n"
                               "    return len(held)\n",
                               R"({"memory":"128M"})"));
  constexpr int kCallers = 6;
  constexpr int kStep = 16;  // MB and twice as many ms more than the one before
  for (int round = 0; round < 3; ++round) {
    std::vector<Reply> replies(kCallers);
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&, i] {
        replies[static_cast<std::size_t>(i)] =
            Api(daemon().socket()).invoke("use", std::to_string(kStep * (i + 1)));
      });
    }
    for (auto& caller : callers) caller.join();
    for (int i = 0; i < kCallers; ++i) {
      const int n = kStep * (i + 1);
      const Reply record = api().record_of(replies[static_cast<std::size_t>(i)]);
      EXPECT_EQ(record.text("status"), n % 32 == 0 ? "killed" : "ok") << n;
      EXPECT_GE(record.number("max_rss"), std::int64_t{n} << 20) << n;
      EXPECT_LT(record.number("max_rss"), std::int64_t{n + kStep} << 20) << n;
      EXPECT_GE(record.number("cpu_us"), 2000 * n - 1000) << n;
    }
  }
}

TEST_F(Endings, OneThatDoesNotDieHoldsUpNoOther) {
  ASSERT_DEPLOYED(
      api().deploy("stuck",
                   "import time\n"
                   "def handler(e):\n"
                   "    __import__('ctypes').CDLL(None).prctl(15, b'sock-stuck', 0, 0, 0)\n"
                   "    time.sleep(60)\n",
                   R"({"timeout":"1s"})"));
  ASSERT_DEPLOYED(api().deploy("fine", "def handler(e):\n    return 1\n"));
  ASSERT_DEPLOYED(api().deploy("late", "import time\ndef handler(e):\n    time.sleep(60)\n",
                               R"({"timeout":"100ms"})"));
  std::atomic<bool> answered = false;
  Reply stuck;
  std::thread caller([&] {
    stuck = Api(daemon().socket()).invoke("stuck");
    answered = true;
  });
  const bool appeared = eventually([] { return processes_named("sock-stuck").size() == 1; });
  const pid_t pid = appeared ? processes_named("sock-stuck").front() : -1;
  // A dead process that is traced cannot be reaped by its parent before its tracer has looked.
  const bool held = appeared && ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0;
  if (held) {
    EXPECT_TRUE(eventually([&] { return status_field(pid, "State").starts_with("Z"); }));
    const auto begin = Clock::now();
    for (int i = 0; i < 5; ++i) {
      const Reply fine = api().invoke("fine");
      EXPECT_TRUE(succeeded(fine));
      EXPECT_GT(api().record_of(fine).number("cpu_us"), 0) << "not settled";
      EXPECT_TRUE(failed(api().invoke("late"), 504, "timeout"));
    }
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(4));
    EXPECT_FALSE(answered) << "it died: the test proves nothing";
    EXPECT_TRUE(eventually([&] { return answered.load(); }, Millis(15'000)));
    if (answered) {
      EXPECT_TRUE(succeeded(api().invoke("fine")));
    }
    EXPECT_EQ(::waitpid(pid, nullptr, __WALL), pid);
  }
  caller.join();
  ASSERT_TRUE(held);
  EXPECT_TRUE(failed(stuck, 504, "timeout"));
  EXPECT_TRUE(eventually([&] { return status_field(pid, "State").empty(); })) << "not reaped";
}

class BadAnswers : public Suite<Bare> {};

TEST_F(BadAnswers, SystemExitIsAnErrorOfTheHandler) {
  for (const char* body : {"sys.exit(3)", "sys.exit(0)", "raise SystemExit('x')", "quit()"}) {
    const Reply reply = call("import sys\ndef handler(e):\n    " + std::string(body) + "\n");
    EXPECT_TRUE(failed(reply, 502, "app_error")) << body;
  }
}

TEST_F(BadAnswers, GarbageOnEveryDescriptorIsNoAnswer) {
  const Reply reply = call(
      "import os\n"
      "def handler(e):\n"
      "    for fd in range(3, 64):\n"
      "        try:\n"
      "            os.write(fd, b'garbage ' * 1000)\n"
      "        except OSError:\n"
      "            pass\n"
      "    return 'never'\n");
  EXPECT_EQ(reply.status, 502U) << reply.body;
  EXPECT_EQ(call("def handler(e):\n    return 'fine'\n").body, "\"fine\"");
}

TEST_F(BadAnswers, AForgedFrameIsNoMoreThanAResult) {
  // A whole answer written by the handler, then the true one: at most one of them counts.
  const Reply reply = call(
      "import os, struct\n"
      "def handler(e):\n"
      "    body = b'\"forged\"'\n"
      "    for fd in range(3, 64):\n"
      "        for kind in range(1, 12):\n"
      "            try:\n"
      "                os.write(fd, struct.pack('=IIQ', 0x6b636f73, kind, 1 << 62) + body)\n"
      "            except OSError:\n"
      "                pass\n"
      "    return 'true'\n");
  EXPECT_TRUE(reply.status == 200 || reply.status == 502) << reply.body;
  EXPECT_EQ(call("def handler(e):\n    return 'fine'\n").body, "\"fine\"");
}

TEST_F(BadAnswers, ClosingEverythingIsNoAnswer) {
  const Reply reply =
      call("import os\ndef handler(e):\n    os.closerange(0, 1000)\n    return 1\n");
  EXPECT_EQ(reply.status, 502U) << reply.body;
  EXPECT_EQ(call("def handler(e):\n    return 'fine'\n").body, "\"fine\"");
}

TEST_F(BadAnswers, ClosedOutputDoesNotHinderTheResult) {
  const Reply reply = call(
      "import os, sys\n"
      "def handler(e):\n"
      "    print('said')\n"
      "    sys.stdout.close()\n"
      "    os.close(2)\n"
      "    return 'still'\n");
  EXPECT_EQ(reply.body, "\"still\"");
  EXPECT_EQ(api().record_of(reply).text("logs"), "said\n");
}

TEST_F(BadAnswers, ThreadsLeftBehindDoNotDelayTheAnswer) {
  const auto begin = Clock::now();
  const Reply reply = call(
      "import threading, time\n"
      "def handler(e):\n"
      "    threading.Thread(target=time.sleep, args=(20,)).start()\n"
      "    return 'now'\n");
  EXPECT_EQ(reply.body, "\"now\"");
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(BadAnswers, AtexitAndFinalisersCannotAnswerTwice) {
  const Reply reply = call(
      "import atexit, os\n"
      "class Late:\n"
      "    def __del__(self):\n"
      "        os._exit(9)\n"
      "late = Late()\n"
      "atexit.register(os._exit, 8)\n"
      "def handler(e):\n"
      "    return 'once'\n");
  EXPECT_EQ(reply.body, "\"once\"");
  EXPECT_EQ(api().record_of(reply).text("status"), "ok");
}

}  // namespace
}  // namespace sock::e2e
