#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "sandbox/seccomp_policy.h"

namespace sock::zygote {

/// What a zygote is told when it starts; travels in a memfd.
struct ZygoteConfig {
  std::vector<std::string> search_path;  ///< sys.path; empty: a child zygote keeps its parent's
  std::vector<std::string> modules;      ///< to import, in order
  sandbox::SeccompPolicy filter;         ///< a child zygote keeps its parent's
  bool seal = true;                      ///< seal.h, where this memory allows it
};

/// The texts, a NUL after each.
[[nodiscard]] std::string join(const std::vector<std::string>& texts);

/// A sealed memfd holding the configuration.
[[nodiscard]] Result<Fd> write_config(const ZygoteConfig& config);

/// The reverse; refuses anything malformed or larger than 1 MiB.
[[nodiscard]] Result<ZygoteConfig> read_config(int fd);

}  // namespace sock::zygote
