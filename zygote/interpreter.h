#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sock::zygote {

/// The embedded CPython. One per process; all calls from its one thread, which holds the GIL for
/// good. Messages of errors are Python's own, shortened.
namespace interpreter {

/// Starts an isolated interpreter (no environment, no user site, no .pth files, no bytecode
/// written) on exactly `search_path` and loads the runtime and the common standard library.
[[nodiscard]] Result<> start(const std::vector<std::string>& search_path);

/// Imports modules in order; the error carries the exception.
[[nodiscard]] Result<> import_modules(const std::vector<std::string>& modules);

/// Collects and freezes the heap. The last Python a zygote runs before it serves.
[[nodiscard]] Result<> settle();

/// In a child after a raw clone: CPython's own state, then everything random.
[[nodiscard]] Result<> after_clone();

struct Call {
  std::string_view handler;
  std::string_view function;
  std::string_view id;
  std::string_view event;
  std::string_view environment;  ///< "K\0V\0" pairs
  std::uint32_t memory_mb = 0;
  std::int64_t deadline_ns = 0;
};

struct Outcome {
  bool succeeded = false;
  std::string_view json;  ///< valid as long as the process lives
  std::int64_t init_us = 0;
  std::int64_t run_us = 0;
};

/// Loads the handler from /var/task and runs it. An error means the runtime itself failed.
[[nodiscard]] Result<Outcome> run(const Call& call);

}  // namespace interpreter
}  // namespace sock::zygote
