#pragma once

#include <boost/json/object.hpp>
#include <iosfwd>
#include <string>

#include "pkgcache/baselines/compare.h"

namespace sock::cli {

/// A planned tree with its judgement, ready to be shown. Refers to what must outlive it.
struct PlanView {
  const pkgcache::Universe& universe;
  const pkgcache::CostModel& costs;
  const pkgcache::Compared& result;
  std::string algorithm;
  double budget_mb = 0;
};

/// The tree as a table, the packages that each node adds on its line, and the judgement below.
void print_plan(std::ostream& out, const PlanView& view);

/// {"algorithm", "budget_mb", "zygotes": [{"id", "parent", "packages", "added", "mb", "calls",
/// "saved_ms"}], "judgement": {…}}: everything, in the order of the tree; the root's parent is "".
[[nodiscard]] boost::json::object plan_document(const PlanView& view);

}  // namespace sock::cli
