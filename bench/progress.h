#pragma once

#include <string>

namespace sock::bench {

/// What is being measured, on stderr: in one line of a terminal, else a line each.
void show_progress(const std::string& text);

/// Clears that line.
void end_progress();

}  // namespace sock::bench
