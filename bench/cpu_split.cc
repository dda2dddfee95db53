#include "bench/cpu_split.h"

#include <sys/resource.h>

#include "bench/cpu.h"
#include "bench/proc_stat.h"

namespace sock::bench {
namespace {

constexpr double CpuSplit::*kFields[] = {
    &CpuSplit::sockd,     &CpuSplit::init,   &CpuSplit::netns,  &CpuSplit::zygotes,
    &CpuSplit::sandboxes, &CpuSplit::client, &CpuSplit::kernel, &CpuSplit::machine};

double own_cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

}  // namespace

double CpuSplit::other() const {
  return machine - sockd - init - netns - zygotes - sandboxes - client - kernel;
}

CpuSplit operator-(const CpuSplit& after, const CpuSplit& before) {
  CpuSplit out;
  for (const auto field : kFields) out.*field = after.*field - before.*field;
  return out;
}

CpuSplit operator/(const CpuSplit& split, double count) {
  CpuSplit out;
  for (const auto field : kFields) out.*field = split.*field / count;
  return out;
}

Result<CpuSplit> read_cpu_split(pid_t sockd, const std::string& cgroup) {
  const auto service = cgroup_cpu_us(cgroup + "/service");
  const auto slots = cgroup_cpu_us(cgroup + "/slots");
  const auto daemon = read_proc_stat(sockd);
  if (!service || !slots) return fail(Code::kNotFound, "CPU accounts", "no cgroup v2 " + cgroup);
  if (!daemon) return fail(Code::kNotFound, "CPU accounts", "sockd has gone");
  CpuSplit out;
  for (const auto& process : all_processes()) {
    if (process.kernel_thread) out.kernel += process.cpu_us;
    if (process.parent != sockd) continue;
    const auto program = program_name(process.pid);
    if (program == "sock-netns") out.netns += process.cpu_us;
    // Clones are children of sockd that run the same program, but their accounts are the slots'.
    const bool own = in_cgroup(process.pid, cgroup + "/service");
    if (program == "sock-zygote" && own) out.zygotes += process.cpu_us;
  }
  out.sockd = daemon->cpu_us;
  out.sandboxes = *slots;
  out.init = *service - out.netns - out.zygotes;
  out.client = own_cpu_us();
  out.machine = machine_cpu_us();
  return out;
}

}  // namespace sock::bench
