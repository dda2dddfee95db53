/// A network namespace that one function has left anything in is never met by another; and, where
/// that is configured, comes back to the same function when nothing is left in it.

#include <algorithm>
#include <set>
#include <string>

#include "tests/e2e/nat_suite.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

/// One sandbox at a time, made when it is wanted: what one call leaves is what the next would get.
template <const char* kReuse>
struct OneSandbox {
  static std::string text() {
    return "[zygotes]\nsets = []\nfunctions = false\n[parked]\nmin = 0\nmax = 0\nshells = 0\n" +
           NatWorld::settings() + "low = 1\n[netns]\nlow = 1\nreuse = \"" + kReuse + "\"\n";
  }
};

template <const char* kReuse>
class Reuse : public NatSuite<OneSandbox<kReuse>> {
 protected:
  /// The answer of a call whose sandbox is gone.
  boost::json::value settled(const std::string& function, const std::string& expression) {
    const Reply reply =
        this->api().invoke(function, boost::json::serialize(boost::json::value(expression)));
    EXPECT_TRUE(succeeded(reply)) << expression;
    // The namespace has been judged, too, when it is nobody's.
    EXPECT_TRUE(eventually([&] { return leased() == 0; })) << this->api().get("/v1/netns").body;
    return reply.status == 200 ? reply.json() : boost::json::value();
  }

  std::string namespace_of(const std::string& function) {
    const auto name = settled(function, "namespace()");
    return name.is_string() ? std::string(name.get_string()) : "";
  }

  boost::json::object counts(const char* network) { return class_of(this->api(), network); }

  std::int64_t kept_for(const char* function, const char* network) {
    const Reply reply = this->api().get("/v1/netns");
    return std::ranges::count_if(reply.json().at("namespaces").as_array(), [&](const auto& one) {
      return one.at("state") == "kept" && one.at("class") == network &&
             one.at("function") == function;
    });
  }

  std::int64_t leased() {
    return counts("none").at("leased").as_int64() + counts("nat").at("leased").as_int64();
  }

  std::int64_t burned_for(const char* network, const char* reason) {
    const auto burns = counts(network).at("burns").as_object();
    const auto* const count = burns.if_contains(reason);
    return count == nullptr ? 0 : count->as_int64();
  }

  static std::string options(const char* network) {
    return R"({"network":")" + std::string(network) + "\"}";
  }

  /// One function leaves something in its namespace, another one looks.
  void expect_nothing_is_met(const char* network) {
    ASSERT_DEPLOYED(this->deploy("dirty", options(network)));
    ASSERT_DEPLOYED(this->deploy("clean", options(network)));
    std::vector<std::string> ways = {"leave_loopback", "leave_time_wait", "leave_abstract"};
    if (std::string_view(network) == "nat") {
      for (const char* way :
           {"leave_open", "leave_time_wait_outside", "leave_datagrams", "leave_child"}) {
        ways.emplace_back(way);
      }
    }
    for (const auto& way : ways) {
      const auto left = settled("dirty", "after(" + way + ")");
      ASSERT_TRUE(left.is_array()) << way;
      EXPECT_FALSE(left.at(1).as_array().empty()) << way << " left nothing: this proves nothing";
      const auto seen = settled("clean", "[namespace(), traces(), reach_unix('leftover')]");
      // A listener in nobody's hands any more may be gone by the time that the namespace is judged.
      if (way != "leave_abstract") {
        EXPECT_NE(seen.at(0), left.at(0)) << way;
      }
      EXPECT_EQ(seen.at(1), boost::json::array()) << way;
      EXPECT_EQ(seen.at(2), "ECONNREFUSED") << way;
    }
  }
};

constexpr char kUntouched[] = "untouched";
constexpr char kFunction[] = "function";

class NatReuseUntouched : public Reuse<kUntouched> {};

TEST_F(NatReuseUntouched, NobodyMeetsWhatAnotherLeft) {
  expect_nothing_is_met("none");
  expect_nothing_is_met("nat");
}

TEST_F(NatReuseUntouched, UsedOnesComeBackToNobody) {
  ASSERT_DEPLOYED(deploy("t"));
  std::set<std::string> seen;
  for (int i = 0; i < 6; ++i) {
    seen.insert(std::string(settled("t", "after(leave_datagrams)").at(0).as_string()));
  }
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_EQ(counts("nat").at("kept"), 0);
}

class NatReuseFunction : public Reuse<kFunction> {
 protected:
  /// Calls in a row until the same namespace has come three times; "" when it never did.
  std::string settle_on_one(const std::string& function, const std::string& expression) {
    std::string last;
    int same = 0;
    for (int i = 0; i < 20 && same < 3; ++i) {
      const auto answer = settled(function, expression);
      if (!answer.is_array()) return "";
      const std::string now(answer.at(0).as_string());
      same = now == last ? same + 1 : 1;
      last = now;
    }
    return same == 3 ? last : "";
  }
};

TEST_F(NatReuseFunction, NobodyMeetsWhatAnotherLeft) {
  expect_nothing_is_met("none");
  expect_nothing_is_met("nat");
}

TEST_F(NatReuseFunction, CleanOnesComeBackToTheirFunction) {
  for (const char* network : {"nat", "none"}) {
    ASSERT_DEPLOYED(deploy("t", options(network)));
    const auto before = counts(network).at("returned").as_int64();
    const std::string own = settle_on_one("t", "after(lambda: socket.socket().close())");
    EXPECT_NE(own, "") << api().get("/v1/netns").body;
    EXPECT_GT(counts(network).at("returned").as_int64(), before);
    EXPECT_EQ(kept_for("t", network), 1);
    EXPECT_EQ(namespace_of("t"), own);
  }
}

TEST_F(NatReuseFunction, TrafficDoesNotMatterWhenNothingIsLeft) {
  ASSERT_DEPLOYED(deploy("t"));
  const std::string own = settle_on_one("t", "after(leave_datagrams)");
  EXPECT_NE(own, "") << api().get("/v1/netns").body;
  // And the way out works again each time.
  const auto found = settled("t", "[namespace(), probe('tcp 203.0.113.9 80')]");
  EXPECT_EQ(found.at(0), own.c_str());
  EXPECT_EQ(found.at(1).at("tcp 203.0.113.9 80"), kHost4);
}

TEST_F(NatReuseFunction, NotAfterTimeWait) {
  for (const char* network : {"nat", "none"}) {
    ASSERT_DEPLOYED(deploy("t", options(network)));
    const auto burned = burned_for(network, "time_wait");
    std::set<std::string> seen;
    for (int i = 0; i < 3; ++i) {
      seen.insert(std::string(settled("t", "after(leave_time_wait)").at(0).as_string()));
    }
    EXPECT_EQ(seen.size(), 3U);
    EXPECT_EQ(burned_for(network, "time_wait"), burned + 3) << api().get("/v1/netns").body;
  }
}

TEST_F(NatReuseFunction, NeverToAnotherFunctionOrGeneration) {
  for (const char* network : {"nat", "none"}) {
    // Every use leaves its mark, so that nothing is handed on as untouched.
    const std::string use = "after(leave_datagrams)";
    const std::string use_loopback = "after(lambda: socket.socket().close())";
    const auto& expression = std::string_view(network) == "nat" ? use : use_loopback;
    std::set<std::string> of_others;
    for (const char* function : {"one", "two", "one", "two"}) {
      // Another generation of it, the second time.
      ASSERT_DEPLOYED(deploy(function, options(network)));
      std::set<std::string> own;
      for (int i = 0; i < 3; ++i) {
        own.insert(std::string(settled(function, expression).at(0).as_string()));
      }
      for (const auto& name : own) {
        EXPECT_FALSE(of_others.contains(name)) << function << " got " << name;
      }
      of_others.merge(own);
    }
  }
}

}  // namespace
}  // namespace sock::e2e
