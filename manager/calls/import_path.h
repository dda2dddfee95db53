#pragma once

#include <string>

#include "manager/calls/clone.h"
#include "manager/functions/function.h"
#include "pkgcache/search_path.h"

namespace sock::manager {

/// CallParts::search_path of a call in a clone that has not loaded the function: empty where the
/// clone's zygote has just that path.
[[nodiscard]] inline std::string import_path(const Clone& clone, const Function& function,
                                             const pkgcache::SearchPath& paths) {
  std::string path = zygote::join(paths.of(function.spec.packages));
  if (clone.search_path && *clone.search_path == path) path.clear();
  return path;
}

}  // namespace sock::manager
