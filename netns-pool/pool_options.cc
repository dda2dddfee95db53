#include "netns-pool/pool_options.h"

namespace sock::netns {

Result<> check(const PoolOptions& options) {
  const auto invalid = [](std::string what) {
    return fail(Code::kInvalid, "network namespace pool", std::move(what));
  };
  if (options.high == 0 || options.high > PoolOptions::kMaxHigh) {
    return invalid("high must be 1 to " + std::to_string(PoolOptions::kMaxHigh) + ", not " +
                   std::to_string(options.high));
  }
  if (options.low > options.high) {
    return invalid("low (" + std::to_string(options.low) + ") is above high (" +
                   std::to_string(options.high) + ")");
  }
  if (options.builders == 0 || options.builders > PoolOptions::kMaxBuilders) {
    return invalid("builders must be 1 to " + std::to_string(PoolOptions::kMaxBuilders) + ", not " +
                   std::to_string(options.builders));
  }
  if (options.lease_timeout <= Millis{0} || options.answer_timeout <= Millis{0}) {
    return invalid("timeouts must be positive");
  }
  if (options.helper.empty()) return invalid("no path of sock-netns");
  if (options.most > 0 && options.user_namespace < 0) {
    return invalid("a bound on namespaces wants a user namespace to set it in");
  }
  return {};
}

}  // namespace sock::netns
