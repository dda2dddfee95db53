#include "netns-pool/egress_text.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

namespace sock::netns {
namespace {

using boost::asio::ip::make_network_v4;
using boost::asio::ip::make_network_v6;

using Texts = std::vector<std::string>;

Egress egress_of(const Texts& entries) {
  auto egress = parse_egress(entries);
  EXPECT_TRUE(egress) << egress.error().message;
  return egress.value_or(Egress{});
}

std::string error_of(const Texts& entries) {
  const auto egress = parse_egress(entries);
  if (egress) return "(accepted)";
  EXPECT_EQ(egress.error().code, Code::kInvalid);
  return egress.error().message;
}

TEST(EgressText, ReadsEveryForm) {
  const auto read = [](const char* text) {
    auto destination = parse_destination(text);
    EXPECT_TRUE(destination) << text << ": " << destination.error().message;
    return destination.value_or(Destination{});
  };
  const Destination all = read("10.1.2.0/24");
  EXPECT_EQ(all.network, Prefix(make_network_v4("10.1.2.0/24")));
  EXPECT_EQ(all.protocol, Protocol::kAny);
  EXPECT_TRUE(all.ports.empty());

  const Destination one = read("10.1.2.3:5432");
  EXPECT_EQ(one.network, Prefix(make_network_v4("10.1.2.3/32")));
  EXPECT_EQ(one.protocol, Protocol::kTcp);
  ASSERT_EQ(one.ports.size(), 1U);
  EXPECT_EQ(one.ports[0].first, 5432);
  EXPECT_EQ(one.ports[0].last, 5432);

  const Destination range = read("[fd00::/64]:8000-8080/udp");
  EXPECT_EQ(range.network, Prefix(make_network_v6("fd00::/64")));
  EXPECT_EQ(range.protocol, Protocol::kUdp);
  ASSERT_EQ(range.ports.size(), 1U);
  EXPECT_EQ(range.ports[0].first, 8000);
  EXPECT_EQ(range.ports[0].last, 8080);

  const Destination udp = read("203.0.113.9/udp");
  EXPECT_EQ(udp.protocol, Protocol::kUdp);
  EXPECT_TRUE(udp.ports.empty());
  EXPECT_EQ(read("fd00::1:443").network, Prefix(make_network_v6("fd00::1:443/128")));
}

TEST(EgressText, CanonicalTextReadsBack) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"10.1.2.0/24", "10.1.2.0/24"},
      {"10.1.2.3/32", "10.1.2.3"},
      {"10.1.2.3:5432/tcp", "10.1.2.3:5432"},
      {"10.1.2.3:53/udp", "10.1.2.3:53/udp"},
      {"10.0.0.0/8:8000-8080/tcp", "10.0.0.0/8:8000-8080"},
      {"10.0.0.0/8:80-80", "10.0.0.0/8:80"},
      {"10.0.0.0/8:1-65535", "10.0.0.0/8:1-65535"},
      {"10.0.0.0/8/tcp", "10.0.0.0/8/tcp"},
      {"203.0.113.9/udp", "203.0.113.9/udp"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"::/0", "::/0"},
      {"fd00::/8", "fd00::/8"},
      {"[fd00::/8]", "fd00::/8"},
      {"[fd00::1]/tcp", "fd00::1/tcp"},
      {"FD00:0:0::1", "fd00::1"},
      {"[fd00::1]:443", "[fd00::1]:443"},
      {"[fd00::/64]:53/udp", "[fd00::/64]:53/udp"},
      {"[fd00:1:2:3:4:5:6:7/128]:65534-65535/tcp", "[fd00:1:2:3:4:5:6:7]:65534-65535"},
  };
  for (const auto& [text, canonical] : table) {
    const auto destination = parse_destination(text);
    ASSERT_TRUE(destination) << text << ": " << destination.error().message;
    EXPECT_EQ(to_texts(*destination), Texts{canonical});
    const auto again = parse_destination(canonical);
    ASSERT_TRUE(again) << canonical;
    EXPECT_EQ(to_texts(*again), Texts{canonical});
    EXPECT_EQ(again->network, destination->network);
    EXPECT_EQ(again->protocol, destination->protocol);
    EXPECT_EQ(again->ports.size(), destination->ports.size());
  }
}

TEST(EgressText, SeveralRangesAreSeveralEntries) {
  const Destination destination{.network = make_network_v4("10.0.0.0/8"),
                                .protocol = Protocol::kTcp,
                                .ports = {{80, 80}, {8000, 8080}}};
  EXPECT_EQ(to_texts(destination), (Texts{"10.0.0.0/8:80", "10.0.0.0/8:8000-8080"}));
}

TEST(EgressText, ListsKeepTheirOrderAndDropRepetitions) {
  EXPECT_EQ(
      to_texts(egress_of({"10.0.0.1:443/tcp", "internet", "fd00::/8", "10.0.0.1:443", "internet"})),
      (Texts{"internet", "10.0.0.1:443", "fd00::/8"}));
  EXPECT_FALSE(egress_of({"10.0.0.1"}).internet);
  EXPECT_EQ(to_texts(Egress()), Texts{"internet"});
}

TEST(EgressText, RefusalsQuoteTheEntryAndSayWhy) {
  const std::string form =
      "; write internet, or an address or network, then a port or ports and /tcp or /udp if need "
      "be, such as 10.1.2.0/24, 10.1.2.3:5432 or [fd00::/64]:53/udp";
  const std::string name =
      " is a name, and what a name resolves to changes; write its addresses, or a network, such as "
      "10.1.2.3:5432 or 10.1.2.0/24";
  const std::string port = " has a port that is not a number from 1 to 65535, or two as 8000-8080";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"10.1.2.3/24", " has host bits set; the network is 10.1.2.0/24"},
      {"10.1.2.3/24:80", " has host bits set; the network is 10.1.2.0/24"},
      {"[fd00::1/64]:80", " has host bits set; the network is fd00::/64"},
      {"10.0.0.0/33", " has a length that is not 0 to 32"},
      {"10.0.0.0/08", " has a length that is not 0 to 32"},
      {"10.0.0.0/", " has a length that is not 0 to 32"},
      {"10.0.0.0/-1", " has a length that is not 0 to 32"},
      {"10.0.0.0/4294967304", " has a length that is not 0 to 32"},
      {"fd00::/129", " has a length that is not 0 to 128"},
      {"10.0.0.1:0", port},
      {"10.0.0.1:", port},
      {"10.0.0.1:65536", port},
      {"10.0.0.1:080", port},
      {"10.0.0.1:+80", port},
      {"10.0.0.1:80-", port},
      {"10.0.0.1:-80", port},
      {"10.0.0.1:80-90-99", port},
      {"10.0.0.1:80,443", port},
      {"10.0.0.1:99999999999999999999", port},
      {"10.0.0.1:443/tcp/tcp", port},
      {"10.0.0.1:443-80", " has a range of ports that ends before it begins"},
      {"10.0.0.1:443/sctp", " has a protocol that is not tcp or udp"},
      {"10.0.0.0/8/icmp", " has a protocol that is not tcp or udp"},
      {"10.0.0.1:443/TCP", " has a protocol that is not tcp or udp"},
      {"example.com", name},
      {"example.com:443", name},
      {"*.example.com:443/tcp", name},
      {"db", name},
      {"https://example.com/", name},
      {"Internet", name},
      {"", " is not an IP address or network" + form},
      {" 10.0.0.1", " is not an IP address or network" + form},
      {"10.0.0.1 ", " is not an IP address or network" + form},
      {"10.0.0", " is not an IP address or network" + form},
      {"10.0.0.01", " is not an IP address or network" + form},
      {"0x0a.0.0.1", name},
      {"167772161", " is not an IP address or network" + form},
      {"fe80::1%eth0", " is not an IP address or network" + form},
      {"::1::2", " is not an IP address or network" + form},
      {"fd00::/64:53/udp", " has a length that is not 0 to 128"},
      {"[10.0.0.1]:80", " has brackets around IPv4; they are for IPv6"},
      {"[fd00::1", " has a bracket out of place" + form},
      {"[fd00::]/64", " has a bracket out of place" + form},
      {"[fd00::1]443", " has a bracket out of place" + form},
      {"[]:80", " is not an IP address or network" + form},
      {"10.0.0.1; flush ruleset", " is not an IP address or network" + form},
  };
  for (const auto& [entry, why] : table) EXPECT_EQ(error_of({entry}), "\"" + entry + "\"" + why);
  EXPECT_EQ(error_of({std::string("10.0.0.1\0", 9)}),
            "\"10.0.0.1\\x00\" is not an IP address or network" + form);
  EXPECT_EQ(error_of({"\x1b[2J"}), "\"\\x1b[2J\" is not an IP address or network" + form);
  EXPECT_TRUE(error_of({std::string(1'000'000, '1')}).find("…\" is too long") != std::string::npos);
  EXPECT_EQ(error_of({}), "names no destination");
  // The good ones do not hide the bad one.
  EXPECT_EQ(error_of({"internet", "10.0.0.1", "x"}), "\"x\"" + name);
}

TEST(EgressText, ListsAreBounded) {
  Texts entries = {"internet"};
  for (unsigned i = 0; i < Egress::kMostRules; ++i)
    entries.push_back("10.0.0." + std::to_string(i));
  EXPECT_EQ(egress_of(entries).allowed.size(), Egress::kMostRules);
  entries.emplace_back("10.0.0.0");
  EXPECT_EQ(egress_of(entries).allowed.size(), Egress::kMostRules);
  entries.emplace_back("10.0.1.0");
  EXPECT_EQ(error_of(entries), "names 65 destinations; at most 64 are possible beside internet");
}

TEST(EgressText, WhateverIsReadIsWrittenTheSame) {
  std::mt19937 random(20'240'607);  // NOLINT(cert-msc51-cpp): every run the same
  const Texts seeds = {"10.1.2.0/24",        "10.1.2.3:5432", "10.0.0.0/8:8000-8080/tcp",
                       "[fd00::/64]:53/udp", "[fd00::1]:443", "fd00::/8",
                       "203.0.113.9/udp",    "internet"};
  const std::string alphabet = "0123456789abcdef.:/[]-tcpudp %\n\x80";
  const auto below = [&](std::size_t end) { return random() % end; };
  std::size_t accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = seeds[below(seeds.size())];
    for (std::size_t changes = below(3) + 1; changes > 0; --changes) {
      const std::size_t at = below(text.size() + 1);
      const char c = alphabet[below(alphabet.size())];
      switch (below(3)) {
        case 0:
          text.insert(at, 1, c);
          break;
        case 1:
          text.erase(at, 1 + below(3));
          break;
        default:
          if (at < text.size()) text[at] = c;
      }
    }
    const auto destination = parse_destination(text);
    if (!destination) {
      ASSERT_EQ(destination.error().code, Code::kInvalid);
      continue;
    }
    ++accepted;
    const Texts canonical = to_texts(*destination);
    ASSERT_EQ(canonical.size(), 1U) << text;
    const auto again = parse_destination(canonical[0]);
    ASSERT_TRUE(again) << text << " → " << canonical[0];
    ASSERT_EQ(to_texts(*again), canonical) << text;
    Egress both{.internet = false, .allowed = {*again}};
    ASSERT_TRUE(contains(both, *destination)) << text;
  }
  EXPECT_GT(accepted, 10'000U);
}

TEST(EgressText, ContainsWhatIsNoWider) {
  const auto permits = [](const Texts& permitted, const char* wanted) {
    return contains(egress_of(permitted), parse_destination(wanted).value());
  };
  EXPECT_TRUE(permits({"10.0.0.0/8"}, "10.0.0.0/8"));
  EXPECT_TRUE(permits({"10.0.0.0/8"}, "10.1.2.3:443/udp"));
  EXPECT_TRUE(permits({"10.0.0.0/8"}, "10.1.0.0/16"));
  EXPECT_FALSE(permits({"10.0.0.0/8"}, "10.0.0.0/7"));
  EXPECT_FALSE(permits({"10.0.0.0/8"}, "11.0.0.1"));
  EXPECT_FALSE(permits({"10.0.0.0/8"}, "fd00::1"));
  EXPECT_FALSE(permits({"::/0"}, "10.0.0.1"));
  EXPECT_TRUE(permits({"::/0"}, "fd00::1"));

  EXPECT_TRUE(permits({"10.0.0.0/8/tcp"}, "10.0.0.1:443"));
  EXPECT_TRUE(permits({"10.0.0.0/8/tcp"}, "10.0.0.1/tcp"));
  EXPECT_FALSE(permits({"10.0.0.0/8/tcp"}, "10.0.0.1"));
  EXPECT_FALSE(permits({"10.0.0.0/8/tcp"}, "10.0.0.1:443/udp"));

  EXPECT_TRUE(permits({"10.0.0.0/8:8000-8080"}, "10.0.0.1:8000-8080"));
  EXPECT_TRUE(permits({"10.0.0.0/8:8000-8080"}, "10.0.0.1:8080"));
  EXPECT_FALSE(permits({"10.0.0.0/8:8000-8080"}, "10.0.0.1:7999-8080"));
  EXPECT_FALSE(permits({"10.0.0.0/8:8000-8080"}, "10.0.0.1:8000-8081"));
  EXPECT_FALSE(permits({"10.0.0.0/8:8000-8080"}, "10.0.0.1/tcp"));
  EXPECT_FALSE(permits({"10.0.0.0/8:8000-8080"}, "10.0.0.1:8000/udp"));
  // One range, not two that meet.
  EXPECT_FALSE(permits({"10.0.0.0/8:1-10", "10.0.0.0/8:11-20"}, "10.0.0.1:5-15"));
  EXPECT_TRUE(permits({"10.0.0.0/8:1-10", "10.0.0.0/16:5-20"}, "10.0.0.1:5-15"));

  Destination several = parse_destination("10.0.0.1:80").value();
  several.ports.push_back({8080, 8080});
  EXPECT_FALSE(contains(egress_of({"10.0.0.0/8:80"}), several));
  EXPECT_TRUE(contains(egress_of({"10.0.0.0/8:80", "10.0.0.0/24:8000-8080"}), several));
}

TEST(EgressText, InternetIsWhatIsNotPrivate) {
  const Egress internet;
  for (const char* const text :
       {"203.0.113.9", "8.8.8.8:53/udp", "1.0.0.0/8", "11.0.0.0/8", "2001:db8::/32", "2a00::/12",
        "[2606:4700::1]:443", "172.32.0.0/11", "192.169.0.0/16"}) {
    EXPECT_TRUE(contains(internet, parse_destination(text).value())) << text;
  }
  for (const char* const text :
       {"10.0.0.1", "10.0.0.0/7", "0.0.0.0/0", "172.16.0.0/12", "172.31.255.255", "192.168.1.1:443",
        "192.168.0.0/15", "100.64.0.1", "198.18.0.1", "fd00::1", "fc00::/7", "::/0",
        "64:ff9b::a00:1", "2002:a00:1::", "2001:0:1::1", "2000::/3"}) {
    EXPECT_FALSE(contains(internet, parse_destination(text).value())) << text;
  }
}

TEST(EgressText, FindsTheFirstEntryBeyond) {
  const auto beyond = [](const Texts& permitted, const Texts& wanted) {
    return first_beyond(egress_of(permitted), egress_of(wanted)).value_or("(none)");
  };
  EXPECT_EQ(beyond({"internet"}, {"internet", "203.0.113.9:443"}), "(none)");
  EXPECT_EQ(beyond({"internet"}, {"203.0.113.9", "10.0.0.1:443/tcp", "10.0.0.2"}), "10.0.0.1:443");
  EXPECT_EQ(beyond({"10.0.0.0/8"}, {"10.0.0.1", "internet"}), "internet");
  EXPECT_EQ(beyond({"0.0.0.0/0"}, {"internet"}), "internet");
  EXPECT_EQ(beyond({"0.0.0.0/0", "::/0/tcp"}, {"internet"}), "internet");
  EXPECT_EQ(beyond({"0.0.0.0/0", "::/0"}, {"internet", "10.0.0.1"}), "(none)");
  Egress several = egress_of({"10.0.0.1:80"});
  several.allowed[0].ports.push_back({8080, 8080});
  EXPECT_EQ(first_beyond(egress_of({"10.0.0.0/8:80"}), several), "10.0.0.1:8080");
  // Even what contradicts itself does not slip through.
  several.allowed[0].protocol = Protocol::kAny;
  EXPECT_TRUE(first_beyond(egress_of({"10.0.0.0/8/tcp"}), several));
}

TEST(EgressText, WhatNobodyReachesIsRefused) {
  const auto plan =
      AddressPlan::create(make_network_v4("10.107.0.0/16"), make_network_v6("fd53:1::/64")).value();
  const auto error = [](const char* text, const AddressPlan* own) {
    const auto checked = check_reachable(egress_of({"internet", text}), own);
    if (checked) return std::string("(reachable)");
    EXPECT_EQ(checked.error().code, Code::kInvalid);
    return checked.error().message;
  };
  EXPECT_EQ(error("169.254.169.254:80", &plan),
            "\"169.254.169.254:80\" can never be reached: 169.254.0.0/16 is link-local, and "
            "metadata services of clouds");
  EXPECT_EQ(error("127.0.0.1", nullptr),
            "\"127.0.0.1\" can never be reached: 127.0.0.0/8 is loopback");
  EXPECT_EQ(error("10.107.3.0/24:80", &plan),
            "\"10.107.3.0/24:80\" can never be reached: 10.107.0.0/16 is the sandboxes' own, who "
            "cannot reach each other or the host");
  for (const char* const text :
       {"0.0.0.0", "100.100.100.200", "168.63.129.16/tcp", "224.0.0.1", "255.255.255.255", "::1",
        "fe80::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254", "::ffff:10.0.0.1", "fe80::/9"}) {
    EXPECT_NE(error(text, nullptr), "(reachable)") << text;
    EXPECT_NE(error(text, &plan), "(reachable)") << text;
  }
  EXPECT_NE(error("fd53:1::5", &plan), "(reachable)");
  EXPECT_NE(error("10.107.0.0/16", &plan), "(reachable)");
  for (const char* const text : {"0.0.0.0/0", "::/0", "10.0.0.0/8", "fd00::/8", "10.106.0.0/15",
                                 "126.0.0.0/7", "fe00::/8", "192.0.0.0/23", "203.0.113.9"}) {
    EXPECT_EQ(error(text, &plan), "(reachable)") << text;
  }
  EXPECT_EQ(error("10.107.3.0/24", nullptr), "(reachable)");
  const auto ipv4_only = AddressPlan::create(make_network_v4("10.107.0.0/16"), {}).value();
  EXPECT_EQ(error("[fd00::1]:443", &ipv4_only),
            "\"[fd00::1]:443\" can never be reached: sandboxes have no IPv6 here");
}

}  // namespace
}  // namespace sock::netns
