#include "base/text.h"

#include <gtest/gtest.h>

namespace sock {
namespace {

TEST(Text, Utf8IsCheckedStrictly) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("a\u00e9\u20ac\U0001F600"));
  for (const char* bad : {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xE2\x82",
                          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_FALSE(is_utf8(bad)) << static_cast<int>(static_cast<unsigned char>(bad[0]));
  }
}

}  // namespace
}  // namespace sock
