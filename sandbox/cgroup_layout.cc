#include "sandbox/cgroup_layout.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/file.h"

namespace sock::sandbox {
namespace {

struct Mount {
  std::string id;
  std::string parent_id;
  std::string mount_point;
  std::string type;
  bool read_only = false;
  std::vector<std::string> super_options;
};

constexpr std::array<std::pair<CgroupController, std::string_view>, 4> kControllerNames{{
    {kMemory, "memory"},
    {kPids, "pids"},
    {kCpu, "cpu"},
    {kCpuacct, "cpuacct"},
}};
constexpr unsigned kLimiting = kMemory | kPids | kCpu;

std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

/// The kernel writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// id parent major:minor root mount-point options [optional…] - type source super-options
std::optional<Mount> parse_line(std::string_view line) {
  const auto fields = split(line, " ");
  if (fields.size() < 9) return std::nullopt;
  const auto dash = std::find(fields.begin() + 6, fields.end(), "-");
  if (fields.end() - dash < 3) return std::nullopt;
  Mount mount;
  mount.id = fields[0];
  mount.parent_id = fields[1];
  mount.mount_point = unescape(fields[4]);
  mount.type = dash[1];
  if (fields.end() - dash > 3) mount.super_options = split(dash[3], ",");
  mount.read_only = contains(split(fields[5], ","), "ro") || contains(mount.super_options, "ro");
  return mount;
}

bool on_or_below(std::string_view path, std::string_view root) {
  if (root.empty() || path == root) return true;
  return path.starts_with(root) && path[root.size()] == '/';
}

/// Covered by another mount put on top of it at the same place. The order of the lines does not
/// tell, the parent does.
bool is_covered(const Mount& mount, const std::vector<Mount>& all) {
  return std::ranges::any_of(all, [&](const Mount& other) {
    return other.parent_id == mount.id && other.mount_point == mount.mount_point;
  });
}

unsigned controllers_of(const Mount& mount) {
  unsigned found = 0;
  for (const auto& [bit, name] : kControllerNames) {
    if (contains(mount.super_options, name)) found |= bit;
  }
  return found;
}

std::string names_of(unsigned controllers) {
  std::string out;
  for (const auto& [bit, name] : kControllerNames) {
    if ((controllers & bit) == 0) continue;
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

}  // namespace

std::string_view to_string(CgroupLayout layout) {
  switch (layout) {
    case CgroupLayout::kV2:
      return "v2";
    case CgroupLayout::kV1:
      return "v1";
    case CgroupLayout::kHybrid:
      return "hybrid";
  }
  return "unknown";
}

Result<CgroupMounts> find_cgroup_mounts(std::string_view mountinfo, std::string_view mount_root) {
  constexpr std::string_view kStep = "find cgroups";
  while (mount_root.ends_with('/')) mount_root.remove_suffix(1);

  std::vector<Mount> mounts;
  for (const auto& line : split(mountinfo, "\n")) {
    auto mount = parse_line(line);
    if (mount && on_or_below(mount->mount_point, mount_root)) mounts.push_back(std::move(*mount));
  }

  const std::string root(mount_root.empty() ? "/" : mount_root);
  CgroupMounts found;
  unsigned on_v1 = 0;
  bool has_v2 = false;
  for (const auto& mount : mounts) {
    if (is_covered(mount, mounts)) continue;
    if (mount.type == "cgroup2" && !has_v2) {
      has_v2 = true;
      found.hierarchies.insert(found.hierarchies.begin(),
                               {mount.mount_point, true, mount.read_only, 0});
    } else if (mount.type == "cgroup") {
      const unsigned fresh = controllers_of(mount) & ~on_v1;
      on_v1 |= fresh;
      if (fresh != 0) {
        found.hierarchies.push_back({mount.mount_point, false, mount.read_only, fresh});
      }
    }
  }

  const unsigned limiting = on_v1 & kLimiting;
  if (limiting == 0) {
    if (!has_v2) {
      return fail(Code::kNotFound, kStep,
                  "no cgroup hierarchy is mounted at or below " + root + "; mount cgroup2 there");
    }
    found.layout = CgroupLayout::kV2;
    found.hierarchies.resize(1);
    found.hierarchies.front().controllers = kLimiting;
    return found;
  }
  if (limiting != kLimiting) {
    return fail(Code::kNotFound, kStep,
                names_of(limiting) + " on cgroup v1 below " + root + " but not " +
                    names_of(kLimiting & ~limiting) +
                    "; mount all of them on v1, or leave all of them to v2");
  }
  found.layout = has_v2 ? CgroupLayout::kHybrid : CgroupLayout::kV1;
  if (!has_v2 && (on_v1 & kCpuacct) == 0) {
    return fail(Code::kNotFound, kStep,
                "no cpuacct on cgroup v1 below " + root +
                    ", and no v2 hierarchy that would account for CPU time; mount either");
  }
  if (has_v2) {
    // CPU time comes from v2's cpu.stat, so a cpuacct hierarchy of its own is one attach too many.
    for (auto& hierarchy : found.hierarchies) hierarchy.controllers &= ~unsigned{kCpuacct};
    std::erase_if(found.hierarchies,
                  [](const CgroupHierarchy& h) { return !h.v2 && h.controllers == 0; });
  }
  return found;
}

Result<CgroupMounts> read_cgroup_mounts(std::string_view mount_root) {
  // A host with thousands of container mounts has a table of megabytes.
  constexpr std::size_t kLimit = 64U << 20;
  auto text = read_file(AT_FDCWD, "/proc/self/mountinfo", kLimit);
  if (!text) return std::unexpected(text.error());
  return find_cgroup_mounts(*text, mount_root);
}

Result<> check_cgroup_parent(std::string_view parent) {
  const auto refuse = [&](std::string_view why) {
    return fail(Code::kInvalid, "cgroup parent",
                "\"" + std::string(parent.substr(0, 80)) + "\" " + std::string(why) +
                    "; give a path below the cgroup mount such as \"sock\"");
  };
  constexpr std::size_t kLongestPart = 255;  // NAME_MAX
  constexpr std::size_t kLongest = 1024;
  if (parent.empty()) return refuse("is empty");
  if (parent.size() > kLongest) return refuse("is too long");
  std::string_view rest = parent;
  for (;;) {
    const auto slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty()) return refuse("has an empty part");
    if (part == "." || part == "..") return refuse("has a \".\" or \"..\" part");
    if (part.size() > kLongestPart) return refuse("has a part that is too long");
    // The files of a group share its name space: "memory.max" would be one of them.
    if (part.starts_with("cgroup.") || part == "tasks") return refuse("has a reserved name");
    const bool control =
        std::ranges::any_of(part, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (control || part.find('\x7f') != std::string_view::npos) {
      return refuse("has a control character");
    }
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

std::vector<std::string> missing_controllers(std::string_view words) {
  const auto present = split(words, " \n");
  std::vector<std::string> missing;
  for (const auto& [bit, name] : kControllerNames) {
    if ((bit & kLimiting) != 0 && !contains(present, name)) missing.emplace_back(name);
  }
  return missing;
}

}  // namespace sock::sandbox
