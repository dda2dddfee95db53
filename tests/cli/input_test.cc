#include "cli/input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iostream>

#include "base/fd.h"
#include "cli/json_text.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

Outcome<std::string> event_from(const std::optional<std::string>& data,
                                const std::optional<std::string>& file,
                                const std::string& input = "", bool terminal = false) {
  const Fd in(::memfd_create("stdin", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(in.get(), input.data(), input.size(), 0), static_cast<ssize_t>(input.size()));
  const Console console{std::cout, std::cerr, in.get(), terminal, false, false};
  return read_event(data, file, console);
}

int exit_of(const Outcome<std::string>& outcome) { return outcome ? 0 : outcome.error().exit; }

TEST(JsonProblem, AcceptsEveryKindOfDocument) {
  for (const char* text : {"{}", "[]", "null", "true", "-1.5e3", "\"x\"", " {\"a\":[1,{}]} \n",
                           "123456789012345678901234567890", "\"\\ud83d\\ude00\""}) {
    EXPECT_EQ(json_problem(text), "") << text;
  }
}

TEST(JsonProblem, RefusesWhatIsNotOneDocument) {
  for (const char* text : {"", "  ", "{", "{} {}", "{'a':1}", "NaN", "[Infinity]", "{\"a\":1,}",
                           "nul", "[1 2]", "\"\xff\"", "\"\x01\"", "// c\n1", "1 // c", "01"}) {
    EXPECT_NE(json_problem(text), "") << text;
  }
}

TEST(JsonProblem, SaysWhere) {
  EXPECT_NE(json_problem("{\"a\": 1,\n \"b\": x}").find("line 2, column 7"), std::string::npos)
      << json_problem("{\"a\": 1,\n \"b\": x}");
  EXPECT_EQ(json_problem("{}\n x"), "text after the document at line 2, column 2");
}

TEST(JsonProblem, BoundsDepth) {
  EXPECT_EQ(json_problem(std::string(1000, '[') + std::string(1000, ']')), "");
  EXPECT_NE(json_problem(std::string(1'000'000, '[')), "");
}

TEST(ReadEvent, FromTheCommandLine) {
  EXPECT_EQ(event_from("{\"n\":1}", std::nullopt, "ignored").value(), "{\"n\":1}");
  EXPECT_EQ(exit_of(event_from("{n:1}", std::nullopt)), 2);
  EXPECT_EQ(exit_of(event_from("", std::nullopt)), 2);
}

TEST(ReadEvent, FromAFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(event_from(std::nullopt, folder.write("e.json", "[1]\n")).value(), "[1]\n");
  EXPECT_EQ(exit_of(event_from(std::nullopt, folder.write("bad.json", "[1"))), 2);
  const auto missing = event_from(std::nullopt, (folder.path() / "none").string());
  EXPECT_EQ(exit_of(missing), 2);
  EXPECT_NE(missing.error().message.find("none"), std::string::npos);
}

TEST(ReadEvent, FromStandardInput) {
  EXPECT_EQ(event_from(std::nullopt, std::nullopt, "{\"a\":2}").value(), "{\"a\":2}");
  EXPECT_EQ(event_from(std::nullopt, "-", "7").value(), "7");
  EXPECT_EQ(exit_of(event_from(std::nullopt, std::nullopt, "{")), 2);
}

TEST(ReadEvent, NothingIsAnEmptyObject) {
  EXPECT_EQ(event_from(std::nullopt, std::nullopt, "").value(), "{}");
  EXPECT_EQ(event_from(std::nullopt, std::nullopt, "\n").value(), "{}");
  // A terminal is not read unless asked for.
  EXPECT_EQ(event_from(std::nullopt, std::nullopt, "typed", true).value(), "{}");
  // Asked for by name, an empty stream is a mistake.
  EXPECT_EQ(exit_of(event_from(std::nullopt, "-", "")), 2);
}

TEST(ReadAll, RefusesTooMuch) {
  const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const auto read = read_all(zero.get(), 1U << 20U, "the zeroes");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().exit, 2);
  EXPECT_EQ(read.error().message, "the zeroes is larger than 1 MiB");
}

TEST(Names, FollowTheRule) {
  for (const char* good : {"a", "0", "thumb-nail_2.v1", "a..b"}) EXPECT_TRUE(check_name(good));
  for (const std::string bad : {"", "A", "-a", ".", "..", "a/b", "a b", "é", "a\n"}) {
    EXPECT_FALSE(check_name(bad)) << bad;
  }
  EXPECT_TRUE(check_name(std::string(64, 'a')));
  EXPECT_FALSE(check_name(std::string(65, 'a')));
}

TEST(RequestIds, AreUuids) {
  EXPECT_TRUE(is_request_id("0b5f8c1e-3c55-4f0c-9a52-0e6f0d7b1c11"));
  EXPECT_FALSE(is_request_id("0b5f8c1e-3c55-4f0c-9a52-0e6f0d7b1c1"));
  EXPECT_FALSE(is_request_id("0b5f8c1e-3c55-4f0c-9a52_0e6f0d7b1c11"));
  EXPECT_FALSE(is_request_id("hello"));
}

}  // namespace
}  // namespace sock::cli
