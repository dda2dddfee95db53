#include "manager/calls/dispatcher.h"

#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>

#include "manager/calls/call_protocol.h"
#include "manager/calls/import_path.h"
#include "manager/calls/log_buffer.h"
#include "manager/calls/verdict.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

/// Zygotes tried before a call is given up: the best, and what is left of the tree after it.
constexpr int kMostAttempts = 3;

/// sock's own failure, as sockctl reports it.
constexpr int kInternalExit = 125;

CallError to_call_error(const Error& error) {
  return CallError{
      error.code, "Sandbox." + std::string(to_string(error.code)), error.describe(), {}};
}

}  // namespace

/// A call that has a sandbox.
struct Dispatcher::Running {
  Running(const asio::any_io_executor& executor, std::shared_ptr<const Function> its_function,
          std::string its_id, std::unique_ptr<Clone> its_clone, std::uint64_t log_bytes)
      : function(std::move(its_function)),
        id(std::move(its_id)),
        clone(std::move(its_clone)),
        deadline(Clock::now() + function->spec.timeout),
        alarm(executor, deadline),
        logs(log_bytes),
        logs_done(executor, Clock::time_point::max()) {}

  void end(Ending why) {
    if (ending == Ending::kNone) ending = why;
    if (clone->slot) clone->kill();
  }

  std::shared_ptr<const Function> function;
  std::string id;
  std::unique_ptr<Clone> clone;
  bool loaded = false;  ///< the clone came from the function's own zygote
  Clock::time_point deadline;
  asio::steady_timer alarm;
  Ending ending = Ending::kNone;
  std::string bad_reply;
  LogBuffer logs;
  bool logs_ended = true;        ///< false while the log pipe is being read
  asio::steady_timer logs_done;  ///< cancelled when the log pipe reaches its end
};

Dispatcher::Dispatcher(asio::any_io_executor executor, DispatcherOptions options,
                       Admission& admission, ZygoteTree& zygotes, FunctionZygotes& functions,
                       CodeCache& code, SlotStock& slots, const pkgcache::SearchPath& paths,
                       std::function<void(const CallRecord&)> on_settled)
    : executor_(std::move(executor)),
      options_(options),
      admission_(admission),
      zygotes_(zygotes),
      functions_(functions),
      code_(code),
      slots_(slots),
      paths_(paths),
      on_settled_(std::move(on_settled)) {}

Dispatcher::~Dispatcher() = default;

asio::awaitable<CallRecord> Dispatcher::invoke(std::shared_ptr<const Function> function,
                                               std::string id, std::string event) {
  const auto arrived = Clock::now();
  CallRecord record;
  record.id = id;
  record.function = function->spec.name;
  record.generation = function->generation;
  record.started_at = std::time(nullptr);
  waiting_[id] = false;
  functions_.note_call(function);
  auto permit = co_await admission_.enter(function->spec.name);
  const auto admitted = Clock::now();
  record.queue_us = micros_between(arrived, admitted);
  Result<std::unique_ptr<Clone>> clone = nullptr;
  if (!permit) {
    clone = std::unexpected(permit.error());
  } else if (waiting_[id]) {
    clone = fail(Code::kKilled, "call", "the client went away before the call began");
  } else {
    clone = co_await obtain(*function, record);
  }
  const bool cancelled = stop_waiting(id);
  if (!clone) {
    record.error = to_call_error(clone.error());
    record.exit_code = kInternalExit;
    record.settled = true;
    record.total_us = micros_between(arrived, Clock::now());
    on_settled_(record);
    co_return record;
  }
  auto call =
      std::make_shared<Running>(executor_, function, id, std::move(*clone), options_.log_bytes);
  running_[id] = call;
  if (cancelled) call->end(Ending::kCancelled);
  Result<> prepared;
  call->loaded = call->clone->function != nullptr;
  if (call->clone->slot->network != function->spec.network) {
    prepared = fail(Code::kInternal, "network", "the sandbox is of another network class");
  } else if (!call->loaded) {
    prepared = co_await dedicate(*call->clone, function, slots_, call->deadline);
  }
  record.create_us = micros_between(admitted, Clock::now());
  if (prepared) {
    co_await run(call, std::move(event), record);
  } else if (call->ending == Ending::kNone) {
    record.error = to_call_error(prepared.error());
    record.exit_code = kInternalExit;
  }
  call->alarm.cancel();
  running_.erase(id);
  record.total_us = micros_between(arrived, Clock::now());

  // A sandbox that answered is taken apart behind the reply. One that did not is taken apart
  // first: only its death tells what to answer.
  ++settling_;
  const bool answered = record.error.has_value() || !record.result.empty();
  if (!answered) {
    record = co_await settle(call, std::move(record));
    record.total_us = micros_between(arrived, Clock::now());
    co_return record;
  }
  auto behind = [](Dispatcher* self, std::shared_ptr<Running> its_call,
                   CallRecord its_record) -> asio::awaitable<void> {
    // On a later turn of the loop, when the reply is on its way.
    co_await asio::post(self->executor_, asio::use_awaitable);
    co_await self->settle(std::move(its_call), std::move(its_record));
  };
  asio::co_spawn(executor_, behind(this, call, record), asio::detached);
  co_return record;
}

std::unique_ptr<Clone> Dispatcher::take_parked(const Function& function, CallRecord& record) {
  auto clone = functions_.take(function);
  if (clone) {
    record.zygote = functions_.packages(function);
    record.start = Start::kParked;
    return clone;
  }
  auto choice = zygotes_.choose(function.spec.packages);
  if (!choice) return nullptr;
  clone = choice->node->stocks->take(function.spec.network);
  if (!clone) return nullptr;
  ++choice->node->clones;
  record.zygote = choice->node->packages();
  record.zygote_id = choice->node->spec.id;
  record.start = choice->exact ? Start::kParked : Start::kCold;
  return clone;
}

asio::awaitable<Result<std::unique_ptr<Clone>>> Dispatcher::clone_now(const Function& function,
                                                                      CallRecord& record) {
  slots_.note_miss();
  if (auto recipe = functions_.recipe(function)) {
    auto made = co_await make_clone(std::move(*recipe), slots_);
    if (made) {
      record.zygote = functions_.packages(function);
      record.start = Start::kClone;
      co_return made;
    }
  }
  Error last;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    auto choice = zygotes_.choose(function.spec.packages);
    if (!choice) co_return std::unexpected(choice.error());
    ZygoteNode& node = *choice->node;
    record.zygote = node.packages();
    record.zygote_id = node.spec.id;
    auto made = co_await node.zygotes->make(function.spec.network, &function);
    if (made) {
      ++node.clones;
      record.start = choice->exact ? Start::kClone : Start::kCold;
      co_return made;
    }
    // A zygote that is broken is out of service by now: the next one chosen is another.
    last = made.error();
    if (last.code == Code::kDraining || last.code == Code::kRejected) break;
  }
  co_return std::unexpected(last);
}

asio::awaitable<Result<std::unique_ptr<Clone>>> Dispatcher::obtain(const Function& function,
                                                                   CallRecord& record) {
  Result<std::unique_ptr<Clone>> clone = take_parked(function, record);
  if (!*clone) clone = co_await clone_now(function, record);
  if (clone) zygotes_.note_clone();
  co_return clone;
}

asio::awaitable<void> Dispatcher::run(std::shared_ptr<Running> call, std::string event,
                                      CallRecord& record) {
  const std::weak_ptr<Running> weak = call;
  call->alarm.async_wait([weak](boost::system::error_code error) {
    const auto alive = weak.lock();
    if (!error && alive) alive->end(Ending::kTimeout);
  });
  CallParts parts{.id = call->id, .event = event, .code = {}};
  std::string path;
  if (!call->loaded) {
    path = import_path(*call->clone, *call->function, paths_);
    parts.search_path = path;
    parts.code = code_.get(call->function);
  }
  auto sent = co_await send_call(call->clone->connection, zygote::FrameType::kCall,
                                 call->function.get(), parts, call->deadline);
  if (!sent) co_return;
  // The sandbox is at work by now: what it prints can wait.
  call->logs_ended = false;
  asio::co_spawn(executor_, collect_logs(call), asio::detached);
  auto reply = co_await read_reply(call->clone->connection, options_.result_bytes);
  if (call->ending != Ending::kNone) co_return;
  if (!reply) {
    if (reply.error().code != Code::kInvalid) co_return;
    call->bad_reply = reply.error().message;
    call->end(Ending::kBadReply);
    co_return;
  }
  record.init_us = reply->init_us;
  record.run_us = reply->run_us;
  if (!reply->succeeded) {
    judge_exception(record, reply->json);
    co_return;
  }
  if (auto valid = json_check_.check(reply->json, JsonCheck::Keys::kAny); !valid) {
    call->bad_reply = "the result is not JSON: " + valid.error().message;
    call->end(Ending::kBadReply);
    co_return;
  }
  record.result = std::move(reply->json);
}

asio::awaitable<void> Dispatcher::collect_logs(std::shared_ptr<Running> call) {
  std::array<char, 16 << 10> buffer;
  for (;;) {
    auto [error, n] = co_await call->clone->log.async_read_some(asio::buffer(buffer), kNoThrow);
    if (error) break;
    call->logs.append(std::string_view(buffer.data(), n));
  }
  call->logs_ended = true;
  call->logs_done.cancel();
}

asio::awaitable<CallRecord> Dispatcher::settle(std::shared_ptr<Running> call, CallRecord record) {
  Clone& clone = *call->clone;
  const bool answered = record.error.has_value() || !record.result.empty();
  const bool stands = call->ending == Ending::kNone && answered;
  if (clone.on_answered && stands) co_await clone.on_answered(clone);
  const Haste haste = answered ? Haste::kNone : Haste::kCallerWaits;
  const auto obituary =
      co_await slots_.bury(std::move(clone.slot), std::move(clone.process), haste);
  // All writers are dead, so the pipe's end is near; whoever still holds it cannot be waited for.
  if (!call->logs_ended) {
    call->logs_done.expires_after(Millis(1000));
    auto ignored = co_await call->logs_done.async_wait(kNoThrow);
    (void)ignored;
    boost::system::error_code closed;
    clone.log.close(closed);
  }
  if (!answered) {
    judge(record, call->ending, obituary, call->function->spec.timeout,
          call->function->spec.limits.memory_bytes, call->bad_reply);
  }
  record.max_rss_bytes = obituary.usage.memory_peak_bytes;
  record.cpu_us = obituary.usage.cpu_us;
  record.logs = call->logs.text();
  record.logs_truncated = call->logs.truncated();
  record.settled = true;
  on_settled_(record);
  --settling_;
  co_return record;
}

bool Dispatcher::stop_waiting(const std::string& id) {
  const auto found = waiting_.extract(id);
  return !found.empty() && found.mapped();
}

void Dispatcher::cancel(const std::string& id) {
  const auto waiting = waiting_.find(id);
  if (waiting != waiting_.end()) waiting->second = true;
  const auto found = running_.find(id);
  if (found == running_.end()) return;
  if (const auto call = found->second.lock()) call->end(Ending::kCancelled);
}

void Dispatcher::cancel_all() {
  for (const auto& [id, weak] : running_) {
    if (const auto call = weak.lock()) call->end(Ending::kCancelled);
  }
}

}  // namespace sock::manager
