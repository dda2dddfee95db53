#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace sock::manager {

/// A listening Unix stream socket and the file it is reached by. The file is removed on destruction
/// if it is still the same one.
class UnixListener {
 public:
  struct Options {
    std::string path;  ///< at most about 90 bytes
    unsigned mode = 0660;
    std::string group;  ///< by name; empty = unchanged
  };

  /// The socket appears at `path` by rename, with its mode and group and listening, so nobody ever
  /// meets a half-ready one. A file that is a socket nobody answers on is replaced.
  /// kConflict: something answers there, or the file is no socket. kInvalid: path too long, unknown
  /// group.
  [[nodiscard]] static Result<UnixListener> open(const Options& options);

  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  /// Non-blocking, close-on-exec.
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Gives the socket away; the file stays this object's.
  [[nodiscard]] Fd release_fd() { return std::move(fd_); }

  /// Removes the file, if it is still ours.
  void unlink();

 private:
  UnixListener(Fd fd, std::string path, dev_t device, ino_t inode);

  Fd fd_;
  std::string path_;
  dev_t device_;
  ino_t inode_;
};

}  // namespace sock::manager
