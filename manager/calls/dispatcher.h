#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "manager/api/json_check.h"
#include "manager/calls/admission.h"
#include "manager/calls/call.h"
#include "manager/calls/code_cache.h"
#include "manager/calls/function_zygotes.h"
#include "manager/calls/slot_stock.h"
#include "manager/calls/zygote_tree.h"
#include "manager/functions/function.h"
#include "pkgcache/search_path.h"

namespace sock::manager {

struct DispatcherOptions {
  std::uint64_t result_bytes = 6ULL << 20;
  std::uint64_t log_bytes = 256ULL << 10;
};

/// The way of a call: admission, a clone, the function's directory, the request, the reply; then,
/// behind the reply, the sandbox's death and the accounts. On the event loop; not thread safe.
class Dispatcher {
 public:
  /// `on_settled` gets every call's complete record, those that failed early too.
  Dispatcher(boost::asio::any_io_executor executor, DispatcherOptions options, Admission& admission,
             ZygoteTree& zygotes, FunctionZygotes& functions, CodeCache& code, SlotStock& slots,
             const pkgcache::SearchPath& paths, std::function<void(const CallRecord&)> on_settled);
  ~Dispatcher();

  /// Runs one call. The record is complete but for what only the sandbox's death tells (logs,
  /// memory, CPU); those follow in `on_settled`.
  [[nodiscard]] boost::asio::awaitable<CallRecord> invoke(std::shared_ptr<const Function> function,
                                                          std::string id, std::string event);

  /// Ends call `id`: kills its sandbox, or lets it leave the queue without one.
  void cancel(const std::string& id);

  /// Calls that have a sandbox.
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  /// Calls whose sandbox is being taken apart.
  [[nodiscard]] std::size_t settling() const { return settling_; }

  /// Kills every running call.
  void cancel_all();

 private:
  struct Running;

  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> obtain(
      const Function& function, CallRecord& record);
  [[nodiscard]] std::unique_ptr<Clone> take_parked(const Function& function, CallRecord& record);
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> clone_now(
      const Function& function, CallRecord& record);
  /// Whether call `id` was cancelled while it had no sandbox; it is forgotten then.
  [[nodiscard]] bool stop_waiting(const std::string& id);
  [[nodiscard]] boost::asio::awaitable<void> run(std::shared_ptr<Running> call, std::string event,
                                                 CallRecord& record);
  [[nodiscard]] boost::asio::awaitable<CallRecord> settle(std::shared_ptr<Running> call,
                                                          CallRecord record);
  [[nodiscard]] boost::asio::awaitable<void> collect_logs(std::shared_ptr<Running> call);

  boost::asio::any_io_executor executor_;
  DispatcherOptions options_;
  Admission& admission_;
  ZygoteTree& zygotes_;
  FunctionZygotes& functions_;
  CodeCache& code_;
  SlotStock& slots_;
  const pkgcache::SearchPath& paths_;
  std::function<void(const CallRecord&)> on_settled_;
  JsonCheck json_check_;
  std::unordered_map<std::string, std::weak_ptr<Running>> running_;
  std::unordered_map<std::string, bool> waiting_;  ///< calls without a sandbox yet; true: cancelled
  std::size_t settling_ = 0;
};

}  // namespace sock::manager
