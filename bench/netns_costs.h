#pragma once

#include "base/error.h"
#include "bench/netns_bench.h"

namespace sock::bench {

/// Leases `leases` one after another from a stock that holds them all, on its loop: "lease.p50_us"…
/// from call to return, two readings of the clock included, whose own cost is "clock.p50_us". Then
/// gives all up. An error unless the links of this process's network namespace and the network
/// namespaces in the user namespace are those of before in the end.
[[nodiscard]] Result<> measure_leases(NetnsBench& bench);

/// Of `namespaces` pooled namespaces, with loopback alone or linked too: what each adds to the
/// machine's memory, in bytes ("memory.loopback.bytes": MemAvailable; ".slab_bytes" and
/// ".percpu_bytes" are parts of it), and how many the kernel takes apart a second once all are let
/// go of together ("drain.loopback.per_s").
[[nodiscard]] Result<> measure_memory(NetnsBench& bench, bool linked);

}  // namespace sock::bench
