#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <thread>

namespace sock::manager {

/// Deletes retired generations on a thread of its own, so that whoever drops the last handle (often
/// the event loop) never waits for the disk. Thread safe.
class Reclaimer {
 public:
  /// Folders are first renamed into `staging` (on the same file system), which a crash's survivor
  /// empties: a half-deleted generation is never seen.
  explicit Reclaimer(std::filesystem::path staging);
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;
  /// Finishes what was added. Not from the reclaimer's own thread.
  ~Reclaimer();

  /// Deletes `generation`, and its parent once that is empty. Failures leave the folder to the next
  /// start's sweep. Does not block on the disk.
  void add(std::filesystem::path generation);

 private:
  void run(const std::stop_token& stop);
  void reclaim(const std::filesystem::path& generation);

  const std::filesystem::path staging_;
  std::uint64_t count_ = 0;  ///< the thread's own
  std::mutex mutex_;
  std::condition_variable_any added_;
  std::deque<std::filesystem::path> queue_;
  std::jthread thread_;  ///< last: it uses all of the above
};

}  // namespace sock::manager
