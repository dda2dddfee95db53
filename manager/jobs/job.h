#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "manager/functions/network.h"
#include "netns-pool/egress.h"
#include "sandbox/limits.h"

namespace sock::manager {

/// What a job may use unless told otherwise. Files in /tmp count as memory too.
inline constexpr sandbox::Limits kJobLimits{.memory_bytes = 1ULL << 30,
                                            .pids = 64,
                                            .cpu_millis = 1000,
                                            .tmp_bytes = 1ULL << 30,
                                            .tmp_inodes = 200'000,
                                            .open_files = 1024};

/// One run of one of sockd's own scripts in a sandbox: its handler(event, context) gets the event
/// and answers a JSON object.
struct Job {
  std::string script;  ///< its name (job_scripts.h)
  boost::json::object event;
  sandbox::Limits limits = kJobLimits;
  Network network = Network::kNone;
  netns::Egress egress;  ///< with kNat
  std::map<std::string, std::string> environment;
  /// Host folders, shown read-only at /var/wheels/0, 1, …; at most sandbox::kMostWheelFolders.
  std::vector<std::filesystem::path> wheels;
  Millis timeout{300'000};                ///< from the event to the answer
  std::uint64_t answer_bytes = 4U << 20;  ///< most bytes of its JSON
};

struct JobAnswer {
  boost::json::object value;  ///< hostile: known to be JSON, and no more
  std::string log;            ///< the last it printed, at most kJobLogBytes; hostile bytes
};

inline constexpr std::size_t kJobLogBytes = 16U << 10;

}  // namespace sock::manager
