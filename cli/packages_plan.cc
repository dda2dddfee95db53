#include "cli/packages_plan.h"

#include <boost/json/serialize.hpp>
#include <ostream>
#include <vector>

#include "cli/input.h"
#include "cli/megabytes.h"
#include "cli/plan_view.h"
#include "pkgcache/baselines/compare.h"
#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"
#include "pkgcache/planner/popularity.h"

namespace sock::cli {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20U;

/// A file read and parsed; a usage failure with the parser's words.
template <class Parse>
auto load(const std::string& path, Parse&& parse)
    -> Outcome<typename std::invoke_result_t<Parse, std::string_view, std::string>::value_type> {
  const auto text = read_input_file(path, kMaxFileBytes);
  if (!text) return std::unexpected(text.error());
  auto parsed = parse(*text, path);
  if (!parsed) return fail(ExitCode::kUsage, parsed.error().message);
  return std::move(*parsed);
}

}  // namespace

Outcome<int> plan_packages(Context& context, const PlanOptions& options) {
  const auto budget = parse_megabytes(options.budget);
  if (!budget) return std::unexpected(budget.error());
  const auto algorithm = pkgcache::algorithm_of(options.algorithm);
  if (!algorithm) {
    return fail(ExitCode::kUsage, "no such algorithm: '" + options.algorithm +
                                      "'; there are ours, sock, forklift and none");
  }
  auto functions = load(options.functions, pkgcache::parse_functions);
  if (!functions) return std::unexpected(functions.error());
  const auto table = load(options.costs, pkgcache::parse_costs);
  if (!table) return std::unexpected(table.error());
  std::vector<pkgcache::Function> judged;
  if (!options.evaluate.empty()) {
    auto others = load(options.evaluate, pkgcache::parse_functions);
    if (!others) return std::unexpected(others.error());
    judged = std::move(*others);
  }
  if (options.zipf > 0) pkgcache::make_zipf(*functions, judged, options.zipf, 1);

  std::vector<pkgcache::Function> all = *functions;
  all.insert(all.end(), judged.begin(), judged.end());
  const pkgcache::Universe universe = pkgcache::universe_of(all);
  const pkgcache::CostModel costs(universe, *table);
  pkgcache::Comparison comparison;
  comparison.limits.budget_mb = *budget;
  // Judged by the very functions it is for, there are no others to be ready for; by others, no call
  // is of a function it is for.
  comparison.limits.unseen.share = options.evaluate.empty() ? 0 : 1;
  const auto planned_sets = demanded_sets(universe, *functions);
  const auto judged_sets =
      options.evaluate.empty() ? planned_sets : demanded_sets(universe, judged);
  const auto result = compare(*algorithm, universe, planned_sets, judged_sets, costs, comparison);

  const PlanView view{universe, costs, result, options.algorithm, *budget};
  if (context.format == Format::kJson) {
    print_document(context, boost::json::serialize(plan_document(view)));
  } else {
    print_plan(context.console.out, view);
  }
  if (costs.unknown() > 0) {
    context.console.err << "sockctl: " << costs.unknown() << " of " << universe.size()
                        << " packages are not in " << options.costs
                        << "; each counts as the median of those that are\n";
  }
  return 0;
}

}  // namespace sock::cli
