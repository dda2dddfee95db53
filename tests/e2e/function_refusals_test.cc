/// Functions whose import leaves more than memory: they have no zygote, and work all the same.

#include <boost/json/object.hpp>

#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

struct Refusal {
  const char* name;
  const char* source;  ///< of the module, before its handler
  const char* reason;  ///< a part of what the API says
  const char* options = "{}";
  const char* error = nullptr;  ///< the calls' own; null when they work
};

void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }

std::string with_keep_ready(const std::string& options) {
  return R"({"keep_ready":1)" + (options == "{}" ? "}" : "," + options.substr(1));
}

class Refusals : public Suite<Bare>, public testing::WithParamInterface<Refusal> {};

TEST_P(Refusals, NameTheReason) {
  const Refusal& refusal = GetParam();
  const std::string source = std::string(refusal.source) + "def handler(e):\n    return 'ran'\n";
  ASSERT_DEPLOYED(api().deploy("refused", source, with_keep_ready(refusal.options)));
  ASSERT_FALSE(api().wait_for_function_zygote("refused"));
  const auto zygote = api().function_zygote("refused");
  ASSERT_FALSE(zygote.empty());
  EXPECT_EQ(zygote.at("state").as_string(), "failed");
  const std::string error(zygote.at("error").as_string());
  EXPECT_NE(error.find(refusal.reason), std::string::npos) << error;
  for (int i = 0; i < 2; ++i) {
    const Reply reply = api().invoke("refused");
    if (refusal.error == nullptr) {
      EXPECT_EQ(reply.body, "\"ran\"");
    } else {
      EXPECT_EQ(reply.text("errorType"), refusal.error) << reply.status << reply.body;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Of, Refusals,
    testing::Values(
        Refusal{"AThread",
                "import threading\n"
                "threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
                "Threads:\t2"},
        Refusal{"AnOpenFile", "f = open('/var/task/handler.py')\n", "/var/task/handler.py"},
        Refusal{"ASocket", "import socket\ns = socket.socket()\n", "socket:["},
        Refusal{"AClosedDescriptor", "import os\nos.close(0)\n", "descriptor 0"},
        Refusal{"ASignalHandler", "import signal\nsignal.signal(signal.SIGUSR1, lambda *a: None)\n",
                "SigCgt"},
        Refusal{"AnIgnoredSignal", "import signal\nsignal.signal(15, signal.SIG_IGN)\n", "SigIgn"},
        Refusal{"ABlockedSignal",
                "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n",
                "SigBlk"},
        Refusal{"AFileInTmp", "open('/tmp/kept', 'w').close()\n", "/tmp: kept"},
        Refusal{"AFileInShm", "open('/dev/shm/kept', 'w').close()\n", "/dev/shm: kept"},
        Refusal{"AChild", "import subprocess\np = subprocess.Popen(['/bin/sleep', '99'])\n",
                "children"},
        Refusal{"AZombie", "import os\nif os.fork() == 0:\n    os._exit(0)\n", "children"},
        Refusal{"ADaemon",
                "import os, time\n"
                "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        "
                "time.sleep(99)\n    os._exit(0)\nos.wait()\n",
                "behind: process "},
        Refusal{"ACpu", "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n",
                "Cpus_allowed"},
        Refusal{"ChangedCode",
                "import ctypes\n"
                "libc = ctypes.CDLL(None)\n"
                "at = ctypes.cast(libc.wcsncat, ctypes.c_void_p).value\n"
                "page = ctypes.c_void_p(at & ~4095)\n"
                "assert libc.mprotect(page, 4096, 7) == 0\n"
                "ctypes.memset(at, 0xc3, 1)\n"
                "assert libc.mprotect(page, 4096, 5) == 0\n",
                "changes code or constants"},
        Refusal{"MemoryBelowTheStack",
                "import ctypes\n"
                "libc = ctypes.CDLL(None)\n"
                "libc.mmap.restype = ctypes.c_void_p\n"
                "line = [l for l in open('/proc/self/maps') if l.endswith('[stack]\\n')][0]\n"
                "at = int(line.split('-')[0], 16) - (512 << 10)\n"
                "got = libc.mmap(ctypes.c_void_p(at), 4096, 3, 0x32, -1, 0)\n"
                "assert got == at\n"
                "ctypes.memset(at, 1, 1)\n",
                "below the stack"},
        Refusal{"AnAlarm", "import signal\nsignal.alarm(99)\n", "a timer running"},
        Refusal{"ATimer", "import signal\nsignal.setitimer(signal.ITIMER_VIRTUAL, 99)\n",
                "a timer running"},
        Refusal{"APosixTimer",
                "import ctypes\nid = ctypes.c_void_p()\n"
                "assert ctypes.CDLL(None).timer_create(1, None, ctypes.byref(id)) == 0\n",
                "SigQ"},
        Refusal{"ALimit",
                "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
                "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n",
                "Max open files"},
        Refusal{"AMask", "import os\nos.umask(0o77)\n", "Umask:\t0077"},
        Refusal{"SharedMemory", "import mmap\nm = mmap.mmap(-1, 4096)\n", "shared memory"},
        Refusal{"TooMuchMemory", "kept = b'x' * 300_000_000\n", "256 MiB allowed",
                R"({"memory":"600M"})"},
        Refusal{"AFailingHook",
                "import snapshot_restore_py as s\n"
                "s.register_before_snapshot(lambda: 1 / 0)\n",
                "ZeroDivisionError"},
        Refusal{"AnException", "raise ValueError('not today')\n", "ValueError: not today", "{}",
                "ValueError"},
        Refusal{"AnExit", "import sys\nsys.exit(3)\n", "sys.exit(3)", "{}", "Runtime.ExitError"},
        Refusal{"ADeath", "import os\nos._exit(3)\n", "without an answer", "{}",
                "Runtime.ExitError"},
        Refusal{"ACrash", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
                "without an answer", "{}", "Sandbox.Killed"},
        Refusal{"NoEnd", "while True:\n    pass\n", "no answer within 400 ms",
                R"({"timeout":"400ms"})", "Sandbox.Timeout"},
        Refusal{"NoMemory", "kept = [b'x' * (1 << 20) for _ in range(500)]\n", "without an answer",
                R"({"memory":"64M"})", "Sandbox.OutOfMemory"}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace sock::e2e
