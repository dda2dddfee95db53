#include "netns-pool/resolvers.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/asio/ip/udp.hpp>
#include <cerrno>
#include <span>
#include <string_view>

#include "base/fd.h"
#include "base/file.h"
#include "netns-pool/prefix.h"
#include "netns-pool/reserved_addresses.h"

namespace sock::netns {
namespace {

namespace ip = boost::asio::ip;

constexpr const char* kStep = "name resolvers";
constexpr const char* kRemedy = "; set [nat] resolvers";
constexpr std::size_t kLargestFile = 64 << 10;
constexpr std::size_t kMostProblems = 8;
/// glibc's limits of old, still a bound for what a sandbox is given.
constexpr std::size_t kMostDomains = 6;
constexpr std::size_t kLongestSearch = 256;
constexpr std::size_t kLongestDomain = 253;

Prefix prefix_of(const ip::address& address) {
  if (address.is_v4()) return ip::network_v4(address.to_v4(), 32);
  return ip::network_v6(address.to_v6(), 128);
}

std::string reason_in(std::span<const Reserved> networks, const ip::address& address) {
  const Prefix prefix = prefix_of(address);
  for (const auto& reserved : networks) {
    const auto network = parse_prefix(reserved.network);
    if (network && within(prefix, *network)) return reserved.meaning;
  }
  return {};
}

/// The kernel would send to it from itself. Asks for the route only, and sends nothing.
bool is_own(const ip::address& address) {
  const ip::udp::endpoint server(address, 53);
  const Fd socket(::socket(server.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  auto size = static_cast<socklen_t>(server.size());
  if (!socket || ::connect(socket.get(), server.data(), size) < 0) return false;
  ip::udp::endpoint from(server.protocol(), 0);
  return ::getsockname(socket.get(), from.data(), &size) == 0 && from.address() == address;
}

std::string why_not(const ip::address& server, Families families) {
  auto reason = why_unreachable(server, families);
  if (reason.empty() && is_own(server)) reason = "the host itself";
  return reason;
}

/// For messages: short, and nothing that a terminal would act on.
std::string shown(std::string_view word) {
  constexpr std::size_t kLongest = 60;
  std::string text(word.substr(0, kLongest));
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return word.size() > kLongest ? text + "..." : text;
}

bool is_domain(std::string_view word) {
  const auto fits = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  return !word.empty() && word.size() <= kLongestDomain && std::ranges::all_of(word, fits);
}

/// What is asked and how; how long to wait is not the host's to say.
bool is_kept(std::string_view option) {
  constexpr std::array<std::string_view, 7> kKept{
      "edns0", "no-aaaa", "no-tld-query", "rotate", "single-request", "single-request-reopen",
      "use-vc"};
  return std::ranges::find(kKept, option) != kKept.end() ||
         (option.starts_with("ndots:") && (option.size() == 7 || option.size() == 8) &&
          std::ranges::all_of(option.substr(6), [](char c) { return c >= '0' && c <= '9'; }));
}

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::vector<std::string_view> words;
  for (auto at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const auto end = std::min(line.find_first_of(kBlanks, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return words;
}

/// Reads resolv.conf(5) line by line.
class Reader {
 public:
  explicit Reader(Families families) : families_(families) {}

  void read(std::string_view text) {
    while (!text.empty()) {
      const auto end = std::min(text.find('\n'), text.size());
      read_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  void complain(std::string problem) {
    if (found_.problems.size() < kMostProblems) found_.problems.push_back(std::move(problem));
  }

  [[nodiscard]] HostResolvers& found() { return found_; }

 private:
  void read_line(std::string_view line) {
    // As in glibc, a keyword has nothing before it, and a comment is a line.
    constexpr std::string_view kNoKeyword = ";# \t";
    auto words = words_of(line);
    if (words.empty() || kNoKeyword.contains(line.front())) return;
    const auto keyword = words.front();
    words.erase(words.begin());
    if (keyword == "nameserver") return add_server(words);
    if (keyword == "search" || keyword == "domain") return set_search(words);
    if (keyword == "options") return add_options(words);
  }

  void add_server(const std::vector<std::string_view>& words) {
    if (words.empty()) return;
    const auto word = words.front().substr(0, words.front().find_first_of(";#"));
    boost::system::error_code error;
    const auto server = ip::make_address(std::string(word), error);
    // A NUL would end the word before its end.
    if (error || word.contains('\0')) {
      complain("nameserver " + shown(word) + " is left out: it is no address");
      return;
    }
    auto& servers = found_.resolvers.servers;
    if (servers.size() == Resolvers::kMost || std::ranges::find(servers, server) != servers.end())
      return;
    const auto reason = why_not(server, families_);
    if (reason.empty()) {
      servers.push_back(server);
    } else {
      complain("nameserver " + shown(word) + " is left out, since no sandbox can reach it: it is " +
               reason);
    }
  }

  /// The last one counts.
  void set_search(const std::vector<std::string_view>& words) {
    auto& search = found_.resolvers.search;
    search.clear();
    std::size_t length = 0;
    for (const auto word : words) {
      if (!is_domain(word)) {
        complain("search " + shown(word) + " is left out: it is no domain");
        continue;
      }
      length += word.size() + 1;
      if (search.size() == kMostDomains || length > kLongestSearch) {
        complain("search " + shown(word) + " and what follows it is left out: too many domains");
        return;
      }
      search.emplace_back(word);
    }
  }

  void add_options(const std::vector<std::string_view>& words) {
    auto& options = found_.resolvers.options;
    for (const auto word : words) {
      if (!is_kept(word)) continue;
      const auto name = word.substr(0, word.find(':'));
      std::erase_if(options, [&](const std::string& option) {
        return std::string_view(option).substr(0, option.find(':')) == name;
      });
      options.emplace_back(word);
    }
  }

  Families families_;
  HostResolvers found_;
};

/// The beginning of a regular file; never waits for a writer.
Result<std::string> read_beginning(const std::filesystem::path& path) {
  auto file = open_fd(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return std::unexpected(file.error());
  struct stat info {};
  if (::fstat(file->get(), &info) < 0) return fail_errno("stat", path);
  if (!S_ISREG(info.st_mode)) return fail(Code::kInvalid, kStep, path.string() + " is no file");
  std::string text(kLargestFile + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(file->get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", path);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  return text;
}

Result<HostResolvers> resolvers_in(const std::filesystem::path& path, Families families) {
  auto text = read_beginning(path);
  if (!text) return std::unexpected(text.error());
  Reader reader(families);
  if (text->size() > kLargestFile) {
    // Not the line that is cut.
    const auto end = text->rfind('\n');
    text->resize(end == std::string::npos ? 0 : end);
    reader.complain("of " + path.string() + " only the first 64 KiB are read");
  }
  reader.read(*text);
  if (!reader.found().resolvers.servers.empty()) return std::move(reader.found());
  std::string message = path.string() + " names no server that sandboxes can reach";
  for (const auto& problem : reader.found().problems) message += ", " + problem;
  return fail(Code::kInvalid, kStep, std::move(message));
}

}  // namespace

std::string why_unreachable(const ip::address& server, Families families) {
  if (server.is_v4()) return reason_in(kNever4, server);
  const auto reason = reason_in(kNever6, ip::address_v6(server.to_v6().to_bytes()));
  if (!reason.empty()) return reason;
  if (server.to_v6().scope_id() != 0) return "an address on one of the host's links";
  if (families == Families::kIpv4) return "an IPv6 address, which sandboxes do not have";
  return {};
}

Result<> check_resolver(const ip::address& server, const AddressPlan& plan) {
  const auto& ipv6 = plan.ipv6();
  auto reason = why_not(server, ipv6 ? Families::kBoth : Families::kIpv4);
  const Prefix prefix = prefix_of(server);
  const bool of_sandboxes = within(prefix, plan.ipv4()) || (ipv6 && within(prefix, *ipv6));
  if (of_sandboxes) reason = "in the sandboxes' own prefix";
  if (reason.empty()) return {};
  return fail(Code::kInvalid, kStep,
              "no sandbox can reach " + server.to_string() + ": it is " + reason);
}

Result<Resolvers> configured_resolvers(std::vector<ip::address> servers, Families families) {
  if (servers.empty() || servers.size() > Resolvers::kMost) {
    return fail(Code::kInvalid, kStep,
                std::to_string(servers.size()) + " are configured; there may be 1 to " +
                    std::to_string(Resolvers::kMost));
  }
  for (const auto& server : servers) {
    const auto reason = why_not(server, families);
    if (reason.empty()) continue;
    return fail(Code::kInvalid, kStep,
                "no sandbox can reach " + server.to_string() + ": it is " + reason);
  }
  return Resolvers{std::move(servers), {}, {}};
}

Result<HostResolvers> host_resolvers(Families families, const ResolverFiles& files) {
  auto own = resolvers_in(files.resolv_conf, families);
  if (own) return own;
  // The stub on the loopback is no problem, when those behind it are known.
  auto behind = resolvers_in(files.behind_stub, families);
  if (behind) return behind;
  const auto said = [](const Error& error) {
    return error.sys_errno == 0 ? error.message : error.describe();
  };
  std::string message = said(own.error());
  if (behind.error().sys_errno != ENOENT) message += "; " + said(behind.error());
  return fail(Code::kInvalid, kStep, message + kRemedy);
}

std::string resolv_conf(const Resolvers& resolvers) {
  std::string text;
  for (const auto& server : resolvers.servers) text += "nameserver " + server.to_string() + "\n";
  if (!resolvers.search.empty()) {
    text += "search";
    for (const auto& domain : resolvers.search) text += " " + domain;
    text += "\n";
  }
  text += "options timeout:2 attempts:2";
  for (const auto& option : resolvers.options) text += " " + option;
  return text + "\n";
}

}  // namespace sock::netns
