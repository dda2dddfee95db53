#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pkgcache/adapt/tree_controller.h"
#include "tests/pkgcache/plan_world.h"

namespace sock::pkgcache {

inline Clock::time_point at(double seconds) {
  return Clock::time_point(
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
}

/// Sorted packages from "name" or "name==version".
inline std::vector<Package> packages_of(const std::vector<std::string>& names) {
  return function_of("", names).packages;
}

inline std::shared_ptr<MeasuredPackages> measured_of(const CostTable& table) {
  auto out = std::make_shared<MeasuredPackages>();
  for (const auto& [name, versions] : table) {
    for (const auto& [version, cost] : versions)
      (*out)[{name, version}] = {cost.ms, cost.mb, 0, {}};
  }
  return out;
}

/// Options with clones that cost nothing, so that figures can be told.
inline TreeOptions tree_options(double budget_mb) {
  TreeOptions options;
  options.budget_bytes = static_cast<std::uint64_t>(budget_mb * (1 << 20));
  options.costs = {{0, 0, 0}, 4, 1};
  return options;
}

inline const ZygoteSpec* find_node(const ZygotePlan& plan, const std::vector<Package>& packages) {
  const auto found = std::ranges::find(plan.nodes, packages, &ZygoteSpec::packages);
  return found == plan.nodes.end() ? nullptr : &*found;
}

/// What the plan's nodes take beside the root.
inline double plan_mb(const ZygotePlan& plan, const MeasuredPackages& measured, double node_mb) {
  double mb = 0;
  std::map<std::string, const ZygoteSpec*> specs;
  for (const ZygoteSpec& spec : plan.nodes) {
    specs[spec.id] = &spec;
    if (spec.packages.empty()) continue;
    mb += node_mb;
    for (const Package& package : spec.packages) {
      const auto& held = specs.at(spec.parent)->packages;
      if (!std::ranges::binary_search(held, package)) mb += measured.at(package).mb;
    }
  }
  return mb;
}

/// Follows a controller's decisions as its owner would, and checks what must always hold.
class Follower {
 public:
  explicit Follower(TreeOptions options) : options_(options), controller(std::move(options)) {}

  /// What a loop does about once a second; a plan is made at once.
  void tick(double seconds) {
    apply(controller.react(at(seconds)));
    if (!controller.due(at(seconds))) return;
    ++plans;
    apply(controller.decide(TreeController::plan(*controller.take(at(seconds)))));
  }

  void set_packages(std::shared_ptr<const MeasuredPackages> packages) {
    measured_ = packages;
    apply(controller.set_packages(std::move(packages)));
  }
  void set_budget(double mb, double seconds) {
    options_.budget_bytes = static_cast<std::uint64_t>(mb * (1 << 20));
    apply(controller.set_budget(options_.budget_bytes, at(seconds)));
  }

  void apply(const std::optional<Decision>& decision) {
    if (decision) check(*decision);
    if (decision) last = *decision;
    if (decision && decision->cause != Cause::kParked) ++adoptions;
  }

  void check(const Decision& decision) {
    const ZygotePlan& plan = decision.plan;
    ASSERT_FALSE(plan.nodes.empty());
    EXPECT_TRUE(plan.nodes[0].packages.empty());
    EXPECT_LE(plan.nodes.size(), std::max(options_.max_nodes, 1 + options_.pinned.size()));
    std::map<std::string, std::size_t> depth;
    for (const ZygoteSpec& spec : plan.nodes) {
      EXPECT_EQ(spec.id, zygote_id(spec.packages));
      EXPECT_TRUE(decision.parked.contains(spec.id));
      EXPECT_EQ(std::ranges::adjacent_find(spec.packages, {}, &Package::name), spec.packages.end());
      for (const Package& package : spec.packages) {
        EXPECT_TRUE(measured_ && measured_->contains(package)) << package.to_string();
      }
      if (!spec.packages.empty()) {
        ASSERT_TRUE(depth.contains(spec.parent)) << "a child before its parent";
      }
      const std::size_t own = spec.packages.empty() ? 0 : depth.at(spec.parent) + 1;
      EXPECT_LE(own, options_.max_depth);
      EXPECT_TRUE(depth.emplace(spec.id, own).second) << "twice";
    }
    EXPECT_EQ(decision.parked.size(), plan.nodes.size());
    if (options_.pinned.empty() && measured_) {
      EXPECT_LE(plan_mb(plan, *measured_, options_.costs.node_mb),
                static_cast<double>(options_.budget_bytes) / (1 << 20) + 1e-6);
    }
    // Created: parents before children. Retired: what was there.
    for (const std::string& id : decision.create) {
      EXPECT_TRUE(depth.contains(id));
      EXPECT_TRUE(alive_.insert(id).second) << "created twice";
    }
    for (const std::string& id : decision.retire) {
      EXPECT_FALSE(depth.contains(id));
      EXPECT_EQ(alive_.erase(id), 1U) << "retired what was not there";
    }
    EXPECT_EQ(alive_.size() + 1, plan.nodes.size());
  }

 private:
  TreeOptions options_;
  std::shared_ptr<const MeasuredPackages> measured_;
  std::set<std::string> alive_;

 public:
  TreeController controller;
  Decision last;
  int adoptions = 0;
  int plans = 0;
};

}  // namespace sock::pkgcache
