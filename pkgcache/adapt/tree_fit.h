#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "pkgcache/adapt/fit_world.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

struct FitLimits {
  double budget_mb = 0;
  std::size_t max_nodes = 0;  ///< without the root
  std::size_t max_depth = kMaxTreeDepth;
  double horizon_s = 0;  ///< what a node saves in this time …
  double margin = 0;     ///< … is held against this many times what making it takes
  double start_ms = 0;   ///< what making a node takes beside its imports
};

/// A node that may be in the tree.
struct FitNode {
  PackageSet packages;
  bool alive = false;   ///< it is there: no creation
  bool pinned = false;  ///< it stays whatever it saves
};

/// A tree of zygotes as a set of nodes, and what each of them is worth beside the others. A value;
/// not synchronised. Nodes are numbered; the numbers change in trim().
class TreeFit {
 public:
  /// No nodes but the root; rates are the world's.
  explicit TreeFit(std::shared_ptr<const FitWorld> world);

  /// Calls a second, by the world's demand.
  void set_rates(std::vector<double> rates) { rates_ = std::move(rates); }

  /// One that is there already, or is the root, only becomes alive or pinned as well.
  void add(FitNode node);

  /// They have been made.
  void all_alive() {
    for (Node& node : nodes_) node.node.alive = true;
  }

  /// Drops what is not worth its creation or serves nobody, then what is worth least per MB, until
  /// the tree keeps the limits; pinned ones never.
  void trim(const FitLimits& limits);
  /// Drops the nodes that hold something of `barred`, pinned ones too.
  void drop_holding(const PackageSet& barred);

  [[nodiscard]] const FitWorld& world() const { return *world_; }
  [[nodiscard]] double rate(std::size_t demanded) const { return rates_[demanded]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] const FitNode& node(std::size_t i) const { return nodes_[i].node; }
  /// What all calls save a second, in ms.
  [[nodiscard]] double saved_ms_per_s() const;
  /// What the calls save a second that each node serves.
  [[nodiscard]] std::vector<double> saved_by_node() const;
  /// What making the nodes takes that are not alive.
  [[nodiscard]] double creation_ms(double start_ms) const;
  /// What the tree saves within the horizon, less what making it takes.
  [[nodiscard]] double worth(const FitLimits& limits) const;

  /// The node that serves a demanded set best; nothing for the root.
  [[nodiscard]] std::optional<std::size_t> best(std::size_t demanded) const;
  /// What a call of the demanded set saves now, and with a zygote that had all it may hold.
  [[nodiscard]] double saved_ms(std::size_t demanded) const;
  [[nodiscard]] double savable_ms(std::size_t demanded) const;

  [[nodiscard]] ZygoteTree tree(std::size_t max_depth) const;

 private:
  struct Node {
    FitNode node;
    double saved_ms = 0;
    double mb = 0;
    double ms = 0;
  };
  /// What would be lost and won without a node.
  struct Marginal {
    double loss = 0;         ///< ms a second
    double freed_mb = 0;     ///< negative when its children share more than it takes
    double creation_ms = 0;  ///< not spent
  };

  [[nodiscard]] std::vector<Marginal> marginals(double start_ms) const;
  [[nodiscard]] double mb() const;
  [[nodiscard]] bool fits(const FitLimits& limits) const;
  [[nodiscard]] std::optional<std::size_t> parent(std::size_t node) const;
  void drop(std::size_t node);

  std::shared_ptr<const FitWorld> world_;
  std::vector<double> rates_;
  std::vector<Node> nodes_;
  /// By demanded set: the nodes that save it something, those that save most first.
  std::vector<std::vector<std::size_t>> servers_;
  /// By node: its strict subsets, the heaviest first.
  std::vector<std::vector<std::size_t>> below_;
};

}  // namespace sock::pkgcache
