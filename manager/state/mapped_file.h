#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/fd.h"

namespace boost::interprocess {
class mapped_region;
}

namespace sock::manager {

/// A file mapped shared, whole and at a fixed size. Unmapped on destruction; the file stays.
/// Movable, the address does not change.
class MappedFile {
 public:
  struct Mode {
    unsigned bits = 0600;        ///< exact, whatever the umask
    std::optional<gid_t> group;  ///< empty = the process's
  };

  /// A new file of `size` zero bytes beside `path`, which it replaces only with publish(): nobody
  /// ever sees it half made. All its blocks are allocated, so a full disk is an error here and not
  /// a SIGBUS at some later store (posix_fallocate(3)). One creator a path at a time.
  [[nodiscard]] static Result<MappedFile> create(std::filesystem::path path, std::size_t size,
                                                 Mode mode);

  /// Renames the new file to its path. Once.
  [[nodiscard]] Result<> publish();

  /// Maps an existing regular file for reading. kInvalid if it is anything else or not exactly
  /// `size` bytes long; never follows a symbolic link and never blocks on a FIFO.
  [[nodiscard]] static Result<MappedFile> open(std::filesystem::path path, std::size_t size);

  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  /// Removes the file if it was created and never published.
  ~MappedFile();

  /// Page-aligned; read-only memory after open().
  [[nodiscard]] void* data() const;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Whether all of it is still backed by the file. A look right before reading: it finds a file
  /// that somebody has cut short, whose pages would be a SIGBUS.
  [[nodiscard]] bool intact() const;

  /// Whether the file at path() is this one and not a later one.
  [[nodiscard]] bool current() const;

 private:
  MappedFile(std::filesystem::path path, Fd file);
  [[nodiscard]] Result<> map(bool writable);
  [[nodiscard]] std::filesystem::path draft() const;
  void discard();

  std::filesystem::path path_;
  Fd file_;
  bool draft_ = false;  ///< still at draft()
  std::unique_ptr<boost::interprocess::mapped_region> region_;
};

}  // namespace sock::manager
