#include "manager/state/process_identity.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>

#include "base/file.h"

namespace sock::manager {
namespace {

std::unexpected<Error> gone(pid_t pid) {
  return fail(Code::kNotFound, "find process", "there is no process " + std::to_string(pid));
}

}  // namespace

Result<std::uint64_t> start_ticks(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const auto text = read_file(AT_FDCWD, path);
  if (!text) {
    const int error = text.error().sys_errno;
    if (error == ENOENT || error == ESRCH) return gone(pid);
    return std::unexpected(text.error());
  }
  // The name, field 2, may contain anything; the last parenthesis ends it.
  std::string_view rest(*text);
  rest.remove_prefix(std::min(rest.rfind(')'), rest.size()));
  constexpr int kFieldsToSkip = 22 - 2;
  for (int i = 0; i < kFieldsToSkip; ++i) {
    const auto space = rest.find(' ');
    if (space == std::string_view::npos) return fail(Code::kInternal, "read", path + " is short");
    rest.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  if (std::from_chars(rest.data(), rest.data() + rest.size(), ticks).ec != std::errc()) {
    return fail(Code::kInternal, "read", path + " has no start time");
  }
  return ticks;
}

std::uint64_t ticks_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * per_second +
         static_cast<std::uint64_t>(now.tv_nsec) * per_second / 1'000'000'000;
}

Result<std::uint64_t> boot_tag() {
  constexpr const char* kPath = "/proc/sys/kernel/random/boot_id";
  const auto text = read_file(AT_FDCWD, kPath);
  if (!text) return std::unexpected(text.error());
  std::uint64_t tag = 0;
  int digits = 0;
  for (const char c : *text) {
    if (c == '-' || digits == 16) continue;
    unsigned digit = 0;
    if (std::from_chars(&c, &c + 1, digit, 16).ec != std::errc()) break;
    tag = tag << 4 | digit;
    ++digits;
  }
  if (digits != 16) return fail(Code::kInternal, "read", std::string(kPath) + " is not a UUID");
  return tag;
}

Result<Fd> open_process_of(pid_t pid, std::uint64_t ticks) {
  if (pid <= 0) return gone(pid);
  // The descriptor first: from then on the number cannot come to mean another process unnoticed,
  // since /proc/PID would be the later one's, which started later.
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    // EINVAL: a thread's id by now (pidfd_open(2)).
    if (errno == ESRCH || errno == EINVAL) return gone(pid);
    return fail_errno("pidfd_open", std::to_string(pid));
  }
  const auto started = start_ticks(pid);
  if (!started) return std::unexpected(started.error());
  if (*started > ticks) return gone(pid);
  return pidfd;
}

}  // namespace sock::manager
