/// Starting, stopping, dying and coming back.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <boost/json/object.hpp>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Lifecycle : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
  }

  static void expect_nothing_left(const Daemon& daemon) {
    EXPECT_EQ(leftovers_of(daemon.cgroup_parent(), daemon.folder()), "");
  }
};

constexpr const char* kConstant = "def handler(e):\n    return 'kept'\n";
constexpr const char* kSleeper =
    "import time\n"
    "def handler(e):\n"
    "    __import__('ctypes').CDLL(None).prctl(15, e['name'].encode(), 0, 0, 0)\n"
    "    time.sleep(e['seconds'])\n"
    "    return 'slept'\n";

TEST_F(Lifecycle, StopsCleanly) {
  Daemon daemon;
  const auto started = daemon.start();
  ASSERT_TRUE(started) << started.error().describe();
  struct stat status {};
  ASSERT_EQ(::stat(daemon.socket().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0660U) << "the socket's mode";
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_NE(::stat(daemon.socket().c_str(), &status), 0) << "the socket is still there";
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, StopsAtOnceWhenItsCallsAreSettled) {
  Daemon daemon;
  const auto started = daemon.start();
  ASSERT_TRUE(started) << started.error().describe();
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("kept", kConstant));
  for (int i = 0; i < 3; ++i) ASSERT_EQ(api.invoke("kept").status, 200);
  const auto begin = Clock::now();
  EXPECT_EQ(daemon.stop(), 0);
  // It waits two seconds for sandboxes that are being taken apart, and there are none.
  EXPECT_LT(micros_between(begin, Clock::now()), 1'500'000);
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, StopsWhileZygotesAreStarting) {
  // The default sets (numpy, pandas) are being imported for the whole of this time.
  for (const int wait_ms : {0, 50, 150, 300, 600}) {
    Daemon daemon;
    ASSERT_TRUE(daemon.start());
    std::this_thread::sleep_for(Millis(wait_ms));
    const auto before = Clock::now();
    EXPECT_EQ(daemon.stop(), 0) << "after " << wait_ms << " ms";
    EXPECT_LT(Clock::now() - before, Millis(10'000)) << "after " << wait_ms << " ms";
    expect_nothing_left(daemon);
  }
}

TEST_F(Lifecycle, StopsWhileFunctionZygotesAreReplaced) {
  for (const int wait_ms : {0, 20, 60}) {
    Daemon daemon("[zygotes]\nsets = []\n[parked]\nmin = 8\n");
    ASSERT_TRUE(daemon.start());
    Api api(daemon.socket());
    const auto deploy = [&] { return api.deploy("kept", kConstant, R"({"keep_ready":16})"); };
    const auto full = [&] {
      const auto zygote = api.function_zygote("kept");
      return !zygote.empty() && zygote.at("parked") == 16;
    };
    for (int i = 0; i < 3; ++i) {
      ASSERT_DEPLOYED(deploy());
      ASSERT_TRUE(eventually(full)) << api.get("/v1/zygotes").body;
    }
    // The stock of the last one is being buried, that of the next one not made yet.
    ASSERT_DEPLOYED(deploy());
    std::this_thread::sleep_for(Millis(wait_ms));
    EXPECT_EQ(daemon.stop(), 0) << "after " << wait_ms << " ms";
    EXPECT_EQ(daemon.log().find(" error "), std::string::npos) << daemon.log();
    expect_nothing_left(daemon);
  }
}

TEST_F(Lifecycle, StopsAtOnceWhileAFunctionIsImported) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  const char* const slow =
      "import ctypes, time\n"
      "ctypes.CDLL(None).prctl(15, b'sock-importing', 0, 0, 0)\n"
      "time.sleep(25)\n"
      "def handler(e):\n    return e\n";
  ASSERT_DEPLOYED(api.deploy("slow", slow, R"({"keep_ready":1})"));
  ASSERT_TRUE(eventually([] { return processes_named("sock-importing").size() == 1; }));
  const auto begin = Clock::now();
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_LT(Clock::now() - begin, Millis(4'000));
  EXPECT_EQ(daemon.log().find(" error "), std::string::npos) << daemon.log();
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, FunctionsSurviveARestart) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  Reply first;
  {
    Api api(daemon.socket());
    ASSERT_DEPLOYED(api.deploy("kept", "def handler(e):\n    return 'old'\n"));
    first = api.deploy("kept", kConstant, R"({"env":{"A":"b"},"memory":"128M"})");
    ASSERT_DEPLOYED(api.deploy("removed", kConstant));
    ASSERT_LT(api.remove("removed").status, 300U);
  }
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(daemon.stop(), 0);
    ASSERT_TRUE(daemon.start());
    Api api(daemon.socket());
    EXPECT_EQ(api.get("/v1/functions/kept").body, first.body);
    EXPECT_EQ(api.get("/v1/functions/removed").status, 404U);
    EXPECT_EQ(api.invoke("kept").body, "\"kept\"");
  }
  Api api(daemon.socket());
  const Reply next = api.deploy("kept", kConstant);
  EXPECT_GT(next.number("generation"), first.number("generation"));
}

TEST_F(Lifecycle, ReclaimsEverythingAfterBeingKilled) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("sleeper", kSleeper, R"({"timeout":"60s"})"));
  std::vector<std::thread> callers;
  std::vector<Reply> replies(4);
  for (auto& reply : replies) {
    callers.emplace_back([&] {
      reply = Api(daemon.socket()).invoke("sleeper", R"({"name":"sock-orphan","seconds":50})");
    });
  }
  const bool running =
      eventually([] { return processes_named("sock-orphan").size() == 4; }, Millis(20'000));
  const auto before = processes_of(daemon.cgroup_parent(), daemon.folder());
  daemon.kill();
  for (auto& caller : callers) caller.join();
  ASSERT_TRUE(running);
  for (const Reply& reply : replies) EXPECT_EQ(reply.status, 0U) << reply.body;

  const auto begin = Clock::now();
  const auto started = daemon.start();
  ASSERT_TRUE(started) << started.error().describe();
  // All are gone before the first request is answered.
  EXPECT_TRUE(processes_named("sock-orphan").empty());
  for (const Seen& now : processes_of(daemon.cgroup_parent(), daemon.folder())) {
    for (const Seen& old : before) {
      EXPECT_FALSE(now.pid == old.pid && now.comm == old.comm && !now.exiting)
          << "survived: " << old.pid << " " << old.comm;
    }
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));
  Api again(daemon.socket());
  EXPECT_EQ(again.invoke("sleeper", R"({"name":"sock-again","seconds":0})").body, "\"slept\"");
  EXPECT_EQ(daemon.stop(), 0);
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, SurvivesBeingKilledManyTimes) {
  Daemon daemon;
  for (int i = 0; i < 4; ++i) {
    const auto started = daemon.start();
    ASSERT_TRUE(started) << started.error().describe();
    Api api(daemon.socket());
    ASSERT_DEPLOYED(api.deploy("f" + std::to_string(i), kConstant));
    for (int k = 0; k <= i; ++k) {
      EXPECT_EQ(api.invoke("f" + std::to_string(k)).body, "\"kept\"");
    }
    daemon.kill();
  }
  ASSERT_TRUE(daemon.start());
  EXPECT_EQ(daemon.stop(), 0);
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, ASecondDaemonOnTheSameStateLeaves) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("kept", kConstant));
  const Finished other =
      run_program(program("sockd"), {"--config", daemon.config_file(), "--socket",
                                     daemon.folder() + "/other", "--state-dir", daemon.state_dir(),
                                     "--cgroup-parent", daemon.cgroup_parent() + "-2"});
  EXPECT_GT(other.exit, 0);
  EXPECT_NE((other.out + other.err).find(daemon.state_dir()), std::string::npos)
      << other.out << other.err;
  EXPECT_TRUE(cgroups_of(daemon.cgroup_parent() + "-2").empty());
  EXPECT_EQ(api.invoke("kept").body, "\"kept\"");
  sweep(daemon.cgroup_parent() + "-2", daemon.folder() + "/other");
}

TEST_F(Lifecycle, ASecondDaemonOnTheSameSocketLeaves) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  const Finished other =
      run_program(program("sockd"),
                  {"--config", daemon.config_file(), "--socket", daemon.socket(), "--state-dir",
                   daemon.folder() + "/state2", "--cgroup-parent", daemon.cgroup_parent() + "-2"});
  EXPECT_GT(other.exit, 0);
  EXPECT_NE((other.out + other.err).find(daemon.socket()), std::string::npos)
      << other.out << other.err;
  EXPECT_EQ(Api(daemon.socket()).get("/v1/health").status, 200U);
  sweep(daemon.cgroup_parent() + "-2", daemon.folder() + "/state2");
}

TEST_F(Lifecycle, TerminationLetsRunningCallsFinish) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("sleeper", kSleeper));
  Reply reply;
  std::thread caller([&] {
    reply = Api(daemon.socket()).invoke("sleeper", R"({"name":"sock-drain","seconds":2})");
  });
  const bool running = eventually([] { return processes_named("sock-drain").size() == 1; });
  daemon.terminate();
  // New calls are turned away while the old one finishes.
  const bool refused = eventually([&] {
    const Reply late = Api(daemon.socket()).invoke("sleeper", R"({"name":"late","seconds":0})");
    return late.status == 503 || late.status == 0;
  });
  caller.join();
  EXPECT_EQ(daemon.wait_for_exit(), 0);
  EXPECT_TRUE(running);
  EXPECT_TRUE(refused);
  EXPECT_EQ(reply.body, "\"slept\"") << reply.status;
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, AHalfWrittenRegistryEntryIsDropped) {
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  {
    Api api(daemon.socket());
    ASSERT_DEPLOYED(api.deploy("good", kConstant));
  }
  ASSERT_EQ(daemon.stop(), 0);
  // Whatever the layout: rubbish in every folder of the state must not keep sockd from starting.
  std::vector<std::filesystem::path> folders{daemon.state_dir()};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(daemon.state_dir())) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  for (const auto& folder : folders) {
    if (folder.string().find("/code") == std::string::npos)
      std::ofstream(folder / ".rubbish") << "{";
  }
  const auto started = daemon.start();
  ASSERT_TRUE(started) << started.error().describe();
  EXPECT_EQ(Api(daemon.socket()).invoke("good").body, "\"kept\"");
}

TEST_F(Lifecycle, ABadConfigurationIsNamed) {
  Daemon daemon("[calls]\nmax_running = \"many\"\n");
  const Finished ran = run_program(program("sockd"), daemon.arguments());
  EXPECT_GT(ran.exit, 0);
  const std::string said = ran.out + ran.err;
  EXPECT_NE(said.find("sockd.toml"), std::string::npos) << said;
  EXPECT_NE(said.find("max_running"), std::string::npos) << said;
  expect_nothing_left(daemon);
}

TEST_F(Lifecycle, AnUnknownFlagIsAUsageError) {
  const Finished ran = run_program(program("sockd"), {"--no-such-flag"});
  EXPECT_GT(ran.exit, 0);
  EXPECT_NE(ran.err, "");
}

}  // namespace
}  // namespace sock::e2e
