#include "tests/cli/command_line.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sstream>

#include "base/fd.h"
#include "cli/program.h"

namespace sock::cli {

Ran sockctl(std::vector<std::string> args, const std::string& input, bool terminal,
            const std::string& program_folder) {
  const Fd in(::memfd_create("stdin", MFD_CLOEXEC));
  if (::pwrite(in.get(), input.data(), input.size(), 0) != static_cast<ssize_t>(input.size())) {
    return {};
  }
  std::ostringstream out;
  std::ostringstream err;
  Console console{out, err, in.get(), terminal, terminal, terminal};
  Ran ran;
  ran.exit = run(std::move(args), console, program_folder);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

}  // namespace sock::cli
