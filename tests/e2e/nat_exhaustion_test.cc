/// More sandboxes wanted at a time than there is room for network namespaces.

#include <atomic>
#include <thread>

#include "tests/e2e/nat_suite.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

constexpr int kRoom = 21;

struct LittleRoom {
  static std::string text() {
    return "[zygotes]\nsets = []\nfunctions = false\n[parked]\nmin = 0\nmax = 0\nshells = 0\n" +
           NatWorld::settings() + "low = 1\nhigh = 2\n[netns]\nlow = 1\nhigh = 2\nmemory = " +
           std::to_string(kRoom * 210'000) + "\n";
  }
};

class NatExhaustion : public NatSuite<LittleRoom> {
 protected:
  std::int64_t living() {
    std::int64_t count = 0;
    for (const char* network : {"none", "nat"}) {
      const auto one = class_of(api(), network);
      for (const char* state : {"ready", "leased", "kept"}) count += one.at(state).as_int64();
    }
    return count;
  }
};

TEST_F(NatExhaustion, CallsAreRefusedOrWaitAndNoneRunsWithoutItsNetwork) {
  ASSERT_DEPLOYED(deploy("connected"));
  ASSERT_DEPLOYED(deploy("alone", R"({"network":"none"})"));
  const std::string event =
      boost::json::serialize(boost::json::value("[probe('tcp 203.0.113.9 80'), namespace(),"
                                                " time.sleep(0.5)]"));
  constexpr std::size_t kCalls = 60;
  std::vector<Reply> replies(kCalls);
  std::atomic<std::size_t> running = kCalls;
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < kCalls; ++i) {
    callers.emplace_back([&, i] {
      Api its_own(daemon().socket());
      replies[i] = its_own.invoke(i % 2 == 0 ? "connected" : "alone", event);
      --running;
    });
  }
  std::int64_t most = 0;
  while (running > 0) {
    most = std::max(most, living());
    pause_briefly();
  }
  for (auto& caller : callers) caller.join();
  std::size_t served = 0;
  for (std::size_t i = 0; i < kCalls; ++i) {
    const Reply& reply = replies[i];
    if (reply.status != 200) {
      EXPECT_TRUE(failed(reply, 429, "rejected"));
      EXPECT_NE(reply.header("retry-after"), "") << reply.body;
      continue;
    }
    ++served;
    const auto& answer = reply.json().at(0).at("tcp 203.0.113.9 80");
    EXPECT_EQ(answer, i % 2 == 0 ? kHost4 : "ENETUNREACH");
  }
  EXPECT_GE(served, 8U);
  EXPECT_LE(most, kRoom);
  // And everything works, as soon as the kernel has taken the used ones apart.
  const auto works = [&](const char* function) {
    return eventually([&] { return api().invoke(function, "\"namespace()\"").status == 200; });
  };
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(works("connected"));
    EXPECT_TRUE(works("alone"));
  }
  EXPECT_TRUE(eventually([&] { return class_of(api(), "nat").at("leased") == 0; }));
}

}  // namespace
}  // namespace sock::e2e
