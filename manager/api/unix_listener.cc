#include "manager/api/unix_listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <vector>

namespace sock::manager {

namespace {

/// SO_PASSRIGHTS, Linux 6.16; absent from older headers. Switched off on the listener it holds for
/// every connection made to it: a peer that sends descriptors gets EPERM.
constexpr int kSoPassRights = 83;

constexpr std::string_view kStep = "listen";

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail(Code::kInvalid, kStep,
                "socket path '" + path + "' must have 1 to " +
                    std::to_string(sizeof(address.sun_path) - 1) + " bytes; choose a shorter one");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Fd> make_socket() {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(kStep, "create a Unix socket");
  return fd;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Removes a socket file that nobody answers on.
Result<> clear_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(kStep, "look at " + path);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(Code::kConflict, kStep, path + " exists and is not a socket; move it away");
  }
  auto probe = make_socket();
  if (!probe) return std::unexpected(probe.error());
  // EAGAIN is a live server with a full queue.
  if (connect(probe->get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN) {
    return fail(Code::kConflict, kStep, "another server answers on " + path);
  }
  if (errno != ECONNREFUSED) return fail_errno(kStep, "find out whether " + path + " is in use");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(kStep, "remove stale " + path);
  }
  return {};
}

Result<gid_t> group_id(const std::string& name) {
  std::vector<char> buffer(16 << 10);
  group entry{};
  group* found = nullptr;
  const int error = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    if (error != 0) return fail_errno(kStep, "look up group '" + name + "'", error);
    return fail(Code::kInvalid, kStep,
                "there is no group '" + name + "'; create it or name another");
  }
  return found->gr_gid;
}

/// A file that is removed unless kept.
struct TemporaryName {
  std::string path;
  bool kept = false;
  ~TemporaryName() {
    if (!kept) ::unlink(path.c_str());
  }
};

}  // namespace

Result<UnixListener> UnixListener::open(const Options& options) {
  const auto address = address_of(options.path);
  if (!address) return std::unexpected(address.error());
  TemporaryName temporary{options.path + "." + std::to_string(getpid())};
  const auto temporary_address = address_of(temporary.path);
  if (!temporary_address) return std::unexpected(temporary_address.error());
  std::optional<gid_t> gid;
  if (!options.group.empty()) {
    const auto id = group_id(options.group);
    if (!id) return std::unexpected(id.error());
    gid = *id;
  }
  if (auto cleared = clear_stale(options.path, *address); !cleared) {
    return std::unexpected(cleared.error());
  }

  auto fd = make_socket();
  if (!fd) return std::unexpected(fd.error());
  const int refuse_rights = 0;
  // Older kernels: descriptors that arrive are closed by the kernel, as nobody asks for them.
  (void)setsockopt(fd->get(), SOL_SOCKET, kSoPassRights, &refuse_rights, sizeof(refuse_rights));
  ::unlink(temporary.path.c_str());
  if (bind(fd->get(), generic(*temporary_address), sizeof(*temporary_address)) != 0) {
    return fail_errno(kStep, "bind " + temporary.path);
  }
  if (gid && chown(temporary.path.c_str(), static_cast<uid_t>(-1), *gid) != 0) {
    return fail_errno(kStep, "give " + options.path + " to group '" + options.group + "'");
  }
  if (chmod(temporary.path.c_str(), options.mode) != 0) {
    return fail_errno(kStep, "set the mode of " + options.path);
  }
  struct stat status {};
  if (lstat(temporary.path.c_str(), &status) != 0) return fail_errno(kStep, "look at the socket");
  if (::listen(fd->get(), SOMAXCONN) != 0) return fail_errno(kStep, "listen on " + options.path);
  if (renameat2(AT_FDCWD, temporary.path.c_str(), AT_FDCWD, options.path.c_str(),
                RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) {
      return fail(Code::kConflict, kStep, "another server took " + options.path + " meanwhile");
    }
    return fail_errno(kStep, "move the socket to " + options.path);
  }
  temporary.kept = true;
  return UnixListener(std::move(*fd), options.path, status.st_dev, status.st_ino);
}

UnixListener::UnixListener(Fd fd, std::string path, dev_t device, ino_t inode)
    : fd_(std::move(fd)), path_(std::move(path)), device_(device), inode_(inode) {}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener::~UnixListener() { unlink(); }

void UnixListener::unlink() {
  if (path_.empty()) return;
  struct stat status {};
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
  path_.clear();
}

}  // namespace sock::manager
