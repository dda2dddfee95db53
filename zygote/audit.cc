#include "zygote/audit.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <string>

#include "base/file.h"
#include "zygote/wire.h"

namespace sock::zygote {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestMaps = 8 << 20;

Result<> one_thread() {
  std::error_code error;
  std::size_t threads = 0;
  for (fs::directory_iterator it("/proc/self/task", error), end; !error && it != end;
       it.increment(error)) {
    ++threads;
  }
  if (error || threads != 1) {
    return fail(Code::kInvalid, "audit",
                std::to_string(threads) + " threads are running; a zygote must have one");
  }
  return {};
}

Result<> no_child() {
  const std::string tid = std::to_string(::getpid());
  auto children = read_file(AT_FDCWD, "/proc/self/task/" + tid + "/children");
  // Absent without CONFIG_PROC_CHILDREN; then clones prove the point by their own pid namespace.
  if (!children) return {};
  if (!children->empty()) return fail(Code::kInvalid, "audit", "it left child processes behind");
  return {};
}

Result<> expected_descriptors() {
  std::error_code error;
  for (fs::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error)) {
    const int fd = std::atoi(it->path().filename().c_str());
    if (fd <= kPidNamespaceFd) continue;
    const auto target = fs::read_symlink(it->path(), error);
    // The walk's own descriptor of the folder.
    const std::string text = target.string();
    if (text.starts_with("/proc/") && text.ends_with("/fd")) continue;
    return fail(Code::kInvalid, "audit",
                "descriptor " + std::to_string(fd) + " is open on " + text);
  }
  if (error) return fail(Code::kInternal, "audit", "/proc/self/fd: " + error.message());
  return {};
}

Result<> no_shared_memory() {
  auto maps = read_file(AT_FDCWD, "/proc/self/maps", kLargestMaps);
  if (!maps) return std::unexpected(maps.error());
  std::istringstream lines(*maps);
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.find(' ');
    if (space == std::string::npos || line.size() < space + 5) continue;
    const std::string_view protection = std::string_view(line).substr(space + 1, 4);
    if (protection[1] == 'w' && protection[3] == 's') {
      return fail(Code::kInvalid, "audit", "writable shared memory is mapped: " + line);
    }
  }
  return {};
}

}  // namespace

Result<> audit() {
  for (const auto check : {one_thread, no_child, expected_descriptors, no_shared_memory}) {
    if (auto checked = check(); !checked) return checked;
  }
  return {};
}

}  // namespace sock::zygote
