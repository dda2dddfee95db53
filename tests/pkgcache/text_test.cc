#include "pkgcache/text.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"
#include "pkgcache/package.h"

namespace sock::pkgcache {
namespace {

TEST(Text, PrintableTextIsShortAndHasNoControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb\n\x7f\xff\xC2\x9B"), "a?[31mb????");
  const std::string longer = printable(std::string(10'000, 'x') + "é");
  EXPECT_LT(longer.size(), 130U);
  EXPECT_TRUE(longer.ends_with("…"));
  std::string accents;
  for (int i = 0; i < 1000; ++i) accents += "é";
  EXPECT_TRUE(is_utf8(printable(accents)));
}

TEST(Text, LinesEndInEitherWay) {
  const auto lines = split_lines("a\r\n\nb\n");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "a");
  EXPECT_EQ(lines[1], "");
  EXPECT_EQ(lines[2], "b");
}

TEST(Text, ModuleNamesAreDottedIdentifiers) {
  for (const char* good : {"a", "_a", "PIL.Image", "a1.b2"}) EXPECT_TRUE(is_module_name(good));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "1a", "a-b", "a b", "a;b", "os\n", "é"}) {
    EXPECT_FALSE(is_module_name(bad)) << bad;
  }
}

TEST(Package, NamesAreNormalised) {
  EXPECT_EQ(normalise_name("Friendly-._.Bard"), "friendly-bard");
  EXPECT_EQ(normalise_name("python_dateutil"), "python-dateutil");
  EXPECT_EQ(normalise_name("Jinja2"), "jinja2");
}

TEST(Package, NamesAreValidated) {
  for (const char* good : {"a", "A1", "zope.interface", "a_b-c"}) EXPECT_TRUE(is_valid_name(good));
  for (const char* bad : {"", "-a", "a-", "_a", "a/b", "a b", "..", "é"}) {
    EXPECT_FALSE(is_valid_name(bad)) << bad;
  }
  EXPECT_FALSE(is_valid_name(std::string(129, 'a')));
}

}  // namespace
}  // namespace sock::pkgcache
