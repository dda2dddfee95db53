#include "pkgcache/library.h"

#include <algorithm>
#include <set>

#include "pkgcache/store/store.h"

namespace sock::pkgcache {

std::optional<Entry> Library::find(const Package& package) const {
  if (!package.digest.empty()) {
    const auto stored = store_.find(package);
    return stored ? std::optional(stored->entry) : std::nullopt;
  }
  const Entry* const entry = catalogue_.find(package.name);
  if (entry == nullptr || entry->package != package) return std::nullopt;
  return *entry;
}

std::vector<std::string> Library::modules_of(std::span<const Package> packages) const {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const Package& package : packages) {
    const auto entry = find(package);
    if (!entry) continue;
    for (std::string& module : catalogue_.preloads_of(*entry)) {
      if (seen.insert(module).second) out.push_back(std::move(module));
    }
  }
  return out;
}

std::vector<Package> Library::needs_of(const Package& package,
                                       std::span<const Package> within) const {
  std::set<Package> found;
  std::vector<Package> open{package};
  while (!open.empty()) {
    const auto entry = find(open.back());
    open.pop_back();
    if (!entry) continue;
    for (const std::string& name : entry->needs()) {
      const auto need = std::ranges::find(within, name, &Package::name);
      if (need == within.end() || *need == package) continue;
      if (found.insert(*need).second) open.push_back(*need);
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace sock::pkgcache
