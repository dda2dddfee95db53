#include "zygote/zygote.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/this_coro.hpp>
#include <cstdlib>

#include "base/file.h"
#include "base/message.h"
#include "base/spawn.h"
#include "zygote/wire.h"

namespace sock::zygote {

namespace asio = boost::asio;

namespace {

/// A healthy zygote answers in well under a millisecond.
constexpr Millis kCloneTimeout{1'000};

/// The whole environment of a zygote: nothing of sockd's may reach user code. BLAS and OpenMP
/// must not start threads while packages are imported.
std::vector<std::string> zygote_environment() {
  return {"PATH=/usr/bin:/bin",     "HOME=/tmp",         "TMPDIR=/tmp",       "LANG=C.UTF-8",
          "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "MPLBACKEND=Agg",
          "MPLCONFIGDIR=/tmp"};
}

}  // namespace

Zygote::Zygote(Process process, Channel control)
    : process_(std::move(process)), control_(std::move(control)) {}

asio::awaitable<Result<std::unique_ptr<Zygote>>> Zygote::start(ZygoteOptions options) {
  const auto executor = co_await asio::this_coro::executor;
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) co_return std::unexpected(sockets.error());
  auto config = write_config(options.config);
  if (!config) co_return std::unexpected(config.error());

  SpawnSpec spec;
  spec.program = options.program;
  spec.env = zygote_environment();
  spec.fds = {(*sockets)[1].get()};
  spec.pid_namespace = options.keeper;
  spec.prepare = options.place;
  auto process = spawn(spec);
  if (!process) co_return std::unexpected(process.error());
  (*sockets)[1].reset();

  Channel control(executor, std::move((*sockets)[0]));
  std::unique_ptr<Zygote> zygote(new Zygote(std::move(*process), std::move(control)));
  Request request;
  request.type = RequestType::kStart;
  const int fds[] = {options.keeper, config->get()};
  if (auto sent = zygote->control_.send(bytes_of(request), fds); !sent) {
    co_return std::unexpected(sent.error());
  }
  auto ready = co_await zygote->await_ready(Clock::now() + options.import_timeout);
  if (!ready) co_return std::unexpected(ready.error());
  zygote->search_path_ = std::make_shared<const std::string>(join(options.config.search_path));
  co_return zygote;
}

asio::awaitable<Result<>> Zygote::await_ready(Clock::time_point deadline) {
  Ready ready;
  auto received = co_await control_.receive(writable_bytes_of(ready), deadline);
  if (!received) {
    Error error = received.error();
    if (error.code == Code::kTimeout) error.message = "its imports did not finish in time";
    if (error.code == Code::kKilled) error.message = "it died while importing";
    error.step = "zygote";
    co_return std::unexpected(error);
  }
  if (received->size != sizeof ready || ready.type != Ready::kType) {
    co_return fail(Code::kInternal, "zygote", "malformed ready message");
  }
  ready.error[sizeof ready.error - 1] = '\0';
  if (ready.step != ReadyStep::kNone) {
    const bool packages = ready.step == ReadyStep::kImport || ready.step == ReadyStep::kAudit;
    co_return fail(packages ? Code::kInvalid : Code::kInternal, to_string(ready.step), ready.error);
  }
  import_us_ = ready.import_us;
  co_return take_seal(ready, std::move(received->fds));
}

Result<> Zygote::take_seal(const Ready& ready, std::vector<Fd> fds) {
  if (fds.size() != (ready.sealed != 0 ? 1U : 0U)) {
    return fail(Code::kInternal, "zygote", "malformed ready message");
  }
  if (ready.sealed == 0) {
    sealing_.error = ready.error;
    return {};
  }
  // Handed on to child zygotes, so it must be what it is said to be: memory that nobody can change.
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  const int seals = ::fcntl(fds.front().get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return fail(Code::kInternal, "zygote", "its image is not a sealed memfd");
  }
  seals_.push_back(std::make_shared<const Fd>(std::move(fds.front())));
  sealing_ = {
      true, "", ready.seal_us, ready.sealed_bytes, ready.mappings_before, ready.mappings_after};
  return {};
}

Result<> Zygote::send_seals(int socket) const {
  Request request;
  request.type = RequestType::kSeals;
  std::vector<int> fds;
  // The latest matter most, should a tree ever be that deep.
  for (auto it = seals_.rbegin(); it != seals_.rend() && fds.size() < kMaxMessageFds; ++it) {
    fds.push_back((*it)->get());
  }
  return send_message(socket, bytes_of(request), fds);
}

asio::awaitable<Result<Process>> Zygote::receive_clone() {
  CloneReply reply;
  auto received = co_await control_.receive(writable_bytes_of(reply), Clock::now() + kCloneTimeout);
  if (!received) co_return std::unexpected(received.error());
  if (received->size != sizeof reply || reply.type != CloneReply::kType) {
    co_return fail(Code::kInternal, "zygote", "malformed clone reply");
  }
  if (reply.error != 0) co_return fail_errno("clone", "in the zygote", reply.error);
  if (received->fds.size() != 1) co_return fail(Code::kInternal, "zygote", "no pidfd in the reply");
  auto pid = pid_of(received->fds.front().get());
  if (!pid) co_return std::unexpected(pid.error());
  co_return Process(std::move(received->fds.front()), *pid);
}

asio::awaitable<Result<Process>> Zygote::clone(CloneArguments arguments) {
  Request request;
  request.type = RequestType::kClone;
  request.uid = arguments.uid;
  request.open_files = arguments.open_files;
  if (arguments.await_go) request.flags |= kAwaitGo;
  if (arguments.to_be_recorded) request.flags |= kToBeRecorded;
  std::array<int, 6> fds{arguments.shell, arguments.connection, arguments.log};
  std::size_t count = 3;
  auto add = [&](int fd, std::uint32_t flag) {
    if (fd < 0) return;
    request.flags |= flag;
    fds[count++] = fd;
  };
  add(arguments.image, kWithImage);
  add(arguments.touches, kWithTouches);
  add(arguments.cgroup, kIntoCgroup);
  auto guard = co_await turn_.lock();
  if (auto sent = control_.send(bytes_of(request), {fds.data(), count}); !sent) {
    co_return std::unexpected(sent.error());
  }
  co_return co_await receive_clone();
}

asio::awaitable<Result<std::unique_ptr<Zygote>>> Zygote::fork_child(ZygoteConfig additions,
                                                                    Millis import_timeout) {
  const auto executor = co_await asio::this_coro::executor;
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) co_return std::unexpected(sockets.error());
  additions.filter = {};
  auto config = write_config(additions);
  if (!config) co_return std::unexpected(config.error());
  // Waits in the child's socket until it has imported: no package sees it.
  if (auto sent = send_seals((*sockets)[0].get()); !sent) co_return std::unexpected(sent.error());
  Request request;
  request.type = RequestType::kFork;
  const int fds[] = {(*sockets)[1].get(), config->get()};
  Process process;
  {
    auto guard = co_await turn_.lock();
    if (auto sent = control_.send(bytes_of(request), fds); !sent) {
      co_return std::unexpected(sent.error());
    }
    auto cloned = co_await receive_clone();
    if (!cloned) co_return std::unexpected(cloned.error());
    process = std::move(*cloned);
  }
  (*sockets)[1].reset();
  Channel control(executor, std::move((*sockets)[0]));
  std::unique_ptr<Zygote> child(new Zygote(std::move(process), std::move(control)));
  child->seals_ = seals_;
  child->search_path_ = search_path_;
  if (!additions.search_path.empty()) {
    child->search_path_ = std::make_shared<const std::string>(join(additions.search_path));
  }
  auto ready = co_await child->await_ready(Clock::now() + import_timeout);
  if (!ready) co_return std::unexpected(ready.error());
  co_return child;
}

bool may_do_unsealed(const Error& error) {
  return error.step == to_string(ReadyStep::kSeal) || error.code == Code::kKilled;
}

Result<std::uint64_t> Zygote::memory_bytes() const {
  auto text = read_file(AT_FDCWD, "/proc/" + std::to_string(process_.pid()) + "/smaps_rollup");
  if (!text) return std::unexpected(text.error());
  const auto at = text->find("\nPss:");
  if (at == std::string::npos) return fail(Code::kInternal, "smaps_rollup", "no Pss");
  return std::strtoull(text->c_str() + at + 5, nullptr, 10) << 10;
}

}  // namespace sock::zygote
