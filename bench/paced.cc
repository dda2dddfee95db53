#include "bench/paced.h"

#include <thread>

#include "bench/kept_connection.h"

namespace sock::bench {
namespace {

constexpr auto kStockWithin = std::chrono::seconds(30);

class Paced {
 public:
  Paced(const PacedSpec& spec, KeptConnection connection)
      : spec_(spec), connection_(std::move(connection)) {}

  Result<Round> run() {
    if (auto ready = await_stock(10); !ready) return std::unexpected(ready.error());
    const auto began = Clock::now();
    for (unsigned i = 0; i < spec_.calls && !stopped(); ++i) {
      auto answer = call();
      if (!answer) return std::unexpected(answer.error());
      if (!right(*answer)) {
        ++round_.errors[answer->status == 200 ? "wrong answer"
                                              : "HTTP " + std::to_string(answer->status)];
        continue;
      }
      ++round_.starts[answer->start];
      if (answer->start == spec_.start) {
        round_.latencies_us.push_back(answer->micros);
      } else if (auto ready = await_stock(1); !ready) {
        return std::unexpected(ready.error());
      }
    }
    round_.seconds = static_cast<double>(micros_between(began, Clock::now())) / 1e6;
    return std::move(round_);
  }

 private:
  Result<Answer> call() {
    std::this_thread::sleep_for(spec_.pause);
    return connection_.invoke(spec_.function, spec_.event);
  }

  /// Untimed calls until `wanted` in a row started as they should.
  Result<> await_stock(unsigned wanted) {
    const auto deadline = Clock::now() + kStockWithin;
    std::string last = "no call was made";
    for (unsigned good = 0; good < wanted && !stopped();) {
      if (Clock::now() > deadline) {
        return fail(Code::kTimeout, "calls of " + spec_.function,
                    "none starts as \"" + spec_.start + "\": " + last);
      }
      const auto answer = call();
      if (!answer) return std::unexpected(answer.error());
      good = answer->status == 200 && answer->start == spec_.start ? good + 1 : 0;
      last = "HTTP " + std::to_string(answer->status) + ", start \"" + answer->start + "\"";
    }
    return {};
  }

  [[nodiscard]] bool right(const Answer& answer) const {
    return answer.status == 200 && (spec_.answer.empty() || answer.body == spec_.answer);
  }
  [[nodiscard]] bool stopped() const { return spec_.stop != nullptr && *spec_.stop; }

  const PacedSpec& spec_;
  KeptConnection connection_;
  Round round_;
};

}  // namespace

Result<Round> drive_paced(const PacedSpec& spec) {
  auto connection = KeptConnection::open(spec.socket);
  if (!connection) return std::unexpected(connection.error());
  return Paced(spec, std::move(*connection)).run();
}

}  // namespace sock::bench
