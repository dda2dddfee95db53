#include "base/spawn.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/message.h"
#include "base/process.h"

namespace sock {
namespace {

std::string read_all(int fd) {
  std::string out;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(n));
  }
  return out;
}

/// Runs a shell script with its output on descriptor 3; returns the output and how it ended.
std::pair<std::string, Exit> run(const std::string& script, std::vector<std::string> env = {}) {
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  SpawnSpec spec;
  spec.program = "/bin/sh";
  spec.args = {"-c", script};
  spec.env = std::move(env);
  spec.fds = {pipe[1]};
  auto process = spawn(spec);
  ::close(pipe[1]);
  EXPECT_TRUE(process) << process.error().describe();
  std::string output = read_all(pipe[0]);
  ::close(pipe[0]);
  std::optional<Exit> exit;
  while (!exit) exit = process->try_reap();
  return {output, *exit};
}

TEST(Spawn, GivesOnlyTheNamedDescriptorsAndEnvironment) {
  ::setenv("SOCK_TEST_SECRET", "hunter2", 1);
  const int leaked = ::dup(STDERR_FILENO);  // not close-on-exec
  const auto [output, exit] = run("env >&3; ls /proc/self/fd | tr '\\n' ' ' >&3", {"A=1"});
  ::close(leaked);
  EXPECT_FALSE(exit.signalled);
  EXPECT_EQ(exit.status, 0);
  EXPECT_NE(output.find("A=1\n"), std::string::npos);
  EXPECT_EQ(output.find("hunter2"), std::string::npos);
  // 4 is the folder that ls itself reads.
  EXPECT_NE(output.find("0 1 2 3 4 "), std::string::npos) << output;
}

TEST(Spawn, ReportsExitStatusAndSignal) {
  EXPECT_EQ(run("exit 7").second.status, 7);
  const Exit killed = run("kill -9 $$").second;
  EXPECT_TRUE(killed.signalled);
  EXPECT_EQ(killed.status, SIGKILL);
}

TEST(Spawn, ReportsAProgramThatIsNotThereOrNoProgram) {
  SpawnSpec spec;
  spec.program = "/nonexistent/program";
  auto missing = spawn(spec);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().sys_errno, ENOENT);
  spec.program = "/etc/passwd";
  auto no_program = spawn(spec);
  ASSERT_FALSE(no_program);
  EXPECT_EQ(no_program.error().sys_errno, EACCES);
}

TEST(Spawn, AnErrorWhilePreparingKillsTheChild) {
  pid_t pid = -1;
  SpawnSpec spec;
  spec.program = "/bin/sh";
  spec.args = {"-c", "exit 0"};
  spec.prepare = [&pid](pid_t child) -> Result<> {
    pid = child;
    return fail(Code::kInternal, "test", "no");
  };
  EXPECT_FALSE(spawn(spec));
  ASSERT_GT(pid, 0);
  EXPECT_EQ(::kill(pid, 0), -1) << "the child is still there";
}

TEST(Process, DestructionKillsAndReaps) {
  SpawnSpec spec;
  spec.program = "/bin/sh";
  spec.args = {"-c", "trap '' TERM; while :; do sleep 60; done"};
  pid_t pid = -1;
  {
    auto process = spawn(spec);
    ASSERT_TRUE(process);
    pid = process->pid();
    EXPECT_FALSE(process->try_reap());
    EXPECT_EQ(pid_of(process->pidfd()).value_or(-1), pid);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

}  // namespace
}  // namespace sock
