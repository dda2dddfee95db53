#pragma once

#include <cstdint>

/// The file-descriptor mount API (Linux 5.2; mount_setattr 5.12) as raw system calls: safe between
/// clone and exec, and free of the clash between <sys/mount.h> and <linux/mount.h>.
/// All return -1 with errno on failure; descriptors are close-on-exec.
namespace sock::sandbox::mount_api {

[[nodiscard]] int fsopen(const char* type);
[[nodiscard]] int fsconfig_string(int context, const char* key, const char* value);
[[nodiscard]] int fsconfig_create(int context);
[[nodiscard]] int fsmount(int context);
[[nodiscard]] int open_tree(int directory, const char* path, unsigned flags);
/// Attaches a detached mount at `target`.
[[nodiscard]] int move_mount(int tree, const char* target);
/// Adds MOUNT_ATTR_… flags to a mount, and to those below it when `recursive`, and makes it
/// private: what the host mounts or unmounts there later does not follow.
[[nodiscard]] int set_attributes(int tree, std::uint64_t attributes, bool recursive);
/// open_tree() and set_attributes() of that one mount in one call (open_tree_attr, Linux 6.15).
[[nodiscard]] int open_tree_with(int directory, const char* path, unsigned flags,
                                 std::uint64_t attributes);
/// A detached, private view of that one mount with MOUNT_ATTR_… flags: the one call, or on an older
/// kernel the two.
[[nodiscard]] int detached_view(int directory, const char* path, unsigned flags,
                                std::uint64_t attributes);
[[nodiscard]] int pivot_root(const char* new_root, const char* put_old);

}  // namespace sock::sandbox::mount_api
