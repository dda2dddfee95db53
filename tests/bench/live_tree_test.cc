#include "bench/pkgcache/live_tree.h"

#include <gtest/gtest.h>

namespace sock::bench {
namespace {

TEST(LiveTree, TellsWhatStandsAndWhatDoesNot) {
  const auto tree = parse_live_tree(R"({"zygotes":[
      {"id":"root","state":"ready","packages":[],"pid":7,"memory_bytes":1048576,"import_ms":2},
      {"id":"x","state":"ready","packages":["a==1","b==2"],"pid":8,"memory_bytes":524288,
       "import_ms":3},
      {"id":"y","state":"starting"},
      {"id":"z","state":"failed","error":"it crashed"}]})");
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->ready, 2U);
  EXPECT_EQ(tree->starting, 1U);
  EXPECT_EQ(tree->failed, std::vector<std::string>{"z: it crashed"});
  EXPECT_EQ(tree->packages, (std::vector<std::vector<std::string>>{{}, {"a==1", "b==2"}}));
  EXPECT_EQ(tree->pids, (std::vector<int>{7, 8}));
  EXPECT_EQ(tree->memory_mb, 1.5);
  EXPECT_EQ(tree->creation_ms, 5);
}

TEST(LiveTree, ThatIsNoneIsRefused) {
  for (const char* text : {"", "[]", "{}", R"({"zygotes":{}})"}) {
    EXPECT_FALSE(parse_live_tree(text)) << text;
  }
}

}  // namespace
}  // namespace sock::bench
