#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/api.h"
#include "tests/e2e/daemon.h"
#include "tests/e2e/path.h"
#include "tests/e2e/replicas.h"

namespace sock::e2e {

/// A deploy that must work: prints the answer otherwise.
#define ASSERT_DEPLOYED(reply)                                                \
  do {                                                                        \
    const ::sock::e2e::Reply deployed_reply = (reply);                        \
    ASSERT_TRUE(deployed_reply.status == 200 || deployed_reply.status == 201) \
        << deployed_reply.status << " " << deployed_reply.body;               \
  } while (false)

/// Tests of one suite share a daemon, started by the first and stopped, with exit status 0, after
/// the last. `Settings::text()` is its TOML.
template <class Settings>
class Suite : public testing::Test {
 protected:
  static void TearDownTestSuite() {
    if (daemon_ && daemon_->running()) {
      EXPECT_EQ(daemon_->stop(), 0);
    }
    daemon_.reset();
  }

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
    if (!daemon_) {
      daemon_ = std::make_unique<Daemon>(with_path(Settings::text()));
      const auto started = daemon_->start();
      if (!started) {
        daemon_failure_ = started.error().describe();
      } else if (path() == Path::kReplica) {
        replicas_ = leave_to_replicas(daemon_->socket());
        if (replicas_.empty()) daemon_failure_ = "it has no replicas";
      }
    }
    ASSERT_EQ(daemon_failure_, "");
    api_ = std::make_unique<Api>(daemon_->socket());
  }

  void TearDown() override {
    if (path() == Path::kReplica && api_) {
      EXPECT_TRUE(only_replicas_left()) << api().get("/v1/zygotes").body;
    }
  }

  /// On Path::kReplica: whether all that can have made a sandbox are replicas.
  [[nodiscard]] bool only_replicas_left() {
    const auto now = root_processes(api());
    return !now.empty() && std::ranges::all_of(now, [](pid_t pid) {
      return std::ranges::find(replicas_, pid) != replicas_.end();
    });
  }

  [[nodiscard]] static Daemon& daemon() { return *daemon_; }
  [[nodiscard]] Api& api() { return *api_; }

  /// Deploys `source` under a name of this test's own and calls it once.
  [[nodiscard]] Reply call(const std::string& source, const std::string& event = "{}",
                           const std::string& options = "{}") {
    const Reply deployed = api().deploy("t", source, options);
    if (deployed.status != 200 && deployed.status != 201) return deployed;
    return api().invoke("t", event);
  }

 private:
  inline static std::unique_ptr<Daemon> daemon_;
  inline static std::string daemon_failure_;
  inline static std::vector<pid_t> replicas_;
  std::unique_ptr<Api> api_;
};

/// Only the bare interpreter: quick to start.
struct Bare {
  static const char* text() { return "[zygotes]\nsets = []\n"; }
};

/// The answer to a call that worked.
[[nodiscard]] inline testing::AssertionResult succeeded(const Reply& reply) {
  if (reply.status == 200) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "status " << reply.status << ": " << reply.body;
}

/// The answer to a call that ended like that.
[[nodiscard]] inline testing::AssertionResult failed(const Reply& reply, unsigned status,
                                                     const std::string& code) {
  if (reply.status == status && reply.text("code") == code) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "status " << reply.status << " instead of " << status << " "
                                     << code << ": " << reply.body.substr(0, 2000);
}

}  // namespace sock::e2e
