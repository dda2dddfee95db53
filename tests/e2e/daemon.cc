#include "tests/e2e/daemon.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <fstream>
#include <iostream>
#include <stdexcept>

#include "base/file.h"
#include "cli/client.h"
#include "tests/e2e/host.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

/// The first start imports packages on a machine that may be busy.
constexpr Millis kStartTimeout{60'000};
constexpr Millis kStopTimeout{30'000};
constexpr std::size_t kShownLog = 16'000;

}  // namespace

std::string program(const std::string& name) {
  const char* const folder = std::getenv("SOCK_TEST_BIN_DIR");
  return std::string(folder != nullptr ? folder : SOCK_BIN_DIR) + "/" + name;
}

Daemon::Daemon(const std::string& settings) {
  std::string folder = "/tmp/sock-e2e-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp " + folder);
  folder_ = folder;
  socket_ = folder_ + "/sockd.sock";
  cgroup_parent_ = std::filesystem::path(folder_).filename().string();
  std::ofstream(config_file()) << settings;
}

Daemon::~Daemon() {
  if (running()) {
    const int status = stop();
    if (status != 0) ADD_FAILURE() << "sockd ended with status " << status;
  }
  if (testing::Test::HasFailure()) {
    const std::string text = log();
    std::cerr << "---- log of sockd in " << folder_ << " ----\n"
              << text.substr(text.size() - std::min(text.size(), kShownLog))
              << "---- end of log ----\n";
  }
  sweep(cgroup_parent_, folder_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::vector<std::string> Daemon::arguments() const {
  return {"--config",  config_file(),     "--socket",     socket_,       "--state-dir",
          state_dir(), "--cgroup-parent", cgroup_parent_, "--log-level", "debug"};
}

Result<> Daemon::start() {
  auto log_file = open_fd(AT_FDCWD, folder_ + "/sockd.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (!log_file) return std::unexpected(log_file.error());
  // A value that must not reach any sandbox.
  auto process = launch(program("sockd"), arguments(), {-1, log_file->get(), log_file->get()},
                        {"HOST_SECRET=do-not-leak"});
  if (!process) return std::unexpected(process.error());
  process_ = std::move(*process);
  std::optional<Exit> ended;
  const auto answers = [&] {
    ended = process_.try_reap();
    if (ended) return true;
    cli::Client client(socket_);
    cli::Request request;
    request.method = "GET";
    request.target = "/v1/health";
    request.timeout = Millis(5'000);
    const auto response = client.exchange(request);
    return response && response->status == 200;
  };
  if (eventually(answers, kStartTimeout) && !ended) return {};
  const std::string what =
      ended ? "sockd ended with status " + std::to_string(shell_status(*ended)) + "\n"
            : "sockd did not answer in time\n";
  if (!ended) kill();
  return fail(Code::kInternal, "start sockd", what + log());
}

int Daemon::stop() {
  terminate();
  return wait_for_exit();
}

int Daemon::wait_for_exit() {
  const auto exit = wait_exit(process_, Clock::now() + kStopTimeout);
  if (exit) return shell_status(*exit);
  kill();
  return -1;
}

void Daemon::kill() {
  if (running()) (void)process_.kill_and_reap();
}

std::string Daemon::log() const {
  return read_file(AT_FDCWD, folder_ + "/sockd.log", std::size_t{64} << 20U).value_or("");
}

}  // namespace sock::e2e
