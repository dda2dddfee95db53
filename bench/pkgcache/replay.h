#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/planner/workload.h"

namespace sock::bench {

/// One call that was answered as it should be.
struct ServedCall {
  std::size_t function = 0;  ///< index
  double latency_ms = 0;     ///< as its client saw it
  double service_ms = 0;     ///< what sockd needed to have a sandbox and the handler in it
  double cpu_ms = 0;   ///< that the sandbox spent for the call; other work does not disturb it
  std::string start;   ///< "parked", "clone", "cold"
  std::string zygote;  ///< names of the packages it had loaded: "numpy,pandas"
};

struct ReplaySpec {
  std::string socket;
  std::span<const pkgcache::Function> functions;  ///< deployed under their names
  std::span<const std::size_t> calls;             ///< in this order
  unsigned clients = 1;                     ///< each waits for its answer before the next call
  const std::atomic<bool>* stop = nullptr;  ///< leave early
};

struct Replayed {
  std::vector<ServedCall> calls;                ///< in the order they were made
  std::map<std::string, std::uint64_t> errors;  ///< what → calls
};

/// Calls the functions one after the other, then asks sockd what it knows about each call, of
/// which it must remember as many ([calls] history). Failed calls are counted, never fatal.
[[nodiscard]] Replayed replay(const ReplaySpec& spec);

/// Of a call's record, as GET /v1/calls/ID gives it.
[[nodiscard]] Result<ServedCall> parse_record(const std::string& json);

/// The packages of a function that such a zygote had loaded: as it serves the function it has no
/// other versions than the function's.
[[nodiscard]] std::vector<pkgcache::Package> held_of(const pkgcache::Function& function,
                                                     std::string_view zygote);

/// One call, with what sockd knows about it.
[[nodiscard]] Result<ServedCall> call_once(const std::string& socket, const std::string& function);

}  // namespace sock::bench
