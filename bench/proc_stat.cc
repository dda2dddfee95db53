#include "bench/proc_stat.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <sstream>

#include "base/file.h"

namespace sock::bench {
namespace {

namespace fs = std::filesystem;

constexpr unsigned long kPfKthread = 0x00200000;  // include/linux/sched.h

std::string proc_file(pid_t pid, const std::string& name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

}  // namespace

std::optional<ProcStat> read_proc_stat(pid_t pid) {
  const auto text = read_file(AT_FDCWD, proc_file(pid, "stat"));
  if (!text) return std::nullopt;
  // The command's name may hold anything, blanks and parentheses too: start behind it.
  const auto end = text->rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(end + 1));
  ProcStat out;
  out.pid = pid;
  std::string skipped;
  unsigned long flags = 0;
  double user = 0;
  double system = 0;
  fields >> out.state >> out.parent;
  for (int field = 5; field < 9; ++field) fields >> skipped;
  fields >> flags;
  for (int field = 10; field < 14; ++field) fields >> skipped;
  fields >> user >> system;
  for (int field = 16; field < 20; ++field) fields >> skipped;
  if (!(fields >> out.threads)) return std::nullopt;
  out.kernel_thread = (flags & kPfKthread) != 0;
  out.cpu_us = (user + system) * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return out;
}

std::vector<ProcStat> all_processes() {
  std::vector<ProcStat> out;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string();
    pid_t pid = 0;
    const auto* last = name.data() + name.size();
    if (std::from_chars(name.data(), last, pid).ptr != last) continue;
    if (const auto stat = read_proc_stat(pid)) out.push_back(*stat);
  }
  return out;
}

std::string program_name(pid_t pid) {
  std::error_code error;
  const auto path = fs::read_symlink(proc_file(pid, "exe"), error);
  return error ? std::string() : path.filename().string();
}

bool in_cgroup(pid_t pid, const std::string& path) {
  const auto text = read_file(AT_FDCWD, proc_file(pid, "cgroup"));
  if (!text) return false;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::/")) continue;
    const auto group = line.substr(4);
    return group == path || group.starts_with(path + "/");
  }
  return false;
}

std::optional<double> proc_bytes(pid_t pid, const std::string& file, const std::string& key) {
  const auto text = read_file(AT_FDCWD, proc_file(pid, file));
  if (!text) return std::nullopt;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream value(line.substr(key.size() + 1));
    double kilobytes = 0;
    if (value >> kilobytes) return kilobytes * 1024;
  }
  return std::nullopt;
}

}  // namespace sock::bench
