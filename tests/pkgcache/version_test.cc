#include "pkgcache/version.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

Version version(const std::string& text) {
  auto parsed = Version::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Version();
}

TEST(Version, OrderIsThatOfPep440) {
  // Each is less than the next one ("Summary of permitted suffixes and relative ordering").
  const std::vector<std::string> ascending = {
      "0.9",           "1.0.dev456",    "1.0a1",
      "1.0a2.dev456",  "1.0a12.dev456", "1.0a12",
      "1.0b1.dev456",  "1.0b2",         "1.0b2.post345.dev456",
      "1.0b2.post345", "1.0rc1.dev456", "1.0rc1",
      "1.0",           "1.0+abc.5",     "1.0+abc.7",
      "1.0+5",         "1.0+5.1",       "1.0.post456.dev34",
      "1.0.post456",   "1.0.15",        "1.1.dev1",
      "1.1",           "1.10",          "2013.10",
      "1!0.1",         "1!1.0.dev456",  "2!0"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(version(ascending[i]) <=> version(ascending[j]), i <=> j)
          << ascending[i] << " and " << ascending[j];
    }
  }
}

TEST(Version, SpellingsThatAreNormalised) {
  const std::vector<std::pair<std::string, std::string>> same = {{"1.0", "1.0.0"},
                                                                 {"1.1RC1", "1.1rc1"},
                                                                 {"00.9.01", "0.9.1"},
                                                                 {"1.1.a1", "1.1a1"},
                                                                 {"1.1-a1", "1.1a1"},
                                                                 {"1.1_alpha.1", "1.1a1"},
                                                                 {"1.1beta2", "1.1b2"},
                                                                 {"1.1c3", "1.1rc3"},
                                                                 {"1.1pre3", "1.1rc3"},
                                                                 {"1.1-preview3", "1.1rc3"},
                                                                 {"1.2a", "1.2a0"},
                                                                 {"1.2-post2", "1.2.post2"},
                                                                 {"1.2post2", "1.2.post2"},
                                                                 {"1.2.post", "1.2.post0"},
                                                                 {"1.0-r4", "1.0.post4"},
                                                                 {"1.0rev4", "1.0.post4"},
                                                                 {"1.0-1", "1.0.post1"},
                                                                 {"1.2dev2", "1.2.dev2"},
                                                                 {"1.2-dev", "1.2.dev0"},
                                                                 {"1.0+ubuntu-1", "1.0+ubuntu.1"},
                                                                 {"1.0+UBUNTU_01", "1.0+ubuntu.1"},
                                                                 {"v1.0", "1.0"},
                                                                 {" 1.0\n", "1.0"},
                                                                 {"0!1.0", "1"}};
  for (const auto& [left, right] : same) {
    EXPECT_EQ(version(left), version(right)) << left << " and " << right;
  }
}

TEST(Version, DebianVersionsHaveALocalPart) {
  EXPECT_EQ(version("9.4.0").release(), (std::vector<std::uint64_t>{9, 4, 0}));
  const Version dfsg = version("1.5.3+dfsg");
  EXPECT_TRUE(dfsg.has_local());
  EXPECT_FALSE(dfsg.is_prerelease());
  EXPECT_EQ(dfsg.text(), "1.5.3+dfsg");
  EXPECT_GT(dfsg, version("1.5.3"));
  EXPECT_EQ(dfsg.without_local(), version("1.5.3"));
  EXPECT_EQ(version("3!2.0rc1.post2+x").base(), version("3!2.0"));
}

TEST(Version, RefusesWhatIsNone) {
  const std::vector<std::string> bad = {"",
                                        " ",
                                        "french toast",
                                        "1.0+a+",
                                        "1.0++",
                                        "1.0+_foobar",
                                        "1.0+foo&asd",
                                        "1.0+1+1",
                                        "1.",
                                        ".1",
                                        "1..2",
                                        "1.0~rc1",
                                        "1.0-",
                                        "1!",
                                        "!1",
                                        "1.0x",
                                        "1.0 2",
                                        "1.0a1a2",
                                        "1.0.post1.post2",
                                        "-1",
                                        "1.*",
                                        "1.0+",
                                        "latest",
                                        "½"};
  for (const std::string& text : bad) EXPECT_FALSE(Version::parse(text)) << text;
  EXPECT_FALSE(Version::parse(std::string("1.0\0", 4)));
}

TEST(Version, LengthAndNumbersAreBounded) {
  EXPECT_TRUE(Version::parse("1." + std::string(18, '9')));
  EXPECT_FALSE(Version::parse("1." + std::string(19, '9')));
  EXPECT_FALSE(Version::parse("1.0+" + std::string(19, '9')));
  EXPECT_FALSE(Version::parse("1.0a" + std::string(19, '9')));
  EXPECT_FALSE(Version::parse("1" + std::string(1'000'000, '.')));
  const auto refused = Version::parse(std::string(1'000'000, '1'));
  ASSERT_FALSE(refused);
  EXPECT_LT(refused.error().message.size(), 300U);
}

}  // namespace
}  // namespace sock::pkgcache
