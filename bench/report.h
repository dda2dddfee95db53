#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/round.h"

namespace sock::bench {

/// All rounds of one system with one package set and one number of clients.
struct Series {
  std::string system;    ///< "sock", "python3", "os.fork()", "crun run", "bwrap"
  std::string packages;  ///< "bare", "numpy", …
  unsigned clients = 1;
  std::vector<Figures> rounds;
  std::map<std::string, std::uint64_t> errors;
  std::map<std::string, std::uint64_t> starts;
};

struct Report {
  std::vector<Series> series;                   ///< in the order of the first measurement
  std::map<std::string, std::string> left_out;  ///< baseline → why it was not measured
  double window_s = 0;
  bool complete = true;  ///< false when interrupted

  /// The series of that key, made at its first use.
  Series& at(const std::string& system, const std::string& packages, unsigned clients);
};

/// The table and how many times faster sock is than each baseline, for a person.
[[nodiscard]] std::string as_table(const Report& report);

/// The same for programs; bench/plot.py reads it. Times are microseconds.
[[nodiscard]] std::string as_json(const Report& report);

}  // namespace sock::bench
