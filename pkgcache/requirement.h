#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/marker.h"
#include "pkgcache/specifier.h"

namespace sock::pkgcache {

/// A package that is wanted, and in which versions.
struct Requirement {
  std::string name;                 ///< normalised (PEP 503)
  std::vector<std::string> extras;  ///< normalised, sorted, each once
  SpecifierSet specifiers;
  std::size_t line = 0;  ///< in requirements.txt, from 1; 0 when it comes from elsewhere
  std::string text;      ///< as written, without comment, options and surrounding white space
  /// sha256 of the wheels that may be taken, lower case, sorted, each once; empty: any wheel.
  std::vector<std::string> hashes = {};
};

/// A requirement that holds only where its marker does.
struct ConditionalRequirement {
  Requirement requirement;
  Marker marker;
};

/// One PEP 508 requirement: `name[extra,…] (>=1,<2) ; marker`. Direct references ("name @ URL")
/// are refused. kInvalid; the message says what is wrong with the text but not where it stood.
[[nodiscard]] Result<ConditionalRequirement> parse_requirement(std::string_view text);

/// Reads a requirements.txt. Lines whose marker does not hold for the target interpreter are
/// left out. As with pip, one `--hash=sha256:…` puts the whole file into hash-checking mode: then
/// every line must have one and name its exact version ("==").
///
/// kInvalid, naming the line, its text and what to do: every other option, URLs, VCS references,
/// paths, what is not a requirement, and lines that hash-checking mode does not allow. Also
/// refused: more than 256 KiB, more than 1,000 lines, NUL bytes, and text that is not UTF-8.
[[nodiscard]] Result<std::vector<Requirement>> parse_requirements(std::string_view text);

/// True in hash-checking mode: only wheels have digests, so what the host itself has cannot satisfy
/// these requirements.
[[nodiscard]] bool needs_wheels(const std::vector<Requirement>& requirements);

/// The requirements as a requirements.txt for pip, each on the line that it had (pip names lines),
/// without markers. Written anew, so that pip reads nothing but what was understood here: it would
/// end lines at characters that are ordinary in a marker, and expand variables.
[[nodiscard]] std::string to_requirements_text(const std::vector<Requirement>& requirements);

}  // namespace sock::pkgcache
