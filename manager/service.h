#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "manager/calls/call.h"
#include "manager/functions/function.h"

namespace sock::manager {

/// A function as it arrives over the API, before anything of it is believed.
struct DeployRequest {
  std::string name;
  std::string content_type;     ///< of `bundle`; empty = recognise by its first bytes
  std::string bundle;           ///< a .py file, .zip or (compressed) tar
  boost::json::object options;  ///< handler, requirements, memory, timeout, cpu, pids, tmp,
                                ///< network, allow, env, keep_ready
};

/// What the HTTP API can ask of the daemon. One implementation does the work; tests give a fake.
///
/// Every call is made on the event loop's thread. Awaitables never throw: failures are values.
class Service {
 public:
  virtual ~Service() = default;

  /// Runs one call to its reply. `id` is the caller's fresh request id; the returned record is not
  /// settled yet. Its error says what went wrong, admission included.
  virtual boost::asio::awaitable<CallRecord> invoke(std::string id, std::string function,
                                                    std::string event) = 0;
  /// The client of call `id` has gone: kill its sandbox. Unknown ids are ignored.
  virtual void cancel(const std::string& id) = 0;
  /// A call's record, waiting up to two seconds for it to settle.
  virtual boost::asio::awaitable<Result<CallRecord>> call(std::string id) = 0;
  /// Ids of a function's recent calls, newest first.
  virtual Result<std::vector<std::string>> recent_calls(const std::string& function) = 0;

  virtual boost::asio::awaitable<Result<Function>> deploy(DeployRequest request) = 0;
  virtual boost::asio::awaitable<Result<>> remove(std::string name) = 0;
  virtual Result<Function> describe(const std::string& name) = 0;
  virtual std::vector<Function> list() = 0;

  /// {"zygotes":[{"id","parent","packages":[…],"state","pid","memory_bytes","parked","clones","age_s",
  /// "sealed","seal_ms","seal_error","error"}],"functions":[…]}
  virtual boost::json::object zygotes() = 0;
  /// {"ready","low","high","leases","builds","misses","destroyed","failures"}
  virtual boost::json::object netns() = 0;
  /// {"packages":[{"name","version","source","requires":[…],"modules":[…],"functions","profile":{…}}],
  /// "warm":[[…]],"measuring"}
  virtual boost::json::object packages() = 0;
  /// Keeps a zygote for a set of packages, each "NAME" or "NAME==VERSION", or no longer.
  virtual boost::asio::awaitable<Result<>> warm(std::vector<std::string> set) = 0;
  virtual boost::asio::awaitable<Result<>> cool(std::vector<std::string> set) = 0;
  /// {"healthy":bool,"checks":[{"name","status":"ok|warn|fail","detail","advice"}]}
  virtual boost::json::object doctor() = 0;
  /// {"status":"ok|draining","version","functions","running","queued","uptime_s","stats_segment"}
  virtual boost::json::object health() = 0;
  /// Prometheus text format.
  virtual std::string metrics() = 0;
};

}  // namespace sock::manager
