// manager/jobs/measure.py under the system interpreter, on packages that misbehave.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/spawn.h"
#include "pkgcache/profile/measurement.h"
#include "tests/pkgcache/temporary_folder.h"

namespace sock::pkgcache {
namespace {

using std::chrono::seconds;

constexpr const char* kPython = "/usr/bin/python3.11";

/// Packages print what they like: the answer goes to a file.
constexpr const char* kDriver = R"(
import json, os, sys
sys.path.insert(0, sys.argv[1])
import measure
sys.path.pop(0)
silence = os.open("/dev/null", os.O_WRONLY)
os.dup2(silence, 1), os.dup2(silence, 2), os.close(silence)
answer = measure.handler(json.load(open(sys.argv[2])), None)
open(sys.argv[3], "w").write(json.dumps(answer))
)";

class MeasureTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kPython)) GTEST_SKIP() << "needs " << kPython;
  }

  MeasureItem item(const std::string& name, const std::string& source) {
    folder_.write("packages/" + name + ".py", source);
    return {.package = {.name = name, .version = "1.0"},
            .path = {folder_.path() / "packages"},
            .first = {},
            .modules = {name}};
  }

  Measured measure(const std::vector<MeasureItem>& items, seconds limit = seconds(20)) {
    folder_.write("event", boost::json::serialize(measure_event(items, limit)));
    SpawnSpec spec;
    spec.program = std::filesystem::canonical(kPython);
    spec.args = {"-I",
                 "-B",
                 "-c",
                 kDriver,
                 SOCK_JOBS_FOLDER,
                 folder_.path() / "event",
                 folder_.path() / "answer"};
    spec.env = {"PATH=/usr/bin:/bin"};
    auto child = spawn(spec);
    EXPECT_TRUE(child) << child.error().describe();
    if (!child) return {};
    pollfd done{child->pidfd(), POLLIN, 0};
    EXPECT_EQ(::poll(&done, 1, 60'000), 1) << "measuring hangs";
    const auto answer = read_file(AT_FDCWD, folder_.path() / "answer", 16 << 20);
    EXPECT_TRUE(answer) << answer.error().describe();
    if (!answer) return {};
    auto measured = read_measured(*answer, items, std::chrono::sys_seconds(seconds(1)));
    EXPECT_TRUE(measured) << measured.error().describe();
    return measured ? *measured : Measured{};
  }

  Profile profile(const std::string& source, seconds limit = seconds(20)) {
    auto measured = measure({item("odd", source)}, limit);
    if (measured.profiles.empty()) return {};
    return measured.profiles.front();
  }

  TemporaryFolder folder_;
};

struct Misdeed {
  const char* name;
  const char* source;
  const char* reason;  ///< the beginning of one of the reasons
};

void PrintTo(const Misdeed& misdeed, std::ostream* out) { *out << misdeed.name; }

class MisdeedTest : public MeasureTest, public testing::WithParamInterface<Misdeed> {};

TEST_P(MisdeedTest, QuarantinesWithTheReason) {
  const Profile found = profile(GetParam().source, seconds(5));
  EXPECT_EQ(found.verdict, Verdict::kQuarantined);
  EXPECT_TRUE(std::ranges::any_of(found.reasons, [](const std::string& reason) {
    return reason.starts_with(GetParam().reason);
  })) << testing::PrintToString(found.reasons);
}

constexpr Misdeed kMisdeeds[] = {
    {"Thread",
     "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
     "leaves a thread running"},
    {"Threads",
     "import threading\nfor _ in range(3): threading.Thread(target=threading.Event().wait, "
     "daemon=True).start()",
     "leaves 3 threads running"},
    {"File", "f = open('/etc/passwd')", "leaves \"/etc/passwd\" open"},
    {"Socket", "import socket\ns = socket.socket()", "leaves a socket open"},
    {"ClosedDescriptor", "import os\nos.close(2)", "closes descriptor \"2\""},
    // The child ends with its parent, whose end of the pipe is closed then.
    {"Child",
     "import os\nr, w = os.pipe()\nif os.fork() == 0:\n  os.close(w)\n  os.read(r, 1)\n  "
     "os._exit(0)",
     "leaves a child process running"},
    {"Environment", "import os\nos.environ['GREETING'] = 'x'",
     "changes the environment variable \"GREETING\""},
    {"EnvironmentLess", "import os\ndel os.environ['PATH']",
     "changes the environment variable \"PATH\""},
    {"Signal", "import signal\nsignal.signal(signal.SIGTERM, print)",
     "changes what \"SIGTERM\" does"},
    // Not by way of the signal module.
    {"FaultHandler", "import faulthandler\nfaulthandler.enable()", "changes what \"SIGSEGV\" does"},
    {"BlockedSignal", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
     "changes what \"SIGUSR1\" does"},
    {"Timer", "import signal\nsignal.setitimer(signal.ITIMER_VIRTUAL, 1000)",
     "leaves the \"virtual\" timer running"},
    {"WorkingFolder", "import os\nos.chdir('/usr')", "changes the working folder to \"/usr\""},
    {"Umask", "import os\nos.umask(0o123)", "changes the umask to \"0123\""},
    {"Limit", "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))",
     "changes the resource limit \"Max open files\""},
    {"Locale", "import locale\nlocale.setlocale(locale.LC_ALL, 'C.UTF-8')",
     "changes the locale to "},
    {"RecursionLimit", "import sys\nsys.setrecursionlimit(5000)",
     "changes the interpreter's setting \"recursion limit\""},
    {"Trace", "import sys\nsys.settrace(lambda *a: None)",
     "changes the interpreter's setting \"trace\""},
    // Harmless ones do not crowd out the rest.
    {"ManyVariables",
     "import builtins, os\nfor i in range(100): os.environ[f'KMP_{i}'] = 'x'\nbuiltins.len = print",
     "changes \"and\": \"37 more\""},
    {"SearchPath", "import sys\nsys.path.insert(0, '/srv')", "changes \"/srv\" in sys.path"},
    {"Finder",
     "import sys\nclass Mine:\n  def find_spec(*a): return None\nsys.meta_path.insert(0, Mine())",
     "changes the import hook \"Mine\""},
    {"NewBuiltin", "import builtins\nbuiltins._ = str", "changes the builtin \"_\""},
    {"OtherBuiltin", "import builtins\nbuiltins.len = lambda x: 7", "changes the builtin \"len\""},
    {"Patch", "import json\njson.dumps = print", "replaces \"json.dumps\""},
    {"SharedMemory", "import mmap\nm = mmap.mmap(-1, 4096)", "maps \"/dev/zero"},
    {"Exception", "raise ValueError('no\\x1bway')",
     "cannot be imported: \"odd: ValueError: no\\x1bway\""},
    {"ExceptionWithoutText", "class E(Exception):\n  def __str__(self): raise self\nraise E",
     "cannot be imported: \"odd: E: an error that cannot be shown\""},
    {"MissingModule", "import there_is_none", "cannot be imported: \"odd: ModuleNotFoundError"},
    {"SystemExit", "import sys\nsys.exit(3)", "cannot be imported: \"odd: SystemExit: 3\""},
    {"Recursion", "def f(): f()\nf()", "cannot be imported: \"odd: RecursionError"},
    {"Exit", "import os\nos._exit(7)", "ends the process with exit status 7"},
    {"Kill", "import os\nos.kill(os.getpid(), 9)", "ends the process by SIGKILL"},
    {"Endless", "while True: pass", "takes longer than 5 s"},
    {"Garbage",
     "import os\nfor fd in range(3, 64):\n  try: os.write(fd, b'\\xff' * 64)\n  except OSError: "
     "pass",
     "tampers with its own measuring"},
    {"NotANumber",
     "import os\nm = b'{\"ms\":NaN,\"private_bytes\":0,\"vmas\":0,\"modules\":0,'\n"
     "m += b'\"standard_modules\":[],\"errors\":[],\"changes\":[]}'\n"
     "for fd in range(3, 64):\n  try: os.write(fd, len(m).to_bytes(4, 'little') + m)\n"
     "  except OSError: pass",
     "tampers with its own measuring"},
    {"ClosedChannel", "import os\nos.closerange(3, 64)", "ends the process with exit status 1"},
};

INSTANTIATE_TEST_SUITE_P(Kinds, MisdeedTest, testing::ValuesIn(kMisdeeds),
                         [](const auto& misdeed) { return std::string(misdeed.param.name); });

TEST_F(MeasureTest, HarmlessPackageIsVetted) {
  const Measured measured = measure({item("fine", "import wave\nx = 1")});
  ASSERT_EQ(measured.profiles.size(), 1U);
  const Profile& found = measured.profiles.front();
  EXPECT_EQ(found.verdict, Verdict::kVetted) << testing::PrintToString(found.reasons);
  EXPECT_TRUE(measured.interpreter.starts_with("3.11.")) << measured.interpreter;
  EXPECT_EQ(found.interpreter, measured.interpreter);
  EXPECT_GT(found.ms, 0);
  EXPECT_GE(found.modules, 2U);
  EXPECT_TRUE(std::ranges::binary_search(found.standard_modules, "wave"))
      << testing::PrintToString(found.standard_modules);
}

TEST_F(MeasureTest, AtexitAndForkHooksAreAllowed) {
  const Profile found =
      profile("import atexit, os\natexit.register(print)\nos.register_at_fork(before=print)");
  EXPECT_EQ(found.verdict, Verdict::kVetted) << testing::PrintToString(found.reasons);
}

TEST_F(MeasureTest, CountsTheMemoryThatItTakes) {
  const Profile found = profile("held = bytearray(b'x') * (100 << 20)");
  EXPECT_EQ(found.verdict, Verdict::kVetted) << testing::PrintToString(found.reasons);
  EXPECT_GE(found.private_bytes, 100ULL << 20U);
  EXPECT_LT(found.private_bytes, 110ULL << 20U);
  EXPECT_GE(found.vmas, 1U);
}

TEST_F(MeasureTest, LotsOfOutputDoNotStopIt) {
  const Profile found = profile(
      "import sys\nfor _ in range(20):\n  print('x' * 1000000)\n"
      "  print('y' * 1000000, file=sys.stderr)");
  EXPECT_EQ(found.verdict, Verdict::kVetted) << testing::PrintToString(found.reasons);
}

TEST_F(MeasureTest, ReplacedToolsDoNotDeceiveIt) {
  const Profile found = profile(R"(
import builtins, json, os, sys, time
end = time.monotonic() + 0.05
while time.monotonic() < end: pass
def nothing(*a, **k): raise SystemExit
time.perf_counter = json.dumps = json.JSONEncoder.encode = os.read = os.write = nothing
os.listdir = os.readlink = os.open = os._exit = nothing
for name in ("len", "isinstance", "open", "int", "dict", "zip", "set", "str"):
    setattr(builtins, name, nothing)
sys.modules.pop("json"), sys.modules.pop("os")
)");
  EXPECT_GE(found.ms, 50);
  EXPECT_NE(std::ranges::find(found.reasons, "changes the builtin \"len\""), found.reasons.end())
      << testing::PrintToString(found.reasons);
}

TEST_F(MeasureTest, DependenciesAreLoadedBefore) {
  const std::string burn =
      "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n";
  auto base = item("base", burn + "held = bytearray(b'x') * (20 << 20)");
  auto top = item("top", "import base");
  top.first = {"base"};
  const Measured measured = measure({base, top});
  ASSERT_EQ(measured.profiles.size(), 2U);
  EXPECT_GE(measured.profiles[0].ms, 200);
  EXPECT_LT(measured.profiles[1].ms, 100);
  EXPECT_LT(measured.profiles[1].private_bytes, 5ULL << 20U);
  EXPECT_EQ(measured.profiles[1].modules, 1U);
}

TEST_F(MeasureTest, OneThatEndsTheProcessDoesNotSpoilTheOthers) {
  const auto bad = item("bad", "import os\nos._exit(1)");
  auto needs_bad = item("needs-bad", "");
  needs_bad.modules = {"json"};
  needs_bad.first = {"bad"};
  const Measured measured = measure({item("one", ""), bad, needs_bad, item("two", "")});
  ASSERT_EQ(measured.profiles.size(), 4U);
  EXPECT_EQ(measured.profiles[0].verdict, Verdict::kVetted);
  EXPECT_EQ(measured.profiles[1].verdict, Verdict::kQuarantined);
  EXPECT_EQ(measured.profiles[2].reasons,
            std::vector<std::string>{
                "ends the process with exit status 1 while its dependencies are imported"});
  EXPECT_EQ(measured.profiles[3].verdict, Verdict::kVetted);
}

TEST_F(MeasureTest, InterpreterIsToldWithoutPackages) {
  EXPECT_TRUE(measure({}).interpreter.starts_with("3.11."));
}

}  // namespace
}  // namespace sock::pkgcache
