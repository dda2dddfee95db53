#include "pkgcache/search_path.h"

#include <algorithm>

#include "pkgcache/store/store.h"

namespace sock::pkgcache {

std::vector<std::string> SearchPath::folders_of(std::span<const Package> packages) const {
  std::vector<std::string> out;
  const auto is_stored = [](const Package& package) { return !package.digest.empty(); };
  for (const Package& package : packages) {
    if (is_stored(package)) out.push_back(folder_in_sandbox(package));
  }
  const bool all_stored = !packages.empty() && std::ranges::all_of(packages, is_stored);
  if (!all_stored) out.insert(out.end(), host_.begin(), host_.end());
  return out;
}

std::vector<std::string> SearchPath::of(std::span<const Package> packages) const {
  std::vector<std::string> out = standard_;
  const auto folders = folders_of(packages);
  out.insert(out.end(), folders.begin(), folders.end());
  return out;
}

}  // namespace sock::pkgcache
