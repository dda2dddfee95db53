#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/metadata.h"
#include "pkgcache/package.h"
#include "pkgcache/requirement.h"
#include "pkgcache/version.h"

namespace sock::pkgcache {

/// One wheel that pip chose.
struct ResolvedWheel {
  Package package;   ///< version as the wheel's metadata spells it; digest: the wheel's sha256
  Version version;   ///< of `package`
  std::string url;   ///< where pip found it: file, http or https
  std::string file;  ///< its file name, decoded; a plain name that ends in .whl
  std::vector<ConditionalRequirement> dependencies;
  bool requested = false;  ///< by the requirements themselves
  bool yanked = false;     ///< withdrawn by its maintainers
  std::string yanked_reason;
};

/// What pip made of some requirements.
struct Resolution {
  std::vector<ResolvedWheel> wheels;  ///< sorted by name, each name once; at most 500
  std::vector<Entry> host;            ///< of the host's packages, with them; likewise

  /// The packages of both, sorted by name.
  [[nodiscard]] std::vector<Package> packages() const;
};

/// Reads pip's installation report (`pip install --dry-run --ignore-installed --report`), version
/// 1:
///
///   {"version":"1","install":[{"metadata":{"name","version","requires_dist":[…]},
///     "download_info":{"url","archive_info":{"hash":"sha256=…","hashes":{"sha256":…}}},
///     "requested":bool, "is_direct":bool, "is_yanked":bool, "yanked_reason":text}]}
///
/// All other members are ignored and may be left out. `is_yanked`, which pip 23.0 lacks, and
/// `yanked_reason` are optional; so is either place of the digest.
///
/// The report is hostile input. kInvalid for anything but wheels (naming the source archive), a
/// wheel without sha256, a file name that belongs to another package, a direct reference, a name
/// that comes twice, more than 500 packages or 8 MiB.
[[nodiscard]] Result<Resolution> parse_report(std::string_view json);

/// Checks that the wheels are what the requirements ask for, and nothing else: each requirement and
/// each dependency is met at a version that satisfies, in hash-checking mode by a wheel with one of
/// the line's digests, no wheel was yanked, and each is needed. What a package of the host depends
/// on is the host's, too: it was built for no other.
///
/// kInvalid, with a message for the person who deploys, naming the line.
[[nodiscard]] Result<> check_resolution(const Resolution& resolution,
                                        const std::vector<Requirement>& requirements);

}  // namespace sock::pkgcache
