#include "manager/calls/zygote_rotation.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sock::manager {
namespace {

namespace asio = boost::asio;

using std::chrono::seconds;

/// A tree of nodes without zygotes, whose renewal a test may let fail.
class ZygoteRotationTest : public testing::Test {
 protected:
  ZygoteRotationTest() {
    add("root", "");
    add("numpy", "root");
    add("pandas", "numpy");
    add("pillow", "root");
  }

  std::shared_ptr<ZygoteNode> add(const std::string& id, const std::string& parent) {
    auto node = std::make_shared<ZygoteNode>();
    node->spec = {id, parent, {}};
    node->state = ZygoteNode::State::kReady;
    node->generation = 1;
    nodes_.push_back(node);
    return node;
  }

  ZygoteNode& node(const std::string& id) {
    for (const auto& each : nodes_) {
      if (each->spec.id == id) return *each;
    }
    return *add(id, "root");
  }

  ZygoteRotation rotation(ZygoteRotationOptions options) {
    return ZygoteRotation(
        background_, options, [this] { return nodes_; },
        [this](std::shared_ptr<ZygoteNode> each) { return renew(std::move(each)); });
  }

  asio::awaitable<Result<>> renew(std::shared_ptr<ZygoteNode> each) {
    log_ += each->spec.id + " ";
    co_await asio::post(loop_, asio::use_awaitable);
    if (each->spec.id == broken_) co_return fail(Code::kInternal, "test", "no");
    each->generation =
        each->spec.parent.empty() ? ++generations_ : node(each->spec.parent).generation;
    co_return Result<>{};
  }

  /// Ticks at `after` and runs what comes of it; what was renewed.
  std::string tick(ZygoteRotation& rotation, seconds after) {
    log_.clear();
    rotation.tick(begun_ + after);
    rotation.tick(begun_ + after);
    loop_.restart();
    loop_.run();
    return log_;
  }

  asio::io_context loop_;
  Background background_{loop_.get_executor()};
  std::vector<std::shared_ptr<ZygoteNode>> nodes_;
  std::uint64_t generations_ = 1;
  std::string broken_;
  std::string log_;
  Clock::time_point begun_ = Clock::now();
};

constexpr const char* kAll = "root numpy pandas pillow ";

TEST_F(ZygoteRotationTest, ParentsFirstOnceTheAgeIsReached) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  EXPECT_EQ(tick(rotation, seconds(50)), "");
  EXPECT_EQ(tick(rotation, seconds(61)), kAll);
  EXPECT_EQ(rotation.completed(), 1U);
  for (const auto& each : nodes_) EXPECT_EQ(each->generation, 2U) << each->spec.id;
  EXPECT_EQ(tick(rotation, seconds(30)), "");
}

TEST_F(ZygoteRotationTest, AfterSoManyClones) {
  auto rotation = this->rotation({.clones = 20, .age = seconds(0)});
  for (int i = 0; i < 19; ++i) rotation.note_clone();
  EXPECT_EQ(tick(rotation, seconds(1)), "");
  rotation.note_clone();
  EXPECT_EQ(tick(rotation, seconds(2)), kAll);
  EXPECT_EQ(tick(rotation, seconds(3)), "");
  for (int i = 0; i < 20; ++i) rotation.note_clone();
  EXPECT_EQ(tick(rotation, seconds(4)), kAll);
  EXPECT_EQ(node("pillow").generation, 3U);
}

TEST_F(ZygoteRotationTest, NeverIsNever) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(0)});
  for (int i = 0; i < 1'000; ++i) rotation.note_clone();
  EXPECT_EQ(tick(rotation, seconds(1'000'000)), "");
}

TEST_F(ZygoteRotationTest, WithoutANewRootEverythingStays) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  broken_ = "root";
  EXPECT_EQ(tick(rotation, seconds(61)), "root ");
  for (const auto& each : nodes_) EXPECT_EQ(each->generation, 1U);
  broken_.clear();
  // Not at once, but after a pause, which starts now.
  EXPECT_EQ(tick(rotation, seconds(5)), "");
  EXPECT_EQ(tick(rotation, seconds(3600)), kAll);
  EXPECT_EQ(rotation.completed(), 1U);
}

TEST_F(ZygoteRotationTest, WhatFailedIsTriedAgainAndItsChildrenWaitForIt) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  broken_ = "numpy";
  EXPECT_EQ(tick(rotation, seconds(61)), "root numpy pillow ");
  EXPECT_EQ(rotation.completed(), 0U);
  EXPECT_EQ(node("pandas").generation, 1U);
  EXPECT_EQ(node("pillow").generation, 2U);
  EXPECT_EQ(tick(rotation, seconds(5)), "") << "the pause is not kept";
  broken_.clear();
  EXPECT_EQ(tick(rotation, seconds(3600)), "numpy pandas ");
  EXPECT_EQ(node("pandas").generation, 2U);
  EXPECT_EQ(rotation.completed(), 1U);
}

TEST_F(ZygoteRotationTest, PausesGrow) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  broken_ = "root";
  // After 10, 20 and 40 seconds it is tried again within 61, after 80 it is not.
  for (int i = 0; i < 4; ++i) EXPECT_EQ(tick(rotation, seconds(61)), "root ");
  EXPECT_EQ(tick(rotation, seconds(61)), "");
}

TEST_F(ZygoteRotationTest, NodesThatAreStartingAreWaitedFor) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  node("pillow").state = ZygoteNode::State::kStarting;
  EXPECT_EQ(tick(rotation, seconds(61)), "root numpy pandas ");
  EXPECT_EQ(rotation.completed(), 0U);
  // It came from the old root.
  node("pillow").state = ZygoteNode::State::kReady;
  EXPECT_EQ(tick(rotation, seconds(62)), "pillow ");
  EXPECT_EQ(rotation.completed(), 1U);
}

TEST_F(ZygoteRotationTest, WaitsForARoot) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  node("root").state = ZygoteNode::State::kFailed;
  EXPECT_EQ(tick(rotation, seconds(61)), "");
  node("root").state = ZygoteNode::State::kReady;
  EXPECT_EQ(tick(rotation, seconds(62)), kAll);
}

TEST_F(ZygoteRotationTest, StopsBetweenTwoNodes) {
  auto rotation = this->rotation({.clones = 0, .age = seconds(60)});
  log_.clear();
  rotation.tick(begun_ + seconds(61));
  rotation.stop();
  loop_.restart();
  loop_.run();
  EXPECT_EQ(log_, "root ");
}

}  // namespace
}  // namespace sock::manager
