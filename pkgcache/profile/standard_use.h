#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

namespace sock::pkgcache {

/// What importing one module costs by itself, those it imports left out.
struct ModuleCost {
  double ms = 0;
  double mb = 0;
};

/// Standard library modules that calls need, and how often. For a function: the union of its
/// packages' Profile::standard_modules.
struct StandardUse {
  std::vector<std::string> modules;
  double rate = 0;  ///< any unit; one that is not a positive number counts as none
};

/// What the root may spend on the modules it adds.
struct RootBudget {
  double ms = 0;  ///< of starting it
  double mb = 0;
  /// Least part of all calls, by rate, that must need a module: the others' clones pay for it.
  double least_share = 0;
};

struct StandardChoice {
  std::string module;
  double share = 0;     ///< part of all calls that need it, by rate
  double saved_ms = 0;  ///< a call, over all of them
};

/// The modules that the root should hold, those that save calls most for their memory first, as
/// long as they fit the budget. Modules without a cost are left out. Pure; the same arguments
/// give the same list.
[[nodiscard]] std::vector<StandardChoice> standard_use(
    std::span<const StandardUse> uses, const std::map<std::string, ModuleCost>& costs,
    const RootBudget& budget);

}  // namespace sock::pkgcache
