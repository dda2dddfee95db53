#include "manager/metrics.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sock::manager {
namespace {

CallRecord call_of(const std::string& function) {
  CallRecord call;
  call.function = function;
  call.start = Start::kParked;
  call.queue_us = 10;
  call.create_us = 300;
  call.init_us = 1'500;
  call.run_us = 40'000;
  call.total_us = 45'000'000;
  return call;
}

bool has_line(const Metrics& metrics, const std::string& line) {
  return ("\n" + metrics.text()).find("\n" + line + "\n") != std::string::npos;
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(Metrics, CountsCallsByOutcomeAndStart) {
  Metrics metrics;
  CallRecord call = call_of("f");
  metrics.record(call);
  metrics.record(call);
  call.start = Start::kCold;
  call.error = CallError{Code::kTimeout, "Sandbox.Timeout", "", ""};
  metrics.record(call);
  EXPECT_TRUE(
      has_line(metrics, R"(sock_invocations_total{function="f",start="parked",status="ok"} 2)") ||
      has_line(metrics, R"(sock_invocations_total{function="f",status="ok",start="parked"} 2)"))
      << metrics.text();
  EXPECT_EQ(count(metrics.text(), "status=\"timeout\""), 1U);
}

TEST(Metrics, EveryCodeAndStartHasItsOwnCounter) {
  Metrics metrics;
  for (const Code code :
       {Code::kAppError, Code::kTimeout, Code::kOom, Code::kKilled, Code::kRejected, Code::kInvalid,
        Code::kNotFound, Code::kConflict, Code::kDraining, Code::kInternal}) {
    for (const Start start : {Start::kNone, Start::kParked, Start::kClone, Start::kCold}) {
      CallRecord call = call_of("f");
      call.start = start;
      call.error = CallError{code, "", "", ""};
      metrics.record(call);
    }
  }
  EXPECT_EQ(count(metrics.text(), "\nsock_invocations_total{"), 40U);
}

TEST(Metrics, ObservesThePhasesThatHappened) {
  Metrics metrics;
  metrics.record(call_of("f"));
  CallRecord refused = call_of("f");
  refused.start = Start::kNone;
  metrics.record(refused);
  const std::string text = metrics.text();
  const auto name = [](const std::string& rest) {
    return "sock_invocation_duration_seconds" + rest;
  };
  EXPECT_TRUE(has_line(metrics, name("_count{phase=\"queue\"} 2"))) << text;
  EXPECT_TRUE(has_line(metrics, name("_count{phase=\"total\"} 2")));
  EXPECT_TRUE(has_line(metrics, name("_count{phase=\"create\"} 1")));
  EXPECT_TRUE(has_line(metrics, name("_count{phase=\"init\"} 1")));
  EXPECT_TRUE(has_line(metrics, name("_count{phase=\"run\"} 1")));
  EXPECT_TRUE(has_line(metrics, name("_bucket{phase=\"queue\",le=\"5e-05\"} 2"))) << text;
  EXPECT_TRUE(has_line(metrics, name("_bucket{phase=\"run\",le=\"0.02\"} 0")));
  EXPECT_TRUE(has_line(metrics, name("_bucket{phase=\"run\",le=\"0.05\"} 1")));
  EXPECT_TRUE(has_line(metrics, name("_bucket{phase=\"total\",le=\"30\"} 0")));
  EXPECT_TRUE(has_line(metrics, name("_bucket{phase=\"total\",le=\"+Inf\"} 2")));
}

TEST(Metrics, TheNumberOfFunctionsIsBounded) {
  Metrics metrics;
  for (std::size_t i = 0; i < Metrics::kMaxFunctions + 500; ++i) {
    metrics.record(call_of("f" + std::to_string(i)));
  }
  const std::string text = metrics.text();
  EXPECT_EQ(count(text, "\nsock_invocations_total{"), Metrics::kMaxFunctions + 1);
  EXPECT_EQ(count(text, "function=\"other\""), 1U);
  EXPECT_EQ(text.find("function=\"f1000\""), std::string::npos);
}

TEST(Metrics, NamesOfFunctionsThatDoNotExistLeaveNoTrace) {
  Metrics metrics;
  for (int i = 0; i < 2000; ++i) {
    CallRecord call = call_of("made-up-" + std::to_string(i));
    call.error = CallError{Code::kNotFound, "", "", ""};
    metrics.record(call);
  }
  EXPECT_EQ(metrics.text().find("made-up"), std::string::npos);
  metrics.record(call_of("real"));
  EXPECT_NE(metrics.text().find("function=\"real\""), std::string::npos);
}

TEST(Metrics, ShowsTheGauges) {
  Metrics metrics;
  metrics.set_sandboxes({.parked = 3, .running = 2, .dying = 1});
  metrics.set_queue_depth(9);
  netns::PoolStats pool;
  pool.ready = 4;
  pool.leases = 99;
  pool.burns = {{"socket", 2}, {"time-wait", 1}};
  metrics.set_netns("none", pool);
  pool.leases = 100;
  pool.burns["socket"] = 3;
  metrics.set_netns("none", pool);
  metrics.set_netns("nat", {});
  EXPECT_TRUE(has_line(metrics, "sock_sandboxes{state=\"parked\"} 3")) << metrics.text();
  EXPECT_TRUE(has_line(metrics, "sock_sandboxes{state=\"running\"} 2"));
  EXPECT_TRUE(has_line(metrics, "sock_sandboxes{state=\"dying\"} 1"));
  EXPECT_TRUE(has_line(metrics, "sock_queue_depth 9"));
  const auto pool_line = [&](const char* network, const char* state, const char* value) {
    return has_line(metrics, std::string("sock_netns_pool{class=\"") + network + "\",state=\"" +
                                 state + "\"} " + value);
  };
  EXPECT_TRUE(pool_line("none", "ready", "4")) << metrics.text();
  EXPECT_TRUE(pool_line("none", "leases_total", "100"));
  EXPECT_TRUE(pool_line("nat", "ready", "0"));
  EXPECT_TRUE(has_line(metrics, "sock_netns_burned_total{class=\"none\",reason=\"socket\"} 3"));
  EXPECT_TRUE(has_line(metrics, "sock_netns_burned_total{class=\"none\",reason=\"time-wait\"} 1"));
}

TEST(Metrics, ZygotesComeAndGo) {
  Metrics metrics;
  metrics.set_zygotes(std::vector<Metrics::Zygote>{{"", 10}, {"numpy", 20}, {"numpy", 22}});
  EXPECT_TRUE(has_line(metrics, "sock_zygotes{packages=\"\"} 1")) << metrics.text();
  EXPECT_TRUE(has_line(metrics, "sock_zygotes{packages=\"numpy\"} 2"));
  EXPECT_TRUE(has_line(metrics, "sock_zygote_memory_bytes{packages=\"numpy\"} 42"));
  metrics.set_zygotes(std::vector<Metrics::Zygote>{{"pandas", 7}});
  EXPECT_EQ(metrics.text().find("numpy"), std::string::npos);
  EXPECT_TRUE(has_line(metrics, "sock_zygotes{packages=\"pandas\"} 1"));
  metrics.set_zygotes({});
  EXPECT_EQ(metrics.text().find("sock_zygotes{"), std::string::npos);
  metrics.set_zygotes(std::vector<Metrics::Zygote>{{"numpy", 1}});
  EXPECT_TRUE(has_line(metrics, "sock_zygotes{packages=\"numpy\"} 1"));
}

TEST(Metrics, ZygotesAreBounded) {
  Metrics metrics;
  std::vector<Metrics::Zygote> zygotes;
  for (std::size_t i = 0; i < Metrics::kMaxZygotes + 10; ++i) {
    zygotes.push_back({"p" + std::to_string(i), 1});
  }
  metrics.set_zygotes(zygotes);
  EXPECT_TRUE(has_line(metrics, "sock_zygotes{packages=\"other\"} 10")) << metrics.text();
}

TEST(Metrics, CountsRejectionsByReason) {
  Metrics metrics;
  metrics.rejected("queue_full");
  metrics.rejected("queue_full");
  metrics.rejected("draining");
  EXPECT_TRUE(has_line(metrics, "sock_rejected_total{reason=\"queue_full\"} 2")) << metrics.text();
  for (int i = 0; i < 100; ++i) metrics.rejected("r" + std::to_string(i));
  EXPECT_EQ(count(metrics.text(), "\nsock_rejected_total{"), Metrics::kMaxReasons + 1);
}

TEST(Metrics, LabelsAreEscaped) {
  Metrics metrics;
  metrics.record(call_of("a\"b\\c\nd"));
  EXPECT_NE(metrics.text().find("function=\"a\\\"b\\\\c\\nd\""), std::string::npos);
}

TEST(Metrics, RecordingIsCheap) {
  Metrics metrics;
  std::vector<CallRecord> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(call_of("function-number-" + std::to_string(i)));
  for (const CallRecord& call : calls) metrics.record(call);
  constexpr int kRounds = 2000;
  const auto from = Clock::now();
  for (int round = 0; round < kRounds; ++round) {
    for (const CallRecord& call : calls) metrics.record(call);
  }
  const double nanos = std::chrono::duration<double, std::nano>(Clock::now() - from).count() /
                       (kRounds * static_cast<double>(calls.size()));
  std::printf("record: %.0f ns\n", nanos);
  EXPECT_LT(nanos, 20'000) << "2000 is the aim; the rest is for sanitizers and busy machines";
}

}  // namespace
}  // namespace sock::manager
