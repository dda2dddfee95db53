#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "base/spawn.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  sock::cli::Console console{std::cout,
                             std::cerr,
                             STDIN_FILENO,
                             ::isatty(STDIN_FILENO) == 1,
                             ::isatty(STDOUT_FILENO) == 1,
                             ::isatty(STDERR_FILENO) == 1};
  const auto folder = sock::program_folder();
  return sock::cli::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), console,
                        folder ? *folder : std::string("."));
}
