/// What functions on the network class "nat" reach, and what they do not: real traffic, from inside
/// of calls.

#include <algorithm>
#include <thread>

#include "tests/e2e/nat_suite.h"

namespace sock::e2e {
namespace {

/// The gateway and the host, and what nobody has any business with.
const std::vector<std::string> kNever = {
    "10.88.0.1", "fd88::1", kHost4, kHost6, "169.254.169.254", "100.100.100.200", "fd00:ec2::254"};
const std::vector<std::string> kPrivate = {"10.9.0.1", "192.168.7.1", "100.64.3.3", "fd99::1"};

std::vector<std::string> targets_at(const std::vector<std::string>& addresses) {
  std::vector<std::string> targets;
  for (const auto& address : addresses) {
    for (const char* kind : {"tcp ", "udp "}) targets.push_back(kind + address + " 80");
  }
  return targets;
}

class NatEgress : public NatSuite<BareNat> {
 protected:
  /// The control: servers do answer there.
  static void expect_answers_on_host(const std::vector<std::string>& targets) {
    const auto found = evaluate_on_host(probe_of(targets));
    ASSERT_TRUE(found.is_object());
    for (const auto& target : targets) EXPECT_FALSE(denied(found.at(target))) << target;
  }

  void expect_denied(const std::string& function, const std::vector<std::string>& targets) {
    const auto found = eval(function, probe_of(targets));
    ASSERT_TRUE(found.is_object());
    for (const auto& target : targets) {
      EXPECT_TRUE(denied(found.at(target))) << target << ": " << found.at(target);
    }
  }
};

TEST_F(NatEgress, PublicServersSeeTheHostsAddress) {
  ASSERT_DEPLOYED(deploy("t"));
  const std::string event = boost::json::serialize(
      boost::json::value(probe_of({"tcp 203.0.113.9 80", "udp 203.0.113.9 80",
                                   "tcp 2001:db8:2::9 8080", "udp 2001:db8:2::9 8080"})));
  const Reply reply = api().invoke("t", event);
  ASSERT_TRUE(succeeded(reply));
  for (const auto& [target, answer] : reply.json().as_object()) {
    EXPECT_EQ(answer, target.contains("203") ? kHost4 : kHost6) << target;
  }
  if (path() == Path::kOnDemand || path() == Path::kReplica) {
    EXPECT_EQ(reply.header("x-sock-start"), "clone");
  }
  if (path() == Path::kFunction) {
    EXPECT_EQ(reply.header("x-sock-start"), "parked");
  }
}

TEST_F(NatEgress, NeverTheHostNorMetadataServices) {
  ASSERT_DEPLOYED(deploy("t", R"({"network":"nat","allow":["internet","10.9.0.0/16"]})"));
  const auto targets = targets_at(kNever);
  expect_answers_on_host(targets);
  expect_denied("t", targets);
}

TEST_F(NatEgress, NoPortOfTheHost) {
  ASSERT_DEPLOYED(deploy("t"));
  const std::string ports = "list(range(1,1025))+list(range(8080,65536,995))";
  for (const std::string address : {"10.88.0.1", kHost4}) {
    const std::string scan = "open_ports('" + address + "'," + ports + ")";
    // Others on this machine may listen too.
    const auto seen = evaluate_on_host(scan).as_array();
    for (const int port : {World::kWeb, World::kOther, NatWorld::kHigh}) {
      EXPECT_TRUE(std::ranges::find(seen, boost::json::value(port)) != seen.end()) << port;
    }
    EXPECT_EQ(eval("t", scan), boost::json::array()) << address;
  }
}

TEST_F(NatEgress, NoPrivateAddressUnlessAllowed) {
  ASSERT_DEPLOYED(deploy("t"));
  const auto targets = targets_at(kPrivate);
  expect_answers_on_host(targets);
  expect_denied("t", targets);
}

TEST_F(NatEgress, ProgramsLearnOfRefusalsAtOnce) {
  ASSERT_DEPLOYED(deploy("t"));
  for (const char* address : {"10.9.0.1", "fd99::1", "169.254.169.254", "10.88.0.1"}) {
    const auto timed = eval("t", "timed(refusal, '" + std::string(address) + "')");
    EXPECT_EQ(timed.at(0), "ECONNREFUSED") << address;
    // Answered otherwise, a connection is tried again a second later, and only then given up.
    EXPECT_LT(timed.at(1).to_number<double>(), 0.8) << address;
  }
}

TEST_F(NatEgress, OnlyWhatItsListAllows) {
  ASSERT_DEPLOYED(deploy("t", R"({"network":"nat","allow":["10.9.0.1:80/tcp"]})"));
  EXPECT_EQ(eval("t", "probe('tcp 10.9.0.1 80')").at("tcp 10.9.0.1 80"), kHost4);
  expect_denied("t", {"tcp 10.9.0.1 8080", "udp 10.9.0.1 80", "tcp 203.0.113.9 80",
                      "tcp 2001:db8:2::9 80", "udp 203.0.113.9 80"});
}

TEST_F(NatEgress, ListsAreOfTheirFunctionAlone) {
  ASSERT_DEPLOYED(deploy("narrow", R"({"network":"nat","allow":["10.9.0.1/udp"]})"));
  ASSERT_DEPLOYED(deploy("wide"));
  const std::string probe = "probe('tcp 203.0.113.9 80','udp 10.9.0.1 80')";
  for (int i = 0; i < 3; ++i) {
    const auto narrow = eval("narrow", probe);
    EXPECT_TRUE(denied(narrow.at("tcp 203.0.113.9 80"))) << narrow;
    EXPECT_EQ(narrow.at("udp 10.9.0.1 80"), kHost4);
    const auto wide = eval("wide", probe);
    EXPECT_EQ(wide.at("tcp 203.0.113.9 80"), kHost4);
    EXPECT_TRUE(denied(wide.at("udp 10.9.0.1 80"))) << wide;
  }
}

TEST_F(NatEgress, NoRawSockets) {
  ASSERT_DEPLOYED(deploy("t"));
  const auto control = evaluate_on_host("raw_sockets()");
  for (const auto& [kind, answer] : control.as_object()) EXPECT_EQ(answer, "made") << kind;
  const auto found = eval("t", "raw_sockets()");
  for (const auto& [kind, answer] : found.as_object()) EXPECT_NE(answer, "made") << kind;
}

TEST_F(NatEgress, SandboxesDoNotMeet) {
  ASSERT_DEPLOYED(deploy("a"));
  ASSERT_DEPLOYED(deploy("b"));
  std::array<boost::json::value, 3> reports;
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    // Two of one function, one of another.
    callers.emplace_back([&, i] {
      Api its_own(daemon().socket());
      reports[i] = evaluate(its_own, i == 2 ? "b" : "a", "meet()");
    });
  }
  std::vector<Gate::Visitor> visitors;
  const auto all_come = [&] {
    visitors.clear();
    while (visitors.size() < reports.size()) {
      auto visitor = world().gate().next();
      if (!visitor) return false;
      visitors.push_back(std::move(*visitor));
    }
    return true;
  };
  if (all_come()) {
    // Each is told the addresses of the others.
    for (auto& one : visitors) {
      std::string others;
      for (const auto& other : visitors) {
        if (other.words != one.words) others += other.words + " ";
      }
      one.answer(others);
    }
    EXPECT_TRUE(all_come());
  }
  visitors.clear();
  for (auto& caller : callers) caller.join();
  for (const auto& report : reports) {
    ASSERT_TRUE(report.is_object());
    EXPECT_EQ(report.at("control"), boost::json::value({2, 2, 1})) << "the servers did not listen";
    const auto& [answers, local] = std::pair(report.at("others").at(0), report.at("others").at(1));
    EXPECT_EQ(answers.as_object().size(), 8U) << answers;
    for (const auto& [target, answer] : answers.as_object()) {
      EXPECT_TRUE(denied(answer)) << target << ": " << answer;
    }
    EXPECT_EQ(local, "ECONNREFUSED");
    EXPECT_EQ(report.at("visits"), boost::json::value({0, 0, 0}));
  }
}

TEST_F(NatEgress, OthersStayWithoutNetworkMeanwhile) {
  ASSERT_DEPLOYED(deploy("connected"));
  ASSERT_DEPLOYED(deploy("alone", R"({"network":"none"})"));
  const std::vector<std::string> targets = {"tcp 203.0.113.9 80", "udp 203.0.113.9 80",
                                            "tcp 2001:db8:2::9 80", "udp 10.88.0.1 80",
                                            "tcp fd88::1 80"};
  const auto expect_unreachable = [&] {
    const auto found = eval("alone", probe_of(targets));
    for (const auto& target : targets) EXPECT_EQ(found.at(target), "ENETUNREACH") << target;
  };
  expect_unreachable();
  boost::json::value answer;
  std::thread caller([&] {
    Api its_own(daemon().socket());
    answer = evaluate(its_own, "connected", "ask_gate('here')");
  });
  auto visitor = world().gate().next();
  EXPECT_TRUE(visitor);
  for (int i = 0; i < 3; ++i) expect_unreachable();
  if (visitor) visitor->answer("go on");
  caller.join();
  EXPECT_EQ(boost::json::serialize(answer), R"(["go","on"])");
}

TEST_F(NatEgress, DeploysMayAskForNoMoreThanTheDaemonAllows) {
  for (const char* entry : {"192.168.7.1", "10.0.0.0/8", "fd99::1", "169.254.169.254"}) {
    const Reply refused =
        deploy("greedy", R"({"network":"nat","allow":[")" + std::string(entry) + "\"]}");
    EXPECT_EQ(refused.status, 422U) << entry << refused.body;
    EXPECT_NE(refused.text("errorMessage").find(entry), std::string::npos) << refused.body;
  }
  EXPECT_EQ(api().invoke("greedy").status, 404U);
}

class WithoutNat : public Suite<Bare> {};

TEST_F(WithoutNat, DeploysSayWhatIsMissing) {
  const Reply refused = api().deploy("t", network_handler(), kNat);
  EXPECT_EQ(refused.status, 422U);
  EXPECT_NE(refused.text("errorMessage").find("[nat] ipv4"), std::string::npos) << refused.body;
}

}  // namespace
}  // namespace sock::e2e
