#include "manager/packages/warm_list.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

using Set = std::vector<std::string>;

TEST(WarmListTest, SetsSurvive) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "warm.json";
  {
    auto opened = WarmList::open(file);
    EXPECT_EQ(opened.problem, "");
    EXPECT_TRUE(opened.list.add(Set{"numpy", "pandas==1.5.3"}).value());
    EXPECT_FALSE(opened.list.add(Set{"numpy", "pandas==1.5.3"}).value());
    EXPECT_TRUE(opened.list.add(Set{"six"}).value());
    ASSERT_TRUE(opened.list.save());
    EXPECT_TRUE(opened.list.remove(Set{"six"}));
    EXPECT_FALSE(opened.list.remove(Set{"six"}));
    ASSERT_TRUE(opened.list.save());
  }
  const auto opened = WarmList::open(file);
  EXPECT_EQ(opened.problem, "");
  EXPECT_EQ(opened.list.sets(), (std::set<Set>{{"numpy", "pandas==1.5.3"}}));
}

TEST(WarmListTest, WhatCannotBeReadIsToldAndLeftOut) {
  const TemporaryFolder folder;
  for (const char* text : {"", "{", "{}", "[1]", "[[]]", "[[1]]", "[[\"a b\"]]", "[[\"-e .\"]]",
                           "[[\"six\"],[\"../x\"]]"}) {
    std::ofstream(folder.path() / "warm.json") << text;
    const auto opened = WarmList::open(folder.path() / "warm.json");
    EXPECT_NE(opened.problem, "") << text;
    EXPECT_TRUE(opened.list.sets().empty()) << text;
  }
}

TEST(WarmListTest, ItIsBounded) {
  const TemporaryFolder folder;
  auto opened = WarmList::open(folder.path() / "warm.json");
  Result<bool> added = true;
  int count = 0;
  while (added && count < 10'000) added = opened.list.add(Set{"p" + std::to_string(count++)});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Code::kRejected);
  EXPECT_LT(count, 1000);
}

}  // namespace
}  // namespace sock::manager
