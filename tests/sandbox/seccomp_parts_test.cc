// The two parts of the policy against the policy as one filter, verdict by verdict: the programs
// are run here as the kernel runs them.

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "sandbox/seccomp_policy.h"

namespace sock::sandbox {
namespace {

using Program = std::vector<sock_filter>;

/// One verdict of classic BPF, as far as seccomp allows it (seccomp_check_filter()).
std::uint32_t run(const Program& program, const seccomp_data& data) {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory{};
  for (std::size_t at = 0;; ++at) {
    const sock_filter& it = program.at(at);
    const std::uint32_t operand = (it.code & BPF_X) != 0 ? x : it.k;
    const auto jump = [&](bool taken) { at += taken ? it.jt : it.jf; };
    switch (it.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + it.k, sizeof a);
        break;
      case BPF_LD | BPF_MEM:
        a = memory.at(it.k);
        break;
      case BPF_ST:
        memory.at(it.k) = a;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= it.k;
        break;
      case BPF_JMP | BPF_JA:
        at += it.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JEQ | BPF_X:
        jump(a == operand);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_X:
        jump(a > operand);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_X:
        jump(a >= operand);
        break;
      case BPF_RET | BPF_K:
        return it.k;
      default:
        throw std::runtime_error("an instruction this test does not know: " +
                                 std::to_string(it.code));
    }
  }
}

/// What the kernel does with the verdicts of two filters (seccomp_run_filters()): the lower action
/// wins, read as a signed number.
std::uint32_t stricter(std::uint32_t first, std::uint32_t second) {
  const auto action = [](std::uint32_t verdict) {
    return static_cast<std::int32_t>(verdict & SECCOMP_RET_ACTION_FULL);
  };
  return action(second) < action(first) ? second : first;
}

class SeccompParts : public testing::Test {
 protected:
  void SetUp() override {
    auto policy = compile_seccomp_policy();
    ASSERT_TRUE(policy) << policy.error().describe();
    parts_ = std::move(*policy);
    auto whole = compile_whole_seccomp_policy();
    ASSERT_TRUE(whole) << whole.error().describe();
    whole_ = std::move(*whole);
  }

  void compare(std::uint32_t arch, int number, std::uint64_t first) {
    seccomp_data data{};
    data.nr = number;
    data.arch = arch;
    data.args[0] = first;
    const auto expected = run(whole_, data);
    const auto inherited = run(parts_.inherited, data);
    EXPECT_EQ(stricter(run(parts_.last, data), inherited), expected)
        << "call " << number << " of architecture " << std::hex << arch << " with " << first;
    if (expected == SECCOMP_RET_ALLOW) {
      ++allowed_;
    } else {
      ++refused_;
    }
    passed_by_zygotes_ += inherited == SECCOMP_RET_ALLOW && expected != SECCOMP_RET_ALLOW ? 1 : 0;
  }

  SeccompPolicy parts_;
  Program whole_;
  int allowed_ = 0;
  int refused_ = 0;
  int passed_by_zygotes_ = 0;
};

constexpr int kNumbers = 1024;  // the kernel's own end below 500
constexpr int kX32 = 0x40000000;

TEST_F(SeccompParts, AddUpForEveryCall) {
  for (int number = -1; number < kNumbers; ++number) compare(AUDIT_ARCH_X86_64, number, 0);
  EXPECT_GT(allowed_, 200);
  EXPECT_GT(refused_, 500);
  EXPECT_EQ(passed_by_zygotes_, 3) << "setns, unshare and clone3";
}

TEST_F(SeccompParts, AddUpForEveryArgumentWithARule) {
  std::vector<std::uint64_t> values{0, ~0ULL, 0xffffffff, 0x100000000};
  for (std::uint64_t value = 0; value < 256; ++value) {
    for (const std::uint64_t high : {0ULL, 1ULL << 32, 1ULL << 40, 1ULL << 63}) {
      values.push_back(value | high);
    }
  }
  for (int bit = 0; bit < 64; ++bit) {
    values.push_back(1ULL << bit);
    values.push_back(1ULL << bit | CLONE_VM | CLONE_NEWUSER);
    values.push_back(~(1ULL << bit));
  }
  for (const int number : {SYS_clone, SYS_socket, SYS_socketpair, SYS_personality, SYS_unshare,
                           SYS_setns, SYS_clone3, SYS_prctl, SYS_ioctl}) {
    for (const auto value : values) compare(AUDIT_ARCH_X86_64, number, value);
  }
  EXPECT_GT(allowed_, 1000);
  EXPECT_GT(refused_, 1000);
}

TEST_F(SeccompParts, BothKillForeignEntries) {
  for (int number = -1; number < kNumbers; ++number) {
    seccomp_data data{};
    data.nr = number;
    data.arch = AUDIT_ARCH_I386;
    EXPECT_EQ(run(parts_.inherited, data), SECCOMP_RET_KILL_PROCESS) << number;
    EXPECT_EQ(run(parts_.last, data), SECCOMP_RET_KILL_PROCESS) << number;
    if (number < 0) continue;
    data.arch = AUDIT_ARCH_X86_64;
    data.nr = kX32 + number;
    EXPECT_EQ(run(parts_.inherited, data), SECCOMP_RET_KILL_PROCESS) << "x32 " << number;
    EXPECT_EQ(run(parts_.last, data), SECCOMP_RET_KILL_PROCESS) << "x32 " << number;
  }
}

}  // namespace
}  // namespace sock::sandbox
