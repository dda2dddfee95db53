#include "cli/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace sock::cli {
namespace {

std::string printed(const Table& table) {
  std::ostringstream out;
  table.print(out);
  return out.str();
}

TEST(Table, AlignsColumns) {
  Table table({{"NAME"}, {"GEN", Align::kRight}, {"NOTE"}});
  table.add({"a", "1", "x"});
  table.add({"longer", "1000", ""});
  EXPECT_EQ(printed(table),
            "NAME     GEN  NOTE\n"
            "a          1  x\n"
            "longer  1000\n");
}

TEST(Table, AlignsByCodePointsNotBytes) {
  Table table({{"A"}, {"B"}});
  table.add({"├── é", "1"});
  table.add({"12345", "2"});
  EXPECT_EQ(printed(table), "A      B\n├── é  1\n12345  2\n");
}

TEST(Table, ShortAndLongRows) {
  Table table({{"A"}, {"B"}});
  table.add({"1"});
  table.add({"1", "2", "3"});
  EXPECT_EQ(printed(table), "A  B\n1\n1  2\n");
}

TEST(Table, MakesCellsHarmless) {
  Table table({{"A"}});
  table.add({"\x1b]0;title\x07\nnext"});
  EXPECT_EQ(printed(table), "A\n\\x1b]0;title\\x07\\nnext\n");
}

TEST(Table, EmptyShowsTitles) { EXPECT_EQ(printed(Table({{"A"}, {"B"}})), "A  B\n"); }

TEST(Pairs, AlignValues) {
  std::ostringstream out;
  print_pairs(out, {{"Name", "x"}, {"Generation", "3\n4"}});
  EXPECT_EQ(out.str(), "Name:        x\nGeneration:  3\\n4\n");
}

}  // namespace
}  // namespace sock::cli
