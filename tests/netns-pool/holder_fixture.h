#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "netns-pool/netns_pool.h"
#include "tests/netns-pool/support.h"

namespace sock::netns::testing {

/// Skips where network namespaces cannot be made; else there is a user namespace for them.
class HolderTest : public ::testing::Test {
 protected:
  /// Who overrides this calls it first, and returns when IsSkipped().
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    auto holder = hold_user_namespace();
    if (!holder) GTEST_SKIP() << holder.error().describe();
    holder_ = std::move(*holder);
  }

  /// Of a pool in that user namespace.
  [[nodiscard]] PoolOptions pool_options(std::size_t low, std::size_t high) const {
    PoolOptions options;
    options.low = low;
    options.high = high;
    options.helper = helper_path();
    options.user_namespace = holder_.pidfd();
    return options;
  }

  Process holder_;
};

}  // namespace sock::netns::testing
