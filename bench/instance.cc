#include "bench/instance.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/await_exit.h"
#include "bench/cpu.h"
#include "bench/http.h"

namespace sock::bench {

namespace fs = std::filesystem;
namespace json = boost::json;

Result<ScratchFolder> ScratchFolder::make() {
  std::string path = "/tmp/sock-bench.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return fail_errno("mkdtemp", path);
  return ScratchFolder(fs::path(path));
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept : path_(std::move(other.path_)) {
  other.path_.clear();
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<Instance> Instance::start(const InstanceSpec& spec) {
  static unsigned count = 0;  // several may be up at a time
  Instance instance;
  instance.socket_ = spec.home / "sockd.sock";
  instance.log_ = spec.home / "sockd.log";
  instance.cgroup_ = "sock-bench-" + std::to_string(::getpid()) + "-" + std::to_string(++count);

  // A shell only to send the log to a file, and a session of its own so that a terminal's
  // interrupt reaches us alone: both replace themselves with sockd.
  SpawnSpec command;
  command.program = "/bin/sh";
  command.args = {"-c", "log=$1; shift; exec setsid \"$@\" >\"$log\" 2>&1", "sh",
                  instance.log_.string()};
  for (const std::string& argument :
       {spec.sockd, std::string("--socket"), instance.socket_, std::string("--state-dir"),
        (spec.home / "state").string(), std::string("--cgroup-parent"), instance.cgroup_,
        std::string("--log-level"), std::string("warn")}) {
    command.args.push_back(argument);
  }
  if (!spec.config.empty()) {
    command.args.insert(command.args.end(), {"--config", spec.config});
  }
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
  auto process = spawn(command);
  if (!process) return std::unexpected(process.error());
  instance.process_ = std::move(*process);

  const auto deadline = Clock::now() + spec.ready_within;
  while (Clock::now() < deadline) {
    if (await_exit(instance.process_, Millis(50))) {
      return fail(Code::kInternal, "start " + spec.sockd, "it ended: " + instance.log_tail());
    }
    const auto health = request(instance.socket_, "GET", "/v1/health", "", {}, Millis(2000));
    if (health && health->status == 200) return instance;
  }
  return fail(Code::kTimeout, "start " + spec.sockd, "not healthy in time: " + instance.log_tail());
}

Instance::~Instance() { (void)stop(); }

std::optional<double> Instance::cpu_us() const { return daemon_cpu_us(process_.pid(), cgroup_); }

Result<> Instance::stop() {
  if (!process_.valid()) return {};
  process_.signal(SIGTERM);
  const auto exit = await_exit(process_, Millis(20'000));
  if (!exit) {
    process_.kill_and_reap();
    return fail(Code::kTimeout, "stop sockd", "killed: it ignored SIGTERM: " + log_tail());
  }
  if (exit->signalled || exit->status != 0) {
    return fail(Code::kInternal, "stop sockd",
                (exit->signalled ? "signal " : "exit code ") + std::to_string(exit->status) + ": " +
                    log_tail());
  }
  return {};
}

std::string Instance::log_tail() const {
  const auto text = read_file(AT_FDCWD, log_, 64U << 20);
  if (!text) return "(no log)";
  constexpr std::size_t kShown = 2000;
  return text->size() > kShown ? text->substr(text->size() - kShown) : *text;
}

Result<> deploy(const std::string& socket, const Deployment& function) {
  const auto& name = function.name;
  json::object options;
  options["requirements"] = json::array(function.requirements.begin(), function.requirements.end());
  if (function.keep_ready > 0) options["keep_ready"] = function.keep_ready;
  const auto deployed =
      request(socket, "PUT", "/v1/functions/" + name, function.source,
              {{"Content-Type", "text/x-python"}, {"X-Sock-Options", json::serialize(options)}},
              function.within);
  if (!deployed) return std::unexpected(deployed.error());
  if (deployed->status / 100 != 2) {
    return fail(Code::kInvalid, "deploy " + name,
                "HTTP " + std::to_string(deployed->status) + ": " + deployed->body);
  }
  return {};
}

Result<> deploy_and_warm(const std::string& socket, const Deployment& function) {
  if (auto done = deploy(socket, function); !done) return done;
  const auto& name = function.name;
  // The first calls may be cold while the zygote imports; it is ready when a run of calls is good.
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  std::string last = "no call was made";
  int good = 0;
  while (good < 20) {
    if (Clock::now() > deadline) return fail(Code::kTimeout, "warm up " + name, last);
    const auto called = request(socket, "POST", "/v1/functions/" + name + "/invoke", function.event,
                                {{"Content-Type", "application/json"}}, Millis(60'000));
    if (called && called->status == 200) {
      ++good;
      continue;
    }
    good = 0;
    last = called ? "HTTP " + std::to_string(called->status) + ": " + called->body
                  : called.error().describe();
    std::this_thread::sleep_for(Millis(100));
  }
  return {};
}

}  // namespace sock::bench
