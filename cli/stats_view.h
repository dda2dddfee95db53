#pragma once

#include <boost/json/object.hpp>

#include "manager/state/stats_segment.h"

namespace sock::cli {

/// The counters of sockd's statistics segment as fields to show: calls by status and start,
/// sandboxes, latency percentiles (upper bounds of power-of-two buckets, µs) and the latest calls.
[[nodiscard]] boost::json::object stats_fields(const manager::Stats& stats);

}  // namespace sock::cli
