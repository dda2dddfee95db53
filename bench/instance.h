#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"

namespace sock::bench {

/// A folder in /tmp that goes away with its owner.
class ScratchFolder {
 public:
  [[nodiscard]] static Result<ScratchFolder> make();
  ScratchFolder(ScratchFolder&& other) noexcept;
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
};

struct InstanceSpec {
  std::string sockd;           ///< program
  std::filesystem::path home;  ///< an existing folder for its socket, state and log
  std::string config;          ///< sockd.toml; empty = built-in defaults
  Millis ready_within{60'000};
};

/// A sockd of its own: own socket, state and cgroup parent. Destruction stops it. Keep it in the
/// thread that started it (see spawn()).
class Instance {
 public:
  /// Starts the daemon and waits until it says it is healthy. On failure the error ends with the
  /// last lines of its log.
  [[nodiscard]] static Result<Instance> start(const InstanceSpec& spec);

  Instance(Instance&&) = default;
  Instance& operator=(Instance&&) = delete;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance();

  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  /// Its cgroup parent, relative to each hierarchy's root.
  [[nodiscard]] const std::string& cgroup() const { return cgroup_; }

  /// CPU time of the daemon and all it started, in microseconds.
  [[nodiscard]] std::optional<double> cpu_us() const;

  /// SIGTERM, up to 20 s of grace, then SIGKILL. An unclean end is an error. Idempotent.
  Result<> stop();

 private:
  Instance() = default;

  [[nodiscard]] std::string log_tail() const;

  Process process_;
  std::string socket_;
  std::string cgroup_;
  std::filesystem::path log_;
};

/// A function as the benchmarks deploy it.
struct Deployment {
  std::string name;
  std::string source;  ///< of a .py file with handler(event, context)
  std::vector<std::string> requirements;
  unsigned keep_ready = 0;
  std::string event = "{}";  ///< for the calls that warm it up
  Millis within{60'000};     ///< for the deployment itself
};

/// Deploys the function without calling it.
[[nodiscard]] Result<> deploy(const std::string& socket, const Deployment& function);

/// Deploys the function and calls it until a call succeeds from a ready zygote.
[[nodiscard]] Result<> deploy_and_warm(const std::string& socket, const Deployment& function);

}  // namespace sock::bench
