#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/async_mutex.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "zygote/config.h"
#include "zygote/wire.h"

namespace sock::zygote {

struct ZygoteOptions {
  std::string program;  ///< path of sock-zygote
  int keeper = -1;      ///< pidfd of the keeper; borrowed during start()
  ZygoteConfig config;
  std::function<Result<>(pid_t)> place;  ///< puts it in a cgroup before it runs
  Millis import_timeout{60'000};
};

/// What one clone is made from; descriptors are borrowed during the call.
struct CloneArguments {
  int shell = -1;       ///< pidfd of the shell it joins
  int connection = -1;  ///< its end of the connection
  int log = -1;         ///< write end of its stdout and stderr
  int image = -1;       ///< memfd of an image to restore (image.h); -1 = none
  int touches = -1;     ///< memfd of pages to populate (image.h); -1 = none
  int cgroup = -1;      ///< cgroup v2 directory to be born in; -1 = none
  bool to_be_recorded = false;
  bool await_go = false;
  std::uint32_t uid = 0;
  std::uint32_t open_files = 1024;
};

/// Whether and how a zygote's memory is sealed (seal.h).
struct Sealing {
  bool sealed = false;
  std::string error;         ///< why it is not
  std::int64_t took_us = 0;  ///< including the trial clone
  std::uint64_t bytes = 0;   ///< of its image; pages shared with ancestors not included
  std::uint32_t mappings_before = 0;
  std::uint32_t mappings_after = 0;
};

/// Whether a zygote that did not start, for this reason, may well start with `seal` off.
[[nodiscard]] bool may_do_unsealed(const Error& error);

/// Parent side of one zygote process. Lives on one event loop; not thread safe. Destruction kills
/// and reaps it; its clones and child zygotes live on (they are children of sockd).
///
/// Everything it says is checked: a zygote has run package code.
class Zygote {
 public:
  /// Starts a first zygote. Takes as long as its imports; kTimeout after `import_timeout`. An
  /// error that the packages caused is kInvalid and carries the exception or the audit's finding.
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<Zygote>>> start(
      ZygoteOptions options);

  /// A child zygote that shares this one's memory and does what `additions` say on top; its filter
  /// is this one's. Serving goes on meanwhile.
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Zygote>>> fork_child(
      ZygoteConfig additions, Millis import_timeout);

  /// Clones into a sandbox. The clone announces itself on its connection. Requests are served in
  /// turn, each within a second or the zygote counts as stuck (kTimeout).
  [[nodiscard]] boost::asio::awaitable<Result<Process>> clone(CloneArguments arguments);

  /// Requests whose turn has not come: a zygote that has some cannot clone fast enough.
  [[nodiscard]] std::size_t waiting() const { return turn_.waiting(); }

  [[nodiscard]] const Process& process() const { return process_; }
  [[nodiscard]] std::int64_t import_us() const { return import_us_; }
  [[nodiscard]] const Sealing& sealing() const { return sealing_; }
  /// sys.path of its clones, a NUL after each folder.
  [[nodiscard]] const std::shared_ptr<const std::string>& search_path() const {
    return search_path_;
  }

  /// Proportional set size, bytes (smaps_rollup; proc_pid_smaps(5)). Milliseconds: for display.
  [[nodiscard]] Result<std::uint64_t> memory_bytes() const;

 private:
  Zygote(Process process, Channel control);
  [[nodiscard]] boost::asio::awaitable<Result<>> await_ready(Clock::time_point deadline);
  [[nodiscard]] Result<> take_seal(const Ready& ready, std::vector<Fd> fds);
  [[nodiscard]] Result<> send_seals(int socket) const;
  [[nodiscard]] boost::asio::awaitable<Result<Process>> receive_clone();

  Process process_;
  Channel control_;
  AsyncMutex turn_;  ///< one request at a time, so that replies match
  std::int64_t import_us_ = 0;
  Sealing sealing_;
  std::shared_ptr<const std::string> search_path_;
  /// The memfds its memory is mapped from, its own last. Zygotes have closed theirs; children made
  /// later need them to seal what they share.
  std::vector<std::shared_ptr<const Fd>> seals_;
};

}  // namespace sock::zygote
