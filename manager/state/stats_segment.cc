#include "manager/state/stats_segment.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "manager/state/mapped_file.h"
#include "manager/state/process_identity.h"

namespace sock::manager {
namespace {

constexpr std::uint64_t kMagic = 0x017374617473736b;  // "ksstats\1"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kWords = sizeof(Stats) / sizeof(std::uint64_t);
using Words = std::array<std::uint64_t, kWords>;

/// The file.
struct Segment {
  std::uint64_t magic;
  std::uint32_t version;
  std::int32_t pid;
  std::uint64_t start_ticks;
  std::uint64_t ended;     ///< 1 once the writer has said goodbye
  std::uint64_t sequence;  ///< odd while `words` is being written
  Words words;             ///< a Stats
};
static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free);

// The counter protocol with acquire and release on each word instead of fences: a reader that takes
// one word of a later update also sees that update's odd counter when it looks again. Costs nothing
// on x86, and thread sanitizers understand it, which fences they do not.

std::uint64_t load(const std::uint64_t& word) {
  // atomic_ref takes no const (P3323); a lock-free load writes nothing, also on read-only pages.
  return std::atomic_ref(const_cast<std::uint64_t&>(word)).load(std::memory_order_acquire);
}

void store(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

void write(Segment& segment, const Words& words) {
  const std::uint64_t sequence = load(segment.sequence);
  store(segment.sequence, sequence + 1);
  for (std::size_t i = 0; i < kWords; ++i) store(segment.words[i], words[i]);
  store(segment.sequence, sequence + 2);
}

bool read_once(const Segment& segment, Words& words) {
  const std::uint64_t before = load(segment.sequence);
  if (before % 2 != 0) return false;
  for (std::size_t i = 0; i < kWords; ++i) words[i] = load(segment.words[i]);
  return load(segment.sequence) == before;
}

Segment& segment_of(const MappedFile& file) { return *static_cast<Segment*>(file.data()); }

bool makes_sense(const Stats& stats, const Segment& segment) {
  if (stats.version != kVersion || stats.pid != segment.pid ||
      stats.start_ticks != segment.start_ticks) {
    return false;
  }
  return std::all_of(stats.recent.begin(), stats.recent.end(), [](const RecentCall& call) {
    return call.status < kStatusCount && call.start < kStartCount;
  });
}

}  // namespace

std::string_view status_name(std::size_t index) {
  if (index == 0) return "ok";
  return index < kStatusCount ? to_string(static_cast<Code>(index - 1)) : "unknown";
}

std::string_view RecentCall::name() const {
  return {function.data(), ::strnlen(function.data(), function.size())};
}

std::size_t latency_bucket(std::int64_t total_us) {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(total_us, 0));
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(value)),
                               Stats::kLatencyBuckets - 1);
}

void Stats::count(std::string_view function, std::optional<Code> error, Start start,
                  std::int64_t total_us) {
  const std::size_t status = status_index(error);
  const auto start_index = static_cast<std::size_t>(start);
  ++invocations[status][start_index];
  ++latency[latency_bucket(total_us)];
  RecentCall& call = recent[calls % kRecentCalls];
  call = {};
  function.copy(call.function.data(), call.function.size());
  call.status = static_cast<std::uint32_t>(status);
  call.start = static_cast<std::uint32_t>(start_index);
  call.total_us = total_us;
  ++calls;
}

std::size_t Stats::recent_count() const {
  return static_cast<std::size_t>(std::min<std::uint64_t>(calls, kRecentCalls));
}

const RecentCall& Stats::recent_call(std::size_t nth_newest) const {
  return recent[(calls - 1 - nth_newest) % kRecentCalls];
}

StatsSegment::StatsSegment(MappedFile file)
    : file_(std::make_unique<MappedFile>(std::move(file))) {}
StatsSegment::StatsSegment(StatsSegment&&) noexcept = default;

StatsSegment& StatsSegment::operator=(StatsSegment&& other) noexcept {
  if (this != &other) {
    end();
    file_ = std::move(other.file_);
    start_ticks_ = other.start_ticks_;
    started_at_ = other.started_at_;
  }
  return *this;
}

StatsSegment::~StatsSegment() { end(); }

void StatsSegment::end() {
  if (!file_) return;
  store(segment_of(*file_).ended, 1);
  if (file_->current()) ::unlink(file_->path().c_str());
  file_.reset();
}

Result<StatsSegment> StatsSegment::create(const std::filesystem::path& path,
                                          std::optional<gid_t> group) {
  const auto ticks = manager::start_ticks(::getpid());
  if (!ticks) return std::unexpected(ticks.error());
  auto file = MappedFile::create(path, sizeof(Segment), {.bits = 0640, .group = group});
  if (!file) return std::unexpected(file.error());
  auto* header = new (file->data()) Segment{};
  header->magic = kMagic;
  header->version = kVersion;
  header->pid = ::getpid();
  header->start_ticks = *ticks;
  StatsSegment segment(std::move(*file));
  segment.start_ticks_ = *ticks;
  segment.started_at_ = ::time(nullptr);
  segment.update(Stats{});
  if (auto published = segment.file_->publish(); !published) {
    return std::unexpected(published.error());
  }
  return segment;
}

void StatsSegment::update(const Stats& stats) {
  Stats complete = stats;
  complete.version = kVersion;
  complete.pid = segment_of(*file_).pid;
  complete.start_ticks = start_ticks_;
  complete.started_at = started_at_;
  write(segment_of(*file_), std::bit_cast<Words>(complete));
}

StatsReader::StatsReader(MappedFile file) : file_(std::make_unique<MappedFile>(std::move(file))) {}
StatsReader::StatsReader(StatsReader&&) noexcept = default;
StatsReader& StatsReader::operator=(StatsReader&&) noexcept = default;
StatsReader::~StatsReader() = default;

Result<StatsReader> StatsReader::open(const std::filesystem::path& path) {
  auto file = MappedFile::open(path, sizeof(Segment));
  if (!file) {
    Error error = file.error();
    if (error.sys_errno == ENOENT) error.code = Code::kNotFound;
    return std::unexpected(std::move(error));
  }
  StatsReader reader(std::move(*file));
  const Segment& segment = segment_of(*reader.file_);
  if (segment.magic != kMagic || segment.version != kVersion) {
    return fail(Code::kInvalid, "open statistics",
                path.native() + " is no statistics segment of this version");
  }
  if (auto alive = reader.check_alive(); !alive) return std::unexpected(alive.error());
  return reader;
}

Result<> StatsReader::check_alive() const {
  const auto stale = [this](const std::string& why) {
    return fail(Code::kInvalid, "read statistics", file_->path().native() + " is stale: " + why);
  };
  // Before the first look at the memory: pages that are no longer in the file are a SIGBUS.
  if (!file_->intact()) return stale("it has been cut short");
  const Segment& segment = segment_of(*file_);
  if (load(segment.ended) != 0) return stale("its sockd has stopped");
  const auto ticks = start_ticks(segment.pid);
  if (!ticks || *ticks != segment.start_ticks) {
    return stale("its sockd, pid " + std::to_string(segment.pid) + ", is gone");
  }
  return {};
}

Result<Stats> StatsReader::read() const {
  if (auto alive = check_alive(); !alive) return std::unexpected(alive.error());
  const Segment& segment = segment_of(*file_);
  // An update takes about a microsecond unless its thread is descheduled in the middle.
  constexpr int kAttempts = 200;
  constexpr int kWithoutSleep = 100;
  constexpr Micros kPause{100};
  Words words;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (read_once(segment, words)) {
      const auto stats = std::bit_cast<Stats>(words);
      if (makes_sense(stats, segment)) return stats;
      return fail(Code::kInvalid, "read statistics", file_->path().native() + " is damaged");
    }
    if (attempt >= kWithoutSleep) std::this_thread::sleep_for(kPause);
  }
  return fail(Code::kTimeout, "read statistics",
              file_->path().native() + " was being written at every attempt; try again");
}

}  // namespace sock::manager
