#include "bench/starters.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <thread>

#include "base/message.h"
#include "bench/fork_child.h"
#include "netns-pool/netns_builder.h"

namespace sock::bench {
namespace {

constexpr Millis kPatience{120'000};
constexpr std::chrono::microseconds kLook{100};

enum Kind : std::uint32_t { kStart, kLinkedNow, kLeave, kRelease };

struct Order {
  std::uint32_t kind = kStart;
  Method method = Method::kNone;
};

std::int64_t nanoseconds() { return Clock::now().time_since_epoch().count(); }

Fd current_namespace() { return Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)); }

bool bring_loopback_up(int socket) {
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ::ioctl(socket, SIOCSIFFLAGS, &request) == 0;
}

bool bind_loopback(int socket) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

/// Written by the starters, each its own place; read when all have ended.
struct Starters::Board {
  std::atomic<std::uint32_t> left{0};
  std::atomic<std::uint32_t> awake{0};
  std::atomic<bool> open{true};
  Start starts[1];  // as many as there are starters
};

void Starters::Unmap::operator()(Board* board) const { ::munmap(board, size); }

/// The starter's side.
class Starters::Child {
 public:
  Child(int control, int done, Board& board, Start& mine)
      : control_(control), done_(done), board_(board), mine_(mine) {}

  int run(int users, pid_t parent) {
    if (!become_root_of(users, parent)) return 1;
    auto builder = netns::NetnsBuilder::create();
    if (!builder) return 1;
    builder_.emplace(std::move(*builder));
    home_ = current_namespace();
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!home_ || !bring_loopback_up(socket.get())) return 1;
    struct stat status {};
    if (::fstat(home_.get(), &status) < 0) return 1;
    home_inode_ = status.st_ino;
    finish();
    while (serve()) {
    }
    return 0;
  }

 private:
  /// False when nobody is left to start for.
  bool serve() {
    pollfd poll{control_, POLLIN, 0};
    if (::poll(&poll, 1, -1) != 1) return true;
    board_.awake.fetch_add(1);
    while (!board_.open) ::sched_yield();
    const auto queued = queued_so_far();
    const auto began = nanoseconds();
    Order order;
    int netns = -1;
    std::size_t count = 0;
    if (receive_into(control_, writable_bytes_of(order), std::span(&netns, 1), count) !=
        sizeof order) {
      return false;
    }
    const Fd received(count == 1 ? netns : -1);
    mine_.step = nullptr;
    mine_.error = 0;
    if (order.kind == kStart) {
      start(order.method, received.get());
      mine_.ended = nanoseconds();
      mine_.began = began;
      mine_.queued = queued_so_far() - queued;
    } else if (order.kind == kLeave) {
      leave();
    } else {
      kept_.clear();
    }
    finish();
    return true;
  }

  void start(Method method, int netns) {
    method_ = method;
    if (method == Method::kUnshare && ::unshare(CLONE_NEWNET) < 0) return failed("unshare");
    if (method == Method::kPooled && ::setns(netns, CLONE_NEWNET) < 0) return failed("setns");
    if (method == Method::kLinked && !build_and_link()) return;
    socket_ = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket_) return failed("socket");
    if (method == Method::kUnshare && !bring_loopback_up(socket_.get())) return failed("loopback");
    if (!bind_loopback(socket_.get())) return failed("bind");
  }

  bool build_and_link() {
    auto built = builder_->build(netns::Furnish::kRoutable);
    if (!built) {
      errno = built.error().error;
      failed("build");
      return false;
    }
    const std::array fds{built->descriptor.get(), built->route.get()};
    Order reply;
    if (!send_message(control_, bytes_of(reply), fds) ||
        ::recv(control_, &reply, sizeof reply, 0) != sizeof reply || reply.kind != kLinkedNow) {
      failed("link");
      return false;
    }
    if (::setns(built->descriptor.get(), CLONE_NEWNET) < 0) {
      failed("setns");
      return false;
    }
    return true;
  }

  /// Out of the clock: the proofs, and the way home.
  void leave() {
    const Fd here = current_namespace();
    struct stat status {};
    if (::fstat(here.get(), &status) < 0) return failed("stat");
    const bool own = status.st_ino != home_inode_;
    if (own == (method_ == Method::kNone)) {
      errno = EEXIST;
      return failed("be in a namespace of its own");
    }
    if (!passes_on_loopback(socket_.get())) return failed("pass a datagram on loopback");
    if (method_ == Method::kLinked && !has_default_route()) return failed("route");
    socket_.reset();
    if (method_ == Method::kUnshare) kept_.push_back(here.duplicate());
    if (own && ::setns(home_.get(), CLONE_NEWNET) < 0) return failed("return");
  }

  /// bind(2) alone would not tell: it takes any address while there is no route at all.
  static bool passes_on_loopback(int socket) {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    auto* address = reinterpret_cast<sockaddr*>(&own);
    char one = '!';
    if (::getsockname(socket, address, &size) < 0) return false;
    if (::sendto(socket, &one, 1, 0, address, size) != 1) return false;
    return ::recv(socket, &one, 1, MSG_DONTWAIT) == 1;  // it never left the processor
  }

  /// connect(2) of a UDP socket looks the route up and sends nothing.
  static bool has_default_route() {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    ::inet_pton(AF_INET, "203.0.113.1", &address.sin_addr);
    return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }

  void failed(const char* step) {
    mine_.error = errno;
    mine_.step = step;
  }

  /// The second number of /proc/PID/schedstat: nanoseconds runnable, but not running.
  [[nodiscard]] std::int64_t queued_so_far() const {
    std::array<char, 96> text{};
    if (::pread(schedstat_.get(), text.data(), text.size() - 1, 0) <= 0) return 0;
    const char* second = std::strchr(text.data(), ' ');
    return second == nullptr ? 0 : std::strtoll(second, nullptr, 10);
  }

  /// One wake-up for all: nobody runs on account of one that has ended.
  void finish() {
    if (board_.left.fetch_sub(1) != 1) return;
    const std::uint64_t one = 1;
    (void)!::write(done_, &one, sizeof one);
  }

  int control_;
  int done_;
  Board& board_;
  Start& mine_;
  std::optional<netns::NetnsBuilder> builder_;
  Fd schedstat_{::open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC)};
  Fd home_;
  ino_t home_inode_ = 0;
  Method method_ = Method::kNone;
  Fd socket_;
  std::vector<Fd> kept_;
};

std::string name_of(Method method) {
  switch (method) {
    case Method::kNone:
      return "none";
    case Method::kUnshare:
      return "unshare";
    case Method::kLinked:
      return "linked";
    case Method::kPooled:
      return "pooled";
  }
  return "?";
}

Result<Starters> Starters::fork(std::size_t count, const UserNamespace& users) {
  Starters out;
  const std::size_t size = sizeof(Board) + count * sizeof(Start);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("mmap", "memory of the starters");
  out.board_ = std::unique_ptr<Board, Unmap>(new (memory) Board, Unmap{size});
  out.done_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!out.done_) return fail_errno("eventfd", "starters");
  out.expect(count);
  const pid_t parent = ::getpid();
  for (std::size_t i = 0; i < count; ++i) {
    auto sockets = socket_pair(SOCK_SEQPACKET);
    if (!sockets) return std::unexpected(sockets.error());
    const int theirs = (*sockets)[1].get();
    const std::array keep{theirs, out.done_.get(), users.pidfd()};
    auto process = fork_child(keep, 0, [&] {
      return Child(theirs, out.done_.get(), *out.board_, out.board_->starts[i])
          .run(users.pidfd(), parent);
    });
    if (!process) return std::unexpected(process.error());
    out.controls_.push_back(std::move((*sockets)[0]));
    out.processes_.push_back(std::move(*process));
  }
  if (auto ready = out.await(); !ready) return std::unexpected(ready.error());
  return out;
}

void Starters::expect(std::size_t count) {
  expected_ = count;
  board_->left = static_cast<std::uint32_t>(count);
  board_->awake = 0;
  board_->open = false;
}

Result<Clock::time_point> Starters::go() {
  const auto deadline = Clock::now() + kPatience;
  while (board_->awake < expected_) {
    if (Clock::now() > deadline) return fail(Code::kTimeout, "let starters go", "not all wake up");
    std::this_thread::sleep_for(kLook);
  }
  const auto now = Clock::now();
  board_->open = true;
  return now;
}

Result<> Starters::order(std::size_t starter, std::uint32_t kind, Method method, int netns) {
  const Order order{kind, method};
  const auto fds = netns < 0 ? std::span<const int>() : std::span<const int>(&netns, 1);
  return send_message(controls_[starter].get(), bytes_of(order), fds);
}

Result<> Starters::start(std::size_t starter, Method method, int netns) {
  return order(starter, kStart, method, netns);
}

Result<> Starters::await(const Link& link) {
  std::vector<pollfd> polls{{done_.get(), POLLIN, 0}};
  for (const auto& control : controls_) polls.push_back({control.get(), POLLIN, 0});
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::ceil<Millis>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Code::kTimeout, "await starts", "they do not end");
    const int ready = ::poll(polls.data(), polls.size(), static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return fail_errno("poll", "starters");
    if (ready <= 0) continue;
    std::uint64_t ended = 0;
    if (::read(done_.get(), &ended, sizeof ended) == sizeof ended) return {};
    for (std::size_t i = 0; i < controls_.size(); ++i) {
      if (polls[i + 1].revents == 0) continue;
      if (auto answered = answer(i, link); !answered) return answered;
    }
  }
}

/// A starter that speaks wants to be linked, or is dead.
Result<> Starters::answer(std::size_t starter, const Link& link) {
  Order asked;
  auto received = receive_message(controls_[starter].get(), writable_bytes_of(asked));
  if (!received || received->fds.size() != 2 || !link) {
    return fail(Code::kInternal, "await starts", "a starter has died");
  }
  const auto linked = link(std::move(received->fds[0]), std::move(received->fds[1]));
  if (!linked) return linked;
  return order(starter, kLinkedNow, Method::kLinked, -1);
}

const Start& Starters::result(std::size_t starter) const { return board_->starts[starter]; }

Result<> Starters::order_all(std::size_t count, std::uint32_t kind) {
  expect(count);
  board_->open = true;
  for (std::size_t i = 0; i < count; ++i) {
    if (auto sent = order(i, kind, Method::kNone, -1); !sent) return sent;
  }
  if (auto done = await(); !done) return done;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& said = result(i);
    if (said.step != nullptr) return fail_errno("starter", said.step, said.error);
  }
  return {};
}

Result<> Starters::leave(std::size_t count) { return order_all(count, kLeave); }
Result<> Starters::release() { return order_all(processes_.size(), kRelease); }

}  // namespace sock::bench
