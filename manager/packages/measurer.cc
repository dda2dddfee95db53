#include "manager/packages/measurer.h"

#include <spdlog/spdlog.h>

#include <boost/json/serialize.hpp>
#include <chrono>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;
using pkgcache::Measured;
using pkgcache::MeasureItem;
using pkgcache::Package;
using pkgcache::Profile;

namespace {

/// Of the host's packages. Others share no sandbox: what one leaves running there must not reach
/// the next.
constexpr std::size_t kBatch = 8;
constexpr std::chrono::seconds kSecondsEach{30};
/// A sandbox may end for other reasons than its package.
constexpr unsigned kMostEnds = 3;
constexpr Millis kPause{30'000};

std::chrono::sys_seconds today() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

Measurer::Measurer(Background& background, JobRunner& jobs, Worker& disk,
                   const pkgcache::Library& library, pkgcache::ProfileBook& book,
                   std::function<void()> on_measured)
    : background_(background),
      jobs_(jobs),
      disk_(disk),
      library_(library),
      book_(book),
      on_measured_(std::move(on_measured)) {}

void Measurer::want(std::span<const Package> closure, std::shared_ptr<const void> keep) {
  std::vector<Package> missing(closure.begin(), closure.end());
  if (!interpreter_.empty()) missing = book_.missing(closure, interpreter_);
  for (const Package& package : missing) {
    queue_.try_emplace(package, Wanted{package, library_.needs_of(package, closure), keep});
  }
  tick();
}

void Measurer::tick() {
  if (working_ || stopping_ || queue_.empty() || Clock::now() < retry_at_) return;
  working_ = true;
  background_.run(work());
}

asio::awaitable<void> Measurer::work() {
  if (interpreter_.empty()) {
    auto learnt = co_await learn_interpreter();
    if (!learnt) {
      retry_at_ = Clock::now() + kPause;
      spdlog::warn("packages are not measured yet: {}", learnt.error().describe());
    }
  }
  while (!stopping_ && !interpreter_.empty() && Clock::now() >= retry_at_) {
    auto batch = next_batch();
    if (batch.empty()) break;
    co_await measure(std::move(batch));
    if (!stopping_) on_measured_();
  }
  working_ = false;
}

std::vector<Measurer::Wanted> Measurer::next_batch() {
  std::vector<Wanted> batch;
  for (auto at = queue_.begin(); at != queue_.end() && batch.size() < kBatch;) {
    const bool alone = !at->first.digest.empty();
    if (alone && !batch.empty()) {
      ++at;
      continue;
    }
    const bool known = book_.missing(std::span(&at->first, 1), interpreter_).empty();
    if (!known) batch.push_back(std::move(at->second));
    at = queue_.erase(at);
    if (alone && !batch.empty()) break;
  }
  return batch;
}

asio::awaitable<Result<>> Measurer::learn_interpreter() {
  auto measured = co_await ask({});
  if (!measured) co_return std::unexpected(measured.error());
  interpreter_ = std::move(measured->interpreter);
  // What has not changed since need not be measured again.
  std::erase_if(queue_, [this](const auto& entry) {
    return book_.missing(std::span(&entry.first, 1), interpreter_).empty();
  });
  on_measured_();
  co_return Result<>{};
}

asio::awaitable<void> Measurer::measure(std::vector<Wanted> batch) {
  std::vector<MeasureItem> items;
  for (const Wanted& wanted : batch) items.push_back(item_of(wanted));
  auto measured = co_await ask(items);
  if (stopping_) co_return;
  if (measured) {
    for (Profile& profile : measured->profiles) co_await keep(std::move(profile));
    co_return;
  }
  if (batch.size() == 1) co_return co_await give_up(std::move(batch.front()), measured.error());
  // One of them spoiled it for all: each by itself.
  for (Wanted& wanted : batch) {
    std::vector<Wanted> alone;
    alone.push_back(std::move(wanted));
    co_await measure(std::move(alone));
    if (stopping_) co_return;
  }
}

asio::awaitable<void> Measurer::give_up(Wanted wanted, Error error) {
  const bool answered =
      error.code == Code::kOom || error.code == Code::kInvalid || error.code == Code::kAppError;
  if (!answered && ++wanted.ends < kMostEnds) {
    spdlog::warn("package {} is measured later: {}", wanted.package.to_string(), error.describe());
    retry_at_ = Clock::now() + kPause;
    const Package package = wanted.package;
    queue_.try_emplace(package, std::move(wanted));
    co_return;
  }
  Profile spoiler = pkgcache::unmeasured(wanted.package, interpreter_, today(),
                                         "cannot be measured: " + error.describe());
  co_await keep(std::move(spoiler));
}

asio::awaitable<Result<Measured>> Measurer::ask(std::span<const MeasureItem> items) {
  Job job;
  job.script = "measure";
  job.event = pkgcache::measure_event(items, kSecondsEach);
  job.timeout = Millis(10'000) + Millis(kSecondsEach) * 4 * static_cast<int>(items.size());
  auto answer = co_await jobs_.run(std::move(job));
  if (!answer) co_return std::unexpected(answer.error());
  const std::string text = boost::json::serialize(answer->value);
  co_return pkgcache::read_measured(text, items, today());
}

asio::awaitable<void> Measurer::keep(Profile profile) {
  const std::string name = profile.package.to_string();
  if (profile.verdict == pkgcache::Verdict::kQuarantined) {
    for (const std::string& reason : profile.reasons) {
      spdlog::warn("package {} is kept out of zygotes: it {}", name, reason);
    }
  } else {
    spdlog::info("package {}: {:.1f} ms, {} KiB", name, profile.ms, profile.private_bytes >> 10);
  }
  auto write = [this, &profile] { return book_.put(std::move(profile)); };
  auto kept = co_await disk_.run(write);
  if (!kept) spdlog::error("profile of {}: {}", name, kept.error().describe());
}

MeasureItem Measurer::item_of(const Wanted& wanted) const {
  std::vector<Package> all = wanted.needs;
  all.push_back(wanted.package);
  MeasureItem item;
  item.package = wanted.package;
  item.path = library_.paths().folders_of(all);
  item.first = library_.modules_of(wanted.needs);
  item.modules = library_.modules_of(std::span(&wanted.package, 1));
  return item;
}

}  // namespace sock::manager
