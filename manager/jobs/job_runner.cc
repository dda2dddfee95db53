#include "manager/jobs/job_runner.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/file.h"
#include "manager/calls/errand.h"
#include "manager/calls/verdict.h"
#include "manager/jobs/log_tail.h"

namespace sock::manager {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

/// All who write to it are dead by then.
constexpr Millis kLogTimeout{1'000};

Result<> write_script(const fs::path& folder, const JobScript& script) {
  const fs::path place = folder / script.name;
  std::error_code error;
  fs::create_directories(place, error);
  // A compiled module of an earlier version, or anything else, has no business there.
  if (!error) fs::permissions(place, fs::perms(0755), error);
  if (error) return fail(Code::kInternal, "jobs", place.string() + ": " + error.message());
  return replace_file(place / "handler.py", script.source);
}

/// The sandbox's /tmp, by way of its first process: that one runs nothing of the job, and its root
/// and mounts are out of the job's reach.
Result<Fd> open_tmp(const Slot& slot) {
  auto root =
      open_fd(AT_FDCWD, "/proc/" + std::to_string(slot.shell_pid) + "/root", O_PATH | O_DIRECTORY);
  if (!root) return root;
  // Whose folder was that? While the pidfd's process is there, nobody else has its number.
  auto pid = pid_of(slot.shell.pidfd());
  if (!pid || *pid != slot.shell_pid) {
    return fail(Code::kKilled, "jobs", "the sandbox ended before its files were taken");
  }
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long tmp = ::syscall(SYS_openat2, root->get(), "tmp", &how, sizeof how);
  if (tmp < 0) return fail_errno("jobs", "open the sandbox's /tmp");
  return Fd(static_cast<int>(tmp));
}

Result<json::object> read_answer(const CallReply& reply) {
  if (!reply.succeeded) {
    CallRecord record;
    judge_exception(record, reply.json);
    const CallError raised = record.error.value_or(CallError());
    return fail(Code::kAppError, "", raised.type + ": " + raised.message);
  }
  boost::system::error_code error;
  json::value value = json::parse(reply.json, error);
  if (error) return fail(Code::kInvalid, "", "the answer is not JSON: " + error.message());
  if (!value.is_object()) return fail(Code::kInvalid, "", "the answer is no JSON object");
  return std::move(value.get_object());
}

}  // namespace

/// A job that has a sandbox.
struct JobRunner::Running {
  Running(const asio::any_io_executor& executor, std::unique_ptr<Clone> its_clone)
      : clone(std::move(its_clone)), log_done(executor, Clock::time_point::max()) {}

  /// Reads the log for as long as anybody may write: a full pipe would stop the job.
  static asio::awaitable<void> read_log(std::shared_ptr<Running> self) {
    std::array<char, 16U << 10> buffer;
    for (;;) {
      auto [error, n] = co_await self->clone->log.async_read_some(asio::buffer(buffer), kNoThrow);
      if (error) break;
      self->log.append(std::string_view(buffer.data(), n));
    }
    self->log_ended = true;
    self->log_done.cancel();
  }

  asio::awaitable<void> finish_log() {
    if (!log_ended) {
      log_done.expires_after(kLogTimeout);
      auto ignored = co_await log_done.async_wait(kNoThrow);
      (void)ignored;
    }
    boost::system::error_code closed;
    clone->log.close(closed);
  }

  std::unique_ptr<Clone> clone;
  LogTail log{kJobLogBytes};
  bool log_ended = false;
  asio::steady_timer log_done;  ///< cancelled when the log has been read to its end
  Result<json::object> answer = json::object();
};

JobRunner::JobRunner(fs::path folder, SlotStock& slots, std::function<Result<CloneRecipe>()> recipe)
    : folder_(std::move(folder)), slots_(slots), recipe_(std::move(recipe)) {}

Result<std::unique_ptr<JobRunner>> JobRunner::create(fs::path folder, SlotStock& slots,
                                                     std::function<Result<CloneRecipe>()> recipe,
                                                     std::span<const JobScript> scripts) {
  for (const auto& script : scripts) {
    if (auto written = write_script(folder, script); !written) {
      return std::unexpected(written.error());
    }
  }
  return std::unique_ptr<JobRunner>(new JobRunner(std::move(folder), slots, std::move(recipe)));
}

asio::awaitable<Result<std::unique_ptr<Clone>>> JobRunner::start(
    const Job& job, std::optional<CloneRecipe> parent) {
  if (stopping_) co_return fail(Code::kDraining, "", "sockd is stopping");
  if (!parent) {
    auto chosen = recipe_();
    if (!chosen) co_return std::unexpected(chosen.error());
    parent = std::move(*chosen);
  }
  Function function;
  // No function of anybody's has such a name, and no two runs are of the same generation: they have
  // nothing of each other's.
  function.spec.name = "job:" + job.script;
  function.generation = ++runs_;
  function.spec.limits = job.limits;
  function.spec.timeout = job.timeout;
  function.spec.network = job.network;
  function.spec.egress = job.egress;
  function.spec.environment = job.environment;
  function.code = folder_ / job.script;
  parent->network = job.network;
  parent->function = std::make_shared<const Function>(std::move(function));
  parent->wheels = job.wheels;
  parent->discard_output = false;
  co_return co_await make_clone(std::move(*parent), slots_);
}

asio::awaitable<void> JobRunner::perform(Running& running, const Job& job, const Collect& collect) {
  Clone& clone = *running.clone;
  const std::string event = json::serialize(job.event);
  const std::string id = clone.function->spec.name;
  const CallParts parts{.id = id, .event = event, .code = {}};
  auto reply = co_await run_errand(clone, zygote::FrameType::kCall, clone.function.get(), parts,
                                   job.answer_bytes, job.timeout);
  if (!reply) {
    running.answer = std::unexpected(reply.error());
    co_return;
  }
  running.answer = read_answer(*reply);
  if (!running.answer || !collect) co_return;
  auto tmp = open_tmp(*clone.slot);
  if (!tmp) {
    running.answer = std::unexpected(tmp.error());
    co_return;
  }
  auto collected = co_await collect(*running.answer, tmp->get());
  if (!collected) running.answer = std::unexpected(collected.error());
}

asio::awaitable<Result<JobAnswer>> JobRunner::run(Job job, Collect collect,
                                                  std::optional<CloneRecipe> parent) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string step = job.script + " job";
  auto clone = co_await start(job, std::move(parent));
  if (!clone) {
    co_return fail(clone.error().code, step, clone.error().describe());
  }
  const auto running = std::make_shared<Running>(executor, std::move(*clone));
  Clone* const at_work = running->clone.get();
  at_work_.insert(at_work);
  asio::co_spawn(executor, Running::read_log(running), asio::detached);
  if (stopping_) at_work->kill();
  co_await perform(*running, job, collect);
  at_work_.erase(at_work);
  const auto obituary = co_await slots_.bury(std::move(at_work->slot), std::move(at_work->process),
                                             Haste::kCallerWaits);
  co_await running->finish_log();
  Result<json::object>& answer = running->answer;
  if (answer) co_return JobAnswer{std::move(*answer), running->log.text()};
  Error error = answer.error();
  // Without an answer, only its death tells what happened.
  if (error.code == Code::kKilled && stopping_) error.code = Code::kDraining;
  if (error.code == Code::kKilled) {
    CallRecord record;
    judge(record, Ending::kNone, obituary, job.timeout, job.limits.memory_bytes, "");
    const CallError verdict = record.error.value_or(CallError());
    error.code = verdict.code;
    error.message = verdict.message;
  }
  if (error.code == Code::kOom) error.message += "; what is in /tmp counts";
  error.step = step;
  co_return std::unexpected(std::move(error));
}

void JobRunner::stop() {
  stopping_ = true;
  for (const Clone* clone : at_work_) clone->kill();
}

}  // namespace sock::manager
