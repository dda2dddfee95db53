#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pkgcache/planner/candidates.h"

namespace sock::pkgcache {

/// Which candidates become zygotes, and what that saves and costs, kept up to date as they come
/// and go. Costs are those of the best tree without a bound on depth. Not synchronised.
class Selection {
 public:
  /// All three must outlive the selection.
  Selection(std::span<const DemandedSet> demand, std::span<const Candidate> candidates,
            const CostModel& costs);

  void add(std::size_t candidate);
  void remove(std::size_t candidate);
  [[nodiscard]] bool contains(std::size_t candidate) const { return chosen_[candidate]; }
  /// In the order they were added.
  [[nodiscard]] const std::vector<std::size_t>& chosen() const { return order_; }

  /// Σ rate · ms saved by the best zygote of each function.
  [[nodiscard]] double saved() const { return saved_; }
  [[nodiscard]] double mb() const { return mb_; }

  /// What adding a candidate would save more.
  [[nodiscard]] double gain(std::size_t candidate);
  /// No less than gain(), and free when it was asked for before and nothing was removed since that
  /// matters to it: others that are added only lessen it.
  [[nodiscard]] double most_gain(std::size_t candidate);
  /// What removing a chosen one would lose.
  [[nodiscard]] double loss(std::size_t candidate) const;
  /// MB that adding a candidate takes, or that a chosen one takes: itself on top of its best
  /// parent, less what its supersets save by standing on it.
  [[nodiscard]] double cost_mb(std::size_t candidate);

  /// Σ of the work done so far, in units that do not depend on the machine: bounds searches.
  [[nodiscard]] std::uint64_t work() const { return work_; }

 private:
  struct Relations {
    bool known = false;
    std::vector<std::size_t> below;  ///< strict subsets
    std::vector<std::size_t> above;  ///< strict supersets
  };

  const Relations& relations(std::size_t candidate);
  /// Memory of the heaviest chosen strict subset, `except` left out.
  [[nodiscard]] double parent_mb(std::size_t candidate, std::size_t except) const;
  void touch(const Relations& related);

  std::span<const DemandedSet> demand_;
  std::span<const Candidate> candidates_;
  double node_mb_;
  std::vector<std::vector<std::uint32_t>> servers_;       ///< by function: all candidates
  std::vector<std::vector<std::size_t>> chosen_servers_;  ///< by function: the chosen ones
  std::vector<double> best_;                              ///< by function: ms saved
  std::vector<bool> chosen_;
  std::vector<std::size_t> order_;
  std::vector<Relations> relations_;
  std::vector<std::vector<std::size_t>> subsets_;    ///< by candidate: chosen strict subsets
  std::vector<std::vector<std::size_t>> supersets_;  ///< by candidate: chosen strict supersets
  std::vector<double> gain_;                         ///< when last asked for
  std::vector<std::uint64_t> gain_as_of_;  ///< the count of additions then; 0: not to be used
  std::vector<double> cost_;
  std::vector<bool> cost_known_;
  std::uint64_t additions_ = 1;
  double saved_ = 0;
  double mb_ = 0;
  std::uint64_t work_ = 0;
};

}  // namespace sock::pkgcache
