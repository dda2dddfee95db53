#include "sandbox/resolv_conf.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/fd.h"
#include "sandbox/mount_api.h"

namespace sock::sandbox {
namespace {

constexpr const char* kFile = "/dev/shm/resolv.conf";
constexpr std::uint64_t kAttributes =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

bool fill_and_attach(int file, std::string_view text) {
  const ssize_t written = ::write(file, text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) {
    if (written >= 0) errno = ENOSPC;
    return false;
  }
  const Fd view(mount_api::detached_view(file, "", AT_EMPTY_PATH, kAttributes));
  return view && mount_api::move_mount(view.get(), "/etc/resolv.conf") == 0;
}

}  // namespace

bool attach_resolv_conf(std::string_view text) {
  const Fd file(::open(kFile, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444));
  if (!file) return false;
  const bool attached = fill_and_attach(file.get(), text);
  const int error = errno;
  // Not before: what has no name cannot be mounted (ENOENT).
  if (::unlink(kFile) < 0) return false;
  errno = error;
  return attached;
}

}  // namespace sock::sandbox
