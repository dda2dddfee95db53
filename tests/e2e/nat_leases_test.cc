/// A thousand sandboxes later, the host has the namespaces, links and rules that it had before.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "tests/e2e/nat_suite.h"
#include "tests/e2e/process.h"
#include "tests/netns-pool/death_watch.h"

namespace sock::e2e {
namespace {

namespace fs = std::filesystem;
using netns::testing::DeathWatch;

constexpr int kCalls = 1'000;
constexpr int kCallers = 4;

/// Follows the network namespaces that a daemon has descriptors of, until the kernel has taken them
/// apart.
class NamespaceWatch {
 public:
  /// Other than `except`.
  NamespaceWatch(pid_t daemon, int except)
      : folder_("/proc/" + std::to_string(daemon) + "/fd"), deaths_(DeathWatch::create()) {
    struct stat status {};
    EXPECT_EQ(::fstat(except, &status), 0);
    except_ = status.st_ino;
    EXPECT_TRUE(deaths_) << deaths_.error().describe();
  }

  /// Begins to watch those that are new, and says how many there are.
  std::size_t look() {
    std::size_t held = 0;
    std::error_code error;
    for (fs::directory_iterator each(folder_, error); !error && each != fs::directory_iterator();
         each.increment(error)) {
      std::error_code ignored;
      if (!fs::read_symlink(*each, ignored).string().starts_with("net:[")) continue;
      const Fd netns(::open(each->path().c_str(), O_RDONLY | O_CLOEXEC));
      struct stat status {};
      // It may have been closed, and the number be another file's.
      if (!netns || ::fstat(netns.get(), &status) != 0 || status.st_ino == except_) continue;
      ++held;
      (void)deaths_->watch(netns.get());  // refused for one that is watched already
    }
    return held;
  }

  [[nodiscard]] std::size_t watched() const { return deaths_->watched(); }
  [[nodiscard]] std::size_t alive() { return deaths_->alive(Millis(0)).value_or(99'999); }
  [[nodiscard]] std::size_t alive_within(Millis wait) {
    return deaths_->alive(wait).value_or(99'999);
  }

 private:
  std::string folder_;
  Result<DeathWatch> deaths_;
  ino_t except_ = 0;
};

/// Stocks of a fixed size, and so many addresses that none is wanted again before its quarantine
/// is over.
struct FixedStocks {
  static std::string text() {
    return "[zygotes]\nsets = []\nfunctions = false\n[parked]\nmin = 0\nmax = 0\nshells = 0\n" +
           NatWorld::settings("10.88.0.0/16") + "low = 8\nhigh = 8\n[netns]\nlow = 8\nhigh = 8\n";
  }
};

class NatLeases : public NatSuite<FixedStocks> {
 protected:
  std::int64_t sum(const char* field) {
    Api fresh(daemon().socket());  // not one that has been idle for too long
    return class_of(fresh, "none").at(field).as_int64() +
           class_of(fresh, "nat").at(field).as_int64();
  }

  [[nodiscard]] static std::size_t links() {
    return netns::testing::route_of(world().world().host()).links()->size();
  }

  /// Both stocks full, and nothing in between.
  [[nodiscard]] bool at_rest() {
    return eventually([&] { return sum("ready") == 16 && sum("leased") == 0; });
  }
};

TEST_F(NatLeases, LeaveTheHostAsItWas) {
  ASSERT_DEPLOYED(deploy("connected"));
  ASSERT_DEPLOYED(deploy("alone", R"({"network":"none"})"));
  ASSERT_TRUE(at_rest()) << api().get("/v1/netns").body;
  NamespaceWatch namespaces(daemon().pid(), world().world().host());
  ASSERT_EQ(namespaces.look(), 16U);
  const auto builds_before = sum("builds");
  const auto links_before = links();
  const auto rules_before = netns::testing::ruleset();

  const std::array<std::pair<const char*, const char*>, 6> ways = {{
      {"connected", "namespace()"},
      {"alone", "namespace()"},
      {"connected", "after(leave_open)"},
      {"alone", "after(leave_time_wait)"},
      {"connected", "os.kill(os.getpid(), 9)"},
      {"connected", "after(leave_abstract)"},
  }};
  std::atomic<int> next = 0;
  std::mutex mutex;
  std::map<std::string, int> odd;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      Api its_own(daemon().socket());
      for (int call = next++; call < kCalls; call = next++) {
        const auto& [function, expression] = ways[static_cast<std::size_t>(call) % ways.size()];
        const Reply reply =
            its_own.invoke(function, boost::json::serialize(boost::json::value(expression)));
        const bool killed = reply.text("code") == "killed";
        if (reply.status == 200 || killed) continue;
        const std::lock_guard lock(mutex);
        ++odd[expression + (": " + reply.text("errorMessage"))];
      }
    });
  }
  while (next < kCalls + kCallers) {
    namespaces.look();
    std::this_thread::sleep_for(Millis(1));
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(odd, (std::map<std::string, int>()));

  ASSERT_TRUE(at_rest()) << api().get("/v1/netns").body;
  EXPECT_TRUE(eventually([&] { return namespaces.look() == 16; }));
  const auto builds = static_cast<std::size_t>(sum("builds") - builds_before);
  EXPECT_GT(builds, 500U) << "hardly any namespace was used up";
  // A few may come and go between two looks when the machine is busy.
  EXPECT_GE(namespaces.watched(), (builds + 16) * 19 / 20) << "many have come and gone unseen";
  EXPECT_TRUE(eventually([&] { return namespaces.alive() == 16; }))
      << namespaces.alive() << " alive of " << namespaces.watched();
  // The kernel takes the links of dead namespaces away after it has told of their end.
  EXPECT_TRUE(eventually([&] { return links() == links_before; })) << links();
  EXPECT_EQ(netns::testing::ruleset(), rules_before);

  ASSERT_EQ(daemon().stop(), 0);
  EXPECT_EQ(namespaces.alive_within(Millis(10'000)), 0U);
}

}  // namespace
}  // namespace sock::e2e
