#include "sandbox/cgroup_tree.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

#include "base/file.h"

namespace sock::sandbox {
namespace {

constexpr unsigned kDirectoryMode = 0755;

}  // namespace

Result<std::shared_ptr<CgroupTree>> CgroupTree::open(const std::string& mount_root,
                                                     const std::string& parent) {
  if (auto valid = check_cgroup_parent(parent); !valid) return std::unexpected(valid.error());
  auto mounts = read_cgroup_mounts(mount_root);
  if (!mounts) return std::unexpected(mounts.error());
  std::shared_ptr<CgroupTree> tree(new CgroupTree(std::move(*mounts), parent));
  for (const auto& hierarchy : tree->mounts_.hierarchies) {
    auto fd = open_fd(AT_FDCWD, hierarchy.mount_point, O_RDONLY | O_DIRECTORY);
    if (!fd) return std::unexpected(fd.error());
    // What the table calls a cgroup mount may lie below a later mount and be out of reach.
    struct statfs info {};
    if (::fstatfs(fd->get(), &info) < 0) return fail_errno("statfs", hierarchy.mount_point);
    if (info.f_type != (hierarchy.v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC)) {
      return fail(Code::kInternal, "find cgroups",
                  hierarchy.mount_point + " is hidden by another mount");
    }
    tree->mount_fds_.push_back(std::move(*fd));
  }
  return tree;
}

int CgroupTree::v2() const { return has_v2() ? mount_fds_.front().get() : -1; }

int CgroupTree::with(CgroupController controller) const {
  for (std::size_t i = 0; i < mount_fds_.size(); ++i) {
    if ((mounts_.hierarchies[i].controllers & controller) != 0) return mount_fds_[i].get();
  }
  return -1;
}

std::string CgroupTree::path(std::string_view group, std::string_view file) const {
  std::string out = parent_;
  if (!group.empty()) out.append("/").append(group);
  if (!file.empty()) out.append("/").append(file);
  return out;
}

std::vector<CgroupTree::Directory> CgroupTree::everywhere(std::string_view group) const {
  std::vector<Directory> out;
  for (std::size_t i = 0; i < mount_fds_.size(); ++i) out.push_back({i, path(group)});
  return out;
}

Result<> CgroupTree::make_parent() {
  for (std::size_t i = 0; i < mount_fds_.size(); ++i) {
    const bool unified = layout() == CgroupLayout::kV2;
    for (std::size_t slash = 0; slash != std::string::npos;) {
      // Controllers reach a group only through all of its ancestors, the mount included.
      Result<> done;
      if (unified) done = enable_controllers_at(slash == 0 ? "" : parent_.substr(0, slash));
      slash = parent_.find('/', slash + 1);
      const Directory directory{i, parent_.substr(0, slash)};
      if (done) {
        if (::mkdirat(mount_fds_[i].get(), directory.path.c_str(), kDirectoryMode) == 0) {
          made_.push_back(directory);
        } else if (errno != EEXIST) {
          done =
              fail_errno("make cgroup", mounts_.hierarchies[i].mount_point + "/" + directory.path);
        }
      }
      if (!done) {
        (void)remove_parent();
        return done;
      }
    }
  }
  return {};
}

Result<> CgroupTree::remove_parent() {
  Result<> result;
  while (!made_.empty()) {
    auto removed = remove_directory(made_.back(), Clock::now());
    if (!removed && result) result = removed;
    made_.pop_back();
  }
  return result;
}

Result<> CgroupTree::enable_controllers(std::string_view group) {
  return layout() == CgroupLayout::kV2 ? enable_controllers_at(path(group)) : Result<>{};
}

Result<> CgroupTree::enable_controllers_at(const std::string& directory) {
  constexpr std::string_view kStep = "enable controllers";
  const int mount = v2();
  const std::string prefix = directory.empty() ? "" : directory + "/";
  std::string shown = mounts_.hierarchies.front().mount_point;
  if (!directory.empty()) shown += "/" + directory;
  auto offered = read_file(mount, prefix + "cgroup.controllers");
  if (!offered) return std::unexpected(offered.error());
  if (const auto missing = missing_controllers(*offered); !missing.empty()) {
    std::string names;
    for (const auto& name : missing) names += (names.empty() ? "" : ", ") + name;
    return fail(Code::kNotFound, kStep,
                shown + " lacks the cgroup v2 controllers: " + names +
                    "; enable them in cgroup.subtree_control above it, and see that neither the "
                    "kernel command line (cgroup_disable=) nor a v1 mount takes them");
  }
  auto enabled = read_file(mount, prefix + "cgroup.subtree_control");
  if (!enabled) return std::unexpected(enabled.error());
  std::string request;
  for (const auto& name : missing_controllers(*enabled)) {
    request += (request.empty() ? "+" : " +") + name;
  }
  if (request.empty()) return {};
  auto written = write_control(mount, prefix + "cgroup.subtree_control", request);
  if (!written && written.error().sys_errno == EBUSY) {
    return fail_errno(kStep,
                      shown +
                          " holds processes itself, and cgroup v2 allows controllers only in "
                          "groups that do not; move them into a child group or choose another "
                          "cgroup parent",
                      EBUSY);
  }
  return written;
}

Result<> CgroupTree::make(std::string_view group) {
  const std::string name = path(group);
  for (std::size_t i = 0; i < mount_fds_.size(); ++i) {
    if (::mkdirat(mount_fds_[i].get(), name.c_str(), kDirectoryMode) == 0) continue;
    const int error = errno;
    while (i > 0) ::unlinkat(mount_fds_[--i].get(), name.c_str(), AT_REMOVEDIR);
    auto failure = fail_errno("make cgroup", name, error);
    if (error == EEXIST) failure.error().code = Code::kConflict;
    return failure;
  }
  return {};
}

Result<> CgroupTree::remove(std::string_view group, Clock::time_point deadline) {
  Result<> result;
  for (const auto& directory : everywhere(group)) {
    auto removed = remove_directory(directory, deadline);
    if (!removed && result) result = removed;
  }
  return result;
}

Result<> CgroupTree::attach(std::string_view group, Doors& doors, pid_t pid, bool skip_v2) {
  if (pid <= 0) {
    // The kernel takes 0 for the writer itself.
    return fail(Code::kInvalid, "attach cgroup", "pid " + std::to_string(pid));
  }
  const std::string file = path(group, "cgroup.procs");
  while (doors.size() < mount_fds_.size()) doors.emplace_back(O_WRONLY);
  for (std::size_t i = 0; i < mount_fds_.size(); ++i) {
    if (skip_v2 && mounts_.hierarchies[i].v2) continue;
    auto written = doors[i].write(mount_fds_[i].get(), file, std::to_string(pid));
    if (written) continue;
    auto failure = fail_errno("attach cgroup", written.error().message, written.error().sys_errno);
    if (failure.error().sys_errno == ESRCH) failure.error().code = Code::kKilled;
    return failure;
  }
  return {};
}

Result<std::uint64_t> CgroupTree::read_key(int mount, const std::string& file,
                                           std::string_view key) {
  return ControlFile().key(mount, file, key);
}

}  // namespace sock::sandbox
