#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace sock::cli {
namespace {

TEST(Printable, LeavesPlainTextAlone) {
  EXPECT_EQ(printable("numpy==1.24.2\tä €", Lines::kOne), "numpy==1.24.2\tä €");
  EXPECT_EQ(printable("a\nb", Lines::kMany), "a\nb");
  EXPECT_EQ(printable("", Lines::kMany), "");
}

TEST(Printable, ShowsWhatDrivesATerminal) {
  EXPECT_EQ(printable("\x1b[2J", Lines::kMany), "\\x1b[2J");
  EXPECT_EQ(printable("a\nb", Lines::kOne), "a\\nb");
  EXPECT_EQ(printable("a\rb", Lines::kMany), "a\\x0db");
  EXPECT_EQ(printable(std::string_view("\0", 1), Lines::kMany), "\\x00");
  EXPECT_EQ(printable("\x7f", Lines::kMany), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b", Lines::kMany), "\\u009b");      // C1: one-character CSI
  EXPECT_EQ(printable("\xe2\x80\xae", Lines::kMany), "\\u202e");  // right-to-left override
}

TEST(Printable, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\xff", Lines::kMany), "\\xff");
  EXPECT_EQ(printable("\xc3", Lines::kMany), "\\xc3");                             // cut short
  EXPECT_EQ(printable("\xc0\xaf", Lines::kMany), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(printable("\xed\xa0\x80", Lines::kMany), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80", Lines::kMany), "\\xf4\\x90\\x80\\x80");  // too large
}

TEST(PrintableJson, EscapesInsideStringsOnly) {
  EXPECT_EQ(printable_json("{\"a\":\n \"\xc2\x9b\x7f\"}"), "{\"a\":\n \"\\u009b\\u007f\"}");
  EXPECT_EQ(printable_json("{\"a\": \"€\"}"), "{\"a\": \"€\"}");
}

TEST(AsciiJson, EscapesEverythingElse) {
  EXPECT_EQ(ascii_json("{\"k\":\"é€😀\"}"), "{\"k\":\"\\u00e9\\u20ac\\ud83d\\ude00\"}");
  EXPECT_EQ(ascii_json("\"\xff\""), "");
}

TEST(Width, CountsCodePoints) {
  EXPECT_EQ(width_of("abc"), 3U);
  EXPECT_EQ(width_of("├── é"), 5U);
}

}  // namespace
}  // namespace sock::cli
