// clone_strategies: what a confined clone of a big process costs, by three ways of making it.
//
//   namespaces  The zygote clones straight into fresh pid, mount, ipc, uts and cgroup namespaces;
//               the clone joins a pooled netns and mounts /proc, /tmp and /dev/shm itself.
//   shell       A builder prepares the namespaces and mounts ahead of demand, held by a tiny init;
//               the zygote clones into its pid namespace and the clone joins the rest with one
//               setns(2). The init is killed after the call.
//   shell-vm    The same, but the init shares the builder's memory (CLONE_VM) on its own stack.
//
// In all three the clone then gives up capabilities and identity, sets no_new_privs, reports ready
// and exits. Cgroups, seccomp and the interpreter are left out: they cost the same either way.
//
// Every process lives below a keeper, pid 1 of a pid namespace that dies with this program, so a
// crash leaves nothing behind. Must run as root, single-threaded.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/message.h"
#include "base/process.h"

namespace sock::bench {
namespace {

constexpr int kWaitMs = 10'000;  ///< of any single wait
constexpr std::size_t kStackBytes = 64 << 10;
constexpr std::uint32_t kInFlight = 4;
/// Shells being prepared, in use and dying each stay within kInFlight, give or take one.
constexpr std::uint32_t kStacks = 16;
constexpr unsigned kSandboxId = 1000;
constexpr unsigned kHostIdBase = 100'000;

volatile std::sig_atomic_t g_stop = 0;

enum class Kind : std::uint32_t { kNamespaces, kShell, kShellVm };
constexpr std::array<Kind, 3> kKinds{Kind::kNamespaces, Kind::kShell, Kind::kShellVm};
constexpr const char* name_of(Kind kind) {
  constexpr std::array<const char*, 3> kNames{"namespaces", "shell", "shell-vm"};
  return kNames[static_cast<std::size_t>(kind)];
}

/// To a zygote or the builder. Descriptors: a zygote gets {netns or shell's pidfd, ready socket},
/// the builder {netns, ready socket}.
struct Request {
  Kind kind = Kind::kNamespaces;
  std::uint32_t stack = 0;  ///< of a shell-vm init; the caller knows which are free
  std::uint32_t hold = 0;   ///< the clone waits for end of file before it exits
};

/// From everything that was asked to do something; error 0 is success.
struct Report {
  char step[28] = {};
  int error = 0;
};

Report failed(const char* step) {
  Report report;
  report.error = errno;
  std::snprintf(report.step, sizeof report.step, "%s", step);
  return report;
}

// ---- code of the cloned processes: system calls only, nothing is allocated ----

long clone_process(std::uint64_t flags, int& pidfd) {
  clone_args args{};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  // With CLONE_PARENT the kernel takes the zygote's own exit signal and insists on 0 here.
  args.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  return ::syscall(SYS_clone3, &args, sizeof args);
}

[[noreturn]] void finish(int socket, const Report& report) {
  ::send(socket, &report, sizeof report, MSG_NOSIGNAL);
  ::_exit(report.error == 0 ? 0 : 1);
}

/// What a clone needs until it is confined; the zygote and the builder hold nothing else, which
/// also lets the one join the other's shells (PTRACE_MODE_READ of setns(2) compares the sets).
constexpr std::array<unsigned long, 5> kNeeded{CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_SETUID,
                                               CAP_SETGID, CAP_SETPCAP};

bool set_capabilities(std::uint32_t word) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{word, word, 0}, {0, 0, 0}};
  return ::syscall(SYS_capset, &header, data) == 0;
}

bool reduce_capabilities() {
  std::uint32_t word = 0;
  for (const auto needed : kNeeded) word |= 1U << needed;
  for (unsigned long value = 0; ::prctl(PR_CAPBSET_READ, value, 0, 0, 0) >= 0; ++value) {
    const bool keep = value < 32 && (word >> value & 1U) != 0;
    if (!keep && ::prctl(PR_CAPBSET_DROP, value, 0, 0, 0) < 0) return false;
  }
  return set_capabilities(word);
}

Report mount_private() {
  constexpr unsigned long kScratch = MS_NOSUID | MS_NODEV;
  if (::mount("proc", "/proc", "proc", kScratch | MS_NOEXEC, "subset=pid,hidepid=invisible") < 0) {
    return failed("mount /proc");
  }
  for (const char* target : {"/tmp", "/dev/shm"}) {
    if (::mount("tmpfs", target, "tmpfs", kScratch, "mode=1777,size=64m,nr_inodes=16384") < 0) {
      return failed("mount tmpfs");
    }
  }
  return {};
}

Report drop_privileges() {
  for (const auto value : kNeeded) {
    if (::prctl(PR_CAPBSET_DROP, value, 0, 0, 0) < 0) return failed("bounding set");
  }
  if (::syscall(SYS_setgroups, 0, nullptr) < 0 ||
      ::syscall(SYS_setresgid, kSandboxId, kSandboxId, kSandboxId) < 0 ||
      ::syscall(SYS_setresuid, kSandboxId, kSandboxId, kSandboxId) < 0) {
    return failed("identity");
  }
  if (!set_capabilities(0)) return failed("capset");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failed("no_new_privs");
  return {};
}

Report confine_clone(Kind kind, int namespaces) {
  if (kind == Kind::kNamespaces) {
    if (::setns(namespaces, CLONE_NEWNET) < 0) return failed("setns netns");
    if (const Report mounted = mount_private(); mounted.error != 0) return mounted;
  } else {
    if (::setns(namespaces, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0) {
      return failed("setns shell");
    }
    if (::unshare(CLONE_NEWCGROUP) < 0) return failed("unshare cgroup");
  }
  return drop_privileges();
}

[[noreturn]] void run_clone(const Request& request, int namespaces, int ready) {
  const Report report = confine_clone(request.kind, namespaces);
  if (request.hold != 0 && report.error == 0) {
    ::send(ready, &report, sizeof report, MSG_NOSIGNAL);
    char byte = 0;
    (void)!::read(ready, &byte, 1);
    ::_exit(0);
  }
  finish(ready, report);
}

struct ShellArguments {
  int netns;
  int ready;
};

/// The tiny init. With CLONE_VM it shares errno with the builder, which only a failure writes, and
/// a failure ends the benchmark.
int run_shell(void* argument) {
  const auto arguments = *static_cast<const ShellArguments*>(argument);
  if (::setns(arguments.netns, CLONE_NEWNET) < 0) finish(arguments.ready, failed("setns netns"));
  const Report mounted = mount_private();
  if (mounted.error != 0) finish(arguments.ready, mounted);
  ::send(arguments.ready, &mounted, sizeof mounted, MSG_NOSIGNAL);
  for (;;) ::pause();
}

/// Serves one socket until it closes: `serve` clones and returns the pid, or -1 and the report.
template <class Serve>
[[noreturn]] void serve_forever(int control, Serve serve) {
  for (;;) {
    Request request;
    std::array<int, 2> fds{-1, -1};
    std::size_t fd_count = 0;
    const ssize_t n = receive_into(control, writable_bytes_of(request), fds, fd_count);
    if (n != sizeof request || fd_count != fds.size()) ::_exit(0);
    int pidfd = -1;
    const Report report = serve(request, fds, pidfd);
    const std::span<const int> sent(&pidfd, report.error == 0 ? 1 : 0);
    if (!send_message(control, bytes_of(report), sent)) ::_exit(1);
    if (pidfd >= 0) ::close(pidfd);
    for (const int fd : fds) ::close(fd);
  }
}

[[noreturn]] void run_zygote(int control) {
  serve_forever(control, [](const Request& request, const std::array<int, 2>& fds, int& pidfd) {
    std::uint64_t flags = CLONE_PARENT;
    if (request.kind == Kind::kNamespaces) {
      flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    } else if (::setns(fds[0], CLONE_NEWPID) < 0) {
      return failed("setns pid namespace");
    }
    const long pid = clone_process(flags, pidfd);
    if (pid == 0) run_clone(request, fds[0], fds[1]);
    return pid < 0 ? failed("clone3") : Report{};
  });
}

[[noreturn]] void run_builder(int control, char* stacks) {
  // A shared-memory init reads its arguments after the builder has moved on to the next request.
  static std::array<ShellArguments, kStacks> arguments;
  serve_forever(control, [=](const Request& request, const std::array<int, 2>& fds, int& pidfd) {
    const std::uint32_t stack = request.stack % kStacks;
    arguments[stack] = {fds[0], fds[1]};
    constexpr std::uint64_t kFlags =
        CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PARENT;
    long pid = 0;
    if (request.kind == Kind::kShellVm) {
      char* top = stacks + (stack + 1) * kStackBytes;
      pid = ::clone(run_shell, top, static_cast<int>(kFlags | CLONE_PIDFD | CLONE_VM),
                    &arguments[stack], &pidfd);
    } else {
      pid = clone_process(kFlags, pidfd);
      if (pid == 0) run_shell(&arguments[stack]);
    }
    return pid < 0 ? failed("clone shell") : Report{};
  });
}

/// tmpfs root with /usr and /etc bound read-only, /dev and /proc.
Report enter_small_root() {
  constexpr unsigned long kReadOnly = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return failed("private");
  // Any folder serves as the place to stand on: this mount namespace is nobody else's.
  if (::mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755,size=1m") < 0 || ::chdir("/tmp") < 0) {
    return failed("mount root");
  }
  for (const char* folder : {"usr", "etc", "dev", "proc", "tmp"}) {
    if (::mkdir(folder, 0755) < 0) return failed("mkdir");
  }
  if (::mount("/usr", "usr", nullptr, MS_BIND | MS_REC, nullptr) < 0 ||
      ::mount("/etc", "etc", nullptr, MS_BIND | MS_REC, nullptr) < 0 ||
      ::mount(nullptr, "usr", nullptr, kReadOnly, nullptr) < 0 ||
      ::mount(nullptr, "etc", nullptr, kReadOnly, nullptr) < 0) {
    return failed("bind");
  }
  if (::mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0 ||
      ::mkdir("dev/shm", 0755) < 0) {
    return failed("mount /dev");
  }
  if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0) {
    return failed("mount /proc");
  }
  if (::syscall(SYS_pivot_root, ".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0 ||
      ::chdir("/") < 0) {
    return failed("pivot_root");
  }
  return {};
}

/// Holds the namespaces. The netns it is born with becomes the pooled one: only a process inside
/// the user namespace can create a netns that the clones may join.
[[noreturn]] void run_keeper(int control) {
  ::setsid();
  char go = 0;
  if (::read(control, &go, 1) != 1) ::_exit(1);
  const int netns = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  Report report = netns < 0 ? failed("open netns") : Report{};
  // Until now its ids are the host's root, which the user namespace does not map.
  if (report.error == 0 &&
      (::syscall(SYS_setresgid, 0, 0, 0) < 0 || ::syscall(SYS_setresuid, 0, 0, 0) < 0)) {
    report = failed("identity");
  }
  if (report.error == 0 && ::unshare(CLONE_NEWNET) < 0) report = failed("unshare netns");
  if (report.error == 0) report = enter_small_root();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (!send_message(control, bytes_of(report), std::span<const int>(&netns, netns < 0 ? 0 : 1))) {
    ::_exit(1);
  }
  ::close(netns);
  while (::read(control, &go, 1) > 0) {
  }
  ::_exit(0);
}

// ---- parent side ----

Result<> check(const Report& report, const std::string& who) {
  if (report.error == 0) return {};
  return fail_errno(std::string(report.step, ::strnlen(report.step, sizeof report.step)), who,
                    report.error);
}

Result<std::array<Fd, 2>> sockets_with_deadline() {
  auto pair = socket_pair(SOCK_SEQPACKET);
  if (!pair) return pair;
  const timeval limit{kWaitMs / 1000, 0};
  if (::setsockopt((*pair)[0].get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) {
    return fail_errno("setsockopt", "SO_RCVTIMEO");
  }
  return pair;
}

/// A report and the descriptor that came with it, if any.
Result<Fd> receive_report(const Fd& socket, const std::string& who) {
  Report report;
  auto received = receive_message(socket.get(), writable_bytes_of(report));
  if (!received) return std::unexpected(received.error());
  if (received->size != sizeof report) return fail(Code::kKilled, "report", who + " is gone");
  if (auto ok = check(report, who); !ok) return std::unexpected(ok.error());
  return received->fds.empty() ? Fd() : std::move(received->fds[0]);
}

Result<> reap_in_time(Process& process, const std::string& who) {
  pollfd waiter{process.pidfd(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&waiter, 1, kWaitMs);
  } while (ready < 0 && errno == EINTR);
  if (ready != 1 || !process.try_reap()) return fail(Code::kTimeout, "reap", who);
  return {};
}

/// A zygote or the builder: one request, one pidfd back, in order.
class Server {
 public:
  [[nodiscard]] Result<> send(const Request& request, int first, int second) const {
    return send_message(socket_.get(), bytes_of(request), std::array<int, 2>{first, second});
  }

  /// The process that the oldest unanswered request made; it is our child.
  [[nodiscard]] Result<Process> receive() const {
    auto pidfd = receive_report(socket_, "clone server");
    if (!pidfd) return std::unexpected(pidfd.error());
    return Process(std::move(*pidfd), 0);
  }

  [[nodiscard]] double cpu_us() const {
    clockid_t clock = 0;
    timespec used{};
    if (::clock_getcpuclockid(process_.pid(), &clock) != 0) return 0;
    if (::clock_gettime(clock, &used) < 0) return 0;
    return static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3;
  }

 private:
  friend class Keeper;
  Process process_;
  Fd socket_;
};

/// The namespaces everything lives in. Must outlive the servers and their clones.
class Keeper {
 public:
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Kills everything below it. A pid namespace ends only when all of its processes have been
  /// reaped (pid_namespaces(7)), and after an error some are our children without anybody holding
  /// their pidfd: so reap whatever there is.
  ~Keeper() {
    process_.signal(SIGKILL);
    while (::waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
    }
    (void)process_.release();
  }

  static Result<std::unique_ptr<Keeper>> start() {
    auto keeper = std::unique_ptr<Keeper>(new Keeper);
    auto pair = sockets_with_deadline();
    if (!pair) return std::unexpected(pair.error());
    int pidfd = -1;
    const long pid = clone_process(
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
        pidfd);
    if (pid == 0) {
      (*pair)[0].reset();
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      run_keeper((*pair)[1].get());
    }
    if (pid < 0) return fail_errno("clone3", "keeper");
    keeper->process_ = Process(Fd(pidfd), static_cast<pid_t>(pid));
    keeper->socket_ = std::move((*pair)[0]);
    const std::string map = "0 " + std::to_string(kHostIdBase) + " 65536";
    for (const char* file : {"/uid_map", "/gid_map"}) {
      auto written = write_control(AT_FDCWD, "/proc/" + std::to_string(pid) + file, map);
      if (!written) return std::unexpected(written.error());
    }
    if (::send(keeper->socket_.get(), "g", 1, MSG_NOSIGNAL) != 1) return fail_errno("send", "go");
    auto netns = receive_report(keeper->socket_, "keeper");
    if (!netns) return std::unexpected(netns.error());
    keeper->netns_ = std::move(*netns);
    // A clone made with CLONE_PARENT must not come from pid 1, so the servers are our children,
    // born in the keeper's pid namespace.
    if (::setns(pidfd, CLONE_NEWPID) < 0) return fail_errno("setns", "keeper's pid namespace");
    return keeper;
  }

  [[nodiscard]] int netns() const { return netns_.get(); }

  /// Starts a process in the keeper's namespaces, with the memory that `run` sees prepared here.
  Result<Server> serve(std::size_t heap_bytes, const std::function<void(int)>& run) const {
    auto pair = sockets_with_deadline();
    if (!pair) return std::unexpected(pair.error());
    int pidfd = -1;
    const long pid = clone_process(0, pidfd);
    if (pid == 0) {
      (*pair)[0].reset();
      const int control = (*pair)[1].get();
      const Report report = become_server(heap_bytes);
      ::send(control, &report, sizeof report, MSG_NOSIGNAL);
      if (report.error == 0) run(control);
      ::_exit(1);
    }
    if (pid < 0) return fail_errno("clone3", "server");
    Server server;
    server.process_ = Process(Fd(pidfd), static_cast<pid_t>(pid));
    server.socket_ = std::move((*pair)[0]);
    auto ready = receive_report(server.socket_, "server");
    if (!ready) return std::unexpected(ready.error());
    return server;
  }

 private:
  Keeper() = default;

  [[nodiscard]] Report become_server(std::size_t heap_bytes) const {
    ::setsid();
    constexpr int kAll = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    if (::setns(process_.pidfd(), kAll) < 0) return failed("setns keeper");
    if (::syscall(SYS_setgroups, 0, nullptr) < 0 || ::syscall(SYS_setresgid, 0, 0, 0) < 0 ||
        ::syscall(SYS_setresuid, 0, 0, 0) < 0) {
      return failed("identity");
    }
    if (!reduce_capabilities()) return failed("capabilities");
    // After the ids, which clear it, and dumpable again: setns(2) by pidfd asks for it.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (heap_bytes == 0) return {};
    void* heap =
        ::mmap(nullptr, heap_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (heap == MAP_FAILED) return failed("mmap heap");
    // An interpreter's heap is made of small pages; huge ones would hide the page tables' cost.
    ::madvise(heap, heap_bytes, MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < heap_bytes; at += 4096) {
      static_cast<volatile char*>(heap)[at] = 1;
    }
    return {};
  }

  Process process_;
  Fd socket_;
  Fd netns_;
};

/// A prepared init, or the promise of one while `init` is not valid.
struct Shell {
  Process init;
  Fd ready;
  std::uint32_t stack = 0;
};

struct Call {
  Fd ready;
  Shell shell;
  Clock::time_point started;
};

/// One strategy against one zygote. Not thread safe.
class Driver {
 public:
  Driver(const Keeper& keeper, const Server& zygote, const Server& builder, Kind kind)
      : keeper_(keeper), zygote_(zygote), builder_(builder), kind_(kind) {
    for (std::uint32_t i = 0; i < kStacks; ++i) free_stacks_.push_back(i);
  }

  [[nodiscard]] bool uses_shells() const { return kind_ != Kind::kNamespaces; }

  /// Asks for a shell without waiting.
  Result<> order_shell() {
    if (!uses_shells()) return {};
    auto pair = sockets_with_deadline();
    if (!pair) return std::unexpected(pair.error());
    Shell shell{{}, std::move((*pair)[0]), free_stacks_.front()};
    free_stacks_.pop_front();
    const Request request{kind_, shell.stack, 0};
    auto sent = builder_.send(request, keeper_.netns(), (*pair)[1].get());
    ordered_.push_back(std::move(shell));
    return sent;
  }

  /// Waits for the oldest ordered shell.
  Result<> await_shell() {
    if (!uses_shells()) return {};
    Shell shell = std::move(ordered_.front());
    ordered_.pop_front();
    auto init = builder_.receive();
    if (!init) return std::unexpected(init.error());
    shell.init = std::move(*init);
    if (auto ready = receive_report(shell.ready, "shell"); !ready) {
      return std::unexpected(ready.error());
    }
    shells_.push_back(std::move(shell));
    return {};
  }

  /// Sends a request for a clone; shells must be there.
  Result<Call> start(bool hold = false) {
    Call call;
    call.started = Clock::now();
    auto pair = sockets_with_deadline();
    if (!pair) return std::unexpected(pair.error());
    if (uses_shells()) {
      call.shell = std::move(shells_.front());
      shells_.pop_front();
    }
    const int namespaces = uses_shells() ? call.shell.init.pidfd() : keeper_.netns();
    call.ready = std::move((*pair)[0]);
    auto sent = zygote_.send({kind_, 0, hold ? 1U : 0U}, namespaces, (*pair)[1].get());
    if (!sent) return std::unexpected(sent.error());
    return call;
  }

  /// Waits until the clone is confined; returns the time since start() in microseconds.
  Result<double> await_ready(Call& call) {
    auto ready = receive_report(call.ready, "clone");
    if (!ready) {
      // The zygote knows better why there is no clone.
      auto clone = zygote_.receive();
      return std::unexpected(clone ? ready.error() : clone.error());
    }
    return std::chrono::duration<double, std::micro>(Clock::now() - call.started).count();
  }

  Result<Process> await_clone() { return zygote_.receive(); }

  /// Reaps the clone and kills its shell, leaving at most `dying` shells to be reaped later.
  Result<> end(Call call, Process clone, std::size_t dying) {
    if (auto reaped = reap_in_time(clone, "clone"); !reaped) return reaped;
    if (!uses_shells()) return {};
    call.shell.init.signal(SIGKILL);
    dying_.push_back(std::move(call.shell));
    return reap_shells(dying);
  }

  Result<> reap_shells(std::size_t leave) {
    while (dying_.size() > leave) {
      if (auto reaped = reap_in_time(dying_.front().init, "shell"); !reaped) return reaped;
      free_stacks_.push_back(dying_.front().stack);
      dying_.pop_front();
    }
    return {};
  }

  /// Ends all shells not in use, ordered ones included.
  Result<> drain() {
    while (!ordered_.empty()) {
      if (auto done = await_shell(); !done) return done;
    }
    for (auto& shell : shells_) {
      shell.init.signal(SIGKILL);
      dying_.push_back(std::move(shell));
    }
    shells_.clear();
    return reap_shells(0);
  }

  /// CPU time of this process, all reaped clones and inits, the zygote and the builder.
  [[nodiscard]] double own_cpu_us() const {
    double sum = zygote_.cpu_us() + builder_.cpu_us();
    for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage usage{};
      ::getrusage(who, &usage);
      for (const auto& time : {usage.ru_utime, usage.ru_stime}) {
        sum += static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
      }
    }
    return sum;
  }

 private:
  const Keeper& keeper_;
  const Server& zygote_;
  const Server& builder_;
  Kind kind_;
  std::deque<std::uint32_t> free_stacks_;
  std::deque<Shell> ordered_;
  std::deque<Shell> shells_;
  std::deque<Shell> dying_;
};

/// Busy time of all processors (proc_stat(5)); one tick, 10 ms, is its resolution.
double machine_cpu_us() {
  const auto text = read_file(AT_FDCWD, "/proc/stat");
  if (!text) return 0;
  std::istringstream in(*text);
  std::string label;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  in >> label >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  return (user + nice + system + irq + softirq) * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// Looks at a held clone from outside: is it what the figures claim?
Result<> verify(Driver& driver) {
  auto step = driver.order_shell();
  if (step) step = driver.await_shell();
  if (!step) return step;
  auto call = driver.start(true);
  if (!call) return std::unexpected(call.error());
  if (auto ready = driver.await_ready(*call); !ready) return std::unexpected(ready.error());
  auto clone = driver.await_clone();
  if (!clone) return std::unexpected(clone.error());
  auto pid = pid_of(clone->pidfd());
  if (!pid) return std::unexpected(pid.error());
  const std::string folder = "/proc/" + std::to_string(*pid);
  auto status = read_file(AT_FDCWD, folder + "/status");
  if (!status) return std::unexpected(status.error());
  const std::string uid = "\nUid:\t" + std::to_string(kHostIdBase + kSandboxId) + "\t";
  constexpr const char* kNone = ":\t0000000000000000\n";
  for (const std::string& want :
       {uid, std::string("\nNoNewPrivs:\t1\n"), "\nCapPrm" + std::string(kNone),
        "\nCapEff" + std::string(kNone), "\nCapBnd" + std::string(kNone)}) {
    if (status->find(want) == std::string::npos) {
      return fail(Code::kInternal, "verify", "the clone's status lacks" + want);
    }
  }
  for (const char* name : {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    struct stat theirs {};
    struct stat ours {};
    const std::string file = std::string("/ns/") + name;
    if (::stat((folder + file).c_str(), &theirs) < 0 ||
        ::stat(("/proc/self" + file).c_str(), &ours) < 0 || theirs.st_ino == ours.st_ino) {
      return fail(Code::kInternal, "verify",
                  std::string("the clone shares our namespace: ") + name);
    }
  }
  call->ready.reset();
  if (auto ended = driver.end(std::move(*call), std::move(*clone), 0); !ended) return ended;
  return driver.drain();
}

struct Figures {
  double p50_us = 0;  ///< request → ready
  double p90_us = 0;
  double p99_us = 0;
  double wall_us = 0;         ///< p50 of a whole serial call: prepare, clone, exit, teardown
  double machine_cpu_us = 0;  ///< per serial call, all processors, idle baseline taken off
  double own_cpu_us = 0;      ///< per serial call, getrusage of all processes involved
  double calls_per_s = 0;     ///< kInFlight at a time
  double flight_cpu_us = 0;   ///< machine_cpu_us at that load
  double others_percent = 0;  ///< of all processors, busy before or after the round
};

struct Column {
  double Figures::*member;
  const char* key;
  const char* title;
};
constexpr std::array<Column, 9> kColumns{
    {{&Figures::p50_us, "ready_p50_us", "p50"},
     {&Figures::p90_us, "ready_p90_us", "p90"},
     {&Figures::p99_us, "ready_p99_us", "p99"},
     {&Figures::wall_us, "serial_wall_us", "wall"},
     {&Figures::machine_cpu_us, "machine_cpu_us", "cpu"},
     {&Figures::own_cpu_us, "own_cpu_us", "rusage"},
     {&Figures::calls_per_s, "calls_per_s_inflight", "calls/s"},
     {&Figures::flight_cpu_us, "machine_cpu_us_inflight", "cpu@4"},
     {&Figures::others_percent, "others_percent", "others%"}}};

double percentile(std::vector<double>& values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = std::ceil(fraction * static_cast<double>(values.size()));
  return values[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

/// One call after the other until `end`.
Result<> run_serial(Driver& driver, Clock::time_point end, std::vector<double>& latencies,
                    std::vector<double>& walls) {
  auto step = driver.order_shell();
  if (step) step = driver.await_shell();
  if (!step) return step;
  auto begun = Clock::now();
  while (begun < end && g_stop == 0) {
    auto call = driver.start();
    if (!call) return std::unexpected(call.error());
    auto latency = driver.await_ready(*call);
    if (!latency) return std::unexpected(latency.error());
    auto clone = driver.await_clone();
    if (!clone) return std::unexpected(clone.error());
    step = driver.end(std::move(*call), std::move(*clone), 0);
    if (step) step = driver.order_shell();
    if (step) step = driver.await_shell();
    if (!step) return step;
    const auto now = Clock::now();
    latencies.push_back(*latency);
    walls.push_back(std::chrono::duration<double, std::micro>(now - begun).count());
    begun = now;
  }
  return {};
}

/// kInFlight calls at a time until `end`; shells are ordered as many ahead. Returns the calls done.
Result<double> run_in_flight(Driver& driver, Clock::time_point end) {
  std::deque<Call> flight;
  double done = 0;
  for (std::uint32_t i = 0; i < kInFlight; ++i) {
    if (auto ordered = driver.order_shell(); !ordered) return std::unexpected(ordered.error());
  }
  bool more = true;
  while (more || !flight.empty()) {
    more = Clock::now() < end && g_stop == 0;
    while (more && flight.size() < kInFlight) {
      auto step = driver.await_shell();
      if (!step) return std::unexpected(step.error());
      auto call = driver.start();
      if (!call) return std::unexpected(call.error());
      flight.push_back(std::move(*call));
      if (step = driver.order_shell(); !step) return std::unexpected(step.error());
    }
    if (flight.empty()) break;
    Call call = std::move(flight.front());
    flight.pop_front();
    auto clone = driver.await_clone();
    if (!clone) return std::unexpected(clone.error());
    if (auto ready = receive_report(call.ready, "clone"); !ready) {
      return std::unexpected(ready.error());
    }
    auto step = driver.end(std::move(call), std::move(*clone), kInFlight);
    if (!step) return std::unexpected(step.error());
    done += 1;
  }
  return done;
}

double others_cpu_us(Millis window) {
  const double cpu = machine_cpu_us();
  std::this_thread::sleep_for(window);
  return machine_cpu_us() - cpu;
}

Result<Figures> run_round(Driver& driver, Millis window) {
  Figures figures;
  const double idle = others_cpu_us(window);

  std::vector<double> latencies, walls;
  auto cpu = machine_cpu_us();
  auto own = driver.own_cpu_us();
  auto step = run_serial(driver, Clock::now() + window, latencies, walls);
  if (!step) return std::unexpected(step.error());
  const auto calls = static_cast<double>(std::max<std::size_t>(walls.size(), 1));
  figures.machine_cpu_us = (machine_cpu_us() - cpu - idle) / calls;
  figures.own_cpu_us = (driver.own_cpu_us() - own) / calls;
  figures.p50_us = percentile(latencies, 0.50);
  figures.p90_us = percentile(latencies, 0.90);
  figures.p99_us = percentile(latencies, 0.99);
  figures.wall_us = percentile(walls, 0.50);
  if (step = driver.drain(); !step) return std::unexpected(step.error());

  cpu = machine_cpu_us();
  const auto begun = Clock::now();
  auto done = run_in_flight(driver, begun + window);
  if (!done) return std::unexpected(done.error());
  if (step = driver.drain(); !step) return std::unexpected(step.error());
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  figures.calls_per_s = *done / seconds;
  figures.flight_cpu_us = (machine_cpu_us() - cpu - idle) / std::max(*done, 1.0);

  // Others may have begun meanwhile; what the calls left to kernel threads is done by then.
  std::this_thread::sleep_for(Millis(50));
  const double after = others_cpu_us(window / 2) * 2;
  const double capacity = static_cast<double>(std::chrono::microseconds(window).count()) *
                          std::thread::hardware_concurrency();
  figures.others_percent = std::max(idle, after) / capacity * 100;
  return figures;
}

struct Options {
  std::vector<unsigned> heaps{8, 40};
  unsigned rounds = 5;
  unsigned window_ms = 1000;
  unsigned max_others = 100;  ///< percent of the machine that others may use in a round that counts
  bool json = false;
};

/// Repeats a round that others disturbed.
Result<Figures> run_quiet_round(Driver& driver, const Options& options) {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto figures = run_round(driver, Millis(options.window_ms));
    if (!figures || g_stop != 0 || figures->others_percent <= options.max_others) return figures;
  }
  return fail(Code::kRejected, "run", "the machine is too busy; see --max-others");
}

/// One strategy at one heap size, and what its rounds gave.
struct Row {
  unsigned heap_mb = 0;
  Kind kind = Kind::kNamespaces;
  std::unique_ptr<Driver> driver;
  std::vector<Figures> rounds;

  [[nodiscard]] double median(double Figures::*member) const {
    std::vector<double> values;
    for (const auto& figures : rounds) values.push_back(figures.*member);
    std::sort(values.begin(), values.end());
    const auto middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  }
};

void print_table(const std::vector<Row>& rows, const Options& options) {
  std::printf("request to confined clone, us; medians of %u rounds of %u ms\n", options.rounds,
              options.window_ms);
  std::printf("%7s  %-10s", "heap MB", "strategy");
  for (const auto& column : kColumns) std::printf(" %8s", column.title);
  std::printf("\n");
  for (const auto& row : rows) {
    std::printf("%7u  %-10s", row.heap_mb, name_of(row.kind));
    for (const auto& column : kColumns) std::printf(" %8.0f", row.median(column.member));
    std::printf("\n");
  }
  std::printf(
      "p50 p90 p99: request to clone ready, its shell prepared ahead. wall: a whole serial call,\n"
      "shell and teardown included. cpu: busy time of the machine a call, less the idle baseline;\n"
      "rusage: of the processes involved. calls/s, cpu@4: four calls in flight. No cgroups.\n"
      "others%%: how busy the machine was without us; cpu means little unless it is near 0.\n");
}

void print_json(const std::vector<Row>& rows, const Options& options) {
  utsname host{};
  ::uname(&host);
  boost::json::array list;
  for (const auto& row : rows) {
    boost::json::object entry{{"strategy", name_of(row.kind)}, {"heap_mb", row.heap_mb}};
    for (const auto& column : kColumns) {
      entry[column.key] = std::llround(row.median(column.member));
    }
    list.push_back(std::move(entry));
  }
  const boost::json::object out{{"kernel", host.release},
                                {"processors", std::thread::hardware_concurrency()},
                                {"rounds", options.rounds},
                                {"window_ms", options.window_ms},
                                {"results", std::move(list)}};
  std::printf("%s\n", boost::json::serialize(out).c_str());
}

Result<> run(const Options& options) {
  auto keeper = Keeper::start();
  if (!keeper) return std::unexpected(keeper.error());
  void* stacks = ::mmap(nullptr, kStacks * kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stacks == MAP_FAILED) return fail_errno("mmap", "stacks");
  auto builder = (*keeper)->serve(
      0, [stacks](int control) { run_builder(control, static_cast<char*>(stacks)); });
  if (!builder) return std::unexpected(builder.error());

  std::deque<Server> zygotes;
  std::vector<Row> rows;
  for (const unsigned heap_mb : options.heaps) {
    for (const Kind kind : kKinds) {
      // Of its own each: a zygote that has entered a shell's pid namespace clones into it.
      auto zygote = (*keeper)->serve(std::size_t{heap_mb} << 20, run_zygote);
      if (!zygote) return std::unexpected(zygote.error());
      zygotes.push_back(std::move(*zygote));
      rows.push_back(
          {heap_mb, kind, std::make_unique<Driver>(**keeper, zygotes.back(), *builder, kind), {}});
      if (auto verified = verify(*rows.back().driver); !verified) return verified;
    }
  }
  for (unsigned round = 0; round < options.rounds; ++round) {
    std::fprintf(stderr, "\rround %u of %u ", round + 1, options.rounds);
    // Each round begins elsewhere, so that no strategy always follows the same one.
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto& row = rows[(i + round) % rows.size()];
      auto figures = run_quiet_round(*row.driver, options);
      if (g_stop != 0) return fail(Code::kKilled, "run", "interrupted");
      if (!figures) return std::unexpected(figures.error());
      row.rounds.push_back(*figures);
    }
  }
  std::fprintf(stderr, "\n");
  options.json ? print_json(rows, options) : print_table(rows, options);
  return {};
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) {
  sock::bench::Options options;
  CLI::App app{"Cost of a confined clone: fresh namespaces against shells prepared ahead."};
  app.add_option("--heap", options.heaps, "Touched heap of the zygotes, MB, comma separated")
      ->delimiter(',')
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "Rounds of each")->check(CLI::Range(1, 1000));
  app.add_option("--window-ms", options.window_ms, "Length of one measurement")
      ->check(CLI::Range(50, 600'000));
  app.add_option("--max-others", options.max_others,
                 "Repeat rounds in which others keep the machine busier than this, percent")
      ->check(CLI::Range(0, 100));
  app.add_flag("--json", options.json, "One JSON document instead of a table");
  CLI11_PARSE(app, argc, argv);
  if (::geteuid() != 0) {
    std::fprintf(stderr, "clone_strategies: needs root\n");
    return 2;
  }
  // No SA_RESTART and no more than a flag: the loops look at it after every call.
  struct sigaction action {};
  action.sa_handler = [](int) { sock::bench::g_stop = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  const auto ran = sock::bench::run(options);
  if (ran) return 0;
  std::fprintf(stderr, "\nclone_strategies: %s\n", ran.error().describe().c_str());
  return sock::bench::g_stop != 0 ? 130 : 1;
}
