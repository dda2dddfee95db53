#include "tests/e2e/path.h"

#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace sock::e2e {

Path path() {
  const char* const value = std::getenv("SOCK_TEST_PATH");
  const std::string_view name = value != nullptr ? value : "";
  if (name.empty()) return Path::kAny;
  if (name == "parked") return Path::kParked;
  if (name == "on_demand") return Path::kOnDemand;
  if (name == "function") return Path::kFunction;
  if (name == "replica") return Path::kReplica;
  throw std::runtime_error("SOCK_TEST_PATH is unknown: " + std::string(name));
}

std::string with_path(std::string settings) {
  constexpr std::string_view kZygotes = "[zygotes]\n";
  if (path() == Path::kAny) return settings;
  if (!settings.starts_with(kZygotes)) throw std::runtime_error("no [zygotes] in " + settings);
  if (path() == Path::kFunction) return settings;
  if (path() == Path::kReplica) settings.insert(kZygotes.size(), "replicas = 2\n");
  // A suite may ask for these itself.
  if (!settings.contains("functions = ")) settings.insert(kZygotes.size(), "functions = false\n");
  if (path() != Path::kParked && !settings.contains("[parked]\nmin = 0\nmax = 0\n")) {
    settings += "[parked]\nmin = 0\nmax = 0\n";
  }
  return settings;
}

}  // namespace sock::e2e
