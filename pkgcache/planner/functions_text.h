#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// Reads functions as lines of CSV after the header "fn,direct,closure" (a fourth column, "rate",
/// may follow): a name, the packages it asks for and all it needs, both "name==version" separated
/// by blanks. Quotes as in RFC 4180, but no line feed inside them. The rate is 1 where not given.
/// What is wrong is kInvalid and names `file` and the line: a function given twice, two versions
/// of one package, a direct package that the closure lacks, more than 20,000 functions, 2,000
/// packages in a closure, or 5,000 different packages.
[[nodiscard]] Result<std::vector<Function>> parse_functions(std::string_view text,
                                                            const std::string& file);

}  // namespace sock::pkgcache
