#include "netns-pool/route_inventory.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_addrlabel.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "netns-pool/attribute_text.h"
#include "netns-pool/netlink_dump.h"

namespace sock::netns {
namespace {

// What changes by itself is left out; what no table names is compared byte by byte.

// The settings of the link's families are in /proc/sys/net, too, and read there.
constexpr AttributeName kLinkNames[] = {
    {IFLA_ADDRESS, "mac", Form::kAddress},
    {IFLA_BROADCAST, "broadcast", Form::kAddress},
    {IFLA_IFNAME, "name", Form::kLeftOut},
    {IFLA_MTU, "mtu"},
    {IFLA_LINK, "link"},
    {IFLA_QDISC, "", Form::kLeftOut},
    {IFLA_STATS, "", Form::kLeftOut},
    {IFLA_MASTER, "master"},
    {IFLA_TXQLEN, "txqlen"},
    {IFLA_MAP, "", Form::kLeftOut},
    {IFLA_OPERSTATE, "operstate"},
    {IFLA_LINKMODE, "mode"},
    {IFLA_LINKINFO, "info", Form::kLeftOut},
    {IFLA_IFALIAS, "alias", Form::kText},
    {IFLA_STATS64, "", Form::kLeftOut},
    {IFLA_AF_SPEC, "", Form::kLeftOut},
    {IFLA_GROUP, "group"},
    {IFLA_PROMISCUITY, "promiscuity"},
    {IFLA_NUM_TX_QUEUES, "txqueues"},
    {IFLA_NUM_RX_QUEUES, "rxqueues"},
    {IFLA_CARRIER, "carrier"},
    {IFLA_CARRIER_CHANGES, "", Form::kLeftOut},
    {IFLA_LINK_NETNSID, "peer-namespace"},
    {IFLA_PROTO_DOWN, "protodown"},
    {IFLA_GSO_MAX_SEGS, "gso-max-segs"},
    {IFLA_GSO_MAX_SIZE, "gso-max-size"},
    {IFLA_XDP, "xdp", Form::kBytes},
    {IFLA_CARRIER_UP_COUNT, "", Form::kLeftOut},
    {IFLA_CARRIER_DOWN_COUNT, "", Form::kLeftOut},
    {IFLA_MIN_MTU, "min-mtu"},
    {IFLA_MAX_MTU, "max-mtu"},
    {IFLA_PROP_LIST, "names", Form::kBytes},
    {IFLA_GRO_MAX_SIZE, "gro-max-size"},
};
constexpr AttributeName kLinkInfoNames[] = {
    {IFLA_INFO_KIND, "kind", Form::kText},
    {IFLA_INFO_DATA, "data", Form::kBytes},
    {IFLA_INFO_XSTATS, "", Form::kLeftOut},
};
constexpr AttributeName kAddressNames[] = {
    {IFA_ADDRESS, "address", Form::kAddress},
    {IFA_LOCAL, "local", Form::kAddress},
    {IFA_LABEL, "label", Form::kText},
    {IFA_BROADCAST, "broadcast", Form::kAddress},
    {IFA_CACHEINFO, "", Form::kLeftOut},
    {IFA_FLAGS, "", Form::kLeftOut},
    {IFA_RT_PRIORITY, "metric"},
    {IFA_PROTO, "protocol"},
};
constexpr AttributeName kRouteNames[] = {
    {RTA_DST, "", Form::kLeftOut},
    {RTA_TABLE, "", Form::kLeftOut},
    {RTA_SRC, "from", Form::kAddress},
    {RTA_IIF, "iif"},
    {RTA_OIF, "oif"},
    {RTA_GATEWAY, "via", Form::kAddress},
    {RTA_PRIORITY, "metric"},
    {RTA_PREFSRC, "src", Form::kAddress},
    {RTA_METRICS, "metrics", Form::kBytes},
    {RTA_MULTIPATH, "multipath", Form::kBytes},
    {RTA_CACHEINFO, "", Form::kLeftOut},
    {RTA_MFC_STATS, "", Form::kLeftOut},
    {RTA_PREF, "pref"},
    {RTA_EXPIRES, "", Form::kLeftOut},
    {RTA_NH_ID, "nexthop"},
};
constexpr AttributeName kRuleNames[] = {
    {FRA_DST, "to", Form::kAddress},
    {FRA_SRC, "from", Form::kAddress},
    {FRA_IIFNAME, "iif", Form::kText},
    {FRA_GOTO, "goto"},
    {FRA_PRIORITY, "", Form::kLeftOut},
    {FRA_FWMARK, "mark"},
    {FRA_TABLE, "table"},
    {FRA_FWMASK, "mask"},
    {FRA_OIFNAME, "oif", Form::kText},
    {FRA_PROTOCOL, "protocol"},
};
constexpr AttributeName kNeighbourNames[] = {
    {NDA_DST, "", Form::kLeftOut},
    {NDA_LLADDR, "mac", Form::kAddress},
    {NDA_CACHEINFO, "", Form::kLeftOut},
    {NDA_PROBES, "", Form::kLeftOut},
};
constexpr AttributeName kNexthopNames[] = {
    {NHA_ID, "", Form::kLeftOut},
    {NHA_GROUP, "group", Form::kBytes},
    {NHA_OIF, "oif"},
    {NHA_GATEWAY, "via", Form::kAddress},
};
constexpr AttributeName kQueueNames[] = {
    {TCA_KIND, "kind", Form::kText},
    {TCA_STATS, "", Form::kLeftOut},
    {TCA_XSTATS, "", Form::kLeftOut},
    {TCA_STATS2, "", Form::kLeftOut},
};
constexpr AttributeName kLabelNames[] = {
    {IFAL_ADDRESS, "", Form::kLeftOut},
    {IFAL_LABEL, "label"},
};

std::string_view family_name(int family) {
  switch (family) {
    case AF_INET:
      return "";
    case AF_INET6:
      return "IPv6 ";
    case RTNL_FAMILY_IPMR:
      return "multicast ";
    case RTNL_FAMILY_IP6MR:
      return "IPv6 multicast ";
    default:
      return "other ";
  }
}

std::string_view route_type(unsigned type) {
  constexpr std::array<std::string_view, 12> kNames{
      "route",          "route",           "local route",     "broadcast route",
      "anycast route",  "multicast route", "blackhole route", "unreachable route",
      "prohibit route", "throw route",     "nat route",       "resolve route"};
  return type < kNames.size() ? kNames[type] : "route";
}

class Lister {
 public:
  Lister(int socket, std::vector<Item>& items) : socket_(socket), items_(items) {}

  Result<> run() {
    auto done = links();
    if (done) done = addresses();
    ifaddrlblmsg ipv6{};
    ipv6.ifal_family = AF_INET6;  // nobody answers for all families
    if (done) done = list(RTM_GETADDRLABEL, ipv6, "address labels", &Lister::label);
    if (done) done = list(RTM_GETROUTE, rtmsg{}, "routes", &Lister::route);
    if (done) done = list(RTM_GETRULE, fib_rule_hdr{}, "rules", &Lister::rule);
    if (done) done = list(RTM_GETNEXTHOP, nhmsg{}, "nexthops", &Lister::nexthop);
    if (done) done = list(RTM_GETNEIGH, ndmsg{}, "neighbours", &Lister::neighbour);
    ndmsg kind{};
    kind.ndm_flags = NTF_PROXY;
    if (done) done = list(RTM_GETNEIGH, kind, "proxies", &Lister::neighbour);
    kind.ndm_flags = 0;
    kind.ndm_family = AF_BRIDGE;
    if (done) done = list(RTM_GETNEIGH, kind, "link-layer addresses", &Lister::link_layer);
    if (done) done = list(RTM_GETQDISC, tcmsg{}, "queueing disciplines", &Lister::queue);
    return done;
  }

  /// The route comes last.
  [[nodiscard]] bool settled() const {
    return std::ranges::all_of(own_, [this](const std::string& address) {
      return address.find(':') == std::string::npos || local_.contains(address);
    });
  }

 private:
  using Visit = void (Lister::*)(const nlmsghdr&);

  template <class Header>
  Result<> list(int type, const Header& header, std::string_view what, Visit visit) {
    NetlinkQuestion question;
    question.type = static_cast<std::uint16_t>(type);
    question.flags = NLM_F_DUMP;
    question.payload = {reinterpret_cast<const char*>(&header), sizeof header};
    question.what = what;
    auto answer = ask_netlink(socket_, question);
    // A kernel without the feature has nothing of the kind.
    if (!answer && answer.error().sys_errno == EOPNOTSUPP) return {};
    if (!answer) return std::unexpected(answer.error());
    if (answer->cut()) return fail(Code::kInternal, "inventory", std::string(what) + ": too many");
    answer->each([&](const nlmsghdr& message) { (this->*visit)(message); });
    return {};
  }

  void add(Stain stain, std::string what, std::string state) {
    items_.push_back({stain, std::move(what), std::move(state)});
  }

  [[nodiscard]] std::string name_of(int index) const {
    const auto found = names_.find(index);
    return found == names_.end() ? "link " + std::to_string(index) : found->second;
  }

  Result<> links() {
    struct {
      ifinfomsg header;
      nlattr attribute;
      std::uint32_t value;
    } request{};
    request.attribute.nla_len = sizeof request.attribute + sizeof request.value;
    request.attribute.nla_type = IFLA_EXT_MASK;
    request.value = RTEXT_FILTER_SKIP_STATS;
    return list(RTM_GETLINK, request, "links", &Lister::link);
  }

  void link(const nlmsghdr& message) {
    const auto header = header_of<ifinfomsg>(message);
    const Attributes attributes(message, sizeof header);
    const auto name = attributes.find(IFLA_IFNAME, Form::kText);
    names_[header.ifi_index] = name;
    if ((header.ifi_flags & IFF_LOOPBACK) != 0) loopback_ = header.ifi_index;
    std::string state = word("index", static_cast<std::uint64_t>(header.ifi_index));
    state += (header.ifi_flags & IFF_UP) != 0 ? " state=up" : " state=down";
    state += word("flags", header.ifi_flags) + word("type", header.ifi_type);
    state += attributes.text(kLinkNames);
    state += Attributes(attributes.find(IFLA_LINKINFO)).text(kLinkInfoNames);
    const Attributes families(attributes.find(IFLA_AF_SPEC));
    const Attributes ipv6(families.find(AF_INET6));
    state += " token=" + ipv6.find(IFLA_INET6_TOKEN, Form::kAddress);
    add(Stain::kLink, "link " + name, std::move(state));
  }

  Result<> addresses() { return list(RTM_GETADDR, ifaddrmsg{}, "addresses", &Lister::address); }

  void address(const nlmsghdr& message) {
    const auto header = header_of<ifaddrmsg>(message);
    const Attributes attributes(message, sizeof header);
    auto own = attributes.find(IFA_LOCAL, Form::kAddress);
    if (own.empty()) own = attributes.find(IFA_ADDRESS, Form::kAddress);
    own_.push_back(own);
    // Whether others have it is found out by the kernel in its own time.
    const auto flags =
        attributes.number(IFA_FLAGS) & ~std::uint32_t{IFA_F_TENTATIVE | IFA_F_OPTIMISTIC};
    add(Stain::kAddress,
        "address " + own + "/" + std::to_string(header.ifa_prefixlen) + " on " +
            name_of(static_cast<int>(header.ifa_index)),
        word("scope", header.ifa_scope) + word("flags", flags) + attributes.text(kAddressNames));
  }

  void label(const nlmsghdr& message) {
    const auto header = header_of<ifaddrlblmsg>(message);
    const Attributes attributes(message, sizeof header);
    add(Stain::kAddress,
        "label of " + attributes.find(IFAL_ADDRESS, Form::kAddress) + "/" +
            std::to_string(header.ifal_prefixlen),
        word("index", header.ifal_index) + attributes.text(kLabelNames));
  }

  void route(const nlmsghdr& message) {
    const auto header = header_of<rtmsg>(message);
    const Attributes attributes(message, sizeof header);
    const auto to = attributes.find(RTA_DST, Form::kAddress);
    if (header.rtm_type == RTN_LOCAL) local_.insert(to);
    const bool learnt = (header.rtm_flags & RTM_F_CLONED) != 0;
    std::string what(family_name(header.rtm_family));
    what += learnt ? "exception" : route_type(header.rtm_type);
    what += " to " + (to.empty() ? "default" : to + "/" + std::to_string(header.rtm_dst_len));
    if (const auto gateway = attributes.find(RTA_GATEWAY, Form::kAddress); !gateway.empty()) {
      what += " via " + gateway;
    }
    if (const auto index = attributes.number(RTA_OIF); index != 0) {
      what += " on " + name_of(static_cast<int>(index));
    }
    const auto table = attributes.number(RTA_TABLE);
    what += " in table " + std::to_string(table != 0 ? table : header.rtm_table);
    add(Stain::kRoute, std::move(what),
        word("tos", header.rtm_tos) + word("from-length", header.rtm_src_len) +
            word("protocol", header.rtm_protocol) + word("scope", header.rtm_scope) +
            word("type", header.rtm_type) + word("flags", header.rtm_flags) +
            attributes.text(kRouteNames));
  }

  void rule(const nlmsghdr& message) {
    const auto header = header_of<fib_rule_hdr>(message);
    const Attributes attributes(message, sizeof header);
    add(Stain::kRule,
        std::string(family_name(header.family)) + "rule " +
            std::to_string(attributes.number(FRA_PRIORITY)),
        word("to-length", header.dst_len) + word("from-length", header.src_len) +
            word("tos", header.tos) + word("action", header.action) + word("flags", header.flags) +
            attributes.text(kRuleNames));
  }

  void nexthop(const nlmsghdr& message) {
    const auto header = header_of<nhmsg>(message);
    const Attributes attributes(message, sizeof header);
    add(Stain::kNexthop, "nexthop " + std::to_string(attributes.number(NHA_ID)),
        word("family", header.nh_family) + word("scope", header.nh_scope) +
            word("protocol", header.nh_protocol) + word("flags", header.nh_flags) +
            attributes.text(kNexthopNames));
  }

  void neighbour(const nlmsghdr& message) {
    const auto header = header_of<ndmsg>(message);
    const Attributes attributes(message, sizeof header);
    if (says_nothing(header, attributes)) return;
    const bool proxy = (header.ndm_flags & NTF_PROXY) != 0;
    add(Stain::kNeighbour,
        std::string(proxy ? "proxy for " : "neighbour ") +
            attributes.find(NDA_DST, Form::kAddress) + " on " + name_of(header.ndm_ifindex),
        word("state", header.ndm_state) + word("flags", header.ndm_flags) +
            word("type", header.ndm_type) + attributes.text(kNeighbourNames));
  }

  /// An entry that the kernel has made of an address by itself, and that comes and goes.
  [[nodiscard]] bool says_nothing(const ndmsg& header, const Attributes& attributes) const {
    if (header.ndm_state != NUD_NOARP || header.ndm_flags != 0) return false;
    if (!attributes.find(NDA_PROTOCOL).empty()) return false;
    const auto to = attributes.find(NDA_DST, Form::kAddress);
    const auto mac = attributes.find(NDA_LLADDR, Form::kAddress);
    if (header.ndm_ifindex == loopback_) {
      // One for all of IPv4; one for each own address of IPv6.
      return mac == "00:00:00:00:00:00" &&
             (to == "0.0.0.0" || std::ranges::find(own_, to) != own_.end());
    }
    // Where memberships are told, whatever the group.
    return (to == "224.0.0.22" && mac == "01:00:5e:00:00:16") ||
           (to == "ff02::16" && mac == "33:33:00:00:00:16");
  }

  void link_layer(const nlmsghdr& message) {
    const auto header = header_of<ndmsg>(message);
    const Attributes attributes(message, sizeof header);
    add(Stain::kMulticast,
        "link-layer address " + attributes.find(NDA_LLADDR, Form::kAddress) + " on " +
            name_of(header.ndm_ifindex),
        word("state", header.ndm_state) + word("flags", header.ndm_flags) +
            attributes.text(kNeighbourNames));
  }

  void queue(const nlmsghdr& message) {
    const auto header = header_of<tcmsg>(message);
    const Attributes attributes(message, sizeof header);
    const auto parent = header.tcm_parent == TC_H_ROOT      ? "root"
                        : header.tcm_parent == TC_H_INGRESS ? "ingress"
                                                            : std::to_string(header.tcm_parent);
    add(Stain::kQueue, parent + " queue of " + name_of(header.tcm_ifindex),
        attributes.text(kQueueNames) + word("handle", header.tcm_handle));
  }

  int socket_;
  std::vector<Item>& items_;
  std::map<int, std::string> names_;
  std::vector<std::string> own_;
  std::set<std::string> local_;  // of which a route says that they are here
  int loopback_ = 0;
};

}  // namespace

Result<bool> list_configuration(int socket, std::vector<Item>& items) {
  Lister lister(socket, items);
  if (auto listed = lister.run(); !listed) return std::unexpected(listed.error());
  return lister.settled();
}

}  // namespace sock::netns
