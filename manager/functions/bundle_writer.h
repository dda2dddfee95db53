#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "manager/functions/bundle.h"
#include "manager/functions/digest.h"

namespace sock::manager {

/// Writes the tree of one bundle beneath a directory, and is the only judge of names and limits:
/// whatever format an entry came from, it passes here. See unpack_bundle for the rules.
///
/// After an error the writer must not be used further. Not thread safe.
class BundleWriter {
 public:
  /// `root` is an empty directory, opened for reading.
  BundleWriter(Fd root, const BundleLimits& limits);

  [[nodiscard]] Result<> add_folder(std::string_view name);

  /// A file is begun, written in order, and ended.
  [[nodiscard]] Result<> begin_file(std::string_view name, bool executable,
                                    std::optional<std::time_t> modified);
  [[nodiscard]] Result<> write(std::string_view bytes);
  [[nodiscard]] Result<> end_file();

  /// Bytes that may still be written.
  [[nodiscard]] std::uint64_t bytes_left() const { return limits_.unpacked_bytes - info_.bytes; }

  /// kInvalid when there was no file.
  [[nodiscard]] Result<BundleInfo> finish();

 private:
  struct Node {
    bool folder = false;
    bool listed = false;  ///< the bundle names it itself; false for folders implied by a path
    bool executable = false;
    std::string digest;  ///< of a file's content
  };
  struct OpenFile {
    std::string name;
    Fd fd;
    Sha256 hash;
    std::optional<std::time_t> modified;
  };

  [[nodiscard]] Result<> check_name(std::string_view name) const;
  [[nodiscard]] Result<> make_parents(std::string_view name);
  [[nodiscard]] Result<> make_folder(const std::string& name);
  [[nodiscard]] Result<> count_node(std::string_view name) const;
  [[nodiscard]] Result<Fd> open_beneath(const std::string& name, std::uint64_t flags,
                                        std::uint64_t mode) const;

  Fd root_;
  BundleLimits limits_;
  std::map<std::string, Node, std::less<>> nodes_;
  OpenFile file_;  ///< its descriptor is invalid between files
  BundleInfo info_;
};

/// kInvalid: `bundle entry "name" why`.
[[nodiscard]] std::unexpected<Error> refuse_entry(std::string_view name, const std::string& why);

}  // namespace sock::manager
