/// Parked clones and zygotes come and go with demand and age; callers do not notice.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/replicas.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

constexpr const char* kHashes =
    "def handler(e):\n"
    "    return [hash('x'), id(None)]\n";
constexpr const char* kNap =
    "import time\n"
    "def handler(e):\n"
    "    time.sleep(0.05)\n"
    "    return 'rested'\n";

/// One zygote of GET /v1/zygotes; a null value when there is none.
boost::json::value zygote(Api& api, const std::string& id_prefix) {
  const Reply reply = api.get("/v1/zygotes");
  for (const auto& each : reply.json().at("zygotes").as_array()) {
    if (std::string(each.at("id").as_string()).starts_with(id_prefix)) return each;
  }
  return nullptr;
}

std::int64_t number(Api& api, const std::string& id_prefix, const char* key) {
  const auto found = zygote(api, id_prefix);
  return found.is_object() ? found.at(key).to_number<std::int64_t>() : -1;
}

/// Calls `function` once from each of so many threads; how many failed.
int burst(const Daemon& daemon, const std::string& function, int count) {
  std::atomic<int> failures = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < count; ++i) {
    callers.emplace_back([&] {
      if (Api(daemon.socket()).invoke(function).status != 200) ++failures;
    });
  }
  for (auto& caller : callers) caller.join();
  return failures;
}

/// Threads that call one function again and again until they are told to stop.
class Callers {
 public:
  Callers(const Daemon& daemon, std::string function, int count) : function_(std::move(function)) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, socket = daemon.socket()] { run(socket); });
    }
  }
  ~Callers() { stop(); }
  Callers(const Callers&) = delete;
  Callers& operator=(const Callers&) = delete;

  /// What went wrong, "" when nothing.
  std::string stop() {
    stop_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    return problems_;
  }
  [[nodiscard]] int answered() const { return answered_; }

 private:
  void run(const std::string& socket) {
    Api api(socket);
    while (!stop_) {
      const Reply reply = api.invoke(function_);
      ++answered_;
      if (reply.status == 200) continue;
      const std::lock_guard lock(mutex_);
      problems_ += std::to_string(reply.status) + " " + reply.body + "\n";
    }
  }

  std::string function_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> answered_ = 0;
  std::mutex mutex_;
  std::string problems_;
  std::vector<std::thread> threads_;
};

struct SmallMinimum {
  static const char* text() {
    return "[zygotes]\nsets = []\nfunctions = false\n[parked]\nmin = 1\nmax = 16\n";
  }
};

class Stock : public Suite<SmallMinimum> {};

TEST_F(Stock, GrowsUnderABurstAndShrinksAgain) {
  ASSERT_DEPLOYED(api().deploy("nap", kNap));
  ASSERT_TRUE(eventually([&] { return number(api(), "root", "parked") == 1; }));
  ASSERT_EQ(burst(daemon(), "nap", 12), 0);
  std::int64_t most = 0;
  const auto grown = [&] {
    most = std::max(most, number(api(), "root", "parked"));
    return most >= 8;
  };
  EXPECT_TRUE(eventually(grown)) << most;
  EXPECT_LE(most, 16);
  // The next burst finds what the first one asked for.
  std::atomic<int> parked = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      if (Api(daemon().socket()).invoke("nap").header("x-sock-start") == "parked") ++parked;
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_GE(parked, 6);
  const auto refilled = [&] {
    most = number(api(), "root", "parked");
    return most >= 8;
  };
  ASSERT_TRUE(eventually(refilled));
  const auto shrunk = [&] { return number(api(), "root", "parked") < most; };
  EXPECT_TRUE(eventually(shrunk, Millis(40'000))) << "it still holds " << most;
}

struct LittleMemory {
  static const char* text() {
    return "[zygotes]\nsets = []\nfunctions = false\n[parked]\nmin = 1\nmax = 64\nmemory = "
           "\"12M\"\n";
  }
};

class TightStock : public Suite<LittleMemory> {};

TEST_F(TightStock, IsBoundedByItsMemory) {
  ASSERT_DEPLOYED(api().deploy("nap", kNap));
  ASSERT_TRUE(eventually([&] { return number(api(), "root", "parked") == 1; }));
  std::int64_t most = 0;
  const auto within = [&] {
    const Reply reply = api().get("/v1/zygotes");
    most = std::max(most, number(api(), "root", "parked"));
    return reply.number("parked_limit") == 12 << 20 &&
           reply.number("parked_bytes") <= reply.number("parked_limit");
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(burst(daemon(), "nap", 40), 0);
    EXPECT_TRUE(within());
  }
  EXPECT_TRUE(eventually([&] { return !within() || most > 1; }));
  EXPECT_TRUE(within());
  // Forty would be wanted; a clone takes more than a quarter of a megabyte at least.
  EXPECT_LT(most, 40);
}

struct QuickRotation {
  static const char* text() {
    return "[zygotes]\nsets = [[\"numpy\"]]\nrotate_clones = 20\nrotate_minutes = 0\n";
  }
};

class Rotation : public Suite<QuickRotation> {};

TEST_F(Rotation, ANewGenerationHasAnotherLayoutAndNoCallNotices) {
  ASSERT_DEPLOYED(api().deploy("hashes", kHashes));
  ASSERT_TRUE(eventually([&] { return number(api(), "numpy", "pid") > 0; }, Millis(60'000)));
  const std::int64_t first = number(api(), "root", "generation");
  const std::int64_t first_pid = number(api(), "root", "pid");
  std::set<std::string> seen;
  int calls = 0;
  const auto third = [&] {
    for (int i = 0; i < 10; ++i, ++calls) {
      const Reply reply = api().invoke("hashes");
      EXPECT_TRUE(succeeded(reply)) << "call " << calls;
      seen.insert(reply.body);
    }
    return calls >= 100 && number(api(), "root", "generation") >= first + 2 &&
           number(api(), "numpy", "generation") >= first + 1;
  };
  EXPECT_TRUE(eventually(third, Millis(60'000))) << api().get("/v1/zygotes").body;
  EXPECT_GE(seen.size(), 2U);
  EXPECT_NE(number(api(), "root", "pid"), first_pid);
  // The old ones are gone: nothing of sock's but what the tree names.
  const auto only_the_living = [&] {
    const auto pids = processes_of(daemon().cgroup_parent(), daemon().folder());
    return std::ranges::none_of(pids, [&](const Seen& each) { return each.pid == first_pid; });
  };
  EXPECT_TRUE(eventually(only_the_living));
}

struct NothingParked {
  static const char* text() {
    return "[zygotes]\nsets = []\nfunctions = false\nreplicas = 1\n[parked]\nmin = 0\nmax = 0\n";
  }
};

class Replicas : public Suite<NothingParked> {};

TEST_F(Replicas, AZygoteThatIsQueuedForGetsOneAndItCanTakeOver) {
  ASSERT_DEPLOYED(api().deploy("hashes", kHashes));
  const auto pid = static_cast<pid_t>(number(api(), "root", "pid"));
  ASSERT_GT(pid, 0);
  const Reply before = api().invoke("hashes");
  Callers callers(daemon(), "hashes", 8);
  ASSERT_TRUE(eventually([&] { return callers.answered() > 8; }));
  ASSERT_TRUE(add_replica(daemon().socket(), "hashes")) << daemon().log();
  const auto processes = root_processes(api());
  ASSERT_EQ(processes.size(), 2U);
  ASSERT_EQ(processes[0], pid);
  const pid_t replica = processes[1];
  const int answered = callers.answered();
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return number(api(), "root", "pid") == replica; }));
  EXPECT_TRUE(eventually([&] { return callers.answered() > answered + 20; }));
  EXPECT_EQ(callers.stop(), "");
  EXPECT_EQ(api().invoke("hashes").body, before.body) << "not an exact copy";
}

struct WithNumpy {
  static const char* text() { return "[zygotes]\nsets = [[\"numpy\"]]\n"; }
};

class Zygotes : public Suite<WithNumpy> {};

TEST_F(Zygotes, OneThatIsKilledIsNotMissed) {
  const Reply deployed = api().deploy("sum", "def handler(e):\n    import numpy\n    return 1\n",
                                      R"({"requirements":["numpy"],"timeout":"60s"})");
  ASSERT_DEPLOYED(deployed);
  ASSERT_TRUE(eventually([&] { return number(api(), "numpy", "pid") > 0; }, Millis(60'000)));
  Callers callers(daemon(), "sum", 3);
  std::int64_t pid = 0;
  for (int i = 0; i < 3; ++i) {
    const auto another = [&] {
      const std::int64_t now = number(api(), "numpy", "pid");
      return now > 0 && now != pid;
    };
    ASSERT_TRUE(eventually(another, Millis(60'000))) << daemon().log();
    pid = number(api(), "numpy", "pid");
    const int answered = callers.answered();
    ASSERT_EQ(::kill(static_cast<pid_t>(pid), SIGKILL), 0);
    EXPECT_TRUE(eventually([&] { return callers.answered() > answered + 6; }, Millis(60'000)));
  }
  EXPECT_EQ(callers.stop(), "");
}

}  // namespace
}  // namespace sock::e2e
