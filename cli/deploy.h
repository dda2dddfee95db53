#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// What was said on the command line; what was not is left to sock.toml and sockd's defaults.
struct DeployOptions {
  std::string name;
  std::string path;
  std::optional<std::string> handler;
  std::optional<std::string> requirements_file;
  std::optional<std::string> memory;   ///< "256M"; sockd reads the units
  std::optional<std::string> timeout;  ///< "30s"
  std::optional<double> cpu;
  std::optional<std::uint32_t> pids;
  std::optional<std::string> tmp;
  std::optional<std::string> network;
  std::vector<std::string> allow;        ///< "10.1.2.0/24:443"; sockd reads them
  std::vector<std::string> environment;  ///< "K=V"
  std::optional<std::uint32_t> keep_ready;
};

/// Packs the code, sends it, shows the function that came of it. Returns the exit status.
[[nodiscard]] Outcome<int> deploy(Context& context, const DeployOptions& options);

/// The X-Sock-Options header: a JSON object of ASCII on one line, at most kMaxOptionsBytes.
/// Reads the requirements file.
[[nodiscard]] Outcome<std::string> options_header(const DeployOptions& options);

/// Longest X-Sock-Options sent.
inline constexpr std::size_t kMaxOptionsBytes = 32U << 10U;

}  // namespace sock::cli
