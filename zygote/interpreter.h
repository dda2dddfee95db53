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

/// Imports modules in order, from `search_path` from now on unless it is empty; the error carries
/// the exception.
[[nodiscard]] Result<> import_modules(const std::vector<std::string>& modules,
                                      const std::vector<std::string>& search_path);

/// Collects and freezes the heap. The last Python a zygote runs before it serves.
[[nodiscard]] Result<> settle();

/// In a child after a raw clone: everything random, and the at-fork hooks of packages.
///
/// PyOS_AfterFork_Child() is left out. What it does (Modules/posixmodule.c, CPython 3.11) undoes
/// the effects that other threads had on the parent: it renews the GIL, the import lock and the
/// runtime's mutexes, which nobody else can have held, drops other threads' states, of which there
/// are none, and clears pending signals, of which the audit found none. The at-fork hooks of
/// runtime.py's NEEDLESS_IN_CLONES are argued there.
[[nodiscard]] Result<> after_clone();

struct Call {
  std::string_view handler;
  std::string_view function;
  std::string_view id;
  std::string_view event;
  std::string_view environment;  ///< "K\0V\0" pairs
  std::string_view search_path;  ///< sys.path as "P\0"…; empty: as it is
  std::string_view code;         ///< the handler's module, from compile_handler(); may be empty
  std::uint32_t memory_mb = 0;
  std::uint32_t cpus = 1;  ///< of the function's CPU limit, rounded up
  std::int64_t deadline_ns = 0;
};

struct Outcome {
  bool succeeded = false;
  std::string_view json;  ///< valid as long as the process lives
  std::int64_t init_us = 0;
  std::int64_t run_us = 0;
};

/// Loads the handler from /var/task, unless prepare() has, and runs it. Without a handler: a trial
/// of the runtime's own work. An error means the runtime itself failed.
[[nodiscard]] Result<Outcome> run(const Call& call);

/// Loads the handler's module and runs its before-snapshot hooks. `succeeded` is false, with the
/// exception's JSON, when they raised.
[[nodiscard]] Result<Outcome> prepare(const Call& call);

/// Compiles the handler's module without running it: `json` holds the bytes for Call::code, empty
/// when it has to be imported the long way.
[[nodiscard]] Result<Outcome> compile_handler(const Call& call);

}  // namespace interpreter
}  // namespace sock::zygote
