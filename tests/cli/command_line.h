#pragma once

#include <string>
#include <vector>

namespace sock::cli {

/// What a run of sockctl left behind.
struct Ran {
  int exit = -1;
  std::string out;
  std::string err;
};

/// Runs sockctl in this process. `input` becomes standard input; `terminal` says that all three
/// streams are one. The environment's SOCK_SOCKET applies as always.
[[nodiscard]] Ran sockctl(std::vector<std::string> args, const std::string& input = "",
                          bool terminal = false,
                          const std::string& program_folder = "/nonexistent");

}  // namespace sock::cli
