#pragma once

#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/package.h"
#include "pkgcache/requirement.h"
#include "pkgcache/version.h"

namespace sock::pkgcache {

/// The one version of a package that there is to choose. Refers to what its owner keeps.
struct Candidate {
  const Package* package;
  const Version* version;
  std::span<const ConditionalRequirement> dependencies;
};

/// Where candidates come from.
struct CandidateSource {
  /// By normalised name; else why there is none, for the person who deploys.
  std::function<std::expected<Candidate, std::string>(const std::string& name)> find;
  /// Goes before a candidate that does not satisfy: "this host has".
  std::string_view presence;
};

/// Begins a message about a requirement: "requirements.txt line 3: foo==9: ".
[[nodiscard]] std::string at_line(const Requirement& requirement);

/// The exact closure of the requirements: every package they need, directly or not, sorted by name.
/// Extras are followed where asked for; an extra that a package does not have adds nothing, as with
/// pip.
///
/// kInvalid when there is no candidate or it does not satisfy, naming the line and, for an indirect
/// one, the chain that leads there.
[[nodiscard]] Result<std::vector<Package>> closure_of(const std::vector<Requirement>& requirements,
                                                      const CandidateSource& source);

}  // namespace sock::pkgcache
