#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "base/file.h"
#include "sandbox/cgroup_tree.h"

// The part of CgroupTree that empties groups and removes them.
namespace sock::sandbox {
namespace {

/// Descriptors one sweep holds at most; the rest is for the next round.
constexpr std::size_t kSweepWidth = 256;

/// How long to go on without news. Where the kernel offers an event, this only bounds the harm of
/// a missed one; a v1 group has none between the last exit and the moment rmdir works.
constexpr Millis kPause{1};

int poll_timeout(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<Millis>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

void pause_until(Clock::time_point deadline) {
  ::poll(nullptr, 0, std::min(static_cast<int>(kPause.count()), poll_timeout(deadline)));
}

bool is_absent(const Error& error) {
  return error.sys_errno == ENOENT || error.sys_errno == ENODEV;
}

/// The processes of one directory; none if it is gone. Those outside this pid namespace read as 0
/// and are kept: they count, though nobody here can signal them.
Result<std::vector<pid_t>> read_processes(int mount, const std::string& directory) {
  std::vector<pid_t> pids;
  constexpr std::size_t kLimit = 64U << 20;
  const auto text = read_file(mount, directory + "/cgroup.procs", kLimit);
  if (!text && is_absent(text.error())) return pids;
  if (!text) return std::unexpected(text.error());
  const char* at = text->data();
  const char* const end = at + text->size();
  while (at != end) {
    pid_t pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc{}) {
      return fail(Code::kInternal, "read", directory + "/cgroup.procs is not a list of numbers");
    }
    pids.push_back(pid);
    at = next;
    while (at != end && *at == '\n') ++at;
  }
  return pids;
}

/// Waits for cgroup.events of a v2 group to say populated 0; true also when the group is gone.
bool wait_unpopulated(int v2_mount, const std::string& group_path, Clock::time_point deadline) {
  auto events = open_fd(v2_mount, group_path + "/cgroup.events", O_RDONLY);
  if (!events) return is_absent(events.error());
  for (;;) {
    char text[256];
    // Reading arms the poll: it fires when the file changes after the last read.
    const ssize_t n = ::pread(events->get(), text, sizeof text, 0);
    if (n < 0) return errno == ENODEV;
    if (std::string_view(text, static_cast<std::size_t>(n)).find("populated 0") !=
        std::string_view::npos) {
      return true;
    }
    if (Clock::now() >= deadline) return false;
    pollfd waiter{events->get(), POLLPRI, 0};
    ::poll(&waiter, 1, poll_timeout(deadline));
  }
}

}  // namespace

/// What a round of killing found.
struct CgroupTree::Sweep {
  bool found = false;       ///< at least one process is there
  std::vector<Fd> members;  ///< pidfds of those signalled
};

Result<> CgroupTree::remove_directory(const Directory& directory,
                                      Clock::time_point deadline) const {
  const int mount = mount_fds_[directory.hierarchy].get();
  for (;;) {
    if (::unlinkat(mount, directory.path.c_str(), AT_REMOVEDIR) == 0) return {};
    const int error = errno;
    if (error == ENOENT) return {};
    if (error != EBUSY || Clock::now() >= deadline) {
      return fail_errno("remove cgroup",
                        mounts_.hierarchies[directory.hierarchy].mount_point + "/" + directory.path,
                        error);
    }
    // Unpopulated and busy still: v1 gives no news, or a child group is on its way out.
    const bool v2 = mounts_.hierarchies[directory.hierarchy].v2;
    if (!v2 || wait_unpopulated(mount, directory.path, deadline)) pause_until(deadline);
  }
}

Result<bool> CgroupTree::populated(std::string_view group) const {
  for (const auto& directory : everywhere(group)) {
    const int mount = mount_fds_[directory.hierarchy].get();
    if (mounts_.hierarchies[directory.hierarchy].v2) {
      auto value = read_key(mount, directory.path + "/cgroup.events", "populated");
      if (!value) return std::unexpected(value.error());
      if (*value != 0) return true;
    } else {
      const auto pids = read_processes(mount, directory.path);
      if (!pids) return std::unexpected(pids.error());
      if (!pids->empty()) return true;
    }
  }
  return false;
}

CgroupTree::Sweep CgroupTree::sweep(const std::vector<Directory>& directories) const {
  Sweep result;
  for (const auto& directory : directories) {
    const int mount = mount_fds_[directory.hierarchy].get();
    const auto listed = read_processes(mount, directory.path);
    if (listed && listed->empty()) continue;
    result.found = true;  // or not known to be empty, which counts as much
    if (!listed) continue;
    std::vector<std::pair<pid_t, Fd>> held;
    for (const pid_t pid : *listed) {
      if (pid <= 0 || result.members.size() + held.size() >= kSweepWidth) continue;
      Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
      if (pidfd) held.emplace_back(pid, std::move(pidfd));
    }
    // A number read from a list may belong to another process by the time it is opened. Listed
    // again while the pidfd is held, it is either the same process or a dead one.
    const auto again = read_processes(mount, directory.path);
    if (!again) continue;
    for (auto& [pid, pidfd] : held) {
      if (std::ranges::find(*again, pid) == again->end()) continue;
      ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0U);
      result.members.push_back(std::move(pidfd));
    }
  }
  return result;
}

bool CgroupTree::sweep_until_empty(const std::vector<Directory>& directories,
                                   Clock::time_point deadline) const {
  for (;;) {
    const Sweep round = sweep(directories);
    if (!round.found) return true;
    if (Clock::now() >= deadline) return false;
    for (const auto& member : round.members) {
      pollfd waiter{member.get(), POLLIN, 0};
      ::poll(&waiter, 1, poll_timeout(deadline));
    }
    // A process may be reported dead just before its group lets go of it.
    if (!sweep(directories).found) return true;
    pause_until(deadline);
  }
}

bool CgroupTree::kill(std::string_view group) const {
  if (has_v2() && write_control(v2(), path(group, "cgroup.kill"), "1")) return false;
  // Without new forks the list can only shrink, so a few rounds reach everyone.
  const auto stopped = write_control(with(kPids), path(group, "pids.max"), "0");
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    if (!sweep(everywhere(group)).found) break;
  }
  return stopped.has_value();
}

bool CgroupTree::drain(std::string_view group, Clock::time_point deadline) const {
  constexpr Millis kRetry{100};
  kill(group);
  if (has_v2()) {
    while (!wait_unpopulated(v2(), path(group), std::min(deadline, Clock::now() + kRetry))) {
      if (Clock::now() >= deadline) return false;
      kill(group);
    }
    if (layout() == CgroupLayout::kV2) return true;
  }
  return sweep_until_empty(everywhere(group), deadline);
}

void CgroupTree::list(const Directory& at, int depth, std::vector<Directory>& out) const {
  constexpr int kDeepest = 32;
  const int fd = ::openat(mount_fds_[at.hierarchy].get(), at.path.c_str(),
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* const stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    if (fd >= 0) ::close(fd);
    return;
  }
  std::vector<std::string> children;
  while (const dirent* const entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") children.emplace_back(name);
  }
  ::closedir(stream);
  for (const auto& child : children) {
    if (depth < kDeepest) list({at.hierarchy, at.path + "/" + child}, depth + 1, out);
  }
  out.push_back(at);
}

Result<std::size_t> CgroupTree::destroy(std::string_view group, Clock::time_point deadline) {
  std::vector<Directory> all;  // children before parents
  for (const auto& directory : everywhere(group)) list(directory, 0, all);
  if (all.empty()) return 0;
  for (const auto& directory : all) {
    const auto pids = read_processes(mount_fds_[directory.hierarchy].get(), directory.path);
    if (!pids) return std::unexpected(pids.error());
    if (std::ranges::find(*pids, ::getpid()) != pids->end()) {
      return fail(Code::kInvalid, "destroy cgroup",
                  "this process is itself in " + directory.path +
                      "; start it elsewhere or choose another cgroup parent");
    }
  }
  // The limit counts for everything below the group as well: nothing in the tree forks any more.
  (void)write_control(with(kPids), path(group, "pids.max"), "0");
  if (has_v2() && write_control(v2(), path(group, "cgroup.kill"), "1")) {
    (void)wait_unpopulated(v2(), path(group), deadline);
  }
  if (!sweep_until_empty(all, deadline)) {
    return fail(Code::kTimeout, "destroy cgroup",
                path(group) + " still holds processes that were sent SIGKILL");
  }
  for (const auto& directory : all) {
    if (auto removed = remove_directory(directory, deadline); !removed) {
      return std::unexpected(removed.error());
    }
  }
  return all.size();
}

}  // namespace sock::sandbox
