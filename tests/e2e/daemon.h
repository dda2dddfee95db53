#pragma once

#include <signal.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/process.h"

namespace sock::e2e {

/// A private sockd: own socket, state, configuration and cgroup parent, in a folder of its own.
///
/// Destruction stops it, kills whatever it left, and removes the folder; after a test that failed
/// it prints the daemon's log first.
class Daemon {
 public:
  /// `settings` is more TOML for sockd.toml. Does not start it.
  explicit Daemon(const std::string& settings = "[zygotes]\nsets = []\n");
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Starts sockd and waits until it answers; the error holds its log.
  [[nodiscard]] Result<> start();

  /// SIGTERM, and the exit status as a shell reports it; -1 when it did not end in 30 seconds.
  [[nodiscard]] int stop();

  /// SIGTERM only; wait_for_exit() tells what came of it.
  void terminate() const { process_.signal(SIGTERM); }
  [[nodiscard]] int wait_for_exit();

  /// SIGKILL.
  void kill();

  [[nodiscard]] bool running() const { return process_.valid(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string state_dir() const { return folder_ + "/state"; }
  [[nodiscard]] std::string config_file() const { return folder_ + "/sockd.toml"; }
  [[nodiscard]] const std::string& cgroup_parent() const { return cgroup_parent_; }
  /// The command line it is started with, program excluded.
  [[nodiscard]] std::vector<std::string> arguments() const;
  /// What it has logged so far.
  [[nodiscard]] std::string log() const;

 private:
  std::string folder_;
  std::string socket_;
  std::string cgroup_parent_;
  Process process_;
};

/// Path of one of sock's programs: in $SOCK_TEST_BIN_DIR, or else in the build.
[[nodiscard]] std::string program(const std::string& name);

}  // namespace sock::e2e
