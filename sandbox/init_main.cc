// sock-init: holds the sandboxes' user namespace and is pid 1 of every sandbox.
//
// As *keeper* it is pid 1 of the namespaces that all sandboxes nest in: it pivots into the
// prepared root and then clones *shells* on request. A shell is an empty sandbox, pid 1 of fresh
// pid, mount, ipc and uts namespaces inside a leased netns, waiting for a zygote's clone to join.
// It never sees a byte of a call: it attaches the function's directory, gives up every privilege
// and then only waits, reaping orphans, until sockd's end of its socket closes or it is killed.
//
// Nothing here allocates: all shells share the keeper's memory, each on a stack of its own.

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/message.h"
#include "sandbox/confine.h"
#include "sandbox/mount_api.h"
#include "sandbox/resolv_conf.h"
#include "sandbox/wire.h"

namespace sock::sandbox {
namespace {

constexpr int kControl = 3;
constexpr pid_t kFirstPid = 1;  ///< of a shell, in its own pid namespace
constexpr int kMaxFds = 1 + kMostWheelFolders;

struct Request {
  InitMessage message;
  int fds[kMaxFds] = {};
  std::size_t fd_count = 0;
};

/// False at end of file; anything malformed ends the process: its peer is sockd.
bool receive(int socket, Request& request) {
  request = Request{};
  const ssize_t n =
      receive_into(socket, writable_bytes_of(request.message), request.fds, request.fd_count);
  if (n == 0) return false;
  const std::size_t text = request.message.text_length;
  if (text >= sizeof request.message.text || n != static_cast<ssize_t>(sent_size(text))) ::_exit(2);
  request.message.text[text] = '\0';
  return true;
}

void close_fds(const Request& request) {
  for (std::size_t i = 0; i < request.fd_count; ++i) ::close(request.fds[i]);
}

bool reply(int socket, InitReply message, int fd = -1) {
  const std::span<const int> fds(&fd, fd >= 0 ? 1 : 0);
  return send_message(socket, bytes_of(message), fds).has_value();
}

InitReply failed(InitStep step) { return InitReply{step, errno}; }

// ---- shell ----

InitReply mount_scratch(const char* target, InitStep step, const InitMessage& request,
                        unsigned long flags = 0) {
  char options[96];
  std::snprintf(options, sizeof options, "mode=1777,size=%llu,nr_inodes=%llu",
                static_cast<unsigned long long>(request.tmp_bytes),
                static_cast<unsigned long long>(request.tmp_inodes));
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV;
  if (::mount("tmpfs", target, "tmpfs", kFlags | flags, options) < 0) return failed(step);
  return {};
}

InitReply resize(const char* target, InitStep step, const InitMessage& request) {
  return mount_scratch(target, step, request, MS_REMOUNT);
}

InitReply build_shell(const Request& request) {
  if (::setns(request.fds[0], CLONE_NEWNET) < 0) return failed(InitStep::kJoinNetns);
  if (::sethostname(kHostName, sizeof kHostName - 1) < 0) return failed(InitStep::kHostname);
  // subset=pid leaves /proc/PID alone: no kernel knobs, no host figures. hidepid keeps this
  // init out of the handler's sight (proc(5), Linux 5.8).
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "subset=pid,hidepid=invisible") < 0) {
    return failed(InitStep::kShellProc);
  }
  if (const auto tmp = mount_scratch("/tmp", InitStep::kTmp, request.message); tmp.error != 0) {
    return tmp;
  }
  return mount_scratch("/dev/shm", InitStep::kShm, request.message);
}

InitReply attach_folders(const Request& request) {
  if (mount_api::move_mount(request.fds[0], "/var/task") < 0) return failed(InitStep::kAttachTask);
  for (std::size_t i = 1; i < request.fd_count; ++i) {
    char target[] = "/var/wheels/0";
    target[sizeof target - 2] = static_cast<char>('0' + i - 1);
    if (mount_api::move_mount(request.fds[i], target) < 0) return failed(InitStep::kAttachWheels);
  }
  return {};
}

InitReply attach(const Request& request, const InitMessage& built) {
  const InitMessage& message = request.message;
  if (message.type != InitMessageType::kAttach || request.fd_count < 1) {
    return InitReply{InitStep::kProtocol, EPROTO};
  }
  if (const auto attached = attach_folders(request); attached.error != 0) return attached;
  if (message.tmp_bytes != built.tmp_bytes || message.tmp_inodes != built.tmp_inodes) {
    if (const auto tmp = resize("/tmp", InitStep::kTmp, message); tmp.error != 0) return tmp;
    if (const auto shm = resize("/dev/shm", InitStep::kShm, message); shm.error != 0) return shm;
  }
  if (message.text_length == 0) return {};
  const bool attached = attach_resolv_conf({message.text, message.text_length});
  return attached ? InitReply{} : failed(InitStep::kResolvConf);
}

/// After this, not even a bug in the loop below could do harm: no capability, and seccomp's strict
/// mode allows read, write and _exit alone. The identity stays: a change of ids would make the
/// memory, which is the keeper's too, unfit for zygotes to look at (PR_SET_DUMPABLE(2const)), and
/// they could join no shell any more.
InitReply drop_everything() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) < 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return failed(InitStep::kDropPrivileges);
  }
  return {};
}

/// What a shell runs on. Its memory is the keeper's: copying and taking down even so small an
/// address space cost a fifth of a shell (docs/benchmarks.md, "Two ways to clone").
struct Stack {
  pid_t taken = 0;  ///< cleared by the kernel when the shell has ended
  Request request;
  alignas(16) std::array<char, 32 << 10> memory;
};

/// More sandboxes than one machine has had at a time.
constexpr std::size_t kMostShells = 2048;
std::array<Stack, kMostShells> g_stacks;

Stack* free_stack() {
  for (Stack& stack : g_stacks) {
    if (std::atomic_ref(stack.taken).load() == 0) return &stack;
  }
  return nullptr;
}

[[noreturn]] void run_shell(const Request& request) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // The kernel reaps orphans by itself while their parent ignores SIGCHLD (wait(2)).
  ::signal(SIGCHLD, SIG_IGN);
  const int control = request.fds[1];
  InitReply built = build_shell(request);
  ::dup2(control, kControl);
  ::syscall(SYS_close_range, kControl + 1, ~0U, 0);
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, kFirstPid, 0));
  if (self < 0 && built.error == 0) built = failed(InitStep::kOpenPidfd);
  if (!reply(kControl, built, self) || built.error != 0) ::_exit(1);
  ::close(self);

  Request wanted;
  if (!receive(kControl, wanted)) ::_exit(0);
  InitReply attached = attach(wanted, request.message);
  close_fds(wanted);
  if (attached.error == 0) attached = drop_everything();
  if (!reply(kControl, attached) || attached.error != 0) ::_exit(1);
  if (::prctl(PR_SET_SECCOMP, 1 /* strict */, 0, 0, 0) < 0) ::_exit(1);
  char byte = 0;
  while (::read(kControl, &byte, 1) > 0) {
  }
  ::syscall(SYS_exit, 0);
  __builtin_unreachable();
}

// ---- keeper ----

/// The shell answers for itself: one message and one wake-up of sockd less than from here.
void clone_shell(const Request& request) {
  if (request.fd_count != 2) return;
  Stack* const stack = free_stack();
  if (stack == nullptr) {
    reply(request.fds[1], {InitStep::kCloneShell, EAGAIN});
    return;
  }
  stack->taken = 1;
  stack->request = request;
  // The kernel reaps only those by itself that would have sent the SIGCHLD we ignore; any other
  // shell would stay a zombie for as long as the keeper lives. errno is one for all: a shell's
  // failure may at worst be reported with the reason of another that failed in the same moment.
  constexpr int kFlags = CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_NEWPID | CLONE_NEWNS |
                         CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
  const int pid = ::clone([](void* own) -> int { run_shell(static_cast<Stack*>(own)->request); },
                          stack->memory.data() + stack->memory.size(), kFlags, stack, nullptr,
                          nullptr, &stack->taken);
  if (pid >= 0) return;
  const InitReply why = failed(InitStep::kCloneShell);
  stack->taken = 0;
  reply(request.fds[1], why);
}

/// Attaches the mounts and makes them the whole of this process's file system.
class RootBuilder {
 public:
  InitReply attach(const Request& request) {
    if (request.fd_count != 1) return {InitStep::kProtocol, EPROTO};
    const char* target = request.message.text;
    if (!started_) {
      started_ = true;
      if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
        return failed(InitStep::kPrivateMounts);
      }
      // Any existing folder serves as the place to stand on: nothing is left there after the
      // pivot, and this mount namespace is nobody else's.
      if (mount_api::move_mount(request.fds[0], "/tmp") < 0 || ::chdir("/tmp") < 0) {
        return failed(InitStep::kAttachMount);
      }
      return {};
    }
    if (target[0] == '\0' || mount_api::move_mount(request.fds[0], target) < 0) {
      return failed(InitStep::kAttachMount);
    }
    return {};
  }

  InitReply seal() {
    // A full /proc must be visible for the shells to be allowed to mount theirs
    // (mount_too_revealing() in fs/namespace.c).
    if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0) {
      return failed(InitStep::kProc);
    }
    if (mount_api::pivot_root(".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0 || ::chdir("/") < 0) {
      return failed(InitStep::kPivot);
    }
    return {};
  }

 private:
  bool started_ = false;
};

/// Uses up pid 2 of this namespace, which every sandbox's first process has in its own: libraries
/// that notice a fork by a changed getpid(), OpenSSL among them, notice the one that made it from a
/// zygote. The kernel does not give such a low number out again.
void use_up_pid_two() {
  if (::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr) == 0) ::_exit(0);
}

int run_keeper() {
  ::prctl(PR_SET_NAME, "sock-init", 0, 0, 0);
  ::signal(SIGCHLD, SIG_IGN);
  use_up_pid_two();
  ::umask(022);
  // Also what lets zygotes join the shells: setns(2) by pidfd asks for the target's permitted set
  // to be within the caller's (ptrace(2), PTRACE_MODE_READ_REALCREDS).
  if (!prepare_confinement()) return 1;
  RootBuilder root;
  Request request;
  while (receive(kControl, request)) {
    switch (request.message.type) {
      case InitMessageType::kMount: {
        const InitReply attached = root.attach(request);
        if (attached.error != 0) reply(kControl, attached);
        break;
      }
      case InitMessageType::kSeal:
        reply(kControl, root.seal());
        break;
      case InitMessageType::kShell:
        clone_shell(request);
        break;
      case InitMessageType::kAttach:
        reply(kControl, {InitStep::kProtocol, EPROTO});
        break;
    }
    close_fds(request);
  }
  return 0;
}

}  // namespace
}  // namespace sock::sandbox

int main() { return sock::sandbox::run_keeper(); }
