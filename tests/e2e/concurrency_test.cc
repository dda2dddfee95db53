/// Many calls at once.

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Concurrency : public Suite<Bare> {};

TEST_F(Concurrency, TwoHundredCallsAtOnceAreAllRight) {
  ASSERT_DEPLOYED(api().deploy("square",
                               "import time\n"
                               "def handler(n):\n"
                               "    print('number', n)\n"
                               "    time.sleep(0.02)\n"
                               "    return n * n\n",
                               R"({"memory":"64M","tmp":"4M"})"));
  constexpr int kCalls = 200;
  std::atomic<int> waiting = kCalls;
  std::vector<Reply> replies(kCalls);
  std::vector<std::thread> callers;
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&, i] {
      Api api(daemon().socket());
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      replies[static_cast<std::size_t>(i)] = api.invoke("square", std::to_string(i));
    });
  }
  for (auto& caller : callers) caller.join();
  std::set<std::string> ids;
  for (int i = 0; i < kCalls; ++i) {
    const Reply& reply = replies[static_cast<std::size_t>(i)];
    ASSERT_TRUE(succeeded(reply)) << i;
    EXPECT_EQ(reply.body, std::to_string(i * i));
    ids.insert(reply.id());
    EXPECT_EQ(api().record_of(reply).text("logs"), "number " + std::to_string(i) + "\n");
  }
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(kCalls));
  EXPECT_EQ(api().get("/v1/health").number("running"), 0);
}

TEST_F(Concurrency, DeploysCallsAndRemovalsMayOverlap) {
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0;
  std::mutex mutex;
  std::string odd;
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      Api api(daemon().socket());
      while (!stop) {
        const Reply reply = api.invoke("moving", "0");
        ++answered;
        const bool one_generation =
            reply.status == 200 && (reply.body == "[1,1]" || reply.body == "[2,2]");
        if (one_generation || reply.status == 404) continue;
        const std::lock_guard lock(mutex);
        odd += std::to_string(reply.status) + " " + reply.body + "\n";
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i % 2 + 1);
    EXPECT_LT(api()
                  .deploy("moving", "N = " + n + "\ndef handler(e):\n    return [N, " + n + "]\n")
                  .status,
              300U);
    if (i % 5 == 4) {
      EXPECT_LT(api().remove("moving").status, 300U);
    }
  }
  stop = true;
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(odd, "");
  EXPECT_GT(answered, 0);
}

}  // namespace
}  // namespace sock::e2e
