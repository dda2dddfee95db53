#pragma once

#include <span>
#include <string_view>

namespace sock::manager {

/// A Python module with a handler(event, context), compiled into the program.
struct JobScript {
  std::string_view name;
  std::string_view source;
};

/// All scripts of this folder: NAME.py is "NAME".
[[nodiscard]] std::span<const JobScript> job_scripts();

}  // namespace sock::manager
