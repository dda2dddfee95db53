#include "netns-pool/memory_inventory.h"

#include <fcntl.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/mptcp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/tcp_metrics.h>
#include <linux/xfrm.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>

#include "base/file.h"
#include "netns-pool/attribute_text.h"
#include "netns-pool/netlink_dump.h"

namespace sock::netns {
namespace {

/// A kernel without the feature remembers nothing.
template <class T>
bool unknown(const Result<T>& answer) {
  if (answer) return false;
  const int error = answer.error().sys_errno;
  return error == ENOENT || error == EOPNOTSUPP || error == EINVAL;
}

struct GenericQuestion {
  std::string_view family;
  std::uint8_t version;
  std::uint8_t command;
  std::uint16_t flags;
  std::span<const char> attributes;
};

/// The number of a family of generic netlink; 0: the kernel has none of that name.
Result<std::uint16_t> family_number(int socket, std::string_view family) {
  struct {
    genlmsghdr header;
    nlattr attribute;
    std::array<char, GENL_NAMSIZ> name;
  } request{};
  request.header.cmd = CTRL_CMD_GETFAMILY;
  request.header.version = 1;
  request.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  request.attribute.nla_len = sizeof request.attribute + sizeof request.name;
  family.copy(request.name.data(), request.name.size() - 1);
  NetlinkQuestion question;
  question.type = GENL_ID_CTRL;
  question.flags = NLM_F_ACK;
  question.payload = {reinterpret_cast<const char*>(&request), sizeof request};
  question.what = family;
  auto answer = ask_netlink(socket, question);
  if (unknown(answer)) return std::uint16_t{0};
  if (!answer) return std::unexpected(answer.error());
  std::uint16_t number = 0;
  answer->each([&](const nlmsghdr& message) {
    number = static_cast<std::uint16_t>(
        Attributes(message, sizeof(genlmsghdr)).number(CTRL_ATTR_FAMILY_ID));
  });
  return number;
}

Result<NetlinkAnswer> ask_generic(int socket, const GenericQuestion& ask) {
  auto number = family_number(socket, ask.family);
  if (!number) return std::unexpected(number.error());
  if (*number == 0) return NetlinkAnswer{};
  genlmsghdr header{};
  header.cmd = ask.command;
  header.version = ask.version;
  std::string payload(reinterpret_cast<const char*>(&header), sizeof header);
  payload.append(ask.attributes.data(), ask.attributes.size());
  NetlinkQuestion question;
  question.type = *number;
  question.flags = ask.flags;
  question.payload = payload;
  question.what = ask.family;
  auto answer = ask_netlink(socket, question);
  if (!answer && answer.error().sys_errno == EOPNOTSUPP) return NetlinkAnswer{};
  return answer;
}

Result<> list_tcp_peers(int socket, std::vector<Item>& items) {
  auto answer = ask_generic(
      socket,
      {TCP_METRICS_GENL_NAME, TCP_METRICS_GENL_VERSION, TCP_METRICS_CMD_GET, NLM_F_DUMP, {}});
  if (!answer) return std::unexpected(answer.error());
  answer->each([&](const nlmsghdr& message) {
    const Attributes peer(message, sizeof(genlmsghdr));
    auto address = peer.find(TCP_METRICS_ATTR_ADDR_IPV4, Form::kAddress);
    if (address.empty()) address = peer.find(TCP_METRICS_ATTR_ADDR_IPV6, Form::kAddress);
    items.push_back({Stain::kPeer, "TCP remembers " + address, ""});
  });
  return {};
}

Result<> list_mptcp_endpoints(int socket, std::vector<Item>& items) {
  auto answer =
      ask_generic(socket, {MPTCP_PM_NAME, MPTCP_PM_VER, MPTCP_PM_CMD_GET_ADDR, NLM_F_DUMP, {}});
  if (!answer) return std::unexpected(answer.error());
  answer->each([&](const nlmsghdr& message) {
    const Attributes endpoint(Attributes(message, sizeof(genlmsghdr)).find(MPTCP_PM_ATTR_ADDR));
    auto address = endpoint.find(MPTCP_PM_ADDR_ATTR_ADDR4, Form::kAddress);
    if (address.empty()) address = endpoint.find(MPTCP_PM_ADDR_ATTR_ADDR6, Form::kAddress);
    items.push_back({Stain::kAddress, "MPTCP endpoint " + address, endpoint.text({})});
  });
  return {};
}

Result<> list_offloads(int socket, std::vector<Item>& items) {
  struct {
    nlattr header;
    nlattr flags;
    std::uint32_t value;
  } attributes{};
  attributes.header.nla_type = ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED;
  attributes.header.nla_len = sizeof attributes;
  attributes.flags.nla_type = ETHTOOL_A_HEADER_FLAGS;
  attributes.flags.nla_len = sizeof attributes.flags + sizeof attributes.value;
  attributes.value = ETHTOOL_FLAG_COMPACT_BITSETS;
  auto answer =
      ask_generic(socket, {ETHTOOL_GENL_NAME,
                           ETHTOOL_GENL_VERSION,
                           ETHTOOL_MSG_FEATURES_GET,
                           NLM_F_DUMP,
                           {reinterpret_cast<const char*>(&attributes), sizeof attributes}});
  if (!answer) return std::unexpected(answer.error());
  constexpr AttributeName kNames[] = {
      {ETHTOOL_A_FEATURES_HEADER, "", Form::kLeftOut},
      {ETHTOOL_A_FEATURES_HW, "changeable", Form::kBytes},
      {ETHTOOL_A_FEATURES_WANTED, "wanted", Form::kBytes},
      {ETHTOOL_A_FEATURES_ACTIVE, "active", Form::kBytes},
      {ETHTOOL_A_FEATURES_NOCHANGE, "fixed", Form::kBytes},
  };
  answer->each([&](const nlmsghdr& message) {
    const Attributes link(message, sizeof(genlmsghdr));
    const Attributes header(link.find(ETHTOOL_A_FEATURES_HEADER));
    items.push_back({Stain::kLink,
                     "offloads of " + header.find(ETHTOOL_A_HEADER_DEV_NAME, Form::kText),
                     link.text(kNames)});
  });
  return {};
}

Result<NetlinkAnswer> ask_netfilter(int socket, int subsystem, int command, std::uint16_t flags,
                                    std::string_view what) {
  const nfgenmsg header{};  // of every family
  NetlinkQuestion question;
  question.type = static_cast<std::uint16_t>(subsystem << 8 | command);
  question.flags = flags;
  question.payload = {reinterpret_cast<const char*>(&header), sizeof header};
  question.what = what;
  auto answer = ask_netlink(socket, question);
  if (unknown(answer)) return NetlinkAnswer{};
  return answer;
}

Result<> add_lines(const char* path, bool heading, Stain stain, std::string_view what,
                   std::vector<Item>& items) {
  auto text = read_file(AT_FDCWD, std::string("/proc/thread-self/net/") + path);
  if (!text && text.error().sys_errno == ENOENT) return {};
  if (!text) return std::unexpected(text.error());
  std::istringstream lines(*text);
  std::string line;
  if (heading) std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    items.push_back({stain, std::string(what) + " " + first, ""});
  }
  return {};
}

}  // namespace

Result<> list_generic(int socket, std::vector<Item>& items) {
  auto done = list_tcp_peers(socket, items);
  if (done) done = list_mptcp_endpoints(socket, items);
  if (done) done = list_offloads(socket, items);
  return done;
}

Result<> forget_peers(int socket) {
  auto answer = ask_generic(
      socket,
      {TCP_METRICS_GENL_NAME, TCP_METRICS_GENL_VERSION, TCP_METRICS_CMD_DEL, NLM_F_ACK, {}});
  if (!answer) return std::unexpected(answer.error());
  return {};
}

Result<> list_filters(int socket, std::vector<Item>& items) {
  auto answer = ask_netfilter(socket, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE, NLM_F_DUMP,
                              "tables of nftables");
  if (!answer) return std::unexpected(answer.error());
  answer->each([&](const nlmsghdr& message) {
    const auto header = header_of<nfgenmsg>(message);
    items.push_back(
        {Stain::kFilter,
         "nftables table " + Attributes(message, sizeof header).find(NFTA_TABLE_NAME, Form::kText),
         word("family", header.nfgen_family)});
  });
  return {};
}

Result<> forget_connections(int socket) {
  auto answer = ask_netfilter(socket, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, NLM_F_ACK,
                              "tracked connections");
  if (!answer) return std::unexpected(answer.error());
  return {};
}

Result<> list_ipsec(int socket, std::vector<Item>& items) {
  for (const auto& [type, name] :
       {std::pair{XFRM_MSG_GETSA, "IPsec state"}, std::pair{XFRM_MSG_GETPOLICY, "IPsec policy"}}) {
    NetlinkQuestion question;
    question.type = static_cast<std::uint16_t>(type);
    question.flags = NLM_F_DUMP;
    question.what = name;
    auto answer = ask_netlink(socket, question);
    if (!answer) return std::unexpected(answer.error());
    answer->each([&, what = name](const nlmsghdr&) {
      items.push_back({Stain::kFilter, what, ""});
    });
  }
  return {};
}

Result<std::uint64_t> tracked_connections() {
  auto text = read_file(AT_FDCWD, "/proc/sys/net/netfilter/nf_conntrack_count");
  if (!text && text.error().sys_errno == ENOENT) return std::uint64_t{0};  // no such module
  if (!text) return std::unexpected(text.error());
  std::uint64_t count = 0;
  const auto end = text->data() + text->size();
  if (std::from_chars(text->data(), end, count).ec != std::errc{}) {
    return fail(Code::kInternal, "count tracked connections", *text);
  }
  return count;
}

Result<> list_kernel_tables(std::vector<Item>& items) {
  auto done = add_lines("ip6_flowlabel", true, Stain::kFlowLabel, "flow label", items);
  for (const char* names : {"ip_tables_names", "ip6_tables_names", "arp_tables_names"}) {
    if (done) done = add_lines(names, false, Stain::kFilter, names, items);
  }
  return done;
}

}  // namespace sock::netns
