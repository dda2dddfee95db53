#include "netns-pool/resolvers.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "netns-pool/ruleset.h"
#include "tests/netns-pool/support.h"
#include "tests/netns-pool/world.h"

namespace sock::netns {
namespace {

namespace fs = std::filesystem;
namespace ip = boost::asio::ip;

class ResolversTest : public ::testing::Test {
 protected:
  ResolversTest() {
    std::string name = (fs::temp_directory_path() / "sock-resolvers-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << name;
    folder_ = name;
    files_ = {folder_ / "resolv.conf", folder_ / "behind_stub"};
  }
  ~ResolversTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  static void write(const fs::path& file, std::string_view text) {
    std::ofstream(file, std::ios::binary) << text;
  }

  Result<HostResolvers> read(std::string_view text, Families families = Families::kBoth) {
    write(files_.resolv_conf, text);
    return host_resolvers(families, files_);
  }

  /// The servers in their order; the error, where there are none.
  std::string servers(std::string_view text, Families families = Families::kBoth) {
    const auto found = read(text, families);
    if (!found) return found.error().message;
    std::string all;
    for (const auto& server : found->resolvers.servers) {
      all += (all.empty() ? "" : " ") + server.to_string();
    }
    return all;
  }

  fs::path folder_;
  ResolverFiles files_;
};

TEST_F(ResolversTest, AreThoseOfTheHost) {
  EXPECT_EQ(servers("nameserver 203.0.113.53\n"), "203.0.113.53");
  EXPECT_EQ(
      servers("# a comment\n; another\n\nnameserver\t 203.0.113.53  \r\nnameserver 2001:db8::53"),
      "203.0.113.53 2001:db8::53");
  EXPECT_EQ(servers("nameserver 10.0.0.2#53\nnameserver 10.0.0.3;x\nnameserver 10.0.0.2\n"),
            "10.0.0.2 10.0.0.3");
  EXPECT_EQ(servers("\r\n\v\n\f\f\n \nnameserver 203.0.113.53\n"), "203.0.113.53");
  // No keyword at the beginning of its line, as for glibc.
  EXPECT_EQ(servers(" nameserver 203.0.113.1\n#nameserver 203.0.113.2\nnameservers 203.0.113.3\n"
                    "nameserver\nnameserver 203.0.113.4\n"),
            "203.0.113.4");
}

TEST_F(ResolversTest, AreThreeAtMost) {
  EXPECT_EQ(servers("nameserver 127.0.0.1\nnameserver 203.0.113.1\nnameserver 203.0.113.2\n"
                    "nameserver 203.0.113.3\nnameserver 203.0.113.4\n"),
            "203.0.113.1 203.0.113.2 203.0.113.3");
}

TEST_F(ResolversTest, NoSandboxReachesAreLeftOutWithAReason) {
  const auto found = read(
      "nameserver fe80::1%eth0\nnameserver fe80::1\nnameserver 169.254.169.254\n"
      "nameserver 127.0.0.53\nnameserver 100.100.100.200\nnameserver fd00:ec2::253\n"
      "nameserver 203.0.113.53\n");
  ASSERT_TRUE(found) << found.error().describe();
  ASSERT_EQ(found->resolvers.servers.size(), 1U);
  ASSERT_EQ(found->problems.size(), 6U);
  EXPECT_EQ(found->problems[3],
            "nameserver 127.0.0.53 is left out, since no sandbox can reach it: it is loopback");
  EXPECT_NE(found->problems[0].find("link-local"), std::string::npos);
  EXPECT_NE(found->problems[4].find("metadata service"), std::string::npos);
}

TEST_F(ResolversTest, OfAFamilyThatSandboxesLackAreLeftOut) {
  const char* const both = "nameserver 2001:db8::53\nnameserver 203.0.113.53\n";
  EXPECT_EQ(servers(both, Families::kIpv4), "203.0.113.53");
  EXPECT_EQ(servers(both, Families::kBoth), "2001:db8::53 203.0.113.53");
}

TEST_F(ResolversTest, BehindAStubAreAskedInstead) {
  write(files_.behind_stub, "nameserver 203.0.113.7\nsearch behind.test\n");
  for (const char* stub : {"nameserver 127.0.0.53\nsearch front.test\noptions edns0\n",
                           "nameserver 127.0.0.1\nnameserver ::1\n", "", "search front.test\n"}) {
    const auto found = read(stub);
    ASSERT_TRUE(found) << found.error().describe();
    EXPECT_EQ(found->resolvers.servers, std::vector{ip::make_address("203.0.113.7")});
    EXPECT_EQ(found->resolvers.search, std::vector<std::string>{"behind.test"});
    EXPECT_TRUE(found->resolvers.options.empty());
    EXPECT_TRUE(found->problems.empty()) << found->problems.front();
  }
  fs::remove(files_.resolv_conf);
  EXPECT_TRUE(host_resolvers(Families::kBoth, files_));
  // But not beside one that can be asked itself.
  EXPECT_EQ(servers("nameserver 127.0.0.53\nnameserver 203.0.113.1\n"), "203.0.113.1");
}

TEST_F(ResolversTest, ThatAreNoneSayWhatToDo) {
  const auto found = read("nameserver 127.0.0.53\n");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kInvalid);
  EXPECT_NE(found.error().message.find("127.0.0.53"), std::string::npos);
  EXPECT_NE(found.error().message.find("loopback"), std::string::npos);
  EXPECT_TRUE(found.error().message.ends_with("; set [nat] resolvers")) << found.error().message;
  write(files_.behind_stub, "nameserver 169.254.169.253\n");
  EXPECT_NE(servers("nameserver 127.0.0.53\n").find("169.254.169.253"), std::string::npos);
  fs::remove(files_.resolv_conf);
  fs::remove(files_.behind_stub);
  const auto missing = host_resolvers(Families::kBoth, files_);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("No such file"), std::string::npos);
}

TEST_F(ResolversTest, ComeWithTheSearchListAndWhatQuestionsNeed) {
  const auto found = read(
      "nameserver 203.0.113.53\ndomain one.test\nsearch a.test b_c.test \x1b[31m.test "
      "b\xc3\xa4r.test\n"
      "options ndots:5 timeout:30 attempts:9 edns0 trust-ad debug inet6\noptions ndots:2 use-vc\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->resolvers.search, (std::vector<std::string>{"a.test", "b_c.test"}));
  EXPECT_EQ(found->resolvers.options, (std::vector<std::string>{"edns0", "ndots:2", "use-vc"}));
  ASSERT_EQ(found->problems.size(), 2U);
  EXPECT_EQ(found->problems[0], "search ?[31m.test is left out: it is no domain");
  EXPECT_EQ(resolv_conf(found->resolvers),
            "nameserver 203.0.113.53\nsearch a.test b_c.test\n"
            "options timeout:2 attempts:2 edns0 ndots:2 use-vc\n");
}

TEST_F(ResolversTest, AreNotMisledByWhatIsNoAddress) {
  const std::string nul("nameserver 203.0.113.9\0x\n", 25);
  const std::string text =
      "nameserver dns.example\nnameserver 203.0.113\nnameserver 203.0.113.1/24\n" + nul +
      "nameserver " + std::string(10'000, '1') + "\nnameserver 203.0.113.53\n";
  const auto found = read(text);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->resolvers.servers, std::vector{ip::make_address("203.0.113.53")});
  ASSERT_EQ(found->problems.size(), 5U);
  EXPECT_EQ(found->problems[3], "nameserver 203.0.113.9?x is left out: it is no address");
  EXPECT_LT(found->problems[4].size(), 120U);
}

TEST_F(ResolversTest, OfAFileWithoutEndAreThoseAtItsBeginning) {
  write(files_.resolv_conf, "nameserver 203.0.113.53\n");
  // Sparse: it is never there as a whole.
  ASSERT_EQ(::truncate(files_.resolv_conf.c_str(), 1L << 30), 0);
  auto found = host_resolvers(Families::kBoth, files_);
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->resolvers.servers.size(), 1U);
  ASSERT_EQ(found->problems.size(), 1U);
  EXPECT_NE(found->problems[0].find("64 KiB"), std::string::npos);
  // A line that is cut is not half an address.
  const std::string line = "nameserver 203.0.113.5";
  EXPECT_EQ(servers("nameserver 203.0.113.1\n" + std::string((64 << 10) - 24 - line.size(), '#') +
                    "\n" + line + "3\n"),
            "203.0.113.1");
  // Thousands of lines do not become thousands of lines of the log.
  std::string many = "nameserver 203.0.113.53\n";
  while (many.size() < 60'000) many += "nameserver 127.0.0.1\nsearch \x01\n";
  found = read(many);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->problems.size(), 8U);
}

TEST_F(ResolversTest, AreReadFromFilesOnly) {
  ASSERT_EQ(::mkfifo(files_.resolv_conf.c_str(), 0600), 0);
  write(files_.behind_stub, "nameserver 203.0.113.7\n");
  EXPECT_TRUE(host_resolvers(Families::kBoth, files_)) << "without waiting for a writer";
  for (const char* no_file : {"/dev/zero", "/"}) {
    EXPECT_FALSE(host_resolvers(Families::kBoth, {no_file, no_file}));
  }
  // Garbage of any kind is no crash.
  std::string garbage;
  unsigned state = 1;
  for (int i = 0; i < 60'000; ++i) {
    state = state * 1'103'515'245 + 12'345;
    garbage += static_cast<char>(state >> 16);
    if (state >> 28 == 0) garbage += "\nnameserver ";
  }
  fs::remove(files_.resolv_conf);
  EXPECT_TRUE(read(garbage)) << "what is behind it";
}

TEST_F(ResolversTest, AreNeverTheHostItself) {
  if (const auto missing = testing::missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
  const testing::World world;
  EXPECT_EQ(servers("nameserver 198.51.100.1\nnameserver 198.51.100.2\n"), "198.51.100.2");
  EXPECT_EQ(servers("nameserver 2001:db8:1::1\nnameserver 2001:db8:1::2\n"), "2001:db8:1::2");
  EXPECT_NE(servers("nameserver 198.51.100.1\n").find("the host itself"), std::string::npos);
  EXPECT_TRUE(configured_resolvers({ip::make_address("198.51.100.2")}, Families::kIpv4));
  EXPECT_FALSE(configured_resolvers({ip::make_address("198.51.100.1")}, Families::kIpv4));
}

TEST(ConfiguredResolvers, AreAllOfUse) {
  const auto address = [](const char* text) { return ip::make_address(text); };
  const auto good =
      configured_resolvers({address("203.0.113.1"), address("10.0.0.53")}, Families::kIpv4);
  ASSERT_TRUE(good) << good.error().describe();
  EXPECT_EQ(resolv_conf(*good),
            "nameserver 203.0.113.1\nnameserver 10.0.0.53\noptions timeout:2 attempts:2\n");
  for (const char* bad : {"127.0.0.1", "169.254.169.254", "fe80::1", "2001:db8::1"}) {
    const auto refused =
        configured_resolvers({address("203.0.113.1"), address(bad)}, Families::kIpv4);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::kInvalid);
    EXPECT_NE(refused.error().message.find(bad), std::string::npos);
  }
  EXPECT_TRUE(configured_resolvers({address("2001:db8::1")}, Families::kBoth));
  EXPECT_FALSE(configured_resolvers({}, Families::kBoth));
  EXPECT_FALSE(configured_resolvers(std::vector(4, address("203.0.113.1")), Families::kBoth));
}

/// The networks in a set of the rules.
std::vector<std::string> elements_of(const std::string& rules, const std::string& set) {
  const auto from = rules.find("{", rules.find("elements", rules.find("set " + set + " "))) + 1;
  std::vector<std::string> elements;
  std::string word;
  for (const char c : rules.substr(from, rules.find('}', from) - from) + ",") {
    if (c == ',') {
      elements.push_back(std::move(word));
      word.clear();
    } else if (c != ' ') {
      word += c;
    }
  }
  return elements;
}

TEST(UnreachableResolvers, AreThoseThatTheFirewallNeverLetsPass) {
  const auto rules =
      rules_of_instance(InstanceName::parse("test").value(), testing::address_plan());
  int checked = 0;
  for (const char* set : {"never4", "never6"}) {
    for (const auto& element : elements_of(rules, set)) {
      const auto network = element.substr(0, element.find('/'));
      const auto first = ip::make_address(network);
      EXPECT_NE(why_unreachable(first, Families::kBoth), "") << element;
      const auto last = first.is_v4() ? ip::address(element.contains('/')
                                                        ? ip::make_network_v4(element).broadcast()
                                                        : first.to_v4())
                                      : first;
      EXPECT_NE(why_unreachable(last, Families::kBoth), "") << element;
      ++checked;
    }
    for (const auto& element :
         elements_of(rules, std::string("private") + std::string(set).back())) {
      const auto network = ip::make_address(element.substr(0, element.find('/')));
      EXPECT_EQ(why_unreachable(network, Families::kBoth), "") << element;
    }
  }
  EXPECT_GE(checked, 10);
  for (const char* fine : {"203.0.113.1", "100.100.100.201", "168.63.129.15", "126.255.255.255",
                           "128.0.0.1", "2001:db8::1", "fd00:ec3::1", "fd20:ce::255", "1::"}) {
    EXPECT_EQ(why_unreachable(ip::make_address(fine), Families::kBoth), "") << fine;
  }
}

TEST(ResolvConfText, FitsWhateverTheHostSays) {
  Resolvers most;
  for (int i = 0; i < 3; ++i) {
    most.servers.push_back(
        ip::make_address("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.25" + std::to_string(i)));
  }
  most.search = {std::string(128, 'a'), std::string(126, 'b')};
  most.options = {"edns0",          "no-aaaa",  "no-tld-query", "rotate",
                  "single-request", "ndots:15", "use-vc",       "single-request-reopen"};
  EXPECT_LT(resolv_conf(most).size(), 1000U);
}

}  // namespace
}  // namespace sock::netns
