#include "sandbox/mount_api.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace sock::sandbox::mount_api {
namespace {

constexpr long kOpenTreeAttr = 467;  ///< SYS_open_tree_attr of newer headers, on every architecture

mount_attr private_with(std::uint64_t attributes) {
  mount_attr request{};
  request.attr_set = attributes;
  request.propagation = MS_PRIVATE;
  return request;
}

}  // namespace

int fsopen(const char* type) {
  return static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}

int fsconfig_string(int context, const char* key, const char* value) {
  return static_cast<int>(::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0));
}

int fsconfig_create(int context) {
  return static_cast<int>(
      ::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
}

int fsmount(int context) {
  return static_cast<int>(::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
}

int open_tree(int directory, const char* path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC));
}

int move_mount(int tree, const char* target) {
  return static_cast<int>(
      ::syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
}

int set_attributes(int tree, std::uint64_t attributes, bool recursive) {
  mount_attr request = private_with(attributes);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  return static_cast<int>(::syscall(SYS_mount_setattr, tree, "", flags, &request, sizeof request));
}

int open_tree_with(int directory, const char* path, unsigned flags, std::uint64_t attributes) {
  mount_attr request = private_with(attributes);
  return static_cast<int>(::syscall(kOpenTreeAttr, directory, path, flags | OPEN_TREE_CLOEXEC,
                                    &request, sizeof request));
}

int detached_view(int directory, const char* path, unsigned flags, std::uint64_t attributes) {
  const int made = open_tree_with(directory, path, flags | OPEN_TREE_CLONE, attributes);
  if (made >= 0) return made;
  // An older kernel; whatever else is wrong, these say it again.
  const int tree = open_tree(directory, path, flags | OPEN_TREE_CLONE);
  if (tree < 0 || set_attributes(tree, attributes, false) == 0) return tree;
  const int error = errno;
  ::close(tree);
  errno = error;
  return -1;
}

int pivot_root(const char* new_root, const char* put_old) {
  return static_cast<int>(::syscall(SYS_pivot_root, new_root, put_old));
}

}  // namespace sock::sandbox::mount_api
