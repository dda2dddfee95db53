#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "pkgcache/package.h"
#include "pkgcache/requirement.h"
#include "pkgcache/version.h"

namespace sock::pkgcache {

/// One installed package, as its metadata describes it.
struct Entry {
  Package package;  ///< version as the metadata spells it
  Version version;
  /// What it requires, extras included: a marker that asks for an extra holds only with it.
  std::vector<ConditionalRequirement> dependencies;
  /// Top-level names it can be imported by, private ones too; sorted. May be empty.
  std::vector<std::string> modules;
  std::filesystem::path metadata;  ///< the *.dist-info or *.egg-info

  /// Normalised names of the packages it needs without any extra; sorted, each once.
  [[nodiscard]] std::vector<std::string> needs() const;
};

/// Names that can be imported from one folder: packages, modules, extension modules.
using ModuleNames = std::set<std::string, std::less<>>;

/// The values of Requires-Dist. kInvalid when one cannot be read, unless it belongs to an extra:
/// then it is left out and described in `skipped`.
[[nodiscard]] Result<std::vector<ConditionalRequirement>> parse_dependencies(
    const std::vector<std::string>& lines, std::vector<std::string>& skipped);

/// Reads a *.dist-info folder, or a *.egg-info folder or file (the Python Packaging Authority's
/// "Recording installed projects" and setuptools' egg formats). `importable` are the names in
/// the folder around it; only those become modules.
///
/// Everything is bounded (1 MiB of metadata, 8 MiB of file list, 5,000 requirements) and
/// validated; kInvalid says what is wrong. A requirement that cannot be read is an error unless
/// it belongs to an extra: then it is left out and described in `skipped`.
[[nodiscard]] Result<Entry> read_metadata(const std::filesystem::path& path,
                                          const ModuleNames& importable,
                                          std::vector<std::string>& skipped);

/// The importable name that a folder's entry provides, "" for none: "x" for x.py, x.abi3.so,
/// x.cpython-311-x86_64-linux-gnu.so, or a folder x.
[[nodiscard]] std::string module_name_of(std::string_view file_name, bool is_folder);

}  // namespace sock::pkgcache
