#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "pkgcache/package.h"

namespace sock::pkgcache {

/// One zygote that should exist.
struct ZygoteSpec {
  std::string id;                 ///< see zygote_id()
  std::string parent;             ///< id of the zygote it is cloned from; "" for the root
  std::vector<Package> packages;  ///< sorted; a strict superset of the parent's

  bool operator==(const ZygoteSpec&) const = default;
};

/// The tree of zygotes.
struct ZygotePlan {
  /// Parents before children. nodes[0] is the root: no packages. Ids and package sets are unique.
  std::vector<ZygoteSpec> nodes;

  bool operator==(const ZygotePlan&) const = default;
};

/// What a deployed function asks of the tree.
struct Demand {
  std::vector<Package> packages;  ///< its exact closure
  double rate = 0;                ///< calls a second, decayed over time
};

/// Decides which package sets deserve a zygote. Implementations are immutable: plan() may be
/// called from any thread and gives the same plan for the same demand.
class Planner {
 public:
  Planner() = default;
  Planner(const Planner&) = delete;
  Planner& operator=(const Planner&) = delete;
  virtual ~Planner() = default;

  [[nodiscard]] virtual ZygotePlan plan(std::span<const Demand> demand) const = 0;
};

/// A zygote for each configured set and for the exact sets of the functions called most.
class ExactSetPlanner : public Planner {
 public:
  /// `configured`: closures that get a zygote whatever the demand, in order of importance.
  /// `max_zygotes` counts every node, the root too, which is always there.
  ExactSetPlanner(std::vector<std::vector<Package>> configured, std::size_t max_zygotes);

  /// The root, the configured sets, then demanded sets by falling rate (functions with equal sets
  /// add up; equal rates in the order of the sets), as far as max_zygotes goes. The parent of a
  /// node is the largest strict subset in the plan. A set with two versions of one package, which
  /// no interpreter can hold, gets no zygote.
  [[nodiscard]] ZygotePlan plan(std::span<const Demand> demand) const override;

 private:
  std::vector<std::vector<Package>> configured_;
  std::size_t max_zygotes_;
};

/// "root" for the empty set, else the first names and eight hexadecimal digits of the set's hash,
/// e.g. "numpy+pandas+4-1f0c22ab" where four more names are left out. The same set always has the
/// same id, over restarts too; a different set has another one but for chance (2⁻³²), so compare
/// packages where it matters. At most 64 characters of [a-z0-9+-].
[[nodiscard]] std::string zygote_id(std::span<const Package> packages);

}  // namespace sock::pkgcache
