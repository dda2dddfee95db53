#pragma once

#include <string>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// Of `packages plan`, as given.
struct PlanOptions {
  std::string functions;
  std::string costs;
  std::string budget = "200M";
  std::string algorithm = "ours";
  std::string evaluate;  ///< file of the functions to judge by; "" is those planned for
  double zipf = 0;       ///< exponent of popularity; 0 leaves the rates of the files
};

/// Plans a tree of zygotes from files and judges it; asks no daemon. Files that are wrong are usage
/// failures that name the file and the line.
[[nodiscard]] Outcome<int> plan_packages(Context& context, const PlanOptions& options);

}  // namespace sock::cli
