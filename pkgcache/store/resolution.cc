#include "pkgcache/store/resolution.h"

#include <algorithm>
#include <expected>
#include <utility>

#include "base/text.h"
#include "pkgcache/closure.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {
namespace {

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "packages", std::move(message));
}

const ResolvedWheel* find_wheel(const Resolution& resolution, const std::string& name) {
  const auto found = std::ranges::lower_bound(
      resolution.wheels, name, {},
      [](const ResolvedWheel& wheel) -> const std::string& { return wheel.package.name; });
  return found != resolution.wheels.end() && found->package.name == name ? &*found : nullptr;
}

const Entry* find_host(const Resolution& resolution, const std::string& name) {
  const auto name_of = [](const Entry& entry) -> const std::string& { return entry.package.name; };
  const auto found = std::ranges::find(resolution.host, name, name_of);
  return found != resolution.host.end() ? &*found : nullptr;
}

Result<> check_host(const Resolution& resolution) {
  for (const Entry& entry : resolution.host) {
    for (const std::string& name : entry.needs()) {
      const ResolvedWheel* const wheel = find_wheel(resolution, name);
      if (wheel == nullptr) continue;
      return invalid(entry.package.to_string() + " is this host's and needs the host's " + name +
                     ", not " + wheel->package.to_string() + " from a wheel");
    }
  }
  return {};
}

/// "requirements.txt line 2: foo==1: " when a line asks for the package itself.
std::string origin_of(const std::string& name, const std::vector<Requirement>& requirements) {
  const auto line = std::ranges::find(requirements, name, &Requirement::name);
  return line == requirements.end() ? std::string() : at_line(*line);
}

Result<> check_hashes(const Resolution& resolution, const std::vector<Requirement>& requirements) {
  if (!needs_wheels(requirements)) return {};
  for (const Requirement& requirement : requirements) {
    const ResolvedWheel* const wheel = find_wheel(resolution, requirement.name);
    if (wheel == nullptr) continue;  // its absence is found elsewhere
    if (!std::ranges::binary_search(requirement.hashes, wheel->package.digest)) {
      return invalid(at_line(requirement) + "the wheel " + wheel->file + " has the sha256 " +
                     wheel->package.digest + ", which is none of the line's");
    }
  }
  for (const ResolvedWheel& wheel : resolution.wheels) {
    if (origin_of(wheel.package.name, requirements).empty()) {
      return invalid("requirements.txt: " + wheel.package.to_string() +
                     " is needed but has no line; in hash-checking mode every package must have "
                     "one, with --hash=sha256:" +
                     wheel.package.digest);
    }
  }
  return {};
}

Result<> check_yanked(const Resolution& resolution, const std::vector<Requirement>& requirements) {
  for (const ResolvedWheel& wheel : resolution.wheels) {
    if (!wheel.yanked) continue;
    std::string message = origin_of(wheel.package.name, requirements);
    message += wheel.package.to_string() + " was withdrawn (yanked) by its maintainers";
    if (!wheel.yanked_reason.empty()) message += ": " + in_quotes(wheel.yanked_reason);
    return invalid(message + "; choose another version");
  }
  return {};
}

}  // namespace

std::vector<Package> Resolution::packages() const {
  std::vector<Package> out;
  for (const ResolvedWheel& wheel : wheels) out.push_back(wheel.package);
  for (const Entry& entry : host) out.push_back(entry.package);
  std::ranges::sort(out);
  return out;
}

Result<> check_resolution(const Resolution& resolution,
                          const std::vector<Requirement>& requirements) {
  const auto look_up = [&](const std::string& name) -> std::expected<Choice, std::string> {
    const ResolvedWheel* const wheel = find_wheel(resolution, name);
    if (wheel != nullptr) {
      return Choice{&wheel->package, &wheel->version, wheel->dependencies};
    }
    const Entry* const entry = find_host(resolution, name);
    if (entry == nullptr) return std::unexpected("pip chose no wheel of '" + name + "'");
    return Choice{&entry->package, &entry->version, entry->dependencies};
  };
  const auto closure = closure_of(requirements, {.find = look_up, .presence = "pip chose"});
  if (!closure) return std::unexpected(closure.error());
  for (const Package& package : resolution.packages()) {
    if (!std::ranges::binary_search(*closure, package)) {
      return invalid("pip chose " + package.to_string() + ", which nothing needs");
    }
  }
  if (auto checked = check_host(resolution); !checked) return checked;
  if (auto checked = check_hashes(resolution, requirements); !checked) return checked;
  return check_yanked(resolution, requirements);
}

}  // namespace sock::pkgcache
