#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "manager/background.h"
#include "manager/calls/call_protocol.h"
#include "manager/calls/clone.h"

namespace sock::manager {

/// Handlers' modules, compiled once for each deployed generation, so that a call does not compile
/// its own.
///
/// Compiling reads hostile source, so it happens in a sandbox of the function's own that runs none
/// of it; what comes back is only ever given to sandboxes of the same function. On the event loop;
/// not thread safe.
class CodeCache {
 public:
  /// `recipe` is asked for what to clone: any ready zygote.
  CodeCache(boost::asio::any_io_executor executor, Background& background, SlotStock& slots,
            std::function<Result<CloneRecipe>()> recipe);

  /// The compiled module, or empty when there is none yet: then it is being compiled for later
  /// calls. Valid until the next call of this object.
  [[nodiscard]] std::string_view get(const std::shared_ptr<const Function>& function);

  /// Drops what was compiled of a function.
  void forget(const std::string& name);

 private:
  struct Entry {
    std::uint64_t generation = 0;
    std::string code;
  };

  [[nodiscard]] boost::asio::awaitable<void> compile(std::shared_ptr<const Function> function);
  [[nodiscard]] boost::asio::awaitable<Result<CallReply>> compile_in_sandbox(
      std::shared_ptr<const Function> function);

  boost::asio::any_io_executor executor_;
  Background& background_;
  SlotStock& slots_;
  std::function<Result<CloneRecipe>()> recipe_;
  std::unordered_map<std::string, Entry> entries_;  ///< by function
  std::unordered_set<std::string> compiling_;
  std::uint64_t bytes_ = 0;
};

}  // namespace sock::manager
