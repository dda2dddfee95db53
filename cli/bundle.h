#pragma once

#include <cstddef>
#include <string>

#include "cli/failure.h"

namespace sock::cli {

/// A function's code as it goes over the wire.
struct Bundle {
  std::string content_type;
  std::string bytes;
};

/// What a bundle may hold before sockd, whose own limits are lower, is asked.
struct BundleLimits {
  std::size_t bytes = 256U << 20U;
  std::size_t entries = 20'000;
  std::size_t depth = 64;
};

/// Reads a .py file, a .zip or a .tar[.gz]/.tgz as it is, or packs a folder into a tar: entries in
/// the order of their names, owners and times left out, so that the same folder gives the same
/// bytes. __pycache__ and .git are skipped. Symbolic links inside a folder are refused: what they
/// point at may not exist where the function runs. Failures are usage errors that name the file.
[[nodiscard]] Outcome<Bundle> load_bundle(const std::string& path, const BundleLimits& limits = {});

}  // namespace sock::cli
