#include "bench/netns_costs.h"

#include <fcntl.h>

#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "bench/linked_network.h"
#include "bench/netns_stock.h"
#include "bench/private_host.h"

namespace sock::bench {

namespace {

/// Bytes; of /proc/meminfo (proc_meminfo(5)).
struct Memory {
  double available = 0;
  double slab = 0;
  double percpu = 0;
};

Result<Memory> read_memory() {
  const auto text = read_file(AT_FDCWD, "/proc/meminfo");
  if (!text) return std::unexpected(text.error());
  const auto bytes = [&text](const std::string& key) {
    const auto at = text->find("\n" + key + ":");
    return at == std::string::npos
               ? 0.0
               : std::strtod(text->c_str() + at + key.size() + 2, nullptr) * 1024;
  };
  return Memory{bytes("MemAvailable"), bytes("Slab"), bytes("Percpu")};
}

/// As measure_leases() reads the clock.
std::vector<std::int64_t> clock_costs() {
  std::vector<std::int64_t> out;
  for (int i = 0; i < 10'000; ++i) {
    const auto before = Clock::now();
    const auto after = Clock::now();
    out.push_back((after - before).count());
  }
  return out;
}

}  // namespace

Result<> measure_leases(NetnsBench& bench) {
  const auto links_before = links_here();
  if (!links_before) return std::unexpected(links_before.error());
  const std::size_t count = bench.options.leases;
  auto stock = NetnsStock::start(bench.users, {bench.options.helper, count, count});
  if (!stock) return std::unexpected(stock.error());
  if (auto held = (*stock)->build_no_more(); !held) return held;
  std::vector<std::int64_t> took;
  {
    auto leased = (*stock)->lease(count, &took);
    if (!leased) return std::unexpected(leased.error());
    for (auto& netns : *leased) (*stock)->pool().retire(std::move(netns));
  }
  if (auto stopped = (*stock)->stop(); !stopped) return stopped;
  if (auto settled = bench.settle(); !settled) return std::unexpected(settled.error());
  const auto links_after = links_here();
  if (!links_after) return std::unexpected(links_after.error());
  if (*links_before != *links_after) {
    return fail(Code::kInternal, "give leases up", "the links are not those of before");
  }
  bench.samples.add_nanoseconds("lease", std::move(took));
  bench.samples.add_nanoseconds("clock", clock_costs());
  return {};
}

Result<> measure_memory(NetnsBench& bench, bool linked) {
  const std::size_t count = bench.options.namespaces;
  const auto before = read_memory();
  if (!before) return std::unexpected(before.error());
  std::optional<LinkedNetwork> network;
  if (linked) {
    auto started = LinkedNetwork::start(bench.users);
    if (!started) return std::unexpected(started.error());
    network.emplace(std::move(*started));
  }
  const auto furnish = linked ? netns::Furnish::kRoutable : netns::Furnish::kLoopback;
  auto stock = NetnsStock::start(bench.users, {bench.options.helper, count, count, furnish});
  if (!stock) return std::unexpected(stock.error());
  if (auto held = (*stock)->build_no_more(); !held) return held;
  auto leased = (*stock)->lease(count);
  if (!leased) return std::unexpected(leased.error());
  if (auto stopped = (*stock)->stop(); !stopped) return stopped;
  for (std::size_t i = 0; linked && i < count && !bench.interrupted; ++i) {
    if (auto attached = network->attach(std::move((*leased)[i])); !attached) return attached;
  }
  const auto with = read_memory();
  if (!with) return std::unexpected(with.error());

  // From here on nothing holds them but `network` or `leased`.
  auto released = linked ? network->release() : Result<Clock::time_point>(Clock::now());
  if (!released) return std::unexpected(released.error());
  leased->clear();
  const auto drained = bench.settle();
  if (!drained) return std::unexpected(drained.error());
  if (bench.interrupted) return {};
  const std::string kind = linked ? "linked" : "loopback";
  const auto each = [count](double total) { return total / static_cast<double>(count); };
  bench.samples.add("memory." + kind + ".bytes", each(before->available - with->available));
  bench.samples.add("memory." + kind + ".slab_bytes", each(with->slab - before->slab));
  bench.samples.add("memory." + kind + ".percpu_bytes", each(with->percpu - before->percpu));
  const std::chrono::duration<double> took = *drained - *released;
  bench.samples.add("drain." + kind + ".per_s", static_cast<double>(count) / took.count());
  return {};
}

}  // namespace sock::bench
