#include "pkgcache/closure.h"

#include <cstddef>
#include <optional>
#include <set>
#include <utility>

#include "pkgcache/text.h"

namespace sock::pkgcache {

std::string at_line(const Requirement& requirement) {
  std::string out;
  if (requirement.line > 0) {
    out = "requirements.txt line " + std::to_string(requirement.line) + ": ";
  }
  return out + printable(requirement.text) + ": ";
}

Result<std::vector<Package>> closure_of(const std::vector<Requirement>& requirements,
                                        const CandidateSource& source) {
  struct Step {
    const Requirement* requirement;
    std::optional<std::size_t> parent;  ///< index of the step that asked for it
  };
  std::vector<Step> steps;
  steps.reserve(requirements.size());
  for (const Requirement& requirement : requirements) steps.push_back({&requirement, {}});

  const auto refuse = [&](std::size_t index, const std::string& why) {
    std::string chain(printable(steps[index].requirement->text));
    const bool direct = !steps[index].parent;
    while (steps[index].parent) {
      index = *steps[index].parent;
      chain.insert(0, steps[index].requirement->name + " → ");
    }
    std::string message = at_line(*steps[index].requirement);
    if (!direct) message += "needs " + chain + ": ";
    return fail(Code::kInvalid, "packages", message + why);
  };

  std::set<Package> closure;
  std::set<std::pair<std::string, std::string>> expanded;  // package and extra, "" for none
  for (std::size_t index = 0; index < steps.size(); ++index) {
    const Requirement& wanted = *steps[index].requirement;
    const auto found = source.find(wanted.name);
    if (!found) return refuse(index, found.error());
    if (!wanted.specifiers.contains(*found->version)) {
      return refuse(
          index, std::string(source.presence) + " " + wanted.name + " " + found->package->version);
    }
    closure.insert(*found->package);
    std::vector<std::string> extras = {""};
    extras.insert(extras.end(), wanted.extras.begin(), wanted.extras.end());
    for (const std::string& extra : extras) {
      if (!expanded.emplace(wanted.name, extra).second) continue;
      for (const auto& [requirement, marker] : found->dependencies) {
        if (marker.evaluate(extra)) steps.push_back({&requirement, index});
      }
    }
  }
  return std::vector<Package>(closure.begin(), closure.end());
}

}  // namespace sock::pkgcache
