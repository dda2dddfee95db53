#include "bench/cpu.h"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>

#include "base/file.h"
#include "bench/proc_stat.h"

namespace sock::bench {
namespace {

double tick_us() { return 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK)); }

}  // namespace

std::optional<double> cgroup_cpu_us(const std::string& cgroup) {
  // Pure v2 first, then the hybrid layout of systemd.
  for (const char* root : {"/sys/fs/cgroup/", "/sys/fs/cgroup/unified/"}) {
    const auto text = read_file(AT_FDCWD, root + cgroup + "/cpu.stat");
    if (!text) continue;
    std::istringstream lines(*text);
    std::string key;
    double value = 0;
    while (lines >> key >> value) {
      if (key == "usage_usec") return value;
    }
  }
  return std::nullopt;
}

double machine_cpu_us() {
  const auto text = read_file(AT_FDCWD, "/proc/stat");
  if (!text) return 0;
  std::istringstream fields(*text);
  std::string name;
  double user = 0;
  double nice = 0;
  double system = 0;
  double idle = 0;
  double iowait = 0;
  double irq = 0;
  double softirq = 0;
  fields >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  return (user + nice + system + irq + softirq) * tick_us();
}

std::optional<double> daemon_cpu_us(pid_t pid, const std::string& cgroup) {
  const auto below = cgroup_cpu_us(cgroup);
  const auto member_of = read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup");
  if (!below || !member_of) return std::nullopt;
  const auto unified = member_of->find("0::/");
  if (unified != std::string::npos && member_of->compare(unified + 4, cgroup.size(), cgroup) == 0) {
    return below;
  }
  const auto daemon = read_proc_stat(pid);
  if (!daemon) return std::nullopt;
  return *below + daemon->cpu_us;
}

}  // namespace sock::bench
