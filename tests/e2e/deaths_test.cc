/// Handlers that die, leave, or break the rules of answering.

#include "tests/e2e/host.h"
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
