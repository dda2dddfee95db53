#include "bench/pkgcache/synthetic_packages.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <vector>

#include "tests/support/wheel.h"

namespace sock::bench {
namespace {

using Names = std::set<std::string>;

/// What accompanies each name in all functions that have it.
std::map<std::string, Names> companions(std::span<const pkgcache::Function> functions) {
  std::map<std::string, Names> out;
  for (const auto& function : functions) {
    Names names;
    for (const auto& package : function.packages) names.insert(package.name);
    for (const auto& name : names) {
      const auto [known, added] = out.emplace(name, names);
      if (added) continue;
      std::erase_if(known->second, [&](const auto& other) { return !names.contains(other); });
    }
  }
  return out;
}

}  // namespace

Requirements infer_requirements(std::span<const pkgcache::Function> functions) {
  const auto accompany = companions(functions);
  // Of two that are never apart one requires the other, not both: the order of names decides.
  const auto requires_it = [&](const std::string& name, const std::string& other) {
    if (name == other || !accompany.at(name).contains(other)) return false;
    return !accompany.at(other).contains(name) || other < name;
  };
  Requirements out;
  for (const auto& [name, others] : accompany) {
    Names& direct = out[name];
    for (const auto& other : others) {
      if (!requires_it(name, other)) continue;
      const bool follows = std::ranges::any_of(others, [&](const auto& between) {
        return requires_it(name, between) && requires_it(between, other);
      });
      if (!follows) direct.insert(other);
    }
  }
  return out;
}

std::string module_of(const std::string& package) { return test_support::wheel_name(package); }

std::string module_source(const pkgcache::PackageCost& cost,
                          const std::set<std::string>& requirements) {
  std::string source;
  for (const auto& name : requirements) source += "import " + module_of(name) + "\n";
  char figures[128];
  std::snprintf(figures, sizeof figures, "_burn, _bytes = %.6f, %.0f\n", cost.ms / 1000,
                cost.mb * 1024 * 1024);
  source += "from time import thread_time as _clock\n\n";
  source += figures;
  // Blocks that the allocator takes from its heap, 16 KiB each with the object's and its own head.
  source +=
      "_until = _clock() + _burn\n"
      "_memory = [b'*' * 16335 for _ in range(_bytes // 16384)]\n"
      "_memory.append(b'*' * max(_bytes % 16384 - 49, 0))\n"
      "while _clock() < _until:\n"
      "    sum(range(100))\n";
  return source;
}

Result<> write_wheels(const std::filesystem::path& folder, const Sample& sample) {
  const auto requirements = infer_requirements(sample.functions);
  try {
    for (const auto& [name, versions] : sample.table) {
      const auto& required = requirements.at(name);
      for (const auto& [version, cost] : versions) {
        test_support::write_wheel(
            folder, {.name = name,
                     .version = version,
                     .requirements = {required.begin(), required.end()},
                     .files = {{module_of(name) + ".py", module_source(cost, required)}}});
      }
    }
  } catch (const std::exception& error) {
    return fail(Code::kInternal, "make wheels in " + folder.string(), error.what());
  }
  return {};
}

}  // namespace sock::bench
