#pragma once

#include <array>
#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bench/instance.h"
#include "bench/paced.h"
#include "bench/samples.h"

namespace sock::bench {

struct TargetOptions {
  std::string sockd;
  std::string folder;       ///< of fork_loop.py and warm_call.py
  std::string clone_floor;  ///< program
  std::string json;         ///< file for the result; empty = none
  unsigned rounds = 5;
  unsigned calls = 400;      ///< a round, where calls are paced
  Millis pause{20};          ///< between paced calls
  Millis window{3000};       ///< of what is not paced
  std::set<unsigned> rows;   ///< only these; empty = all
  std::uint64_t growth = 0;  ///< calls of the growth run instead of the table; 0 = the table
};

/// How a daemon of the benchmark is configured.
enum class Setup {
  kStocked,   ///< the defaults, for functions that ask for parked clones of their own
  kPackages,  ///< the defaults, but no function has a zygote of its own
  kOnDemand,  ///< nor is anything parked
  kLoad,      ///< the defaults, for floods of calls
};

/// The package sets that rows go through; "bare" is the interpreter alone.
inline constexpr std::array<const char*, 3> kPackageSets{"bare", "numpy", "pandas"};

/// "" for "bare".
[[nodiscard]] std::string module_of(const std::string& packages);

/// What the row groups share: the daemons, the baselines and the samples. In the main thread.
class TargetContext {
 public:
  TargetContext(TargetOptions its_options, std::filesystem::path its_home,
                const std::atomic<bool>& its_stop)
      : options(std::move(its_options)), home(std::move(its_home)), interrupted(its_stop) {}

  /// Whether the options ask for this row.
  [[nodiscard]] bool wants(unsigned row) const {
    return options.rows.empty() || options.rows.contains(row);
  }

  /// The daemon of that setup, started at its first use.
  [[nodiscard]] Result<Instance*> daemon(Setup setup);

  /// Deploys and warms; a function that keeps clones ready has its own zygote by then, where the
  /// daemon makes such.
  [[nodiscard]] Result<> deploy(Setup setup, const Deployment& function);

  /// One round of paced calls, into samples under `key`; `spec` lacks socket, calls, pause, stop.
  /// Calls that cannot be made are an error in the samples only: other rows go on.
  [[nodiscard]] Result<> paced(const std::string& key, Setup setup, PacedSpec spec);

  /// B1: a small static program that clones, exits and waits; paced as the calls are, and in a
  /// tight loop: "B1.p50_us", "B1.tight.p50_us".
  [[nodiscard]] Result<> measure_clone();

  /// B2: os.fork(), os._exit(0) and waitpid of a warm interpreter: "B2.pandas.p50_us",
  /// "B2.pandas.tight.p50_us".
  [[nodiscard]] Result<> measure_fork(const std::string& packages);

  /// B2 in a tight loop on every processor at once: "B2.pandas.all.calls_per_s".
  [[nodiscard]] Result<> measure_fork_throughput(const std::string& packages);

  /// Stops every daemon; an unclean end is an error.
  [[nodiscard]] Result<> stop();

  [[nodiscard]] const std::map<Setup, Instance>& daemons() const { return daemons_; }

  const TargetOptions options;
  const std::filesystem::path home;
  const std::atomic<bool>& interrupted;
  Samples samples;

 private:
  [[nodiscard]] Result<> fork_loop(const std::string& key, const std::string& packages,
                                   unsigned workers, bool paced);
  [[nodiscard]] std::string pause_seconds() const;
  /// Of a paced baseline: long enough for a hundred calls, no longer than the calls take.
  [[nodiscard]] Millis paced_window() const;

  std::map<Setup, Instance> daemons_;
};

/// Starts a daemon in a new folder of `home` with `config` as its sockd.toml.
[[nodiscard]] Result<Instance> start_daemon(const TargetOptions& options,
                                            const std::filesystem::path& home,
                                            const std::string& config);

/// GET /v1/zygotes; it has an array "zygotes", and "functions" where functions have zygotes too.
[[nodiscard]] Result<boost::json::object> zygotes_of(const std::string& socket);

/// Until no package zygote is starting and, where functions have zygotes, `function` has one; ""
/// asks for none. kInvalid when it cannot have one; kTimeout after a minute.
[[nodiscard]] Result<> await_zygotes(const std::string& socket, const std::string& function);

}  // namespace sock::bench
