#include "bench/pkgcache/replay.h"

#include <gtest/gtest.h>

namespace sock::bench {
namespace {

TEST(Record, TellsHowACallWasServed) {
  const auto call = parse_record(
      R"({"id":"x","start":"parked","zygote":"a,b","create_us":500,"init_us":1500,"run_us":9,"cpu_us":700})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->service_ms, 2);
  EXPECT_EQ(call->cpu_ms, 0.7);
  EXPECT_EQ(call->start, "parked");
  EXPECT_EQ(call->zygote, "a,b");
}

TEST(Record, ThatIsNoneIsRefused) {
  for (const char* text : {"", "[]", "{}", R"({"create_us":1,"init_us":2,"start":"parked"})",
                           R"({"create_us":"1","init_us":2,"start":"parked","zygote":""})"}) {
    EXPECT_FALSE(parse_record(text)) << text;
  }
}

TEST(Held, AreTheFunctionsPackagesThatTheZygoteNames) {
  const pkgcache::Function function{.name = "f", .packages = {{"a", "1"}, {"b", "2"}, {"c", "3"}}};
  using Packages = std::vector<pkgcache::Package>;
  EXPECT_EQ(held_of(function, "c,a"), (Packages{{"a", "1"}, {"c", "3"}}));
  EXPECT_EQ(held_of(function, ""), Packages{});
}

TEST(Replay, CountsCallsThatNobodyAnswers) {
  const std::vector<pkgcache::Function> functions{{.name = "f", .packages = {}}};
  const std::vector<std::size_t> calls{0, 0, 0};
  const auto replayed = replay(
      {.socket = "/nonexistent/sockd.sock", .functions = functions, .calls = calls, .clients = 2});
  EXPECT_TRUE(replayed.calls.empty());
  ASSERT_EQ(replayed.errors.size(), 1U);
  EXPECT_EQ(replayed.errors.begin()->second, 3U);
}

}  // namespace
}  // namespace sock::bench
