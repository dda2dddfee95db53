#include "bench/host.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sstream>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/await_exit.h"
#include "bench/instance.h"
#include "bench/measuring_program.h"
#include "sandbox/cgroup_layout.h"

namespace sock::bench {
namespace {

constexpr const char* kUnknown = "?";

std::string cpu_model() {
  const auto text = read_file(AT_FDCWD, "/proc/cpuinfo", 16U << 20);
  if (!text) return kUnknown;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return kUnknown;
}

std::string python_version() {
  const auto home = ScratchFolder::make();
  if (!home) return kUnknown;
  const auto output = home->path() / "version";
  SpawnSpec command;
  command.program = "/usr/bin/python3";
  command.args = {"-I", "-c",
                  "import platform, sys; open(sys.argv[1], 'w').write(platform.python_version())",
                  output.string()};
  command.env = baseline_environment();
  auto process = spawn(command);
  if (!process || !await_exit(*process, Millis(60'000))) return kUnknown;
  return read_file(AT_FDCWD, output).value_or(kUnknown);
}

std::string load_averages() {
  const auto text = read_file(AT_FDCWD, "/proc/loadavg");
  if (!text) return kUnknown;
  std::istringstream fields(*text);
  std::string one;
  std::string five;
  std::string fifteen;
  fields >> one >> five >> fifteen;
  return one + " " + five + " " + fifteen;
}

}  // namespace

Host read_host() {
  Host host;
  utsname names{};
  ::uname(&names);
  host.cpu = cpu_model();
  host.processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  host.kernel = names.release;
  const auto mounts = sandbox::read_cgroup_mounts("/sys/fs/cgroup");
  host.cgroups = mounts ? std::string(sandbox::to_string(mounts->layout)) : kUnknown;
  host.python = python_version();
  host.load = load_averages();
  return host;
}

std::string describe(const Host& host) {
  return host.cpu + ", " + std::to_string(host.processors) + " processors, Linux " + host.kernel +
         ", cgroups " + host.cgroups + ", Python " + host.python + ", load " + host.load;
}

boost::json::object to_json(const Host& host) {
  return {{"cpu", host.cpu},         {"processors", host.processors}, {"kernel", host.kernel},
          {"cgroups", host.cgroups}, {"python", host.python},         {"load", host.load}};
}

}  // namespace sock::bench
