#include "manager/calls/admission.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <list>
#include <optional>

namespace sock::manager {
namespace {

namespace asio = boost::asio;

class AdmissionTest : public ::testing::Test {
 protected:
  struct Call {
    std::optional<Result<Admission::Permit>> outcome;
    [[nodiscard]] bool admitted() const { return outcome && outcome->has_value(); }
    [[nodiscard]] bool refused(Code code) const {
      return outcome && !outcome->has_value() && outcome->error().code == code;
    }
  };

  Call& enter(Admission& admission, const std::string& function = "f") {
    Call& call = calls_.emplace_back();
    asio::co_spawn(io_, admission.enter(function),
                   [&call](const std::exception_ptr& thrown, Result<Admission::Permit> permit) {
                     ASSERT_FALSE(thrown);
                     call.outcome.emplace(std::move(permit));
                   });
    poll();
    return call;
  }

  static void leave(Call& call) { call.outcome.reset(); }

  void poll() {
    io_.restart();
    io_.poll();
  }
  void run_for(Millis time) {
    io_.restart();
    io_.run_for(time);
  }

  asio::io_context io_;
  std::list<Call> calls_;
};

TEST_F(AdmissionTest, AdmitsUpToTheLimitAndThenInOrder) {
  Admission admission(io_.get_executor(), {.running = 2});
  Call& a = enter(admission);
  Call& b = enter(admission);
  Call& c = enter(admission);
  Call& d = enter(admission);
  EXPECT_TRUE(a.admitted() && b.admitted());
  EXPECT_FALSE(c.outcome || d.outcome);
  EXPECT_EQ(admission.running(), 2U);
  EXPECT_EQ(admission.queued(), 2U);
  leave(a);
  poll();
  EXPECT_TRUE(c.admitted());
  EXPECT_FALSE(d.outcome.has_value());
  leave(c);
  poll();
  EXPECT_TRUE(d.admitted());
  EXPECT_EQ(admission.running(), 2U);
  leave(b);
  leave(d);
  EXPECT_EQ(admission.running(), 0U);
}

TEST_F(AdmissionTest, APlaceGivenToAWaiterIsNotTakenByALaterComer) {
  Admission admission(io_.get_executor(), {.running = 1});
  Call& a = enter(admission);
  Call& b = enter(admission);
  leave(a);
  Call& c = enter(admission);  // asks before b has woken
  poll();
  EXPECT_TRUE(b.admitted());
  EXPECT_FALSE(c.outcome.has_value());
  EXPECT_EQ(admission.running(), 1U);
}

TEST_F(AdmissionTest, AFullQueueIsRejectedWithTheFigures) {
  Admission admission(io_.get_executor(), {.running = 1, .queued = 2});
  (void)enter(admission);
  (void)enter(admission);
  (void)enter(admission);
  const Call& fourth = enter(admission);
  ASSERT_TRUE(fourth.refused(Code::kRejected));
  EXPECT_EQ(fourth.outcome->error().message, "busy: 1 running, 2 queued; retry");
  Admission none(io_.get_executor(), {.running = 1, .queued = 0});
  (void)enter(none);
  EXPECT_TRUE(enter(none).refused(Code::kRejected));
}

TEST_F(AdmissionTest, WaitingTooLongIsRejected) {
  Admission admission(io_.get_executor(), {.running = 1, .queue_timeout = Millis(30)});
  Call& a = enter(admission);
  Call& b = enter(admission);
  run_for(Millis(2000));
  EXPECT_TRUE(b.refused(Code::kRejected));
  EXPECT_EQ(admission.queued(), 0U);
  leave(a);
  EXPECT_EQ(admission.running(), 0U);
  EXPECT_TRUE(enter(admission).admitted());
}

TEST_F(AdmissionTest, AFunctionAtItsLimitLetsOthersPass) {
  Admission admission(io_.get_executor(), {.running = 3, .running_per_function = 1});
  Call& a1 = enter(admission, "a");
  Call& a2 = enter(admission, "a");
  Call& a3 = enter(admission, "a");
  Call& b1 = enter(admission, "b");
  EXPECT_TRUE(a1.admitted() && b1.admitted());
  EXPECT_FALSE(a2.outcome || a3.outcome);
  EXPECT_EQ(admission.running(), 2U);
  leave(b1);
  poll();
  EXPECT_FALSE(a2.outcome.has_value()) << "another function's place is no use";
  leave(a1);
  poll();
  EXPECT_TRUE(a2.admitted());
  EXPECT_FALSE(a3.outcome.has_value());
  EXPECT_EQ(admission.running(), 1U);
}

TEST_F(AdmissionTest, ManyCallsNeverExceedTheLimitAndAllGetThrough) {
  Admission admission(io_.get_executor(), {.running = 7, .queued = 1000});
  std::list<Call*> waiting;
  for (int i = 0; i < 500; ++i) waiting.push_back(&enter(admission, "f" + std::to_string(i % 3)));
  int finished = 0;
  while (!waiting.empty()) {
    ASSERT_LE(admission.running(), 7U);
    ASSERT_TRUE(waiting.front()->admitted()) << "in the order of arrival";
    leave(*waiting.front());
    waiting.pop_front();
    ++finished;
    poll();
  }
  EXPECT_EQ(finished, 500);
  EXPECT_EQ(admission.running(), 0U);
  EXPECT_EQ(admission.queued(), 0U);
}

TEST_F(AdmissionTest, DrainingRefusesNewcomersAndFinishesTheQueue) {
  Admission admission(io_.get_executor(), {.running = 1});
  Call& a = enter(admission);
  Call& b = enter(admission);
  std::optional<bool> clean;
  asio::co_spawn(io_, admission.drain(Clock::now() + Millis(60'000)),
                 [&](const std::exception_ptr&, bool done) { clean = done; });
  poll();
  EXPECT_TRUE(admission.draining());
  EXPECT_TRUE(enter(admission).refused(Code::kDraining));
  leave(a);
  poll();
  EXPECT_TRUE(b.admitted());
  EXPECT_FALSE(clean.has_value());
  leave(b);
  run_for(Millis(1000));
  EXPECT_EQ(clean, true);
}

TEST_F(AdmissionTest, DrainingAnIdleOneIsImmediate) {
  Admission admission(io_.get_executor(), {});
  std::optional<bool> clean;
  asio::co_spawn(io_, admission.drain(Clock::now() + Millis(60'000)),
                 [&](const std::exception_ptr&, bool done) { clean = done; });
  poll();
  EXPECT_EQ(clean, true);
}

TEST_F(AdmissionTest, AtTheDeadlineTheQueueIsTurnedAway) {
  Admission admission(io_.get_executor(), {.running = 1});
  Call& a = enter(admission);
  Call& b = enter(admission);
  std::optional<bool> clean;
  asio::co_spawn(io_, admission.drain(Clock::now() + Millis(30)),
                 [&](const std::exception_ptr&, bool done) { clean = done; });
  run_for(Millis(500));
  EXPECT_EQ(clean, false);
  EXPECT_TRUE(a.admitted());
  EXPECT_TRUE(b.refused(Code::kDraining));
}

TEST_F(AdmissionTest, PermitsMoveAndAreGivenBackOnce) {
  Admission admission(io_.get_executor(), {.running = 2});
  Call& a = enter(admission);
  Call& b = enter(admission);
  Admission::Permit first = std::move(**a.outcome);
  leave(a);
  EXPECT_EQ(admission.running(), 2U);
  first = std::move(**b.outcome);
  EXPECT_EQ(admission.running(), 1U);
  first.release();
  first.release();
  EXPECT_EQ(admission.running(), 0U);
  leave(b);
  EXPECT_EQ(admission.running(), 0U);
}

TEST_F(AdmissionTest, AWaiterThatIsDestroyedLeavesTheQueue) {
  auto other = std::make_unique<asio::io_context>();
  Admission admission(io_.get_executor(), {.running = 1});
  Call& a = enter(admission);
  asio::co_spawn(*other, admission.enter("f"),
                 [](const std::exception_ptr&, const Result<Admission::Permit>&) { FAIL(); });
  other->poll();
  EXPECT_EQ(admission.queued(), 1U);
  other.reset();
  EXPECT_EQ(admission.queued(), 0U);
  leave(a);
  EXPECT_EQ(admission.running(), 0U);
}

TEST_F(AdmissionTest, PermitsMayOutliveIt) {
  auto admission = std::make_unique<Admission>(io_.get_executor(), Admission::Limits{});
  Call& a = enter(*admission);
  admission.reset();
  leave(a);
}

}  // namespace
}  // namespace sock::manager
