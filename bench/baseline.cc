#include "bench/baseline.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/await_exit.h"
#include "bench/cpu.h"
#include "bench/measuring_program.h"

namespace sock::bench {
namespace {

namespace json = boost::json;

constexpr const char* kPython = "/usr/bin/python3";

std::string import_statement(const std::string& package) {
  return package.empty() ? "import json" : "import json, " + package;
}

double micros(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}

json::object host_folder(const std::string& path) {
  json::object mount{{"destination", path}, {"source", path}, {"type", "bind"}};
  mount["options"] = json::array{"rbind", "ro", "nosuid", "nodev"};
  return mount;
}

json::object fresh(const std::string& type, const std::string& path) {
  return {{"destination", path}, {"source", type}, {"type", type}};
}

json::object oci_config(const std::string& package) {
  json::array variables;
  for (const auto& variable : baseline_environment()) variables.emplace_back(variable);
  json::array arguments{kPython, "-I", "-c", import_statement(package)};
  json::object nobody{{"uid", 65534}, {"gid", 65534}};
  json::array none;
  json::object capabilities{
      {"bounding", none}, {"effective", none}, {"permitted", none}, {"ambient", none}};
  json::object process{{"terminal", false},      {"user", nobody}, {"args", arguments},
                       {"env", variables},       {"cwd", "/"},     {"capabilities", capabilities},
                       {"noNewPrivileges", true}};
  json::array mounts{host_folder("/usr"), host_folder("/etc/alternatives"), fresh("proc", "/proc"),
                     fresh("tmpfs", "/dev"), fresh("tmpfs", "/tmp")};
  json::array namespaces;
  for (const char* kind : {"pid", "network", "ipc", "uts", "mount", "cgroup"}) {
    namespaces.push_back(json::object{{"type", kind}});
  }
  json::object config{{"ociVersion", "1.0.2"}, {"hostname", "bench"}};
  config["process"] = process;
  config["root"] = json::object{{"path", "rootfs"}, {"readonly", true}};
  config["mounts"] = mounts;
  config["linux"] = json::object{{"namespaces", namespaces}};
  return config;
}

/// Gives the calling thread a mount namespace in which a hybrid host looks like a pure v2 one.
Result<> hide_cgroup_v1() {
  constexpr const char* kUnified = "/sys/fs/cgroup/unified";
  if (::access(kUnified, F_OK) != 0) return {};
  if (::unshare(CLONE_FS | CLONE_NEWNS) != 0) return fail_errno("unshare", "mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno("mount", "make / private");
  }
  if (::mount(kUnified, "/sys/fs/cgroup", nullptr, MS_BIND, nullptr) != 0) {
    return fail_errno("mount", kUnified);
  }
  return {};
}

/// Gives the calling thread a descriptor table of its own, with stdout and stderr on /dev/null:
/// commands write there, and crun even changes the owner of whatever file it is given.
Result<> silence_thread() {
  if (::unshare(CLONE_FILES) != 0) return fail_errno("unshare", "descriptor table");
  const auto null = open_fd(AT_FDCWD, "/dev/null", O_WRONLY);
  if (!null) return std::unexpected(null.error());
  for (const int target : {STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null->get(), target) < 0) return fail_errno("dup2", "/dev/null");
  }
  return {};
}

/// One worker's share of a round.
class Worker {
 public:
  Worker(const Command& command, std::atomic<std::uint64_t>& calls)
      : command_(command), calls_(calls) {}

  /// Call it in a thread of its own: it changes what the thread sees of files and mounts.
  void run(Clock::time_point until, const std::atomic<bool>* stop) {
    auto ready = silence_thread();
    if (ready && command_.needs_pure_v2) ready = hide_cgroup_v1();
    if (!ready) {
      ++round_.errors[ready.error().describe()];
      return;
    }
    do {
      const auto began = Clock::now();
      const auto why = call();
      if (why.empty()) {
        round_.latencies_us.push_back(micros_between(began, Clock::now()));
      } else {
        ++round_.errors[why];
      }
    } while (Clock::now() < until && !(stop != nullptr && *stop));
  }

  [[nodiscard]] const Round& round() const { return round_; }

 private:
  std::string call() {
    SpawnSpec spec;
    spec.program = command_.program;
    spec.env = baseline_environment();
    const auto number = std::to_string(++calls_);
    for (auto argument : command_.args) {
      if (const auto at = argument.find('@'); at != std::string::npos) {
        argument.replace(at, 1, number);
      }
      spec.args.push_back(std::move(argument));
    }
    auto process = spawn(spec);
    if (!process) return process.error().describe();
    const auto exit = await_exit(*process, Millis(60'000));
    if (!exit) return "did not end within 60 s";
    round_.own_cpu_us =
        round_.own_cpu_us.value_or(0) + micros(exit->usage.ru_utime) + micros(exit->usage.ru_stime);
    if (exit->signalled) return "signal " + std::to_string(exit->status);
    if (exit->status != 0) return "exit code " + std::to_string(exit->status);
    return "";
  }

  const Command& command_;
  std::atomic<std::uint64_t>& calls_;
  Round round_;
};

}  // namespace

Command python_command(const std::string& package) {
  Command command;
  command.program = kPython;
  command.args = {"-I", "-c", import_statement(package)};
  return command;
}

Command bwrap_command(const std::string& package) {
  Command command;
  command.program = "/usr/bin/bwrap";
  // It learns the exit code from a pipe and leaves its child to be reaped by others.
  command.waits_for_all = false;
  for (const char* argument : {"--unshare-all",
                               "--die-with-parent",
                               "--cap-drop",
                               "ALL",
                               "--ro-bind",
                               "/usr",
                               "/usr",
                               "--symlink",
                               "usr/lib",
                               "/lib",
                               "--symlink",
                               "usr/lib64",
                               "/lib64",
                               "--symlink",
                               "usr/bin",
                               "/bin",
                               "--ro-bind",
                               "/etc/alternatives",
                               "/etc/alternatives",
                               "--proc",
                               "/proc",
                               "--dev",
                               "/dev",
                               "--tmpfs",
                               "/tmp",
                               kPython,
                               "-I",
                               "-c"}) {
    command.args.emplace_back(argument);
  }
  command.args.push_back(import_statement(package));
  return command;
}

Result<Command> crun_command(const std::string& package, const std::filesystem::path& home) {
  const auto name = package.empty() ? std::string("bare") : package;
  const auto bundle = home / ("bundle-" + name);
  const auto root = bundle / "rootfs";
  std::error_code error;
  for (const char* folder : {"usr", "etc/alternatives", "proc", "dev", "tmp"}) {
    std::filesystem::create_directories(root / folder, error);
    if (error) return fail_errno("create folder", (root / folder).string(), error.value());
  }
  for (const char* link : {"bin", "lib", "lib64"}) {
    std::filesystem::create_symlink(std::string("usr/") + link, root / link, error);
    if (error) return fail_errno("symlink", (root / link).string(), error.value());
  }
  if (auto written = replace_file(bundle / "config.json", json::serialize(oci_config(package)));
      !written) {
    return std::unexpected(written.error());
  }
  Command command;
  command.program = "/usr/bin/crun";
  command.args = {"--root",   (home / "crun").string(), "--cgroup-manager=disabled", "run",
                  "--bundle", bundle.string(),          "sock-bench-" + name + "-@"};
  command.needs_pure_v2 = true;
  return command;
}

Round drive_command(const Command& command, const BaselineSpec& spec) {
  std::atomic<std::uint64_t> calls = 0;
  std::vector<Worker> workers(spec.workers, Worker(command, calls));
  const auto machine = machine_cpu_us();
  const auto began = Clock::now();
  {
    std::vector<std::jthread> threads;
    threads.reserve(workers.size());
    for (auto& worker : workers) {
      threads.emplace_back([&worker, &spec, began] { worker.run(began + spec.window, spec.stop); });
    }
  }
  Round round;
  round.seconds = static_cast<double>(micros_between(began, Clock::now())) / 1e6;
  round.machine_cpu_us = machine_cpu_us() - machine;
  double own = 0;
  for (const auto& worker : workers) {
    const auto& part = worker.round();
    round.latencies_us.insert(round.latencies_us.end(), part.latencies_us.begin(),
                              part.latencies_us.end());
    for (const auto& [kind, count] : part.errors) round.errors[kind] += count;
    own += part.own_cpu_us.value_or(0);
  }
  if (command.waits_for_all) round.own_cpu_us = own;
  return round;
}

Result<Round> drive_fork_loop(const std::string& script, const std::string& package,
                              const std::filesystem::path& home, const BaselineSpec& spec) {
  MeasuringProgram program{kPython, {"-I", script}, home, spec.workers, spec.window};
  if (!package.empty()) program.args.insert(program.args.end(), {"--package", package});
  return drive_program(program);
}

}  // namespace sock::bench
