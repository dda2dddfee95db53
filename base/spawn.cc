#include "base/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/frame.h"
#include "base/message.h"

namespace sock {
namespace {

/// Everything the child needs, built before the clone: between clone and exec it must not
/// allocate, lock or log, because other threads of the parent may have held the locks.
struct ChildPlan {
  int program = -1;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  const int* fds = nullptr;
  int fd_count = 0;
  int sync = -1;  ///< reads one byte when the parent is ready; then carries an errno back
  bool become_root = false;
};

[[noreturn]] void report(int sync, int error) {
  (void)write_exactly(sync, &error, sizeof error);
  ::_exit(127);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
  char go = 0;
  if (!read_exactly(plan.sync, &go, 1)) ::_exit(127);
  // In a new user namespace we are nobody until we take the mapped id 0; exec by nobody would
  // drop the namespace's capabilities (user_namespaces(7)). Before the parent-death signal, which
  // a change of credentials clears.
  if (plan.become_root &&
      (::syscall(SYS_setgroups, 0, nullptr) < 0 || ::syscall(SYS_setresgid, 0, 0, 0) < 0 ||
       ::syscall(SYS_setresuid, 0, 0, 0) < 0)) {
    report(plan.sync, errno);
  }
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) report(plan.sync, errno);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  // Two passes, so that no target overwrites a source that is still needed.
  const int base = 3 + plan.fd_count + 2;
  const int sync = ::fcntl(plan.sync, F_DUPFD_CLOEXEC, base);
  const int program = ::fcntl(plan.program, F_DUPFD_CLOEXEC, base);
  int parked[kMaxMessageFds];
  for (int i = 0; i < plan.fd_count; ++i) {
    parked[i] = ::fcntl(plan.fds[i], F_DUPFD_CLOEXEC, base);
    if (parked[i] < 0) report(plan.sync, errno);
  }
  for (int i = 0; i < plan.fd_count; ++i) {
    if (::dup2(parked[i], 3 + i) < 0) report(sync, errno);
  }
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, 0) < 0) report(sync, errno);
  // Whatever else is open, marked close-on-exec or not, ends here (close_range(2), Linux 5.11).
  if (::syscall(SYS_close_range, 3 + plan.fd_count, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
    report(sync, errno);
  }
  ::syscall(SYS_execveat, program, "", plan.argv, plan.envp, AT_EMPTY_PATH);
  report(sync, errno);
}

class PidNamespaceGuard {
 public:
  explicit PidNamespaceGuard(int target) {
    if (target < 0) return;
    own_ = Fd(::open("/proc/thread-self/ns/pid", O_RDONLY | O_CLOEXEC));
    ok_ = own_.valid() && ::setns(target, CLONE_NEWPID) == 0;
  }
  ~PidNamespaceGuard() {
    // Going back to the namespace we live in always succeeds (setns(2)).
    if (own_) (void)::setns(own_.get(), CLONE_NEWPID);
  }
  PidNamespaceGuard(const PidNamespaceGuard&) = delete;
  PidNamespaceGuard& operator=(const PidNamespaceGuard&) = delete;
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  Fd own_;
  bool ok_ = true;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<Process> spawn(const SpawnSpec& spec) {
  if (spec.fds.size() > kMaxMessageFds) return fail(Code::kInternal, "spawn", "too many fds");
  auto program = open_fd(AT_FDCWD, spec.program, O_PATH);
  if (!program) return std::unexpected(program.error());
  auto sync = socket_pair(SOCK_STREAM);
  if (!sync) return std::unexpected(sync.error());

  std::vector<std::string> arguments{std::filesystem::path(spec.program).filename().string()};
  arguments.insert(arguments.end(), spec.args.begin(), spec.args.end());
  const auto argv = pointers(arguments);
  const auto envp = pointers(spec.env);
  ChildPlan plan;
  plan.program = program->get();
  plan.argv = argv.data();
  plan.envp = envp.data();
  plan.fds = spec.fds.data();
  plan.fd_count = static_cast<int>(spec.fds.size());
  plan.sync = (*sync)[1].get();
  plan.become_root = (spec.clone_flags & CLONE_NEWUSER) != 0;

  int pidfd = -1;
  clone_args args{};
  args.flags = spec.clone_flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  long pid = 0;
  {
    PidNamespaceGuard guard(spec.pid_namespace);
    if (!guard.ok()) return fail_errno("spawn", "join the pid namespace for " + spec.program);
    pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) run_child(plan);
  }
  if (pid < 0) return fail_errno("clone3", spec.program);
  Process child(Fd(pidfd), static_cast<pid_t>(pid));
  (*sync)[1].reset();
  if (spec.prepare) {
    if (auto prepared = spec.prepare(child.pid()); !prepared) {
      return std::unexpected(prepared.error());
    }
  }
  const char go = 'g';
  if (!write_exactly((*sync)[0].get(), &go, 1)) return fail_errno("spawn", spec.program);
  int error = 0;
  if (read_exactly((*sync)[0].get(), &error, sizeof error)) {
    return fail_errno("exec", spec.program, error);
  }
  return child;
}

Result<std::string> program_folder() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return fail_errno("readlink", "/proc/self/exe", error.value());
  return path.parent_path().string();
}

}  // namespace sock
