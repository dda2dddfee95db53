#include "netns-pool/inspector.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "netns-pool/memory_inventory.h"
#include "netns-pool/route_inventory.h"
#include "netns-pool/socket_inventory.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "inspect network namespace";
constexpr Millis kPause{1};

/// The calling thread in another network namespace, as long as this lives.
class Visit {
 public:
  [[nodiscard]] static Result<Visit> begin(int netns) {
    auto home = open_fd(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY);
    if (!home) return std::unexpected(home.error());
    if (::setns(netns, CLONE_NEWNET) < 0) return fail_errno(kStep, "setns");
    return Visit(std::move(*home));
  }
  Visit(Visit&&) noexcept = default;
  Visit& operator=(Visit&&) = delete;
  ~Visit() {
    if (home_ && ::setns(home_.get(), CLONE_NEWNET) < 0) std::abort();
  }

 private:
  explicit Visit(Fd home) : home_(std::move(home)) {}
  Fd home_;
};

Result<Fd> netlink_socket(int protocol) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket) return fail_errno(kStep, "netlink socket " + std::to_string(protocol));
  return socket;
}

/// The netlink protocols that the kernel serves, without the loading of modules that asking by
/// socket(2) would bring.
Result<std::set<int>> served_protocols() {
  auto text = read_file(AT_FDCWD, "/proc/thread-self/net/netlink");
  if (!text) return std::unexpected(text.error());
  std::istringstream lines(*text);
  std::set<int> protocols;
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string address;
    int protocol = 0;
    unsigned port = 1;
    if (words >> address >> protocol >> port && port == 0) protocols.insert(protocol);
  }
  return protocols;
}

/// What may be gone in a moment: a socket that the kernel has taken off its lists and not freed
/// yet, a connection that both sides have closed and only the last answer is missing of.
bool leaves_soon(const Item& item) {
  return item.stain == Stain::kSocket &&
         (item.what.ends_with("does not list") || item.what.ends_with("last-ack"));
}

}  // namespace

Result<Inspector> Inspector::open(int netns, std::span<const int> known) {
  Inspector inspector;
  inspector.netns_ = Fd(::fcntl(netns, F_DUPFD_CLOEXEC, 0));
  if (!inspector.netns_) return fail_errno(kStep, "duplicate its descriptor");
  auto visit = Visit::begin(netns);
  if (!visit) return std::unexpected(visit.error());
  auto opened = inspector.open_sockets(known);
  if (!opened) return std::unexpected(opened.error());
  return inspector;
}

Result<> Inspector::open_sockets(std::span<const int> known) {
  for (const int socket : known) {
    if (auto added = add_known(socket); !added) return added;
  }
  for (const auto& [socket, protocol] :
       {std::pair{&diag_, NETLINK_SOCK_DIAG}, std::pair{&route_, NETLINK_ROUTE},
        std::pair{&generic_, NETLINK_GENERIC}}) {
    auto opened = netlink_socket(protocol);
    if (!opened) return std::unexpected(opened.error());
    *socket = std::move(*opened);
    if (auto added = add_known(socket->get()); !added) return added;
  }
  return open_optional();
}

Result<> Inspector::add_known(int socket) {
  struct stat status {};
  if (::fstat(socket, &status) < 0) return fail_errno(kStep, "a known socket");
  if (!S_ISSOCK(status.st_mode)) return fail(Code::kInvalid, kStep, "a known socket is none");
  known_.insert(status.st_ino);
  return {};
}

Result<> Inspector::open_optional() {
  auto served = served_protocols();
  if (!served) return std::unexpected(served.error());
  for (const auto& [socket, protocol] :
       {std::pair{&netfilter_, NETLINK_NETFILTER}, std::pair{&ipsec_, NETLINK_XFRM}}) {
    if (*socket || !served->contains(protocol)) continue;
    auto opened = netlink_socket(protocol);
    if (!opened) return std::unexpected(opened.error());
    *socket = std::move(*opened);
    if (auto added = add_known(socket->get()); !added) return added;
  }
  return {};
}

Result<> Inspector::add_sockets(Inventory& inventory) {
  constexpr Millis kPatience{50};
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    auto count = count_sockets();
    if (!count) return std::unexpected(count.error());
    if (count->sockets < known_.size()) {
      return fail(Code::kInvalid, kStep, "a socket that was known is closed");
    }
    std::vector<Item> found;
    if (count->fragments != 0) {
      found.push_back(
          {Stain::kFragment, std::to_string(count->fragments) + " incomplete packets", ""});
    }
    const auto others = count->sockets - known_.size() + count->time_wait;
    if (others != 0 || count->dccp) {
      if (auto done = list_sockets(diag_.get(), known_, found); !done) return done;
      if (found.empty() && others != 0) {
        found.push_back(
            {Stain::kSocket, std::to_string(others) + " that the kernel does not list", ""});
      }
    }
    if (found.empty() || !std::ranges::all_of(found, leaves_soon) || Clock::now() >= deadline) {
      std::ranges::move(found, std::back_inserter(inventory.items));
      return {};
    }
    std::this_thread::sleep_for(kPause);
  }
}

Result<> Inspector::add_configuration(Inventory& inventory) {
  constexpr Millis kPatience{500};
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    std::vector<Item> found;
    auto settled = list_configuration(route_.get(), found);
    if (!settled) return std::unexpected(settled.error());
    if (*settled || Clock::now() >= deadline) {
      std::ranges::move(found, std::back_inserter(inventory.items));
      return {};
    }
    std::this_thread::sleep_for(kPause);
  }
}

Result<Inventory> Inspector::take() {
  Inventory inventory;
  {
    auto visit = Visit::begin(netns_.get());
    if (!visit) return std::unexpected(visit.error());
    auto done = open_optional();
    if (done) done = add_sockets(inventory);
    if (done) done = list_kernel_tables(inventory.items);
    if (!done) return std::unexpected(done.error());
    auto settings = settings_.read();
    if (!settings) return std::unexpected(settings.error());
    inventory.settings = std::move(*settings);
    auto tracked = tracked_connections();
    if (!tracked) return std::unexpected(tracked.error());
    if (*tracked != 0) {
      inventory.items.push_back(
          {Stain::kConnection, std::to_string(*tracked) + " tracked connections", ""});
    }
  }
  auto done = add_configuration(inventory);
  if (done) done = list_generic(generic_.get(), inventory.items);
  if (done && netfilter_) done = list_filters(netfilter_.get(), inventory.items);
  if (done && ipsec_) done = list_ipsec(ipsec_.get(), inventory.items);
  if (!done) return std::unexpected(done.error());
  std::ranges::sort(inventory.items);
  return inventory;
}

Result<> Inspector::forget_peers() {
  auto done = sock::netns::forget_peers(generic_.get());
  if (!done || !netfilter_) return done;
  return forget_connections(netfilter_.get());
}

}  // namespace sock::netns
