#include "manager/calls/call_history.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

namespace sock::manager {
namespace {

namespace asio = boost::asio;

CallRecord call_of(const std::string& id, const std::string& function = "f", bool settled = true) {
  CallRecord call;
  call.id = id;
  call.function = function;
  call.settled = settled;
  return call;
}

class CallHistoryTest : public ::testing::Test {
 protected:
  using Outcome = std::optional<Result<CallRecord>>;

  void wait(CallHistory& history, const std::string& id, Millis timeout, Outcome& outcome) {
    asio::co_spawn(io_, history.wait_settled(id, timeout),
                   [&outcome](const std::exception_ptr& thrown, Result<CallRecord> result) {
                     ASSERT_FALSE(thrown);
                     outcome = std::move(result);
                   });
  }

  asio::io_context io_;
};

TEST_F(CallHistoryTest, FindsWhatItWasGiven) {
  CallHistory history;
  history.record(call_of("1"));
  ASSERT_NE(history.find("1"), nullptr);
  EXPECT_EQ(history.find("1")->function, "f");
  EXPECT_EQ(history.find("2"), nullptr);
}

TEST_F(CallHistoryTest, ForgetsTheOldestBeyondItsNumber) {
  CallHistory history({.calls = 3});
  for (int i = 0; i < 10; ++i) history.record(call_of(std::to_string(i)));
  EXPECT_EQ(history.size(), 3U);
  EXPECT_EQ(history.find("6"), nullptr);
  EXPECT_NE(history.find("7"), nullptr);
  EXPECT_EQ(history.recent("f"), (std::vector<std::string>{"9", "8", "7"}));
}

TEST_F(CallHistoryTest, ForgetsTheOldestBeyondItsBytes) {
  CallHistory history({.bytes = 1000});
  for (int i = 0; i < 10; ++i) {
    CallRecord call = call_of(std::to_string(i));
    call.logs.assign(200, 'l');
    call.result.assign(100, 'r');
    call.error = CallError{Code::kAppError, "t", std::string(49, 'm'), std::string(50, 's')};
    history.record(std::move(call));
    EXPECT_LE(history.bytes(), 1000U);
  }
  EXPECT_EQ(history.size(), 2U);
  EXPECT_EQ(history.bytes(), 800U);
  CallRecord huge = call_of("huge");
  huge.logs.assign(5000, 'l');
  history.record(std::move(huge));
  EXPECT_EQ(history.size(), 1U);
  EXPECT_NE(history.find("huge"), nullptr) << "the newest is kept";
  history.record(call_of("next"));
  EXPECT_EQ(history.find("huge"), nullptr);
  EXPECT_EQ(history.bytes(), 0U);
}

TEST_F(CallHistoryTest, AnUpdateReplacesAndIsAccounted) {
  CallHistory history({.bytes = 1000});
  CallRecord first = call_of("1", "f", false);
  first.logs = "12345";
  history.record(first);
  first.logs = "1234567890";
  first.cpu_us = 7;
  first.settled = true;
  history.record(first);
  EXPECT_EQ(history.size(), 1U);
  EXPECT_EQ(history.bytes(), 10U);
  EXPECT_EQ(history.find("1")->cpu_us, 7U);
  EXPECT_EQ(history.recent("f").size(), 1U);
}

TEST_F(CallHistoryTest, RemembersRecentCallsByFunction) {
  CallHistory history({.calls = 6, .calls_per_function = 2});
  for (int i = 0; i < 4; ++i) history.record(call_of("a" + std::to_string(i), "a"));
  history.record(call_of("b", "b"));
  EXPECT_EQ(history.recent("a"), (std::vector<std::string>{"a3", "a2"}));
  EXPECT_EQ(history.recent("b"), std::vector<std::string>{"b"});
  EXPECT_TRUE(history.recent("c").empty());
  for (int i = 0; i < 6; ++i) history.record(call_of("c" + std::to_string(i), "c"));
  EXPECT_TRUE(history.recent("a").empty());
  EXPECT_TRUE(history.recent("b").empty());
}

TEST_F(CallHistoryTest, WaitsUntilACallSettles) {
  CallHistory history;
  history.record(call_of("1", "f", false));
  Outcome first;
  Outcome second;
  wait(history, "1", Millis(60'000), first);
  wait(history, "1", Millis(60'000), second);
  io_.poll();
  EXPECT_FALSE(first.has_value());
  history.record(call_of("1", "f", false));
  io_.poll();
  EXPECT_FALSE(first.has_value()) << "an update that does not settle wakes nobody";
  CallRecord settled = call_of("1");
  settled.exit_code = 3;
  history.record(settled);
  io_.restart();
  io_.run_for(Millis(1000));
  ASSERT_TRUE(first && first->has_value() && second && second->has_value());
  EXPECT_TRUE((*first)->settled);
  EXPECT_EQ((*second)->exit_code, 3);
}

TEST_F(CallHistoryTest, DoesNotWaitForWhatHasSettled) {
  CallHistory history;
  history.record(call_of("1"));
  Outcome outcome;
  wait(history, "1", Millis(60'000), outcome);
  io_.poll();
  ASSERT_TRUE(outcome && outcome->has_value());
}

TEST_F(CallHistoryTest, ATimeoutGivesWhatIsKnown) {
  CallHistory history;
  history.record(call_of("1", "f", false));
  Outcome outcome;
  wait(history, "1", Millis(20), outcome);
  io_.run();
  ASSERT_TRUE(outcome && outcome->has_value());
  EXPECT_FALSE((*outcome)->settled);
}

TEST_F(CallHistoryTest, UnknownAndForgottenCallsAreNotFound) {
  CallHistory history({.calls = 1});
  Outcome unknown;
  wait(history, "x", Millis(60'000), unknown);
  history.record(call_of("1", "f", false));
  Outcome forgotten;
  wait(history, "1", Millis(60'000), forgotten);
  io_.poll();
  ASSERT_TRUE(unknown && !unknown->has_value());
  EXPECT_EQ(unknown->error().code, Code::kNotFound);
  EXPECT_FALSE(forgotten.has_value());
  history.record(call_of("2"));
  io_.restart();
  io_.run_for(Millis(1000));
  ASSERT_TRUE(forgotten && !forgotten->has_value());
  EXPECT_EQ(forgotten->error().code, Code::kNotFound);
}

TEST_F(CallHistoryTest, AWaiterThatIsDestroyedIsForgotten) {
  CallHistory history;
  history.record(call_of("1", "f", false));
  {
    asio::io_context other;
    asio::co_spawn(other, history.wait_settled("1", Millis(60'000)),
                   [](const std::exception_ptr&, const Result<CallRecord>&) { FAIL(); });
    other.poll();
  }
  history.record(call_of("1"));
  EXPECT_TRUE(history.find("1")->settled);
}

}  // namespace
}  // namespace sock::manager
