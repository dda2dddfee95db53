// sockd: the daemon. Reads its configuration, starts every part, serves the API, and takes
// everything apart again on SIGTERM or SIGINT.

#include <grp.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <iostream>

#include "manager/api/api.h"
#include "manager/api/http_server.h"
#include "manager/daemon.h"
#include "manager/doctor.h"
#include "manager/settings/config.h"
#include "manager/settings/units.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;

struct Options {
  std::string config;
  std::string socket;
  std::string state_dir;
  std::string cgroup_parent;
  std::string log_level;
  std::string drain = "30s";
  bool doctor = false;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("--config", options.config,
                 "Configuration file [env SOCK_CONFIG] (default " +
                     std::string(kDefaultConfigFile) + ", which may be missing)");
  app.add_option(
      "--socket", options.socket,
      "Unix socket to serve the API on [env SOCK_SOCKET] (default /run/sock/sockd.sock)");
  app.add_option("--state-dir", options.state_dir,
                 "Folder of deployed functions [env SOCK_STATE_DIR] (default /var/lib/sock)");
  app.add_option("--cgroup-parent", options.cgroup_parent,
                 "cgroup to work in, below each hierarchy's root (default sock)");
  app.add_option("--log-level", options.log_level,
                 "trace, debug, info, warn, error, critical or off (default info)")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "critical", "off"}));
  app.add_option("--drain-timeout", options.drain,
                 "How long running calls may finish after SIGTERM")
      ->capture_default_str();
  app.add_flag("--doctor", options.doctor,
               "Say as JSON whether this host can run sockd, then exit (0 = it can)");
  app.set_version_flag("--version", std::string("sockd ") + SOCK_VERSION);
  app.footer(
      "Runs in the foreground; SIGTERM or SIGINT drains and stops it.\n"
      "A private instance for trying things out:\n"
      "  sockd --socket /tmp/try/sock --state-dir /tmp/try/state --cgroup-parent sock-try");
}

Result<Config> configure(const Options& options) {
  auto config = load_config(
      options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config));
  if (!config) return config;
  if (auto applied = apply_environment(*config); !applied) {
    return std::unexpected(applied.error());
  }
  auto absolute = [](const std::string& path) { return std::filesystem::absolute(path); };
  if (!options.socket.empty()) config->socket = absolute(options.socket);
  if (!options.state_dir.empty()) config->state_dir = absolute(options.state_dir);
  if (!options.cgroup_parent.empty()) config->cgroup_parent = options.cgroup_parent;
  if (!options.log_level.empty()) config->log_level = options.log_level;
  if (auto checked = check_paths(*config); !checked) return std::unexpected(checked.error());
  return config;
}

void start_logging(const std::string& level) {
  auto logger = spdlog::stderr_logger_mt("sockd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

HttpServerOptions server_options(const Config& config) {
  HttpServerOptions options;
  options.socket = config.socket.string();
  // The group is a convenience of installed hosts; without it the socket is root's alone.
  if (::getgrnam(config.socket_group.c_str()) != nullptr) options.group = config.socket_group;
  return options;
}

/// The daemon's life. Returns the exit status.
asio::awaitable<int> live(Config config, Millis drain) {
  const auto executor = co_await asio::this_coro::executor;
  // From the very beginning: a signal that comes while starting must not leave cgroups behind.
  asio::signal_set signals(executor, SIGTERM, SIGINT);
  const HttpServerOptions options = server_options(config);
  const Api::Limits limits{config.calls.request_bytes, config.deploy.bundle_bytes};
  auto daemon = co_await Daemon::start(std::move(config));
  if (!daemon) {
    spdlog::critical("cannot start: {}", daemon.error().describe());
    co_return 1;
  }
  Api api(**daemon, limits);
  auto server = HttpServer::listen(executor, options, api);
  if (!server) {
    spdlog::critical("cannot listen: {}", server.error().describe());
    co_await (*daemon)->shutdown(Clock::now());
    co_return 1;
  }
  ::sd_notify(0, "READY=1");
  spdlog::info("sockd {} serves on {}", SOCK_VERSION, options.socket);

  int status = 0;
  auto lost = [](Daemon* its, asio::signal_set* stop, int* its_status) -> asio::awaitable<void> {
    const Error error = co_await its->failure();
    spdlog::critical("cannot go on: {}", error.describe());
    *its_status = 1;
    stop->cancel();
  };
  asio::co_spawn(executor, lost(daemon->get(), &signals, &status), asio::detached);
  auto [ignored, number] = co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)ignored;
  if (status == 0) spdlog::info("signal {}: draining", number);
  ::sd_notify(0, "STOPPING=1");
  const auto deadline = Clock::now() + drain;
  (*server)->stop_accepting();
  co_await (*daemon)->shutdown(deadline);
  // The replies of the last calls may still be on their way out.
  co_await (*server)->shutdown(Clock::now() + Millis(1000));
  spdlog::info("stopped");
  co_return status;
}

/// A sandbox takes about fifteen descriptors here, and the usual soft limit is 1024. Nothing that
/// is started uses select(2), for whose sake it is that low.
void raise_descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) < 0) return;
  files.rlim_cur = files.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &files) < 0) spdlog::warn("cannot raise RLIMIT_NOFILE: {}", errno);
}

int run(int argc, char** argv) {
  CLI::App app("sockd: fresh sandboxes for untrusted Python at the price of a warm call", "sockd");
  Options options;
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  auto config = configure(options);
  const auto drain = parse_duration(options.drain);
  if (!config || !drain) {
    std::cerr << "sockd: " << (config ? drain.error() : config.error()).describe() << '\n';
    return 2;
  }
  if (options.doctor) {
    const auto report = doctor_report(*config);
    std::cout << boost::json::serialize(report) << '\n';
    return report.at("healthy").as_bool() ? 0 : 1;
  }
  if (::geteuid() != 0) {
    std::cerr << "sockd: needs root, to create namespaces and cgroups; start it with sudo\n";
    return 1;
  }
  start_logging(config->log_level);
  // A sandbox or client that went away shows up as an error of the write.
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  asio::io_context loop(1);
  int status = 1;
  asio::co_spawn(loop, live(std::move(*config), *drain), [&](const std::exception_ptr&, int value) {
    status = value;
    loop.stop();
  });
  loop.run();
  spdlog::shutdown();
  // Every kernel object has been given back by now. What is still suspended on the loop holds
  // nothing but memory, in no order that destructors could rely on.
  std::_Exit(status);
}

}  // namespace
}  // namespace sock::manager

int main(int argc, char** argv) { return sock::manager::run(argc, argv); }
