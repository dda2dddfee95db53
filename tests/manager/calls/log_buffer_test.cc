#include "manager/calls/log_buffer.h"

#include <gtest/gtest.h>

namespace sock::manager {
namespace {

TEST(LogBuffer, KeepsTheBeginningAndCountsTheRest) {
  LogBuffer buffer(8);
  buffer.append("abc");
  buffer.append("");
  EXPECT_FALSE(buffer.truncated());
  buffer.append("defgh");
  EXPECT_EQ(buffer.text(), "abcdefgh");
  EXPECT_FALSE(buffer.truncated()) << "full is not truncated";
  buffer.append("i");
  buffer.append(std::string(1000, 'x'));
  EXPECT_EQ(buffer.text(), "abcdefgh");
  EXPECT_TRUE(buffer.truncated());
  EXPECT_EQ(buffer.total_bytes(), 1009U);
}

TEST(LogBuffer, CutsAChunkAtTheLimitAndKeepsNul) {
  LogBuffer buffer(4);
  buffer.append(std::string_view("a\0b\0c", 5));
  EXPECT_EQ(buffer.text(), std::string("a\0b\0", 4));
  EXPECT_TRUE(buffer.truncated());
}

TEST(LogBuffer, TakingStartsAnew) {
  LogBuffer buffer(2);
  buffer.append("abc");
  EXPECT_EQ(buffer.take(), "ab");
  EXPECT_FALSE(buffer.truncated());
  EXPECT_EQ(buffer.total_bytes(), 0U);
  buffer.append("d");
  EXPECT_EQ(buffer.text(), "d");
}

TEST(LogBuffer, MayKeepNothing) {
  LogBuffer buffer(0);
  EXPECT_FALSE(buffer.truncated());
  buffer.append("a");
  EXPECT_TRUE(buffer.truncated());
  EXPECT_TRUE(buffer.text().empty());
}

}  // namespace
}  // namespace sock::manager
