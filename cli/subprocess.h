#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace sock::cli {

/// Runs a program with this process's environment, stdin on /dev/null and stderr shared, and
/// returns what it wrote to stdout whatever its exit status. Killed and reaped when it writes more
/// than `limit` bytes or takes longer than `timeout`; both are errors.
[[nodiscard]] Result<std::string> output_of(const std::string& program,
                                            const std::vector<std::string>& args, std::size_t limit,
                                            Millis timeout);

}  // namespace sock::cli
