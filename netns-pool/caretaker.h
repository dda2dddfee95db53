#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/worker.h"
#include "netns-pool/inspector.h"
#include "netns-pool/linker.h"
#include "netns-pool/netns.h"

namespace sock::netns {

/// How a namespace was built, and how to look what has become of it. For the caretaker's thread.
struct Inspected {
  Inspector inspector;
  Inventory as_built;
};

/// What became of a namespace during a lease.
struct Judgement {
  enum class Kind {
    kUntouched,  ///< nothing has happened in it
    kClean,      ///< it was used, and nothing is left of that
    kStained,
  };
  Kind kind = Kind::kStained;
  std::string stain;           ///< in a word: "used", "time_wait", …
  std::optional<Error> error;  ///< why there is no better judgement
};

/// Gives namespaces what their builder cannot, and judges them after use. On one event loop; looks
/// from a thread of its own. Must outlive the awaits.
class Caretaker {
 public:
  /// `linker` may be null. `inspects`: whether used ones are looked at closely.
  Caretaker(std::shared_ptr<Linker> linker, bool inspects);

  /// Whether it takes more than a look at Netns::as_built().
  [[nodiscard]] bool needed() const { return linker_ != nullptr || inspector_.has_value(); }

  /// Its link, and then how it is: null unless this one inspects.
  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<Inspected>>> furnish(Netns& netns);

  /// After a lease, when the last process inside is dead. `inspected` may be null: then what was
  /// used is stained.
  [[nodiscard]] boost::asio::awaitable<Judgement> judge(Netns& netns,
                                                        std::shared_ptr<Inspected> inspected);

  /// Waits for the look under way; there are no others.
  void stop();

 private:
  std::shared_ptr<Linker> linker_;
  std::optional<Worker> inspector_;  // its thread goes from namespace to namespace
  bool stopping_ = false;
};

}  // namespace sock::netns
