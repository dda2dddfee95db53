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
constexpr std::array<std::string_view, 8> kStatusLines{
    "Umask:", "Threads:", "SigQ:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"};

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

/// The first line in which two texts differ.
std::string first_difference(const std::string& before, const std::string& after) {
  std::istringstream a(before), b(after);
  std::string was, is;
  while (std::getline(b, is)) {
    if (!std::getline(a, was)) was.clear();
    if (was != is) return is + (was.empty() ? "" : " (it was: " + was + ")");
  }
  return "less than before";
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
  // Absent where the kernel was built without; the process's own children are seen by its cgroup.
  if (auto timers = read_file(AT_FDCWD, folder + "/timers")) state.text += "timers: " + *timers;
  const std::string children = folder + "/task/" + std::to_string(clone) + "/children";
  if (auto list = read_file(AT_FDCWD, children)) state.text += "children: " + *list + '\n';
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
