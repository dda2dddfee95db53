#include "pkgcache/marker.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace sock::pkgcache {
namespace {

TEST(Marker, IsEvaluatedForTheTargetInterpreter) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"python_version >= '3.8'", true},  // by version: "3.11" < "3.8" as text
      {"python_version < \"3.8\"", false},
      {"'3.8' <= python_version", true},
      {"python_version == '3.11'", true},
      {"python_version == '3.*'", true},
      {"python_version ~= '3.9'", true},
      {"python_full_version >= '3.11.1'", true},
      {"python_version in '3.10, 3.11'", true},
      {"python_version not in '2.7, 3.6'", true},
      {"sys_platform == 'linux'", true},
      {"sys_platform == 'win32'", false},
      {"sys_platform!='darwin'", true},
      {"platform_system == 'Linux'", true},
      {"platform_machine == 'x86_64'", true},
      {"platform_machine == 'aarch64'", false},
      {"os_name == 'posix'", true},
      {"os.name == 'posix'", true},
      {"implementation_name == 'cpython'", true},
      {"platform_python_implementation != 'PyPy'", true},
      {"python_implementation == 'CPython'", true},
      {"platform_release != ''", true},
      {"extra == ''", true},
      {"extra == 'test'", false},
      // "and" binds closer than "or".
      {"os_name == 'x' and os_name == 'x' or os_name == 'posix'", true},
      {"os_name == 'posix' or os_name == 'x' and os_name == 'x'", true},
      {"(os_name == 'posix' or os_name == 'x') and os_name == 'x'", false},
      {"((python_version>='3.8')and(os_name=='posix'))", true},
      {"'or' == 'or'", true},
  };
  for (const auto& [text, expected] : cases) {
    const auto marker = Marker::parse(text);
    ASSERT_TRUE(marker) << text << ": " << marker.error().message;
    EXPECT_EQ(marker->evaluate(), expected) << text;
  }
}

TEST(Marker, ExtrasAreComparedAsNormalisedNames) {
  const auto marker = Marker::parse("extra == 'Tests_No.Zope' and python_version > '3.0'");
  ASSERT_TRUE(marker);
  EXPECT_TRUE(marker->mentions_extra());
  EXPECT_FALSE(marker->evaluate());
  EXPECT_TRUE(marker->evaluate("tests-no-zope"));
  EXPECT_FALSE(marker->evaluate("tests"));
  EXPECT_FALSE(Marker::parse("os_name == 'extra'")->mentions_extra());
}

TEST(Marker, AnotherEnvironmentGivesAnotherAnswer) {
  MarkerEnvironment old;
  old.python_version = "3.7";
  const auto marker = Marker::parse("python_version < '3.8'");
  EXPECT_TRUE(marker->evaluate("", old));
  EXPECT_FALSE(marker->evaluate());
}

TEST(Marker, DefaultIsAlwaysTrue) {
  EXPECT_TRUE(Marker().evaluate());
  EXPECT_TRUE(Marker().empty());
}

TEST(Marker, RefusesWhatIsNone) {
  const std::vector<std::string> bad = {
      "",
      "python_version",
      "python_version >=",
      "python_version >= 3.8",
      "python_version >= '3.8",
      "pythonversion >= '3.8'",
      "python_version => '3.8'",
      "python_version not '3.8'",
      "python_version >= '3.8' and",
      "and python_version >= '3.8'",
      "python_version >= '3.8' python_version",
      "(python_version >= '3.8'",
      "python_version >= '3.8')",
      "os_name == 'a' andos_name == 'b'",
      "python_version ~= 'x'",
      "()",
      "os_name == 'a' & os_name == 'b'",
  };
  for (const std::string& text : bad) EXPECT_FALSE(Marker::parse(text)) << text;
}

TEST(Marker, DepthAndLengthAreBounded) {
  const std::string one = "os_name == 'posix'";
  EXPECT_TRUE(Marker::parse(std::string(32, '(') + one + std::string(32, ')')));
  EXPECT_FALSE(Marker::parse(std::string(33, '(') + one + std::string(33, ')')));
  EXPECT_FALSE(Marker::parse(std::string(200'000, '(')));
  std::string long_one = one;
  for (int i = 0; i < 1000; ++i) long_one += " or " + one;
  EXPECT_FALSE(Marker::parse(long_one));
}

}  // namespace
}  // namespace sock::pkgcache
