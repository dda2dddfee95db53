#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "tests/e2e/nat_world.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {

/// What the first servers outside see of anybody behind the host.
inline constexpr const char* kHost4 = "198.51.100.1";
inline constexpr const char* kHost6 = "2001:db8:1::1";

inline constexpr const char* kNat = R"({"network":"nat"})";

/// An answer of probe() in handlers/network.py: no packet got there and back, where a server is
/// known to listen.
[[nodiscard]] inline bool denied(const boost::json::value& answer) {
  return answer == "ECONNREFUSED" || answer == "EHOSTUNREACH" || answer == "EACCES" ||
         answer == "timeout";
}

/// A call of probe() with these targets.
[[nodiscard]] inline std::string probe_of(const std::vector<std::string>& targets) {
  std::string arguments;
  for (const auto& target : targets) arguments += "'" + target + "',";
  return "probe(" + arguments + ")";
}

/// The answer of handlers/network.py, deployed as `function`, to an expression; null, and a test
/// failure, when the call failed.
[[nodiscard]] inline boost::json::value evaluate(Api& api, const std::string& function,
                                                 const std::string& expression) {
  const Reply reply = api.invoke(function, boost::json::serialize(boost::json::value(expression)));
  EXPECT_EQ(reply.status, 200U) << expression << ": " << reply.body;
  return reply.status == 200 ? reply.json() : boost::json::value();
}

/// What GET /v1/netns says of one network class; empty, and a test failure, when nothing.
[[nodiscard]] inline boost::json::object class_of(Api& api, const char* network) {
  auto pool = api.netns_class(network);
  if (pool.empty()) ADD_FAILURE() << api.get("/v1/netns").body;
  return pool;
}

/// A suite whose daemon, like the test, is in a world of its own.
template <class Settings>
class NatSuite : public Suite<Settings> {
 protected:
  static void TearDownTestSuite() {
    Suite<Settings>::TearDownTestSuite();
    world_.reset();
  }

  void SetUp() override {
    if (::geteuid() == 0 && !world_) world_ = std::make_unique<NatWorld>();
    Suite<Settings>::SetUp();
  }

  [[nodiscard]] static NatWorld& world() { return *world_; }

  /// Deploys handlers/network.py.
  [[nodiscard]] Reply deploy(const std::string& function, const std::string& options = kNat) {
    return this->api().deploy(function, network_handler(), options);
  }

  [[nodiscard]] boost::json::value eval(const std::string& function,
                                        const std::string& expression) {
    return evaluate(this->api(), function, expression);
  }

 private:
  inline static std::unique_ptr<NatWorld> world_;
};

/// Sandboxes with a network, and the bare interpreter.
struct BareNat {
  static std::string text() { return "[zygotes]\nsets = []\n" + NatWorld::settings(); }
};

}  // namespace sock::e2e
