#include "tests/e2e/host.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/fd.h"
#include "base/file.h"
#include "manager/state/ledger.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

namespace fs = std::filesystem;

/// As many records as any sockd writes.
constexpr std::uint32_t kLedgerCapacity = 4096;

std::string text_of(const std::string& path) {
  return read_file(AT_FDCWD, path, std::size_t{16} << 20U).value_or("");
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (fs::directory_iterator each("/proc", error); !error && each != fs::directory_iterator();
       each.increment(error)) {
    const std::string name = each->path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos) {
      pids.push_back(static_cast<pid_t>(std::atol(name.c_str())));
    }
  }
  return pids;
}

std::string proc_text(pid_t pid, const char* file) {
  return text_of("/proc/" + std::to_string(pid) + "/" + file);
}

std::string comm_of(pid_t pid) {
  std::string comm = proc_text(pid, "comm");
  if (!comm.empty()) comm.pop_back();
  return comm;
}

bool in_cgroup(pid_t pid, const std::string& parent) {
  for (const std::string& line : lines_of(proc_text(pid, "cgroup"))) {
    const std::string path = line.substr(std::min(line.find('/'), line.size())) + "/";
    if (path.find("/" + parent + "/") != std::string::npos) return true;
  }
  return false;
}

/// Past the point of no return in the kernel: PF_EXITING in field 9 of proc_pid_stat(5).
bool is_exiting(pid_t pid) {
  const std::string stat = proc_text(pid, "stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return true;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 6; ++i) fields >> skipped;
  unsigned long flags = 0;
  fields >> flags;
  return (flags & 4U) != 0;
}

bool is_own_program(const std::string& comm) {
  constexpr std::array<const char*, 4> kNames = {"sockd", "sock-zygote", "sock-init", "sock-netns"};
  return std::any_of(kNames.begin(), kNames.end(), [&](const char* name) { return comm == name; });
}

std::vector<std::string> cgroup_mounts() {
  std::vector<std::string> mounts;
  for (const std::string& line : lines_of(text_of("/proc/self/mountinfo"))) {
    const std::size_t type = line.find(" - cgroup");
    if (type == std::string::npos) continue;
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    mounts.push_back(field);
  }
  return mounts;
}

/// What a stopped sockd has recorded and not given back, by its own account.
std::vector<std::string> records_of(const std::string& ledger) {
  std::vector<std::string> records;
  if (!fs::exists(ledger)) return records;
  const auto opened = manager::Ledger::open(ledger, kLedgerCapacity);
  if (!opened) return {ledger + ": " + opened.error().describe()};
  for (const auto& entry : opened->left_behind) {
    records.push_back("record of " + std::string(to_string(entry.kind)) + " " + entry.name);
  }
  return records;
}

}  // namespace

std::vector<Seen> processes_of(const std::string& cgroup_parent, const std::string& folder) {
  std::vector<Seen> seen;
  for (const pid_t pid : all_processes()) {
    const std::string comm = comm_of(pid);
    const bool ours =
        in_cgroup(pid, cgroup_parent) ||
        (is_own_program(comm) && proc_text(pid, "cmdline").find(folder) != std::string::npos);
    // A zombie holds nothing any more and waits for its parent only.
    if (ours && !status_field(pid, "State").starts_with("Z"))
      seen.push_back({pid, comm, is_exiting(pid)});
  }
  return seen;
}

std::vector<pid_t> processes_named(const std::string& comm) {
  std::vector<pid_t> pids;
  for (const pid_t pid : all_processes()) {
    if (comm_of(pid) == comm && !is_exiting(pid)) pids.push_back(pid);
  }
  return pids;
}

std::vector<std::string> cgroups_of(const std::string& cgroup_parent) {
  std::vector<std::string> folders;
  for (const std::string& mount : cgroup_mounts()) {
    const fs::path top = fs::path(mount) / cgroup_parent;
    std::error_code error;
    if (!fs::is_directory(top, error)) continue;
    folders.push_back(top.string());
    for (fs::recursive_directory_iterator each(top, error);
         !error && each != fs::recursive_directory_iterator(); each.increment(error)) {
      std::error_code ignored;
      if (each->is_directory(ignored)) folders.push_back(each->path().string());
    }
  }
  return folders;
}

std::vector<std::string> mounts_of(const std::string& folder) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(text_of("/proc/self/mountinfo"))) {
    if (line.find(folder) != std::string::npos) found.push_back(line);
  }
  return found;
}

std::size_t open_files_of(pid_t pid) {
  std::error_code error;
  std::size_t count = 0;
  for (fs::directory_iterator each("/proc/" + std::to_string(pid) + "/fd", error);
       !error && each != fs::directory_iterator(); each.increment(error)) {
    ++count;
  }
  return count;
}

std::string status_field(pid_t pid, const std::string& name) {
  for (const std::string& line : lines_of(proc_text(pid, "status"))) {
    if (!line.starts_with(name + ":")) continue;
    const std::size_t value = line.find_first_not_of(" \t", name.size() + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

std::string leftovers_of(const std::string& cgroup_parent, const std::string& folder) {
  const auto only_exiting_ones_left = [&] {
    const auto seen = processes_of(cgroup_parent, folder);
    return !seen.empty() &&
           std::all_of(seen.begin(), seen.end(), [](const Seen& one) { return one.exiting; });
  };
  (void)eventually([&] { return !only_exiting_ones_left(); }, Millis(2'000));
  std::string left;
  for (const Seen& seen : processes_of(cgroup_parent, folder)) {
    left += "process " + std::to_string(seen.pid) + " " + seen.comm +
            (seen.exiting ? ", exiting for two seconds now" : "") + "\n";
  }
  for (const auto& path : cgroups_of(cgroup_parent)) left += "cgroup " + path + "\n";
  for (const auto& line : mounts_of(folder)) left += "mount " + line + "\n";
  for (const auto& record : records_of(folder + "/state/ledger")) left += record + "\n";
  return left;
}

void sweep(const std::string& cgroup_parent, const std::string& folder) {
  const auto gone = [&] {
    for (const Seen& seen : processes_of(cgroup_parent, folder)) {
      // The number may have been reused since: a pidfd first, then the check, then the signal.
      const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, seen.pid, 0)));
      if (pidfd && comm_of(seen.pid) == seen.comm) {
        ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
      }
    }
    auto folders = cgroups_of(cgroup_parent);
    std::sort(folders.rbegin(), folders.rend());  // children before their parents
    for (const std::string& path : folders) ::rmdir(path.c_str());
    return cgroups_of(cgroup_parent).empty() && processes_of(cgroup_parent, folder).empty();
  };
  (void)eventually(gone, Millis(5'000));
}

}  // namespace sock::e2e
