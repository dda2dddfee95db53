#include "manager/functions/limit_rules.h"

#include "manager/settings/units.h"

namespace sock::manager {

void read_limits(OptionReader& reader, FunctionLimits& limits) {
  reader.size("memory", limits.sandbox.memory_bytes, kMemoryRange);
  reader.duration("timeout", limits.timeout, kTimeoutRange);
  reader.cpu("cpu", limits.sandbox.cpu_millis, kCpuRange);
  reader.number("pids", limits.sandbox.pids, kPidsRange);
  reader.size("tmp", limits.sandbox.tmp_bytes, kTmpRange);
}

std::optional<Excess> first_excess(const FunctionLimits& limits, const FunctionLimits& caps) {
  const sandbox::Limits& asked = limits.sandbox;
  const sandbox::Limits& most = caps.sandbox;
  if (asked.memory_bytes > most.memory_bytes) {
    return Excess{"memory", format_size(asked.memory_bytes), format_size(most.memory_bytes)};
  }
  if (limits.timeout > caps.timeout) {
    return Excess{"timeout", format_duration(limits.timeout), format_duration(caps.timeout)};
  }
  if (asked.cpu_millis > most.cpu_millis) {
    return Excess{"cpu", format_cpu(asked.cpu_millis), format_cpu(most.cpu_millis)};
  }
  if (asked.pids > most.pids) {
    return Excess{"pids", std::to_string(asked.pids), std::to_string(most.pids)};
  }
  if (asked.tmp_bytes > most.tmp_bytes) {
    return Excess{"tmp", format_size(asked.tmp_bytes), format_size(most.tmp_bytes)};
  }
  if (asked.open_files > most.open_files) {
    return Excess{"open_files", std::to_string(asked.open_files), std::to_string(most.open_files)};
  }
  return std::nullopt;
}

}  // namespace sock::manager
