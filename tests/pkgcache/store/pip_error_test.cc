#include "pkgcache/store/pip_error.h"

#include <gtest/gtest.h>

#include "tests/pkgcache/store/pip.h"

namespace sock::pkgcache {
namespace {

/// Real texts of the host's pip.
class PipErrorTest : public testing::Test {
 protected:
  std::string error_of(const std::string& text, const std::string& links = "") const {
    const auto requirements = requirements_of(text);
    const auto answer = pip_.resolve(requirements, links);
    EXPECT_EQ(answer.report, "");
    return explain_pip_failure(requirements, answer.output).message;
  }

  Pip pip_;
};

TEST_F(PipErrorTest, NoSuchVersion) {
  for (const char* const version : {"1.0", "2.0"}) pip_.add({.name = "foo", .version = version});
  pip_.add({.name = "other", .version = "1"});
  EXPECT_EQ(
      error_of("other\n\nfoo==9 ; python_version > '3'\n"),
      "requirements.txt line 3: foo==9 ; python_version > '3': no wheel satisfies it; there are "
      "1.0, 2.0");
  EXPECT_EQ(
      error_of("other\nnowhere\n"),
      "requirements.txt line 2: nowhere: no wheel of it is available for this host's Python 3.11 "
      "(source archives are not built)");
}

TEST_F(PipErrorTest, DependencyWithoutAWheel) {
  pip_.add({.name = "top", .version = "1", .requirements = {"middle"}});
  pip_.add({.name = "other", .version = "1"});
  pip_.add({.name = "middle", .version = "1", .requirements = {"Bottom>=1"}});
  EXPECT_EQ(
      error_of("top\nmiddle\n"),
      "requirements.txt line 2: middle: needs Bottom>=1: no wheel of it is available for this "
      "host's Python 3.11 (source archives are not built)");
  EXPECT_EQ(error_of("top\nother\n"),
            "requirements.txt: middle needs Bottom>=1: no wheel of it is available for this host's "
            "Python 3.11 (source archives are not built)");
  EXPECT_EQ(
      error_of("# a comment\ntop\n"),
      "requirements.txt line 2: top: middle needs Bottom>=1: no wheel of it is available for this "
      "host's Python 3.11 (source archives are not built)");
}

TEST_F(PipErrorTest, SourceArchiveOnly) {
  pip_.write("source-1.0.tar.gz", "");
  EXPECT_EQ(
      error_of("source==1.0\n"),
      "requirements.txt line 1: source==1.0: no wheel of it is available for this host's Python "
      "3.11 (source archives are not built)");
}

TEST_F(PipErrorTest, Conflicts) {
  for (const char* const version : {"1", "2"}) pip_.add({.name = "c", .version = version});
  pip_.add({.name = "other", .version = "1"});
  pip_.add({.name = "a", .version = "1", .requirements = {"c<2"}});
  pip_.add({.name = "b", .version = "2", .requirements = {"c>=2"}});
  EXPECT_EQ(error_of("other\na==1\n\nb==2\n"),
            "requirements.txt line 2 (a==1) and line 4 (b==2): the versions contradict each other: "
            "a 1 depends on c<2; b 2 depends on c>=2");
  EXPECT_EQ(error_of("c==1\nb\n"),
            "requirements.txt line 1 (c==1) and line 2 (b): the versions contradict each other: "
            "The user requested c==1; b 2 depends on c>=2");
  EXPECT_EQ(error_of("c==1\nc==2\n"),
            "requirements.txt line 1 (c==1) and line 2 (c==2): the versions contradict each other: "
            "The user requested c==1; The user requested c==2");
}

TEST_F(PipErrorTest, AnotherPython) {
  const auto wheel = pip_.add({.name = "new", .version = "1", .requires_python = ">=3.99"});
  EXPECT_EQ(error_of("new\n"),
            "requirements.txt line 1: new: it requires another Python: 3.11.2 not in '>=3.99'");
  // As an index tells it beforehand.
  pip_.write("index.html", "<!DOCTYPE html><a href=\"" + wheel.file_name +
                               "\" data-requires-python=\"&gt;=3.99\">" + wheel.file_name + "</a>");
  EXPECT_EQ(error_of("new==1\n", "index.html"),
            "requirements.txt line 1: new==1: its wheels are for another Python than this host's "
            "3.11: 1 Requires-Python >=3.99");
}

TEST_F(PipErrorTest, WrongAndMissingDigests) {
  const auto c = pip_.add({.name = "c", .version = "1"});
  const auto a = pip_.add({.name = "a", .version = "1", .requirements = {"c<2"}});
  EXPECT_EQ(error_of("\nc==1 --hash=sha256:" + std::string(64, '0') + "\n"),
            "requirements.txt line 2: c==1: what was found has none of the line's digests; its "
            "sha256 is " +
                c.sha256);
  EXPECT_EQ(
      error_of("\na==1 --hash=sha256:" + a.sha256 + "\n"),
      "requirements.txt line 2: a==1: needs c<2: in hash-checking mode every package, also one "
      "that another needs, must have a line with its exact version and --hash");
}

TEST_F(PipErrorTest, OtherErrorsAreQuoted) {
  pip_.write("broken-1-py3-none-any.whl", "no zip");
  const std::string error = error_of("broken\n");
  EXPECT_TRUE(error.starts_with("pip could not resolve requirements.txt: \"")) << error;
  EXPECT_NE(error.find("broken-1-py3-none-any.whl"), std::string::npos) << error;
}

std::string explain(const std::string& output) {
  return explain_pip_failure(requirements_of("foo==1\nbar\n"), output).message;
}

TEST(PipErrorText, IndexOutOfReach) {
  const std::string error = explain(
      "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError': /foo/\n"
      "ERROR: Could not find a version that satisfies the requirement foo==1 (from versions: "
      "none)\n"
      "ERROR: No matching distribution found for foo==1\n");
  EXPECT_TRUE(error.starts_with("requirements.txt line 1: foo==1: the index cannot be reached: "))
      << error;
}

TEST(PipErrorText, ManyVersionsAreCut) {
  std::string versions = "0";
  for (int i = 1; i < 5000; ++i) versions += ", " + std::to_string(i);
  const std::string error = explain(
      "ERROR: Could not find a version that satisfies the requirement foo==1 (from versions: " +
      versions + ")\n");
  EXPECT_TRUE(
      error.ends_with("there are …, 4990, 4991, 4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999"))
      << error;
}

TEST(PipErrorText, HostileOutputMakesAShortCleanMessage) {
  const std::vector<std::string> texts = {
      "",
      "\n\n",
      "ERROR: ",
      "ERROR: Could not find a version that satisfies the requirement ",
      "Could not find a version that satisfies the requirement  (from  (from versions: ",
      "satisfies the requirement x (from versions: )",
      "Could not find a version that satisfies the requirement foo (from versions: 1\n"
      "require a different python version: ",
      "Cannot install  because these package versions have conflicting dependencies",
      " because these package versions have conflicting dependencies. Cannot install a and b",
      "Cannot install -r x (line 99999999999999999999) and , and  because these package versions "
      "have conflicting dependencies\nThe conflict is caused by:",
      "DO NOT MATCH THE HASHES",
      "DO NOT MATCH THE HASHES\n",
      "DO NOT MATCH THE HASHES\n (from \n Got ",
      "Hashes are required in --require-hashes mode",
      "all requirements must have their versions pinned with ==\n(from ->))",
      "Package ' requires a different Python: ",
      " requires a different Python: ",
  };
  const std::string junk = std::string(5000, 'x') + "\x1b[31m\xff" + std::string("\0", 1);
  std::string conflict =
      "Cannot install foo and bar because these package versions have conflicting dependencies\n"
      "The conflict is caused by:\n";
  for (int i = 0; i < 10'000; ++i) conflict += "    " + junk.substr(0, 200) + "\n";
  std::vector<std::string> all = {conflict, std::string(3 << 20, '\n'), std::string(3 << 20, 'x')};
  for (const std::string& text : texts) {
    for (const std::string& end : {std::string(), junk, "\n" + junk, "\n    " + junk + "\n"}) {
      all.push_back(text + end);
    }
  }
  for (const std::string& text : all) {
    const std::string message = explain(text);
    EXPECT_FALSE(message.empty());
    EXPECT_LT(message.size(), 3000U) << message;
    EXPECT_EQ(message.find_first_of("\x1b\xff\n", 0), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace sock::pkgcache
