#pragma once

#include <boost/json/array.hpp>
#include <iosfwd>

namespace sock::cli {

/// Draws the zygotes (the "zygotes" array of GET /v1/zygotes) as trees, one line each, children
/// below their parent with the packages they add. Entries whose parent is unknown, or that form a
/// ring, are drawn as roots: nothing is left out and nothing twice.
void print_zygotes(std::ostream& out, const boost::json::array& zygotes);

/// Lists the functions that have zygotes of their own, or should (its "functions" array). Prints
/// nothing when there are none.
void print_function_zygotes(std::ostream& out, const boost::json::array& functions);

}  // namespace sock::cli
