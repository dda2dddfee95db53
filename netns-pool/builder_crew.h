#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "netns-pool/back_off.h"
#include "netns-pool/builder_process.h"
#include "netns-pool/wire.h"

namespace sock::netns {

struct CrewOptions {
  BuilderOptions helper;
  std::size_t helpers = 1;  ///< that build side by side
  Furnish furnish = Furnish::kLoopback;
  Millis timeout{2000};  ///< for one answer
};

/// Helpers (sock-netns) that build namespaces side by side for one client. Each is kept alive: one
/// that dies, stalls or lies is replaced after a pause, which grows as failures go on.
///
/// While as many namespaces exist, in use or still being taken apart by the kernel, as their user
/// namespace may own, nothing is built: the crew asks again, at first after milliseconds, until
/// some are gone.
///
/// On one event loop; not thread safe. Its coroutines hold the crew, and the client only while they
/// call it.
class BuilderCrew : public std::enable_shared_from_this<BuilderCrew> {
 public:
  struct Client {
    virtual ~Client() = default;
    /// How many more to ask for, besides those outstanding().
    [[nodiscard]] virtual std::size_t wanted() = 0;
    /// One is built, by the helper's word. An error: that helper is not to be believed any further.
    [[nodiscard]] virtual Result<> built(BuildAnswer answer) = 0;
    /// One that was asked for could not be built, for another reason than that there are too many.
    virtual void failed(const Error& error) = 0;
    /// A helper is gone, and what it was asked for with it; another one starts after a pause.
    virtual void lost(const Error& error) = 0;
  };

  BuilderCrew(boost::asio::any_io_executor executor, CrewOptions options);

  /// Starts the helpers. Once only.
  void start(std::weak_ptr<Client> client);

  /// Sends out what is wanted, to helpers that have nothing to do.
  void request();
  /// The same from the loop's next turn: the system call and the helper's wake-up are not the
  /// caller's.
  void request_soon();

  /// Kills the helpers. The coroutines end in their own time; none calls the client any more.
  void shutdown();

  /// After shutdown(): returns when nothing of the crew runs any more, at most after ten seconds.
  [[nodiscard]] boost::asio::awaitable<void> finished();

  /// Answers that helpers owe.
  [[nodiscard]] std::size_t outstanding() const;
  /// Whether any helper is at work or ready for it.
  [[nodiscard]] bool alive() const;
  /// The latest build's error, when it failed because there may be no more namespaces; else empty.
  [[nodiscard]] const std::string& why_full() const { return why_full_; }
  /// How often that happened.
  [[nodiscard]] std::uint64_t times_full() const { return times_full_; }

  /// What was built is good, or is not: then the next ones are asked for after a pause.
  void note_good() { back_off_.succeeded(); }
  void note_bad() { back_off_.failed(); }

 private:
  static constexpr Millis kLongestDrain{80};

  struct Helper {
    explicit Helper(const boost::asio::any_io_executor& executor) : pause(executor) {}
    std::unique_ptr<BuilderProcess> process;  // only its coroutine resets it
    std::size_t owed = 0;
    Clock::time_point last_progress{};  // latest request or answer
    boost::asio::steady_timer pause;
  };
  using Self = std::shared_ptr<BuilderCrew>;

  static boost::asio::awaitable<void> supervise(Self self, Helper& helper);
  static boost::asio::awaitable<Error> serve_answers(Self self, Helper& helper);
  [[nodiscard]] Result<> take_answer(Helper& helper, BuildAnswer answer);
  void take_failure(Client& client, const Error& error);
  [[nodiscard]] bool idle(const Helper& helper) const;
  [[nodiscard]] bool may_build() const { return back_off_.over() && until_drained_.over(); }
  [[nodiscard]] Clock::time_point next_deadline(const Helper& helper) const;

  const boost::asio::any_io_executor executor_;
  const CrewOptions options_;
  std::weak_ptr<Client> client_;
  std::vector<std::unique_ptr<Helper>> helpers_;
  std::size_t supervised_ = 0;
  BackOff back_off_;
  BackOff until_drained_{kLongestDrain};
  std::string why_full_;
  std::uint64_t times_full_ = 0;
  bool request_posted_ = false;
  bool stopping_ = false;
  boost::asio::steady_timer finished_;  // cancelled when the last supervise() ends
};

}  // namespace sock::netns
