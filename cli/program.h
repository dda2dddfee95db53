#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace sock::cli {

/// sockctl as a function: parses `args` (argv without the program's name), runs the command, shows
/// its failure, returns the exit status. `program_folder` is where sockd is looked for.
[[nodiscard]] int run(std::vector<std::string> args, Console& console,
                      const std::string& program_folder);

}  // namespace sock::cli
