#include "pkgcache/store/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace sock::pkgcache {
namespace {

constexpr std::size_t kBuffer = 256 << 10;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// The entry itself, whatever it is: O_PATH opens no device and waits for no FIFO's writer.
Fd grasp(int folder, const char* name) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return Fd(static_cast<int>(::syscall(SYS_openat2, folder, name, &how, sizeof how)));
}

class Copy {
 public:
  explicit Copy(const TreeLimits& limits) : limits_(limits), buffer_(kBuffer) {}

  Result<TreeSize> run(int source, int target) {
    if (auto copied = copy_folder(source, target, 0); !copied) {
      return std::unexpected(copied.error());
    }
    return size_;
  }

 private:
  [[nodiscard]] std::unexpected<Error> refuse(std::string_view why) const {
    return fail(Code::kInvalid, "copy", in_quotes(path_) + " " + std::string(why));
  }

  [[nodiscard]] std::unexpected<Error> refuse_errno(std::string_view what) const {
    return fail_errno("copy", std::string(what) + " " + in_quotes(path_));
  }

  Result<> copy_folder(int source, int target, unsigned depth) {
    // O_PATH descriptors cannot be listed; "." is the same folder, whatever its name is by now.
    Fd list(::openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!list) return refuse_errno("open");
    const Folder folder(::fdopendir(list.get()));
    if (!folder) return refuse_errno("list");
    static_cast<void>(list.release());  // closedir closes it
    const std::size_t length = path_.size();
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(folder.get());
      if (entry == nullptr && errno != 0) return refuse_errno("list");
      if (entry == nullptr) return {};
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      path_ += path_.empty() ? "" : "/";
      path_ += name;
      if (auto copied = copy_entry(source, entry->d_name, target, depth); !copied) return copied;
      path_.resize(length);
    }
  }

  Result<> copy_entry(int folder, const char* name, int target, unsigned depth) {
    if (++entries_ > limits_.entries) {
      return refuse("is one too many: at most " + std::to_string(limits_.entries) +
                    " files and folders are allowed");
    }
    if (has_controls(name))
      return refuse("has a name that is not UTF-8 or holds control characters");
    const Fd entry = grasp(folder, name);
    if (!entry) {
      if (errno == EXDEV) return refuse("is on another file system");
      if (errno == ENOENT) return refuse("went away while it was being copied");
      return refuse_errno("open");
    }
    struct stat status {};
    if (::fstat(entry.get(), &status) < 0) return refuse_errno("stat");
    if (S_ISLNK(status.st_mode)) return refuse("is a symbolic link");
    if (S_ISDIR(status.st_mode)) {
      if (depth == limits_.depth) {
        return refuse("is nested too deeply: at most " + std::to_string(limits_.depth) +
                      " folders may stand in each other");
      }
      return copy_child(entry.get(), name, target, depth);
    }
    if (!S_ISREG(status.st_mode)) return refuse("is a special file (FIFO, socket or device)");
    if (status.st_nlink > 1) return refuse("is a hard link");
    if ((status.st_mode & (S_ISUID | S_ISGID)) != 0) {
      return refuse("has a set-user-id or set-group-id bit");
    }
    return copy_file(entry.get(), status, name, target);
  }

  Result<> copy_child(int source, const char* name, int target, unsigned depth) {
    if (::mkdirat(target, name, 0700) < 0) {
      if (errno == EEXIST) return refuse("comes twice");
      return refuse_errno("create");
    }
    const Fd child(::openat(target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child || ::fchmod(child.get(), 0755) < 0) return refuse_errno("create");
    return copy_folder(source, child.get(), depth + 1);
  }

  Result<> copy_file(int entry, const struct stat& status, const char* name, int target) {
    const auto length = static_cast<std::uint64_t>(status.st_size);
    if (length > limits_.bytes - size_.bytes) {
      return refuse("takes the files above " + std::to_string(limits_.bytes) + " bytes in all");
    }
    // The descriptor's own link: the very file that was looked at, and surely a regular one.
    const Fd in(::open(("/proc/self/fd/" + std::to_string(entry)).c_str(), O_RDONLY | O_CLOEXEC));
    if (!in) return refuse_errno("open");
    const Fd out(
        ::openat(target, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out) {
      if (errno == EEXIST) return refuse("comes twice");
      return refuse_errno("create");
    }
    std::uint64_t copied = 0;
    for (;;) {
      const ssize_t n = ::read(in.get(), buffer_.data(), buffer_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return refuse_errno("read");
      if (n == 0) break;
      copied += static_cast<std::uint64_t>(n);
      if (copied > length) break;
      if (auto written = write(out.get(), {buffer_.data(), static_cast<std::size_t>(n)});
          !written) {
        return written;
      }
    }
    if (copied != length) return refuse("changed while it was being copied");
    const bool executable = (status.st_mode & S_IXUSR) != 0;
    if (::fchmod(out.get(), executable ? 0755 : 0644) < 0) return refuse_errno("chmod");
    ++size_.files;
    size_.bytes += length;
    return {};
  }

  Result<> write(int out, std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(out, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return refuse_errno("write");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  const TreeLimits& limits_;
  std::vector<char> buffer_;
  std::string path_;  ///< of the entry at hand, for messages
  std::uint64_t entries_ = 0;
  TreeSize size_;
};

}  // namespace

Result<TreeSize> copy_tree(int source, const std::filesystem::path& target,
                           const TreeLimits& limits) {
  const auto folder = open_fd(AT_FDCWD, target.native(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder) return std::unexpected(folder.error());
  return Copy(limits).run(source, folder->get());
}

}  // namespace sock::pkgcache
