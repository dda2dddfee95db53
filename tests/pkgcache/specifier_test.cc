#include "pkgcache/specifier.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

struct Case {
  std::string specifiers;
  std::string version;
  bool matches;
};

TEST(Specifier, MatchesAsPep440Says) {
  const std::vector<Case> cases = {
      // Compatible release.
      {"~=2.2", "2.2", true},
      {"~=2.2", "2.9.post1", true},
      {"~=2.2", "3.0", false},
      {"~=2.2", "2.1", false},
      {"~=1.4.5", "1.4.5", true},
      {"~=1.4.5", "1.4.9", true},
      {"~=1.4.5", "1.5.0", false},
      {"~=2.2.post3", "2.9", true},
      {"~=2.2.post3", "2.2.post2", false},
      {"~=1.4.5a4", "1.4.5a4", true},
      {"~=1.4.5a4", "1.4.9", true},
      {"~=1.4.5a4", "1.5", false},
      {"~=2.2.0", "2.2.7", true},
      {"~=2.2.0", "2.3", false},
      {"~=1!2.2", "2.3", false},
      // Matching, prefixes.
      {"==1.1", "1.1", true},
      {"==1.1", "1.1.0", true},
      {"==1.1", "1.1.post1", false},
      {"==1.1", "1.1.dev1", false},
      {"==1.1", "1.1a1", false},
      {"==1.1.post1", "1.1.post1", true},
      {"==1.1.*", "1.1.post1", true},
      {"==1.1.*", "1.1a1", true},
      {"==1.1.*", "1.1", true},
      {"==1.1.*", "1.12", false},
      {"==1.0.*", "1", true},
      {"==2.*", "1!2.0", false},
      {"!=1.1", "1.1.post1", true},
      {"!=1.1", "1.1", false},
      {"!=1.1.*", "1.1.post1", false},
      {"!=1.1.*", "1.2", true},
      // Inclusive.
      {">=1.20", "1.24.2", true},
      {">=1.20", "1.3", false},
      {"<=1.20", "1.20.0", true},
      {"<=1.20", "1.20.post1", false},
      {">=2.0", "2.0rc1", false},
      // Exclusive: not the version's own pre- or post-releases.
      {"<3.1", "3.1.dev0", false},
      {"<3.1", "3.1rc1", false},
      {"<3.1", "3.0.9", true},
      {"<3.1rc2", "3.1rc1", true},
      {">1.7", "1.7.1", true},
      {">1.7", "1.7.0.post1", false},
      {">1.7.post2", "1.7.0.post3", true},
      {">1.7.post2", "1.7.1", true},
      {">1.7", "1.7+dfsg", false},
      // Local parts.
      {"==1.5.3", "1.5.3+dfsg", true},
      {"==1.5.3+dfsg", "1.5.3+dfsg", true},
      {"==1.5.3+other", "1.5.3+dfsg", false},
      {"==1.5.3+dfsg", "1.5.3", false},
      {"!=1.5.3", "1.5.3+dfsg", false},
      {"==1.5.*", "1.5.3+dfsg", true},
      {">=1.5.3", "1.5.3+dfsg", true},
      {"<=1.5.3", "1.5.3+dfsg", true},
      {"~=1.5.3", "1.5.3+dfsg", true},
      // Arbitrary equality compares text.
      {"===1.0", "1.0", true},
      {"===1.0", "1.0.0", false},
      {"===1.0+DFSG", "1.0+dfsg", true},
      // Epochs.
      {">=1.0", "1!0.5", true},
      {"==1!1.0", "1.0", false},
      // Sets.
      {"", "0.1", true},
      {">=1,<2", "1.5", true},
      {">=1,<2", "2.0", false},
      {" >= 1 , != 1.5.* , < 2 ", "1.5.2", false},
      {">=1,<2,", "1.2", true},
  };
  for (const Case& c : cases) {
    const auto set = SpecifierSet::parse(c.specifiers);
    ASSERT_TRUE(set) << c.specifiers << ": " << set.error().message;
    EXPECT_EQ(set->contains(*Version::parse(c.version)), c.matches)
        << "'" << c.specifiers << "' and " << c.version;
  }
}

TEST(Specifier, RefusesWhatIsNone) {
  const std::vector<std::string> bad = {
      "1.0",     "=1.0",     "=>1.0", ">",           "==",      "==x",          ">=1.*",     "~=1",
      "~=1.*",   "== 1 .*",  "~=1!1", ">=1.0+local", "==1.*.2", "==1.0a1.*",    "==1.0+x.*", "===",
      "=== a b", "== 1.0 2", "<>1.0", "==1.0;",      ">=1 <2",  "==1.0.dev1.*", "~=1.0+x"};
  for (const std::string& text : bad) EXPECT_FALSE(SpecifierSet::parse(text)) << text;
}

TEST(Specifier, SetsAreBounded) {
  std::string many = "!=1";
  for (int i = 0; i < 63; ++i) many += ",!=1";
  EXPECT_TRUE(SpecifierSet::parse(many));
  EXPECT_FALSE(SpecifierSet::parse(many + ",!=1"));
}

TEST(Specifier, ShowsItselfWithoutWhiteSpace) {
  EXPECT_EQ(SpecifierSet::parse(" >= 1.20 ,!=1.5.* , <2")->to_string(), ">=1.20,!=1.5.*,<2");
  EXPECT_EQ(SpecifierSet::parse("")->to_string(), "");
}

}  // namespace
}  // namespace sock::pkgcache
