#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/error.h"
#include "manager/calls/call.h"

namespace sock::manager {

class MappedFile;

/// How a call ended, as an index: 0 = ok, else 1 + its Code.
inline constexpr std::size_t kStatusCount = 2 + static_cast<std::size_t>(Code::kInternal);
[[nodiscard]] constexpr std::size_t status_index(std::optional<Code> error) {
  return error ? 1 + static_cast<std::size_t>(*error) : 0;
}
/// "ok", or the code's name; "unknown" out of range.
[[nodiscard]] std::string_view status_name(std::size_t index);

inline constexpr std::size_t kStartCount = 1 + static_cast<std::size_t>(Start::kCold);

/// One finished call.
struct RecentCall {
  std::array<char, 64> function;  ///< padded with zeros; a name of 64 bytes has none
  std::uint32_t status;           ///< see status_index()
  std::uint32_t start;            ///< a Start
  std::int64_t total_us;

  [[nodiscard]] std::string_view name() const;
};

/// What sockd is doing, as its readers see it. Plain data in host order: writer and readers are on
/// one machine. Zero-initialise it.
struct Stats {
  static constexpr std::size_t kRecentCalls = 64;
  static constexpr std::size_t kLatencyBuckets = 32;

  // Filled in by StatsSegment.
  std::uint32_t version;
  std::int32_t pid;           ///< of sockd
  std::uint64_t start_ticks;  ///< of sockd, as start_ticks() counts
  std::int64_t started_at;    ///< seconds since the epoch

  std::array<std::array<std::uint64_t, kStartCount>, kStatusCount> invocations;
  std::uint64_t running;
  std::uint64_t queued;
  std::uint64_t zygotes;
  std::uint64_t parked;
  std::uint64_t netns_ready;
  std::uint64_t shells;  ///< ready
  /// Calls by total time: bucket 0 below 1 µs, bucket i below 2^i µs, the last one takes the rest.
  std::array<std::uint64_t, kLatencyBuckets> latency;
  /// Call number n, counted from 0, is at n % kRecentCalls.
  std::uint64_t calls;
  std::array<RecentCall, kRecentCalls> recent;

  /// Counts a finished call in all of the above. Longer function names are cut.
  void count(std::string_view function, std::optional<Code> error, Start start,
             std::int64_t total_us);

  /// How many calls `recent` holds, and the nth newest of them (0 = the last call).
  [[nodiscard]] std::size_t recent_count() const;
  [[nodiscard]] const RecentCall& recent_call(std::size_t nth_newest) const;
};
static_assert(std::is_trivially_copyable_v<Stats> && sizeof(Stats) % sizeof(std::uint64_t) == 0);

/// Index into Stats::latency.
[[nodiscard]] std::size_t latency_bucket(std::int64_t total_us);

/// The writer's end: a mapped file that any number of readers may map without sockd noticing.
///
/// A sequence counter, odd while an update is under way, lets a reader see that what it copied is
/// not of one piece and copy again; nobody ever waits for a reader.
class StatsSegment {
 public:
  /// Creates the file with mode 0640, replacing what was there; `group` may read it (empty = the
  /// process's group). Readers of an older file are told that it is stale.
  [[nodiscard]] static Result<StatsSegment> create(const std::filesystem::path& path,
                                                   std::optional<gid_t> group = std::nullopt);

  StatsSegment(StatsSegment&&) noexcept;
  StatsSegment& operator=(StatsSegment&&) noexcept;
  /// Ends the segment for its readers and removes the file, unless another one has taken its place.
  ~StatsSegment();

  /// Publishes `stats`: a copy of about 7 KB, no system call. One thread.
  void update(const Stats& stats);

 private:
  explicit StatsSegment(MappedFile file);
  void end();

  std::unique_ptr<MappedFile> file_;  ///< null once moved from
  std::uint64_t start_ticks_ = 0;
  std::int64_t started_at_ = 0;
};

/// A reader's end. Not thread safe; any number of readers, in any process that sees sockd's pid.
class StatsReader {
 public:
  /// kNotFound when there is no file, kInvalid for one that is not a segment of this version, or
  /// whose sockd is gone.
  [[nodiscard]] static Result<StatsReader> open(const std::filesystem::path& path);

  StatsReader(StatsReader&&) noexcept;
  StatsReader& operator=(StatsReader&&) noexcept;
  ~StatsReader();

  /// One consistent state: all of it from the same update. kTimeout when every attempt met an
  /// update under way (about 20 ms in all), kInvalid when the segment has ended, its sockd is gone
  /// or its contents make no sense.
  [[nodiscard]] Result<Stats> read() const;

 private:
  explicit StatsReader(MappedFile file);
  [[nodiscard]] Result<> check_alive() const;

  std::unique_ptr<MappedFile> file_;
};

}  // namespace sock::manager
