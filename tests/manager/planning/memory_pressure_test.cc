#include "manager/planning/memory_pressure.h"

#include <gtest/gtest.h>

namespace sock::manager {
namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;
constexpr std::uint64_t kMiB = 1ULL << 20;

TEST(MemoryPressureTest, WithRoomTheBudgetIsTheConfiguredOne) {
  EXPECT_EQ(zygote_budget(512 * kMiB, 0, 10 * kGiB, 20 * kGiB), 512 * kMiB);
  EXPECT_EQ(zygote_budget(512 * kMiB, 512 * kMiB, 10 * kGiB, 20 * kGiB), 512 * kMiB);
}

TEST(MemoryPressureTest, WhatOthersLackIsGivenBack) {
  // A twentieth, 1 GiB, is theirs: 100 MiB are missing.
  EXPECT_EQ(zygote_budget(512 * kMiB, 512 * kMiB, kGiB - 100 * kMiB, 20 * kGiB), 412 * kMiB);
  EXPECT_EQ(zygote_budget(512 * kMiB, 300 * kMiB, kGiB + 50 * kMiB, 20 * kGiB), 350 * kMiB);
}

TEST(MemoryPressureTest, NothingIsLeftWhenThatDoesNotSuffice) {
  EXPECT_EQ(zygote_budget(512 * kMiB, 100 * kMiB, 100 * kMiB, 20 * kGiB), 0U);
}

TEST(MemoryPressureTest, TheHostTells) {
  const HostMemory host = read_host_memory();
  EXPECT_GT(host.available, 0U);
  EXPECT_GT(host.total, host.available);
}

}  // namespace
}  // namespace sock::manager
