#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "manager/functions/network.h"
#include "netns-pool/egress.h"
#include "pkgcache/package.h"
#include "sandbox/limits.h"

namespace sock::manager {

/// What the deployer asked for, after defaults and caps; everything `describe` shows.
struct FunctionSpec {
  std::string name;                         ///< ^[a-z0-9][a-z0-9_.-]{0,63}$
  std::string handler = "handler.handler";  ///< module.function
  std::vector<std::string> requirements;    ///< as written, one requirement a line
  std::vector<pkgcache::Package> packages;  ///< the exact closure, sorted by name
  sandbox::Limits limits;
  Millis timeout{30'000};  ///< wall-clock time of one call
  Network network = Network::kNone;
  netns::Egress egress;  ///< with kNat
  std::map<std::string, std::string> environment;
  std::uint32_t keep_ready = 0;  ///< parked clones kept whatever the demand
};

/// One immutable deployed generation of a function.
struct Function {
  FunctionSpec spec;
  std::uint64_t generation = 0;  ///< grows with every deploy of the name
  std::filesystem::path code;    ///< folder that becomes /var/task
  std::uint64_t code_bytes = 0;
  std::string sha256;            ///< of the code's files and names
  std::int64_t deployed_at = 0;  ///< seconds since the epoch
};

/// Who may be given what a call of the function has left: only calls of the same code.
[[nodiscard]] inline std::string owner_of(const Function& function) {
  return function.spec.name + "@" + std::to_string(function.generation);
}

}  // namespace sock::manager
