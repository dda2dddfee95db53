#include "bench/clone_memory.h"

#include <fcntl.h>

#include <sstream>
#include <thread>

#include "base/file.h"
#include "bench/proc_stat.h"
#include "bench/targets_context.h"

namespace sock::bench {
namespace {

constexpr auto kParkedWithin = std::chrono::seconds(30);

/// memory.current of v2, or memory.usage_in_bytes of v1, of the cgroup that has its memory.
Result<double> cgroup_bytes(pid_t pid) {
  const auto text = read_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup");
  if (!text) return std::unexpected(text.error());
  std::string v1;
  std::string v2;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto path = line.substr(line.rfind(':') + 1);
    if (line.find(":memory:") != std::string::npos) v1 = path;
    if (line.starts_with("0::")) v2 = path;
  }
  const auto file = v1.empty() ? "/sys/fs/cgroup" + v2 + "/memory.current"
                               : "/sys/fs/cgroup/memory" + v1 + "/memory.usage_in_bytes";
  const auto value = read_file(AT_FDCWD, file);
  if (!value) return std::unexpected(value.error());
  return std::strtod(value->c_str(), nullptr);
}

Result<std::int64_t> count_parked(const Instance& instance) {
  const auto zygotes = zygotes_of(instance.socket());
  if (!zygotes) return std::unexpected(zygotes.error());
  std::int64_t parked = 0;
  for (const char* kind : {"zygotes", "functions"}) {
    const auto* all = zygotes->if_contains(kind);
    if (all == nullptr) continue;
    for (const auto& zygote : all->as_array()) {
      parked += zygote.as_object().at("parked").to_number<std::int64_t>();
    }
  }
  return parked;
}

std::vector<pid_t> clones_of(const Instance& instance) {
  std::vector<pid_t> out;
  for (const auto& process : all_processes()) {
    if (process.parent == instance.pid() && program_name(process.pid) == "sock-zygote" &&
        in_cgroup(process.pid, instance.cgroup() + "/slots")) {
      out.push_back(process.pid);
    }
  }
  return out;
}

}  // namespace

Result<CloneMemory> memory_of_clone(pid_t pid) {
  CloneMemory out;
  for (const char* kind : {"Private_Clean", "Private_Dirty", "Private_Hugetlb"}) {
    const auto bytes = proc_bytes(pid, "smaps_rollup", kind);
    if (!bytes) return fail(Code::kNotFound, "memory of a clone", std::string("no ") + kind);
    out.private_bytes += *bytes;
  }
  const auto tables = proc_bytes(pid, "status", "VmPTE");
  if (!tables) return fail(Code::kNotFound, "memory of a clone", "no VmPTE");
  out.page_table_bytes = *tables;
  const auto charged = cgroup_bytes(pid);
  if (!charged) return std::unexpected(charged.error());
  out.cgroup_bytes = *charged;
  return out;
}

Result<std::vector<pid_t>> await_parked(const Instance& instance, unsigned wanted) {
  const auto deadline = Clock::now() + kParkedWithin;
  for (;;) {
    const auto parked = count_parked(instance);
    if (!parked) return std::unexpected(parked.error());
    const auto clones = clones_of(instance);
    if (*parked >= wanted && clones.size() == static_cast<std::size_t>(*parked)) return clones;
    if (Clock::now() > deadline) {
      return fail(Code::kTimeout, "parked clones",
                  std::to_string(*parked) + " parked of " + std::to_string(clones.size()) +
                      ", not " + std::to_string(wanted));
    }
    std::this_thread::sleep_for(Millis(50));  // between two looks; sockd tells nobody
  }
}

}  // namespace sock::bench
