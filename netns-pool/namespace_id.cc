#include "netns-pool/namespace_id.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <string>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"

namespace sock::netns {
namespace {

Result<NamespaceId> id_of_path(const std::string& path) {
  auto fd = open_fd(AT_FDCWD, path, O_RDONLY);
  if (!fd) return std::unexpected(fd.error());
  return namespace_id(fd->get());
}

}  // namespace

Result<NamespaceId> namespace_id(int descriptor) {
  const std::string name = "descriptor " + std::to_string(descriptor);
  // Before any ioctl: a request number means whatever the file's driver makes of it.
  struct statfs filesystem {};
  if (::fstatfs(descriptor, &filesystem) < 0) return fail_errno("fstatfs", name);
  if (filesystem.f_type != NSFS_MAGIC) {
    return fail(Code::kInvalid, "identify namespace", name + " is not a namespace");
  }
  struct stat status {};
  if (::fstat(descriptor, &status) < 0) return fail_errno("fstat", name);
  return NamespaceId{status.st_dev, status.st_ino};
}

Result<NamespaceId> owner_of(int descriptor) {
  Fd owner(::ioctl(descriptor, NS_GET_USERNS));
  if (!owner) {
    return fail_errno("NS_GET_USERNS",
                      "owner of namespace descriptor " + std::to_string(descriptor));
  }
  return namespace_id(owner.get());
}

Result<NamespaceId> user_namespace_of(int pidfd) {
  if (pidfd < 0) return id_of_path("/proc/self/ns/user");
  auto pid = pid_of(pidfd);
  if (!pid) return std::unexpected(pid.error());
  auto id = id_of_path("/proc/" + std::to_string(*pid) + "/ns/user");
  // Still not reaped, so the number meant this process when the path was opened.
  if (auto again = pid_of(pidfd); !again) return std::unexpected(again.error());
  return id;
}

Result<NamespaceId> own_network_namespace() { return id_of_path("/proc/thread-self/ns/net"); }

}  // namespace sock::netns
