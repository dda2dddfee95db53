#include "netns-pool/builder_crew.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <string>
#include <utility>

namespace sock::netns {

namespace asio = boost::asio;

namespace {

// Small, so that a burst of answers never holds the loop for long.
constexpr std::size_t kBatch = 4;
static_assert(kBatch <= kMaxBatch);

constexpr Millis kReapPatience{5000};
constexpr Millis kStopPatience{10000};

}  // namespace

BuilderCrew::BuilderCrew(asio::any_io_executor executor, CrewOptions options)
    : executor_(std::move(executor)), options_(std::move(options)), finished_(executor_) {}

void BuilderCrew::start(std::weak_ptr<Client> client) {
  client_ = std::move(client);
  for (std::size_t i = 0; i < options_.helpers; ++i) {
    helpers_.push_back(std::make_unique<Helper>(executor_));
    ++supervised_;
    asio::co_spawn(executor_, supervise(shared_from_this(), *helpers_.back()), asio::detached);
  }
}

/// Keeps one helper alive until the crew stops.
asio::awaitable<void> BuilderCrew::supervise(Self self, Helper& helper) {
  while (!self->stopping_) {
    auto started = BuilderProcess::start(self->executor_, self->options_.helper);
    Error loss;
    if (started) {
      helper.process = std::move(*started);
      loss = co_await serve_answers(self, helper);
      helper.process->kill();
      co_await helper.process->reap(Clock::now() + kReapPatience);
      helper.process.reset();
      helper.owed = 0;
    } else {
      loss = std::move(started.error());
    }
    if (self->stopping_) break;
    loss.code = Code::kInternal;  // ours, whatever it was to the socket
    self->back_off_.failed();
    if (const auto client = self->client_.lock()) client->lost(loss);
    helper.pause.expires_at(self->back_off_.until());
    auto woken = co_await helper.pause.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)woken;
  }
  if (--self->supervised_ == 0) self->finished_.cancel();
}

/// Asks for builds and takes in what comes, until the helper is gone or must go; returns why.
asio::awaitable<Error> BuilderCrew::serve_answers(Self self, Helper& helper) {
  for (;;) {
    self->request();
    const auto deadline = self->next_deadline(helper);
    auto answer = co_await helper.process->receive(deadline);
    if (self->stopping_) co_return Error{};
    if (!answer && answer.error().code == Code::kTimeout) {
      // A request may have gone out after this wait began.
      if (helper.owed == 0 || Clock::now() < self->next_deadline(helper)) continue;
      co_return Error{Code::kInternal, "build network namespace", 0,
                      "sock-netns gave no answer within " +
                          std::to_string(self->options_.timeout.count()) + " ms"};
    }
    if (!answer) co_return std::move(answer.error());
    auto taken = self->take_answer(helper, std::move(*answer));
    if (!taken) co_return std::move(taken.error());
  }
}

Clock::time_point BuilderCrew::next_deadline(const Helper& helper) const {
  if (helper.owed > 0) return helper.last_progress + options_.timeout;
  if (!may_build()) return std::max(back_off_.until(), until_drained_.until());
  return Clock::now() + options_.timeout;
}

bool BuilderCrew::idle(const Helper& helper) const {
  return helper.process != nullptr && helper.owed == 0;
}

void BuilderCrew::request() {
  const auto client = client_.lock();
  if (stopping_ || !client || !may_build()) return;
  auto free = static_cast<std::size_t>(
      std::ranges::count_if(helpers_, [this](const auto& helper) { return idle(*helper); }));
  std::size_t wanted = free > 0 ? client->wanted() : 0;
  for (const auto& helper : helpers_) {
    if (wanted == 0) return;
    if (!idle(*helper)) continue;
    const std::size_t share = (wanted + free - 1) / free;
    const std::size_t count = std::min(share, kBatch);
    --free;
    // Refused only when the helper is gone, which its receiver is about to see too.
    if (!helper->process->request(count, options_.furnish)) continue;
    helper->owed = count;
    helper->last_progress = Clock::now();
    wanted -= count;
  }
}

void BuilderCrew::request_soon() {
  if (request_posted_) return;
  request_posted_ = true;
  asio::post(executor_, [self = shared_from_this()] {
    self->request_posted_ = false;
    self->request();
  });
}

Result<> BuilderCrew::take_answer(Helper& helper, BuildAnswer answer) {
  if (answer.kind == BuildAnswer::Kind::kStartFailed) {
    return std::unexpected(std::move(answer.error));
  }
  if (helper.owed == 0) {
    return fail(Code::kInvalid, "build network namespace", "sock-netns answered without a request");
  }
  --helper.owed;
  helper.last_progress = Clock::now();
  const auto client = client_.lock();
  if (!client) return {};
  if (answer.kind == BuildAnswer::Kind::kBuildFailed) {
    take_failure(*client, answer.error);
    return {};
  }
  why_full_.clear();
  auto accepted = client->built(std::move(answer));
  if (!accepted) return accepted;
  until_drained_.succeeded();
  return {};
}

void BuilderCrew::take_failure(Client& client, const Error& error) {
  if (error.sys_errno == ENOSPC) {
    why_full_ = error.describe();
    ++times_full_;
    until_drained_.failed();
    return;
  }
  back_off_.failed();
  client.failed(error);
}

void BuilderCrew::shutdown() {
  stopping_ = true;
  for (const auto& helper : helpers_) {
    // Wakes supervise(), which may be inside the process: the object itself is left to it.
    if (helper->process) helper->process->kill();
    helper->pause.cancel();
  }
}

asio::awaitable<void> BuilderCrew::finished() {
  if (supervised_ == 0) co_return;
  finished_.expires_after(kStopPatience);
  auto woken = co_await finished_.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)woken;
}

bool BuilderCrew::alive() const {
  return std::ranges::any_of(helpers_,
                             [](const auto& helper) { return helper->process != nullptr; });
}

std::size_t BuilderCrew::outstanding() const {
  std::size_t sum = 0;
  for (const auto& helper : helpers_) sum += helper->owed;
  return sum;
}

}  // namespace sock::netns
