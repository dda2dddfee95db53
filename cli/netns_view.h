#pragma once

#include <boost/json/array.hpp>
#include <iosfwd>

namespace sock::cli {

/// Lists the stocks of network namespaces (the "classes" array of GET /v1/netns), a line each, and
/// below them the latest error of those that had one.
void print_netns_classes(std::ostream& out, const boost::json::array& classes);

/// Lists the namespaces themselves (its "namespaces" array). Prints nothing when there are none.
void print_netns(std::ostream& out, const boost::json::array& namespaces);

}  // namespace sock::cli
