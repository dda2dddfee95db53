#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace sock::pkgcache {

/// What Debian knows about dependencies between Python packages.
///
/// dh_python3(1) turns the unconditional requirements of a package into Debian dependencies and
/// removes them from the installed metadata: pandas' own no longer mentions numpy. dpkg's
/// database still has them, under Debian's names.

/// Reads `dpkg`/status and `dpkg`/info/*.list (dpkg(1); /var/lib/dpkg).
/// `metadata` maps the absolute path of each installed *.dist-info or *.egg-info to its package's
/// normalised name; the result maps such names to the names they depend on, sorted. Only
/// dependencies on other packages in `metadata` are found, also through Debian packages that carry
/// no metadata (python3-pandas-lib). Left out are
/// - Depends with a choice of libraries ("python3-scipy | python3-munkres"): no Python requirement
///   has one, so it is Debian's own addition;
/// - Depends that the interpreter itself satisfies ("python3-foo | python3 (>> 3.8)"), which is
///   how dh_python3 writes a python_version marker.
/// An empty result when the host has no dpkg. Errors: a file that is too large or unreadable.
[[nodiscard]] Result<std::map<std::string, std::vector<std::string>>> debian_dependencies(
    const std::filesystem::path& dpkg, const std::map<std::string, std::string>& metadata);

}  // namespace sock::pkgcache
