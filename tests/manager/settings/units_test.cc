#include "manager/settings/units.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sock::manager {
namespace {

TEST(Units, ReadsSizes) {
  const std::vector<std::pair<const char*, std::uint64_t>> table = {
      {"0", 0},
      {"512", 512},
      {"64K", 65'536},
      {"256M", 268'435'456},
      {"1G", 1'073'741'824},
      {"9223372036854775807", 9'223'372'036'854'775'807ULL},
      {"8589934591G", 9'223'372'035'781'033'984ULL},
  };
  for (const auto& [text, bytes] : table) {
    const auto parsed = parse_size(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const char* const text : {"",
                                 " ",
                                 "M",
                                 "-1",
                                 "+1",
                                 "1.5G",
                                 "1e3",
                                 "0x10",
                                 "007",
                                 "01M",
                                 "64k",
                                 "64KB",
                                 "64KiB",
                                 "1T",
                                 "1 M",
                                 " 1M",
                                 "1M ",
                                 "1M\n",
                                 "9223372036854775808",
                                 "18446744073709551616",
                                 "8589934592G",
                                 "99999999999999999999999",
                                 "inf",
                                 "nan"}) {
    const auto parsed = parse_size(text);
    ASSERT_FALSE(parsed) << text << " gave " << *parsed;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(parse_size(std::string_view("1M\0", 3)));
  EXPECT_EQ(parse_size("12X").error().message,
            "\"12X\" is not a size; write whole bytes or a whole number with K, M or G, such as "
            "256M");
  EXPECT_LT(parse_size(std::string(1 << 20, '9')).error().message.size(), 300U);
}

TEST(Units, FormatsSizesSoThatTheyReadBack) {
  const std::vector<std::pair<std::uint64_t, const char*>> table = {
      {0, "0"},       {1, "1"},           {1000, "1000"},           {1024, "1K"},
      {1536, "1536"}, {1ULL << 20, "1M"}, {1536ULL << 20, "1536M"}, {1ULL << 40, "1024G"},
  };
  for (const auto& [bytes, text] : table) {
    EXPECT_EQ(format_size(bytes), text);
    EXPECT_EQ(parse_size(text).value_or(77), bytes);
  }
}

TEST(Units, ReadsAndFormatsDurations) {
  const std::vector<std::pair<const char*, std::int64_t>> table = {
      {"0s", 0},         {"1ms", 1},         {"1500ms", 1500},
      {"30s", 30'000},   {"90s", 90'000},    {"2m", 120'000},
      {"1h", 3'600'000}, {"61m", 3'660'000}, {"9223372036854775807ms", 9'223'372'036'854'775'807},
  };
  for (const auto& [text, millis] : table) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), millis) << text;
    EXPECT_EQ(format_duration(Millis(millis)), text);
  }
  EXPECT_EQ(format_duration(Millis(60'000)), "1m");
  EXPECT_EQ(format_duration(Millis(1'000)), "1s");
}

TEST(Units, RefusesWhatIsNoDuration) {
  for (const char* const text :
       {"", "30", "0", "s", "-1s", "1.5s", "1 s", "1S", "1sec", "1d", "1us", "01s",
        "9223372036854775808ms", "2562047788016h", "1h30m"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text << " gave " << parsed->count();
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
  }
}

TEST(Units, FormatsCpu) {
  EXPECT_EQ(format_cpu(0), "0");
  EXPECT_EQ(format_cpu(1000), "1");
  EXPECT_EQ(format_cpu(1500), "1.5");
  EXPECT_EQ(format_cpu(250), "0.25");
  EXPECT_EQ(format_cpu(1001), "1.001");
}

}  // namespace
}  // namespace sock::manager
