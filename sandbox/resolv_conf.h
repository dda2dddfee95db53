#pragma once

#include <string_view>

namespace sock::sandbox {

/// Covers /etc/resolv.conf of the mount namespace this process is in, an ordinary file there, with
/// a read-only, nosuid, nodev, noexec mount of a file with this text, which is not empty.
///
/// The file lies in that namespace's /dev/shm, which saves making a file system for it, and has no
/// name there any more when this returns: nobody reaches it but through the mount. Meanwhile its
/// owner, mode and the folder's sticky bit keep other ids from changing or replacing it, and a name
/// that is taken is an error. Needs CAP_SYS_ADMIN over the namespace. Allocates nothing. False with
/// errno on failure.
[[nodiscard]] bool attach_resolv_conf(std::string_view text);

}  // namespace sock::sandbox
