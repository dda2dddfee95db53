#include "manager/state/stats_segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

class StatsSegmentTest : public testing::Test {
 protected:
  [[nodiscard]] fs::path path() const { return folder_.path() / "stats"; }

  StatsSegment create() {
    auto segment = StatsSegment::create(path());
    if (!segment) throw std::runtime_error(segment.error().describe());
    return std::move(*segment);
  }

  StatsReader open() {
    auto reader = StatsReader::open(path());
    if (!reader) throw std::runtime_error(reader.error().describe());
    return std::move(*reader);
  }

  void replace(std::string_view bytes) const {
    fs::remove(path());
    write_text(path(), bytes);
  }

  TemporaryFolder folder_;
};

/// Every field follows from `n`, so that a mixture of two updates shows.
Stats numbered(std::uint64_t n) {
  Stats stats{};
  for (auto& row : stats.invocations) row.fill(n);
  stats.running = stats.queued = stats.zygotes = stats.parked = n;
  stats.netns_ready = stats.shells = n;
  stats.latency.fill(n);
  stats.calls = n;
  for (auto& call : stats.recent) {
    call.function.fill(static_cast<char>('a' + n % 26));
    call.status = static_cast<std::uint32_t>(n % kStatusCount);
    call.start = static_cast<std::uint32_t>(n % kStartCount);
    call.total_us = static_cast<std::int64_t>(n);
  }
  return stats;
}

bool of_one_piece(const Stats& stats) {
  Stats expected = numbered(stats.running);
  expected.version = stats.version;
  expected.pid = stats.pid;
  expected.start_ticks = stats.start_ticks;
  expected.started_at = stats.started_at;
  return std::memcmp(&expected, &stats, sizeof stats) == 0;
}

TEST_F(StatsSegmentTest, WhatIsWrittenIsRead) {
  auto segment = create();
  const auto reader = open();
  auto empty = reader.read();
  ASSERT_TRUE(empty) << empty.error().describe();
  EXPECT_EQ(empty->pid, ::getpid());
  EXPECT_GT(empty->start_ticks, 0U);
  EXPECT_GT(empty->started_at, 1'600'000'000);
  EXPECT_EQ(empty->calls, 0U);
  segment.update(numbered(42));
  const auto stats = reader.read();
  ASSERT_TRUE(stats) << stats.error().describe();
  EXPECT_EQ(stats->running, 42U);
  EXPECT_TRUE(of_one_piece(*stats));
}

TEST_F(StatsSegmentTest, OwnerWritesGroupReads) {
  const mode_t mask = ::umask(0);
  auto segment = create();
  ::umask(mask);
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
  EXPECT_GE(info.st_blocks * 512, info.st_size);
  if (::geteuid() != 0) return;
  auto other = StatsSegment::create(path(), 12345);
  ASSERT_TRUE(other) << other.error().describe();
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, 12345U);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
}

TEST_F(StatsSegmentTest, ReaderThreadsSeeNoTornUpdate) {
  auto segment = create();
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> reads = 0;
  std::atomic<std::uint64_t> torn = 0;
  std::atomic<std::uint64_t> backwards = 0;
  std::vector<std::thread> readers;
  segment.update(numbered(1));
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      const auto reader = open();
      std::uint64_t last = 0;
      while (!stop) {
        const auto stats = reader.read();
        if (!stats) continue;  // a busy writer may win every time
        ++reads;
        if (!of_one_piece(*stats)) ++torn;
        if (stats->running < last) ++backwards;
        last = stats->running;
      }
    });
  }
  const auto end = Clock::now() + Millis(1000);
  std::uint64_t n = 1;
  while (Clock::now() < end || (reads < 100 && Clock::now() < end + Millis(20'000))) {
    for (int i = 0; i < 20; ++i) segment.update(numbered(++n));
    if (n % 400 == 1) std::this_thread::sleep_for(Micros(200));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_GE(reads, 100U);
  EXPECT_EQ(torn, 0U);
  EXPECT_EQ(backwards, 0U);
}

TEST_F(StatsSegmentTest, ReaderProcessSeesNoTornUpdate) {
  auto segment = create();
  segment.update(numbered(1));
  int start[2];
  ASSERT_EQ(::pipe2(start, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(start[1]);
    char byte = 0;
    (void)!::read(start[0], &byte, 1);
    const auto reader = StatsReader::open(path());
    if (!reader) ::_exit(2);
    const auto end = Clock::now() + Millis(20'000);
    std::uint64_t highest = 0;
    for (int good = 0; good < 2000;) {
      if (Clock::now() > end) ::_exit(3);
      const auto stats = reader->read();
      if (!stats) continue;
      if (!of_one_piece(*stats)) ::_exit(4);
      highest = stats->running;
      ++good;
    }
    ::_exit(highest > 1 ? 0 : 5);
  }
  ::close(start[0]);
  ::close(start[1]);
  int status = 0;
  std::uint64_t n = 1;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    for (int i = 0; i < 50; ++i) segment.update(numbered(++n));
    std::this_thread::sleep_for(Micros(100));
  }
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(StatsSegmentTest, ForeignFilesAreRefused) {
  auto missing = StatsReader::open(path());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);

  std::string sound;
  {
    auto segment = create();
    sound = read_text(path());
  }
  std::mt19937 random(5);
  std::string garbage = sound;
  for (auto& byte : garbage) byte = static_cast<char>(random());
  std::string other_version = sound;
  other_version[8] ^= 2;
  for (const std::string& text :
       {std::string(), std::string("x"), garbage, other_version, sound.substr(0, sound.size() - 1),
        sound + "x", std::string(sound.size(), '\0')}) {
    replace(text);
    const auto reader = StatsReader::open(path());
    ASSERT_FALSE(reader) << text.size();
    EXPECT_EQ(reader.error().code, Code::kInvalid) << reader.error().describe();
  }
  fs::remove(path());
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_FALSE(StatsReader::open(path()));
  fs::remove(path());
  EXPECT_FALSE(StatsReader::open(folder_.path()));
  replace(sound);
  fs::rename(path(), folder_.path() / "real");
  fs::create_symlink("real", path());
  EXPECT_FALSE(StatsReader::open(path()));
}

TEST_F(StatsSegmentTest, DamagedContentsAreRefused) {
  auto segment = create();
  segment.update(numbered(3));
  const std::string sound = read_text(path());
  // The header is 40 bytes, then a Stats.
  const std::size_t ring = 40 + offsetof(Stats, recent);
  for (const std::size_t at : {std::size_t{40} + offsetof(Stats, version), ring + 64, ring + 68}) {
    std::string bytes = sound;
    bytes[at] ^= 0x40;
    replace(bytes);
    const auto reader = StatsReader::open(path());
    ASSERT_TRUE(reader) << reader.error().describe();
    const auto stats = reader->read();
    ASSERT_FALSE(stats) << at;
    EXPECT_EQ(stats.error().code, Code::kInvalid) << stats.error().describe();
  }
  // A writer that stopped for good in the middle of an update.
  std::string unfinished = sound;
  unfinished[32] ^= 1;
  replace(unfinished);
  const auto stats = open().read();
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code, Code::kTimeout) << stats.error().describe();
}

TEST_F(StatsSegmentTest, FileCutUnderAReaderIsAnError) {
  auto segment = create();
  const std::string sound = read_text(path());
  replace(sound);
  const auto reader = open();
  ASSERT_TRUE(reader.read());
  ASSERT_EQ(::truncate(path().c_str(), 100), 0);
  const auto stats = reader.read();
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code, Code::kInvalid);
}

TEST_F(StatsSegmentTest, EndIsSeenByReaders) {
  std::optional<StatsSegment> segment = create();
  const auto reader = open();
  ASSERT_TRUE(reader.read());
  segment.reset();
  EXPECT_FALSE(fs::exists(path()));
  const auto stats = reader.read();
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code, Code::kInvalid);
}

TEST_F(StatsSegmentTest, EndLeavesASuccessorAlone) {
  std::optional<StatsSegment> first = create();
  const auto second = create();
  first.reset();
  EXPECT_TRUE(open().read());
}

TEST_F(StatsSegmentTest, MovedSegmentWritesOn) {
  auto first = create();
  StatsSegment second(std::move(first));
  second.update(numbered(9));
  EXPECT_EQ(open().read()->running, 9U);
  auto third = create();
  second = std::move(third);
  second.update(numbered(10));
  EXPECT_EQ(open().read()->running, 10U);
}

TEST_F(StatsSegmentTest, KilledWriterIsStale) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    auto segment = create();
    (void)!::write(ready[1], "r", 1);
    for (std::uint64_t n = 0;; ++n) segment.update(numbered(n));
  }
  ::close(ready[1]);
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  auto reader = StatsReader::open(path());
  EXPECT_TRUE(reader);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ASSERT_TRUE(reader);
  const auto stats = reader->read();
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code, Code::kInvalid);
  EXPECT_NE(stats.error().message.find("gone"), std::string::npos) << stats.error().describe();
  EXPECT_FALSE(StatsReader::open(path()));
}

TEST(StatsTest, CountsACall) {
  Stats stats{};
  EXPECT_EQ(stats.recent_count(), 0U);
  stats.count("hello", std::nullopt, Start::kParked, 700);
  stats.count(std::string(80, 'x'), Code::kTimeout, Start::kCold, -1);
  EXPECT_EQ(stats.invocations[0][static_cast<std::size_t>(Start::kParked)], 1U);
  EXPECT_EQ(stats.invocations[status_index(Code::kTimeout)][static_cast<std::size_t>(Start::kCold)],
            1U);
  EXPECT_EQ(stats.latency[10], 1U);
  EXPECT_EQ(stats.latency[0], 1U);
  ASSERT_EQ(stats.recent_count(), 2U);
  EXPECT_EQ(stats.recent_call(0).name(), std::string(64, 'x'));
  EXPECT_EQ(stats.recent_call(1).name(), "hello");
  EXPECT_EQ(status_name(stats.recent_call(0).status), "timeout");
  EXPECT_EQ(status_name(stats.recent_call(1).status), "ok");
  for (int i = 0; i < 100; ++i) stats.count("f" + std::to_string(i), {}, Start::kClone, i);
  ASSERT_EQ(stats.recent_count(), Stats::kRecentCalls);
  EXPECT_EQ(stats.recent_call(0).name(), "f99");
  EXPECT_EQ(stats.recent_call(Stats::kRecentCalls - 1).name(), "f36");
}

TEST(StatsTest, LatencyBuckets) {
  EXPECT_EQ(latency_bucket(-5), 0U);
  EXPECT_EQ(latency_bucket(0), 0U);
  EXPECT_EQ(latency_bucket(1), 1U);
  EXPECT_EQ(latency_bucket(1023), 10U);
  EXPECT_EQ(latency_bucket(1024), 11U);
  EXPECT_EQ(latency_bucket(std::numeric_limits<std::int64_t>::max()), Stats::kLatencyBuckets - 1);
}

TEST(StatsTest, EveryStatusHasAName) {
  for (std::size_t i = 0; i < kStatusCount; ++i) EXPECT_NE(status_name(i), "unknown") << i;
  EXPECT_EQ(status_name(kStatusCount), "unknown");
  EXPECT_EQ(status_index(Code::kInternal) + 1, kStatusCount);
}

}  // namespace
}  // namespace sock::manager
