#include "manager/state/reclaim.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/cgroup_pool.h"

namespace sock::manager {
namespace {

void kill_process(const LedgerEntry& entry) {
  auto process = entry.process();
  if (!process) return;
  if (::syscall(SYS_pidfd_send_signal, process->get(), SIGKILL, nullptr, 0) == 0) {
    spdlog::info("reclaimed {} {} (pid {})", to_string(entry.kind), entry.name, entry.pid);
  }
}

/// Sandboxes' cgroups lie below a parent that is recorded on its own, without a pid.
bool is_cgroup_parent(const LedgerEntry& entry) {
  return entry.kind == LedgerKind::kCgroup && entry.pid == 0 && entry.this_boot;
}

}  // namespace

Result<> reclaim(std::span<LedgerEntry> left_behind) {
  // The keeper first: the kernel ends every zygote and sandbox with it.
  for (const auto& entry : left_behind) {
    if (entry.kind == LedgerKind::kHelper) kill_process(entry);
  }
  for (const auto& entry : left_behind) {
    if (entry.kind == LedgerKind::kZygote) kill_process(entry);
  }
  for (const auto& entry : left_behind) {
    if (!is_cgroup_parent(entry)) continue;
    sandbox::CgroupPool::Options options;
    options.parent = entry.name;
    auto removed = sandbox::CgroupPool::reclaim(options);
    if (!removed) return std::unexpected(removed.error());
    spdlog::info("reclaimed {} cgroups under {}", *removed, entry.name);
  }
  return {};
}

}  // namespace sock::manager
