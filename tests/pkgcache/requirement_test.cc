#include "pkgcache/requirement.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

using Names = std::vector<std::string>;

Names names(const std::vector<Requirement>& requirements) {
  Names out;
  for (const Requirement& requirement : requirements) out.push_back(requirement.name);
  return out;
}

std::string error_of(std::string_view text) {
  const auto parsed = parse_requirements(text);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, Code::kInvalid);
  return parsed.error().message;
}

TEST(Requirement, ReadsEveryPartOfALine) {
  const auto parsed =
      parse_requirement(" Zope.Interface [ Test,docs , TEST ] >= 1.0, != 1.5.* ; os_name=='posix'");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->requirement.name, "zope-interface");
  EXPECT_EQ(parsed->requirement.extras, (Names{"docs", "test"}));
  EXPECT_EQ(parsed->requirement.specifiers.to_string(), ">=1.0,!=1.5.*");
  EXPECT_EQ(parsed->requirement.text,
            "Zope.Interface [ Test,docs , TEST ] >= 1.0, != 1.5.* ; os_name=='posix'");
  EXPECT_TRUE(parsed->marker.evaluate());
}

TEST(Requirement, AcceptsTheSpellingsThatOccur) {
  for (const char* text :
       {"numpy", "A.B-C_D", "name>=3,<2", "name (>=3,<2)", "name[quux, strange]", "name[]",
        "numpy==1.24.2", "numpy == 1.24.*", "a>=1;python_version<'4'", "attrs[docs,tests]",
        "mypy (<0.990,>=0.971) ; (platform_python_implementation == \"CPython\")", "name~=1.0"}) {
    EXPECT_TRUE(parse_requirement(text)) << text;
  }
  for (const char* text : {"", "-numpy", "numpy-", "numpy=1", "numpy 1.0", "numpy>=", "numpy[a",
                           "numpy[a b]", "numpy(>=1", "numpy>=1)", "a @ https://x/y.whl",
                           "numpy; os_name", "numpy;", "${NAME}", "a, b", "numpy[-]"}) {
    EXPECT_FALSE(parse_requirement(text)) << text;
  }
}

TEST(Requirements, CommentsContinuationsAndBlankLines) {
  const auto parsed = parse_requirements(
      "\xEF\xBB\xBF# first\n"
      "\n"
      "numpy>=1.20  # why\r\n"
      "  pandas \\\n"
      "   >= 1.5 ,\\\n"
      "   < 2\n"
      "jinja2 \\\n"
      "# a comment ends the continuation\n"
      "six\\\n");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(names(*parsed), (Names{"numpy", "pandas", "jinja2", "six"}));
  EXPECT_EQ((*parsed)[0].line, 3U);
  EXPECT_EQ((*parsed)[0].text, "numpy>=1.20");
  EXPECT_EQ((*parsed)[1].line, 4U);
  EXPECT_EQ((*parsed)[1].specifiers.to_string(), ">=1.5,<2");
  EXPECT_EQ((*parsed)[2].line, 7U);
  EXPECT_EQ((*parsed)[3].line, 9U);
}

TEST(Requirements, AHashSignInsideAWordIsNoComment) {
  EXPECT_TRUE(error_of("numpy#egg\n").starts_with("requirements.txt line 1: 'numpy#egg': "));
}

TEST(Requirements, MarkersThatDoNotHoldLeaveTheLineOut) {
  const auto parsed = parse_requirements(
      "numpy; python_version >= '3.8'\n"
      "typing-extensions; python_version < '3.8'\n"
      "pywin32; sys_platform == 'win32'\n"
      "uvloop; extra == 'fast'\n");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(names(*parsed), (Names{"numpy"}));
}

const std::string kDigestA(64, 'a');
const std::string kDigestB = "0123456789abcdef" + std::string(48, '0');

TEST(Requirements, HashesAreKept) {
  const auto parsed = parse_requirements(
      "numpy==1.24.2 \\\n"
      "    --hash=sha256:" +
      std::string(64, 'A') +
      " \\\n"
      "    --hash=sha256:" +
      kDigestB +
      "\n"
      "six===1.16.0 ; python_version >= '3' --hash sha256:" +
      kDigestA +
      " # generated\n"
      "tomli>=1 ; python_version < '3' # without a hash, but left out\n");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(names(*parsed), (Names{"numpy", "six"}));
  EXPECT_EQ((*parsed)[0].text, "numpy==1.24.2");
  EXPECT_EQ((*parsed)[0].specifiers.to_string(), "==1.24.2");
  EXPECT_EQ((*parsed)[0].hashes, (Names{kDigestB, kDigestA}));
  EXPECT_EQ((*parsed)[1].hashes, (Names{kDigestA}));
  EXPECT_TRUE(needs_wheels(*parsed));
  EXPECT_FALSE(needs_wheels(*parse_requirements("numpy==1.24.2\nsix\n")));
}

TEST(Requirements, BadHashesAreRefused) {
  for (const std::string& hash :
       {std::string("--hash"), std::string("--hash=sha256"), std::string("--hash=sha256:"),
        std::string("--hash=sha256:00"), "--hash=sha256:" + kDigestA + "0", "--hash=" + kDigestA,
        "--hash=sha512:" + kDigestA + kDigestA, "--hash=sha256:" + std::string(64, 'g')}) {
    EXPECT_TRUE(error_of("six==1 " + hash).contains("--hash wants sha256")) << hash;
  }
  EXPECT_TRUE(error_of("six --global-option=x").contains("only --hash"));
  EXPECT_TRUE(error_of("six==1 --hash=sha256:" + kDigestA + " --config-settings a=b")
                  .contains("only --hash"));
}

TEST(Requirements, OneHashObligesAllLines) {
  const std::string hash = " --hash=sha256:" + kDigestA;
  EXPECT_EQ(
      error_of("six==1" + hash + "\n\nnumpy==2\n"),
      "requirements.txt line 3: 'numpy==2': --hash is missing; when one line has it, all must");
  for (const std::string specifiers : {"", ">=1", "==1.*", "~=1.0", "==1,==1", "!=1"}) {
    EXPECT_TRUE(error_of("six" + specifiers + hash).contains("must name the exact version"))
        << specifiers;
  }
}

TEST(Requirements, TextForPipHoldsOnlyWhatWasUnderstood) {
  const auto parsed = parse_requirements(
      "# comment\n"
      "Num_Py [B,a] >= 1.0 , <2 ; os_name != '\xe2\x80\xa8--index-url=https://example.org'\n"
      "\n"
      "six\n");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(to_requirements_text(*parsed), "\nnum-py[a,b]>=1.0,<2\n\nsix\n");
  const std::string hashed = "a==1 --hash=sha256:" + kDigestB + " --hash=sha256:" + kDigestA + "\n";
  EXPECT_EQ(to_requirements_text(*parse_requirements(hashed)), hashed);
  EXPECT_TRUE(error_of("six===${HOME}").contains("one word"));
  EXPECT_TRUE(error_of("six===1\xe2\x80\xa8x").contains("one word"));
}

TEST(Requirements, UnsupportedLinesAreNamedWithWhatToDo) {
  struct Case {
    std::string line;
    std::string advice;
  };
  const std::vector<Case> cases = {
      {"-e .", "editable"},
      {"--editable=git+https://x/y#egg=y", "editable"},
      {"-e.", "editable"},
      {"-r other.txt", "copy their lines"},
      {"-rother.txt", "copy their lines"},
      {"--requirement other.txt", "copy their lines"},
      {"-c constraints.txt", "put the versions"},
      {"--constraint=constraints.txt", "put the versions"},
      {"--index-url https://example.org/simple", "index"},
      {"-i https://example.org/simple", "index"},
      {"--extra-index-url=https://example.org", "index"},
      {"--find-links /srv", "index"},
      {"-f /srv", "index"},
      {"--no-index", "index"},
      {"--pre", "options"},
      {"--require-hashes", "options"},
      {"--trusted-host example.org", "options"},
      {"https://example.org/x-1.0-py3-none-any.whl", "URL"},
      {"x @ https://example.org/x.zip", "URL"},
      {"x@file:///srv/x.whl", "URL"},
      {"file:x.whl", "URL"},
      {"git+https://example.org/x.git@main", "version control"},
      {"x @ git+ssh://git@example.org/x.git ; python_version > '3'", "version control"},
      {"hg+http://example.org/x", "version control"},
      {".", "path"},
      {"./x", "path"},
      {"../x", "path"},
      {"/srv/x", "path"},
      {"~/x", "path"},
      {"vendor/x", "path"},
      {"x-1.0-py3-none-any.whl", "path"},
      {"x-1.0.tar.gz", "path"},
      {"x.zip", "path"},
      {"C:\\x", "path"},
      {"numpy=1.0", "specifier"},
      {"=1.0", "package name"},
      {"numpy; os_name", "marker"},
  };
  for (const Case& c : cases) {
    const std::string message = error_of("six\n\n" + c.line + "\nnumpy\n");
    EXPECT_TRUE(message.starts_with("requirements.txt line 3: '" + c.line + "': ")) << message;
    EXPECT_TRUE(message.contains(c.advice)) << message;
  }
}

TEST(Requirements, SizeAndEncodingAreChecked) {
  EXPECT_TRUE(parse_requirements("#" + std::string(256 * 1024 - 1, 'x')));
  EXPECT_TRUE(error_of("#" + std::string(256 * 1024, 'x')).contains("256 KiB"));
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "six\n";
  EXPECT_TRUE(parse_requirements(lines));
  EXPECT_TRUE(error_of(lines + "six").contains("1000 lines"));
  EXPECT_TRUE(error_of(std::string("six\0\n", 5)).contains("NUL"));
  EXPECT_TRUE(error_of("# caf\xE9\n").contains("UTF-8"));
  EXPECT_TRUE(parse_requirements("# caf\u00e9\n"));
  EXPECT_TRUE(parse_requirements(""));
}

TEST(Requirements, MessagesStayShortAndClean) {
  const std::string message = error_of("\x1b[31m" + std::string(100'000, 'x') + "!\n");
  EXPECT_LT(message.size(), 400U);
  EXPECT_FALSE(message.contains('\x1b'));
  const std::string deep = error_of("six; " + std::string(100'000, '('));
  EXPECT_TRUE(deep.contains("too deep")) << deep;
}

}  // namespace
}  // namespace sock::pkgcache
