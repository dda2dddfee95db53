#include "manager/calls/function_zygotes.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "manager/calls/back_off.h"
#include "manager/calls/errand.h"
#include "manager/calls/import_path.h"
#include "manager/calls/snapshot.h"
#include "manager/calls/verdict.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// Calls whose pages are recorded; their union is what later clones populate.
constexpr unsigned kRecordings = 3;
/// Written pages are memory of every parked clone; above this a recording is not worth it.
constexpr std::uint64_t kMostTouches = 16 << 20;
/// {"errorType",…} of an import that failed.
constexpr std::uint64_t kLargestAnswer = 1 << 20;
constexpr Millis kMostImport{60'000};

std::uint64_t allocated_bytes(int file) {
  struct stat info {};
  return ::fstat(file, &info) < 0 ? 0 : static_cast<std::uint64_t>(info.st_blocks) * 512;
}

}  // namespace

/// What clones of one function are made from. Recordings are added while it is in use.
struct FunctionZygotes::Source {
  std::shared_ptr<const Function> function;
  std::shared_ptr<zygote::Zygote> zygote;
  std::string packages;  ///< of that zygote
  std::shared_ptr<const Fd> image;
  std::shared_ptr<const Fd> touches;
  std::optional<zygote::Touched> parked;  ///< what every clone of it has when it parks
  zygote::Touched seen;                   ///< what calls needed beyond that
  unsigned recordings = 0;

  [[nodiscard]] CloneRecipe recipe() const {
    return {.zygote = zygote,
            .network = function->spec.network,
            .image = image,
            .touches = touches,
            .function = function};
  }
};

struct FunctionZygotes::Entry {
  std::shared_ptr<const Function> function;
  std::shared_ptr<Source> source;  ///< null until it is ready
  std::shared_ptr<CloneStock> stock;
  bool building = false;
  std::string error;
  unsigned failures = 0;
  Clock::time_point retry_at{};
  std::uint64_t clones = 0;
};

FunctionZygotes::FunctionZygotes(asio::any_io_executor executor, Background& background,
                                 FunctionZygoteOptions options, SlotStock& slots, Worker& worker,
                                 CodeCache& code, const pkgcache::SearchPath& paths, Chooser choose)
    : executor_(std::move(executor)),
      background_(background),
      options_(options),
      slots_(slots),
      worker_(worker),
      code_(code),
      paths_(paths),
      choose_(std::move(choose)) {}

bool FunctionZygotes::wanted(const Function& function) const {
  if (function.spec.keep_ready > 0) return true;
  const std::string& name = function.spec.name;
  const auto now = Clock::now();
  return options_.automatic &&
         (entries_.contains(name) ? !heat_.cold(name, now) : heat_.hot(name, now));
}

void FunctionZygotes::adopt(const std::vector<std::shared_ptr<const Function>>& functions) {
  std::map<std::string, std::shared_ptr<const Function>> deployed;
  for (const auto& function : functions) deployed[function->spec.name] = function;
  for (const auto& [name, function] : deployed_) {
    const auto now = deployed.find(name);
    if (now == deployed.end()) heat_.forget(name);
    if (now == deployed.end() || now->second->generation != function->generation) retire(name);
  }
  deployed_ = std::move(deployed);
  tick();
}

void FunctionZygotes::note_call(const std::shared_ptr<const Function>& function) {
  const std::string& name = function->spec.name;
  heat_.record(name, Clock::now());
  if (!entries_.contains(name) && wanted(*function)) start(function);
}

void FunctionZygotes::tick() {
  if (stopping_) return;
  std::vector<std::string> cold;
  for (const auto& [name, entry] : entries_) {
    if (!wanted(*entry->function)) cold.push_back(name);
    if (entry->stock) entry->stock->tick();
  }
  for (const auto& name : cold) retire(name);
  for (const auto& [name, function] : deployed_) {
    if (wanted(*function)) start(function);
  }
}

/// Starts an entry, retries one that is due, and builds one anew whose package zygote is no longer
/// the one its function should have.
void FunctionZygotes::start(const std::shared_ptr<const Function>& function) {
  if (stopping_) return;
  auto found = entries_.find(function->spec.name);
  if (found == entries_.end()) {
    auto entry = std::make_shared<Entry>();
    entry->function = function;
    found = entries_.emplace(function->spec.name, std::move(entry)).first;
  }
  const auto& entry = found->second;
  if (entry->building || Clock::now() < entry->retry_at) return;
  if (entry->source) {
    const auto base = choose_(*function);
    if (!base || base->recipe.zygote == entry->source->zygote) return;
  } else if (alive() >= options_.most) {
    entry->error = "there are " + std::to_string(options_.most) + " function zygotes already";
    return;
  }
  entry->building = true;
  background_.run(build(entry));
}

asio::awaitable<void> FunctionZygotes::build(std::shared_ptr<Entry> entry) {
  // On a later turn of the loop: the call that made it hot goes first.
  co_await asio::post(executor_, asio::use_awaitable);
  const auto begin = Clock::now();
  auto source = co_await snapshot(entry->function);
  entry->building = false;
  const auto found = entries_.find(entry->function->spec.name);
  if (stopping_ || found == entries_.end() || found->second != entry) co_return;
  if (!source) {
    fail_entry(*entry, source.error());
    co_return;
  }
  const auto old = std::exchange(entry->stock, nullptr);
  entry->source = std::move(*source);
  entry->error.clear();
  entry->failures = 0;
  const std::weak_ptr<Entry> weak = entry;
  auto on_failure = [this, weak](const Error& error) {
    if (const auto alive = weak.lock()) fail_entry(*alive, error);
  };
  auto make_one = [this, its = entry->source] { return make(its); };
  auto bury_one = [this](std::unique_ptr<Clone> clone) {
    return bury_clone(std::move(clone), slots_);
  };
  entry->stock =
      std::make_shared<CloneStock>(executor_, options_.stock, make_one, bury_one, on_failure);
  entry->stock->set_min(std::max(entry->function->spec.keep_ready, options_.stock.min));
  if (old) {
    // What it holds was restored from the image before: the same function, loaded earlier.
    entry->stock->inherit(*old);
    background_.run(stop_stock(old));
  }
  spdlog::info("function zygote {} is ready after {} ms: {} KiB of its own",
               entry->function->spec.name, micros_between(begin, Clock::now()) / 1000,
               allocated_bytes(entry->source->image->get()) >> 10);
}

asio::awaitable<Result<std::shared_ptr<FunctionZygotes::Source>>> FunctionZygotes::snapshot(
    std::shared_ptr<const Function> function) {
  auto base = choose_(*function);
  if (!base) co_return std::unexpected(base.error());
  const auto zygote = base->recipe.zygote;
  // Unsealed memory cannot be told from memory that was freed and mapped again (recorder.h).
  if (!zygote->sealing().sealed) {
    co_return fail(Code::kInternal, "function zygote", "its package zygote is not sealed");
  }
  CloneRecipe recipe = std::move(base->recipe);
  recipe.network = function->spec.network;
  recipe.function = function;
  recipe.to_be_recorded = true;
  recipe.discard_output = true;
  auto clone = co_await make_clone(std::move(recipe), slots_);
  if (!clone) co_return std::unexpected(clone.error());

  const pid_t pid = (*clone)->process.pid();
  auto look = [pid] { return kernel_state(pid); };
  const auto before = co_await worker_.run(look);
  const std::string code(code_.get(function));
  const Millis timeout = std::min(function->spec.timeout, kMostImport);
  const std::string path = import_path(**clone, *function, paths_);
  const CallParts parts{.id = {}, .event = {}, .code = code, .search_path = path};
  auto loaded = co_await run_errand(**clone, zygote::FrameType::kPrepare, function.get(), parts,
                                    kLargestAnswer, timeout);
  Result<Fd> image = fail(Code::kInvalid, "snapshot", "importing it failed");
  if (!before) {
    image = std::unexpected(before.error());
  } else if (!loaded) {
    image = std::unexpected(loaded.error());
  } else if (!loaded->succeeded) {
    CallRecord record;
    judge_exception(record, loaded->json);
    image = fail(Code::kInvalid, "import", record.error->type + ": " + record.error->message);
  } else {
    const std::uint64_t limit = room(*function);
    auto take = [&] { return take_snapshot(zygote->process().pid(), pid, *before, limit); };
    image = co_await worker_.run(take);
  }
  co_await bury_clone(std::move(*clone), slots_);
  if (!image) co_return std::unexpected(image.error());
  auto source = std::make_shared<Source>();
  source->function = std::move(function);
  source->zygote = zygote;
  source->packages = base->packages;
  source->image = std::make_shared<const Fd>(std::move(*image));
  co_return source;
}

asio::awaitable<Result<std::unique_ptr<Clone>>> FunctionZygotes::make(
    std::shared_ptr<Source> source) {
  auto clone = co_await make_clone(source->recipe(), slots_);
  if (clone && !source->parked) {
    auto look = [&clone] { return zygote::touched_pages((*clone)->process.pid()); };
    if (auto touched = co_await worker_.run(look)) source->parked = std::move(*touched);
  }
  if (clone && source->recordings < kRecordings) {
    (*clone)->on_answered = [this, source](const Clone& its) { return record(source, its); };
  }
  co_return clone;
}

asio::awaitable<void> FunctionZygotes::record(std::shared_ptr<Source> source, const Clone& clone) {
  if (!source->parked || source->recordings >= kRecordings) co_return;
  auto look = [&clone] { return zygote::touched_pages(clone.process.pid()); };
  const auto touched = co_await worker_.run(look);
  if (!touched) co_return;
  ++source->recordings;
  auto seen = zygote::merged(source->seen, zygote::touches_of_call(*source->parked, *touched));
  if (seen.written_bytes() > kMostTouches) co_return;
  auto list = zygote::write_touches(seen);
  if (!list) co_return;
  source->seen = std::move(seen);
  source->touches = std::make_shared<const Fd>(std::move(*list));
}

FunctionZygotes::Entry* FunctionZygotes::ready(const Function& function) const {
  const auto found = entries_.find(function.spec.name);
  if (found == entries_.end() || !found->second->source ||
      found->second->function->generation != function.generation) {
    return nullptr;
  }
  return found->second.get();
}

std::unique_ptr<Clone> FunctionZygotes::take(const Function& function) {
  Entry* const entry = ready(function);
  if (entry == nullptr) return nullptr;
  auto clone = entry->stock->take();
  if (clone) ++entry->clones;
  return clone;
}

Result<CloneRecipe> FunctionZygotes::recipe(const Function& function) const {
  const Entry* const entry = ready(function);
  if (entry == nullptr) return fail(Code::kNotFound, "function zygote", "there is none");
  return entry->source->recipe();
}

std::uint64_t FunctionZygotes::room(const Function& function) const {
  std::uint64_t used = 0;
  for (const auto& [name, entry] : entries_) {
    // The function's own is about to be replaced.
    if (entry->source && name != function.spec.name) {
      used += allocated_bytes(entry->source->image->get());
    }
  }
  return std::min(options_.image_bytes, options_.all_bytes - std::min(used, options_.all_bytes));
}

std::string FunctionZygotes::packages(const Function& function) const {
  const Entry* const entry = ready(function);
  return entry == nullptr ? std::string() : entry->source->packages;
}

void FunctionZygotes::fail_entry(Entry& entry, const Error& error) {
  if (stopping_) return;
  entry.error = error.describe();
  entry.retry_at = Clock::now() + zygote_back_off(error, entry.failures);
  ++entry.failures;
  entry.source.reset();
  if (auto stock = std::exchange(entry.stock, nullptr)) {
    background_.run(stop_stock(std::move(stock)));
  }
  spdlog::warn("function {} has no zygote, its calls load it themselves: {}",
               entry.function->spec.name, entry.error);
}

/// Those that take memory; the failed ones only remember why.
std::size_t FunctionZygotes::alive() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      entries_, [](const auto& it) { return it.second->source || it.second->building; }));
}

void FunctionZygotes::retire(const std::string& name) {
  const auto found = entries_.extract(name);
  if (found.empty()) return;
  if (auto stock = std::exchange(found.mapped()->stock, nullptr)) {
    background_.run(stop_stock(std::move(stock)));
  }
}

bool FunctionZygotes::refused(const std::string& name) const {
  const auto found = entries_.find(name);
  return found != entries_.end() && !found->second->error.empty();
}

std::vector<FunctionZygotes::View> FunctionZygotes::list() const {
  std::vector<View> out;
  for (const auto& [name, entry] : entries_) {
    const bool ready = entry->source != nullptr;
    out.push_back({name,
                   ready             ? "ready"
                   : entry->building ? "starting"
                                     : "failed",
                   entry->error, ready ? allocated_bytes(entry->source->image->get()) : 0,
                   entry->stock ? entry->stock->parked() : 0, entry->clones});
  }
  return out;
}

std::size_t FunctionZygotes::parked() const {
  std::size_t sum = 0;
  for (const auto& [name, entry] : entries_) sum += entry->stock ? entry->stock->parked() : 0;
  return sum;
}

void FunctionZygotes::stop() {
  stopping_ = true;
  for (const auto& [name, entry] : entries_) {
    if (entry->stock) background_.run(stop_stock(std::move(entry->stock)));
  }
  entries_.clear();
}

}  // namespace sock::manager
