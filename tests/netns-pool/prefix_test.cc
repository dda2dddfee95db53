#include "netns-pool/prefix.h"

#include <gtest/gtest.h>

#include <vector>

namespace sock::netns {
namespace {

Prefix of(const char* text) { return parse_prefix(text).value(); }

TEST(Prefix, WithinAndOverlap) {
  EXPECT_TRUE(within(of("10.0.0.0/8"), of("10.0.0.0/8")));
  EXPECT_TRUE(within(of("10.0.0.1"), of("0.0.0.0/0")));
  EXPECT_FALSE(within(of("10.0.0.0/8"), of("10.0.0.0/9")));
  EXPECT_FALSE(within(of("::/0"), of("0.0.0.0/0")));
  EXPECT_TRUE(overlap(of("10.0.0.0/8"), of("10.0.0.0/9")));
  EXPECT_TRUE(overlap(of("fd00::1"), of("fc00::/7")));
  EXPECT_FALSE(overlap(of("10.0.0.0/9"), of("10.128.0.0/9")));
  EXPECT_FALSE(overlap(of("0.0.0.0/0"), of("::/0")));
}

TEST(Prefix, ManyMayCoverOne) {
  const std::vector<Prefix> parts = {of("10.0.0.0/9"), of("10.128.0.0/10"), of("10.192.0.0/10"),
                                     of("fe80::/10"),  of("fec0::/10"),     of("::1")};
  EXPECT_TRUE(covered(of("10.0.0.0/8"), parts));
  EXPECT_TRUE(covered(of("10.5.0.0/16"), parts));
  EXPECT_TRUE(covered(of("fe80::/9"), parts));
  EXPECT_FALSE(covered(of("10.0.0.0/7"), parts));
  EXPECT_FALSE(covered(of("fe00::/8"), parts));
  EXPECT_FALSE(covered(of("::/127"), parts));
  EXPECT_FALSE(covered(of("0.0.0.0/0"), parts));
  EXPECT_FALSE(covered(of("::/0"), parts));
  EXPECT_FALSE(covered(of("10.0.0.0/8"), {}));
}

TEST(Prefix, TextIsShortest) {
  for (const char* const text :
       {"10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "::1", "fd00::/8"}) {
    EXPECT_EQ(to_text(of(text)), text);
  }
  EXPECT_EQ(to_text(of("10.0.0.1/32")), "10.0.0.1");
  EXPECT_EQ(to_text(of("fd00:0::1/128")), "fd00::1");
}

}  // namespace
}  // namespace sock::netns
