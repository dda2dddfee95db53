#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sock::manager {

/// What a bundle may hold; the initial values are the defaults of [deploy] in sockd.toml.
struct BundleLimits {
  std::uint64_t bundle_bytes = 64ULL << 20;     ///< as uploaded
  std::uint64_t unpacked_bytes = 256ULL << 20;  ///< all files together
  std::uint32_t entries = 10'000;               ///< files and folders, implied folders included
  std::uint32_t depth = 32;                     ///< names in a path

  bool operator==(const BundleLimits&) const = default;
};

/// What was unpacked.
struct BundleInfo {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  /// Over names, modes and contents in order of name: the same tree has the same digest, whichever
  /// way it was packed.
  std::string sha256;

  bool operator==(const BundleInfo&) const = default;
};

/// Unpacks untrusted `bytes` into the empty directory `target`.
///
/// A bundle is a zip, a tar (plain, gzip, xz or zstd) or one Python source, which becomes
/// handler.py. `content_type` decides when it is text/x-python or an archive's; otherwise the first
/// bytes do. One folder around everything is kept, not stripped.
///
/// Files become 0644 or 0755 (when any execute bit is set), folders 0755; times lie between 1980
/// and now. Nothing can be written outside `target`. Refused whole as kInvalid, naming the entry:
/// absolute names, "..", empty and "." parts (one leading "./" is dropped), control characters,
/// names that are not UTF-8 or too long, links, devices, FIFOs, sockets, set-id and sticky bits,
/// sparse and encrypted entries, a name that comes twice or is file and folder at once, anything
/// above `limits` (counted while writing), damaged archives and ones without a file.
///
/// After an error `target` holds whatever was written: the caller removes it. Does not fsync.
/// Thread safe for different targets; blocks on the disk.
[[nodiscard]] Result<BundleInfo> unpack_bundle(std::string_view bytes,
                                               std::string_view content_type,
                                               const std::filesystem::path& target,
                                               const BundleLimits& limits);

}  // namespace sock::manager
