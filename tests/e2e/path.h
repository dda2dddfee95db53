#pragma once

#include <string>

namespace sock::e2e {

/// How the calls of a test program come to their sandboxes, as $SOCK_TEST_PATH says. What holds on
/// one way must hold on all of them, so suites are run once for each; see CMakeLists.txt.
enum class Path {
  kAny,       ///< as it comes: what a sockd that nobody has told anything does
  kParked,    ///< "parked": parked clones of package zygotes, no function zygotes
  kOnDemand,  ///< "on_demand": every sandbox is made when its call comes
  kFunction,  ///< "function": every deployed function gets a zygote of its own, if it can
  kReplica,   ///< "replica": every sandbox is made by a replica of the zygote, when its call comes
};

[[nodiscard]] Path path();

/// `settings`, which must begin with the line "[zygotes]", for a sockd whose calls go this way.
[[nodiscard]] std::string with_path(std::string settings);

}  // namespace sock::e2e
