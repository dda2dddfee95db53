#include "cli/exit_code.h"

#include <gtest/gtest.h>

namespace sock::cli {
namespace {

struct Case {
  unsigned status;
  std::string_view code;
  ExitCode exit;
};

class ExitCodes : public testing::TestWithParam<Case> {};

TEST_P(ExitCodes, FollowTheTable) {
  EXPECT_EQ(exit_code_for(GetParam().status, GetParam().code), GetParam().exit)
      << GetParam().status << ' ' << GetParam().code;
}

INSTANTIATE_TEST_SUITE_P(
    All, ExitCodes,
    testing::Values(
        Case{502, "app_error", ExitCode::kAppError}, Case{504, "timeout", ExitCode::kTimeout},
        Case{502, "oom", ExitCode::kKilled}, Case{502, "killed", ExitCode::kKilled},
        Case{429, "rejected", ExitCode::kRejected}, Case{503, "draining", ExitCode::kRejected},
        Case{422, "invalid", ExitCode::kInvalid}, Case{404, "not_found", ExitCode::kNotFound},
        Case{409, "conflict", ExitCode::kConflict}, Case{500, "internal", ExitCode::kInternal},
        // The request itself was wrong, whatever word the answer uses for it.
        Case{400, "invalid", ExitCode::kUsage}, Case{413, "invalid", ExitCode::kUsage},
        // Without a known word the status decides.
        Case{404, "", ExitCode::kNotFound}, Case{504, "new", ExitCode::kTimeout},
        Case{429, "", ExitCode::kRejected}, Case{422, "?", ExitCode::kInvalid},
        Case{500, "", ExitCode::kInternal}, Case{418, "", ExitCode::kInternal}));

TEST(ExitCodes, NumbersAreFixed) {
  EXPECT_EQ(static_cast<int>(ExitCode::kOk), 0);
  EXPECT_EQ(static_cast<int>(ExitCode::kAppError), 1);
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kUnreachable), 3);
  EXPECT_EQ(static_cast<int>(ExitCode::kNotFound), 4);
  EXPECT_EQ(static_cast<int>(ExitCode::kConflict), 5);
  EXPECT_EQ(static_cast<int>(ExitCode::kRejected), 6);
  EXPECT_EQ(static_cast<int>(ExitCode::kInvalid), 7);
  EXPECT_EQ(static_cast<int>(ExitCode::kTimeout), 124);
  EXPECT_EQ(static_cast<int>(ExitCode::kInternal), 125);
  EXPECT_EQ(static_cast<int>(ExitCode::kInterrupted), 130);
  EXPECT_EQ(static_cast<int>(ExitCode::kKilled), 137);
}

}  // namespace
}  // namespace sock::cli
