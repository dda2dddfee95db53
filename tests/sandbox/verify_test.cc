#include "sandbox/verify.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>
#include <span>
#include <string>

#include "sandbox/seccomp_policy.h"

namespace sock::sandbox {
namespace {

/// What verify_confined() says of a process that has loaded these filters and nothing else.
std::string verdict_on(std::initializer_list<std::span<const sock_filter>> filters) {
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    bool loaded = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    for (const auto filter : filters) loaded = loaded && load_seccomp_filter(filter);
    (void)!::write(pipe[1], &loaded, sizeof loaded);
    for (;;) ::pause();
  }
  bool loaded = false;
  EXPECT_EQ(::read(pipe[0], &loaded, sizeof loaded), static_cast<ssize_t>(sizeof loaded));
  EXPECT_TRUE(loaded);
  const Subject process{pid, -1};
  auto verified = verify_confined(process, {.host_uid = 1, .shell = process, .cgroup = ""});
  ::kill(pid, SIGKILL);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  ::close(pipe[0]);
  ::close(pipe[1]);
  return verified ? "verified" : verified.error().message;
}

TEST(Verify, MissesAPartOfTheSeccompPolicy) {
  auto policy = compile_seccomp_policy();
  ASSERT_TRUE(policy) << policy.error().describe();
  EXPECT_TRUE(verdict_on({}).starts_with("Seccomp is not as it must be"));
  EXPECT_TRUE(verdict_on({policy->inherited}).starts_with("Seccomp_filters is not"));
  EXPECT_TRUE(verdict_on({policy->last}).starts_with("Seccomp_filters is not"));
  // The policy is complete; the next thing this process lacks is another layer's.
  EXPECT_TRUE(verdict_on({policy->inherited, policy->last}).starts_with("Cap"));
  EXPECT_TRUE(verdict_on({policy->inherited, policy->last, policy->last})
                  .starts_with("Seccomp_filters is not"));
}

}  // namespace
}  // namespace sock::sandbox
