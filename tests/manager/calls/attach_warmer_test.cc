#include "manager/calls/attach_warmer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

namespace sock::manager {
namespace {

namespace asio = boost::asio;

class AttachWarmerTest : public testing::Test {
 protected:
  void run_for(Millis time) {
    loop_.restart();
    loop_.run_for(time);
  }

  asio::io_context loop_;
  Worker worker_;
  std::atomic<int> moves_ = 0;
  bool refused_ = false;
  AttachWarmer warmer_{loop_.get_executor(), worker_, [this]() -> Result<> {
                         ++moves_;
                         if (refused_) return fail(Code::kKilled, "attach", "it is gone");
                         return {};
                       }};
};

TEST_F(AttachWarmerTest, MovesNothingUnlessACallHasWaited) {
  run_for(Millis(50));
  EXPECT_EQ(moves_, 0);
}

TEST_F(AttachWarmerTest, GoesOnForAWhileAfterTheLastCallThatWaited) {
  warmer_.note_miss();
  warmer_.note_miss();
  run_for(AttachWarmer::kWarm / 2);
  const int half = moves_;
  EXPECT_GT(half, 5);
  // One at a time, however often it is asked for.
  EXPECT_LE(half, AttachWarmer::kWarm / 2 / AttachWarmer::kPeriod);
  warmer_.note_miss();
  run_for(AttachWarmer::kWarm * 3 / 4);
  EXPECT_GT(moves_, half);
  // The loop is left when nothing is to be done any more.
  run_for(AttachWarmer::kWarm * 10);
  const int all = moves_;
  EXPECT_LE(all, AttachWarmer::kWarm * 2 / AttachWarmer::kPeriod);
  warmer_.note_miss();
  run_for(Millis(100));
  EXPECT_GT(moves_, all);
}

TEST_F(AttachWarmerTest, GivesUpWhereItIsRefused) {
  refused_ = true;
  warmer_.note_miss();
  run_for(AttachWarmer::kWarm * 10);
  EXPECT_EQ(moves_, 1);
}

TEST_F(AttachWarmerTest, StopsAtOnce) {
  warmer_.note_miss();
  run_for(Millis(20));
  const auto begin = Clock::now();
  auto stopped = asio::co_spawn(loop_, warmer_.stop(), asio::use_future);
  run_for(AttachWarmer::kWarm * 10);
  EXPECT_EQ(stopped.wait_for(Millis(0)), std::future_status::ready);
  EXPECT_LT(Clock::now() - begin, AttachWarmer::kWarm / 2);
}

}  // namespace
}  // namespace sock::manager
