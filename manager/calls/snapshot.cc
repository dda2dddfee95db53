#include "manager/calls/snapshot.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "zygote/recorder.h"

namespace sock::manager {

namespace {

/// Lines of /proc/PID/status that describe state a copy would not have (proc_pid_status(5)).
constexpr std::array<std::string_view, 10> kStatusLines{
    "Umask:",  "Threads:", "SigQ:",   "SigPnd:",          "ShdPnd:",
    "SigBlk:", "SigIgn:",  "SigCgt:", "Seccomp_filters:", "Cpus_allowed_list:"};

using Folder = std::unique_ptr<DIR, decltype([](DIR* folder) { ::closedir(folder); })>;

/// Names in a folder but "." and ".."; at most `most`.
Result<std::vector<std::string>> names_in(const std::string& path, std::size_t most = 64) {
  const Folder folder(::opendir(path.c_str()));
  if (!folder) return fail_errno("open", path);
  std::vector<std::string> names;
  while (names.size() < most) {
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string process_folder(pid_t pid) { return "/proc/" + std::to_string(pid); }

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

/// The first line that is new or has another value, with what it was; or one that is missing.
std::string first_difference(const std::string& before, const std::string& after) {
  const auto old_lines = lines_of(before), new_lines = lines_of(after);
  auto unknown_to = [](const std::vector<std::string>& lines) {
    return [&lines](const std::string& line) { return std::ranges::count(lines, line) == 0; };
  };
  const auto is = std::ranges::find_if(new_lines, unknown_to(old_lines));
  const auto was = std::ranges::find_if(old_lines, unknown_to(new_lines));
  if (is == new_lines.end()) return was == old_lines.end() ? "" : "no more " + *was;
  const auto key = is->substr(0, is->find(':') + 1);
  const bool changed = was != old_lines.end() && was->starts_with(key);
  return *is + (changed ? " (it was: " + *was + ")" : "");
}

/// A copy gets an empty /tmp and /dev/shm; a file there would be missing.
Result<> no_files(pid_t clone) {
  for (const char* scratch : {"/root/tmp", "/root/dev/shm"}) {
    auto names = names_in(process_folder(clone) + scratch, 1);
    if (!names) return std::unexpected(names.error());
    if (!names->empty()) {
      return fail(
          Code::kInvalid, "snapshot",
          "importing it leaves a file in " + std::string(scratch + 5) + ": " + names->front());
    }
  }
  return {};
}

}  // namespace

Result<KernelState> kernel_state(pid_t clone) {
  const std::string folder = process_folder(clone);
  auto status = read_file(AT_FDCWD, folder + "/status", 64 << 10);
  if (!status) return std::unexpected(status.error());
  auto limits = read_file(AT_FDCWD, folder + "/limits", 64 << 10);
  if (!limits) return std::unexpected(limits.error());
  KernelState state;
  std::istringstream lines(*status);
  for (std::string line; std::getline(lines, line);) {
    for (const auto key : kStatusLines) {
      if (line.starts_with(key)) state.text.append(line).push_back('\n');
    }
  }
  auto descriptors = names_in(folder + "/fd");
  if (!descriptors) return std::unexpected(descriptors.error());
  for (const auto& name : *descriptors) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(folder + "/fd/" + name, error);
    state.text += "descriptor " + name + ": " + target.string() + '\n';
  }
  // Either may be absent from the kernel.
  if (auto timers = read_file(AT_FDCWD, folder + "/timers")) {
    state.text += "timers: " + *timers + '\n';
  }
  const std::string children = folder + "/task/" + std::to_string(clone) + "/children";
  if (auto list = read_file(AT_FDCWD, children)) state.text += "children: " + *list + '\n';
  // Daemons are nobody's children, but the sandbox's own /proc has them.
  auto processes = names_in(folder + "/root/proc");
  if (!processes) return std::unexpected(processes.error());
  for (const auto& name : *processes) state.text += "process " + name + '\n';
  state.text += *limits;
  return state;
}

Result<Fd> take_snapshot(pid_t zygote, pid_t clone, const KernelState& before,
                         std::uint64_t limit) {
  auto after = kernel_state(clone);
  if (!after) return std::unexpected(after.error());
  if (after->text != before.text) {
    return fail(Code::kInvalid, "snapshot",
                "importing it leaves more than memory behind: " +
                    first_difference(before.text, after->text));
  }
  if (auto clean = no_files(clone); !clean) return std::unexpected(clean.error());
  auto zygotes = zygote::ProcessMemory::open(zygote);
  if (!zygotes) return std::unexpected(zygotes.error());
  auto clones = zygote::ProcessMemory::open(clone);
  if (!clones) return std::unexpected(clones.error());
  return zygote::record_image(*zygotes, *clones, limit);
}

}  // namespace sock::manager
