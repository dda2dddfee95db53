#include "sandbox/keeper.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>
#include <span>

#include "base/await_exit.h"
#include "base/file.h"
#include "base/spawn.h"
#include "sandbox/limits.h"
#include "sandbox/wire.h"

namespace sock::sandbox {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kLongestText = sizeof InitMessage::text - 1;

/// `text` has at most kLongestText bytes.
Result<> send(Channel& control, InitMessage& message, std::span<const int> fds = {},
              std::string_view text = {}) {
  text.copy(message.text, kLongestText);
  message.text_length = static_cast<std::uint32_t>(text.size());
  return control.send(bytes_of(message).first(sent_size(text.size())), fds);
}

Result<> check(const InitReply& reply) {
  if (reply.error == 0) return {};
  return fail_errno(to_string(reply.step), "sock-init", reply.error);
}

asio::awaitable<Result<std::vector<Fd>>> receive_reply(Channel& control,
                                                       Clock::time_point deadline) {
  InitReply reply;
  auto received = co_await control.receive(writable_bytes_of(reply), deadline);
  if (!received) co_return std::unexpected(received.error());
  if (received->size != sizeof reply) {
    co_return fail(Code::kInternal, "sock-init", "malformed reply");
  }
  if (auto checked = check(reply); !checked) co_return std::unexpected(checked.error());
  co_return std::move(received->fds);
}

}  // namespace

Shell::Shell(Fd pidfd, Channel control) : pidfd_(std::move(pidfd)), control_(std::move(control)) {}

Shell& Shell::operator=(Shell&& other) noexcept {
  if (this != &other) {
    kill();
    pidfd_ = std::move(other.pidfd_);
    control_ = std::move(other.control_);
  }
  return *this;
}

Shell::~Shell() { kill(); }

void Shell::kill() const {
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

asio::awaitable<Result<>> Shell::attach(Attachments attachments, Clock::time_point deadline) {
  static_assert(kLargestResolvConf <= kLongestText);
  const std::string_view resolv_conf = attachments.resolv_conf;
  if (resolv_conf.size() > kLargestResolvConf) {
    co_return fail(Code::kInvalid, to_string(InitStep::kResolvConf),
                   std::to_string(resolv_conf.size()) + " bytes are too many");
  }
  InitMessage message;
  message.type = InitMessageType::kAttach;
  message.tmp_bytes = attachments.tmp_bytes;
  message.tmp_inodes = attachments.tmp_inodes;
  std::array<int, 1 + kMostWheelFolders> fds{attachments.task.get()};
  const std::size_t folders = attachments.wheels.size();
  if (folders > kMostWheelFolders) {
    co_return fail(Code::kInvalid, to_string(InitStep::kAttachWheels),
                   std::to_string(folders) + " folders are too many");
  }
  for (std::size_t i = 0; i < folders; ++i) fds[1 + i] = attachments.wheels[i].get();
  const std::span<const int> sent_fds(fds.data(), 1 + folders);
  if (auto sent = send(control_, message, sent_fds, resolv_conf); !sent) co_return sent;
  auto reply = co_await receive_reply(control_, deadline);
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<>{};
}

Keeper::Keeper(KeeperOptions options, Process process, Channel control)
    : options_(std::move(options)), process_(std::move(process)), control_(std::move(control)) {}

asio::awaitable<Result<std::unique_ptr<Keeper>>> Keeper::start(KeeperOptions options) {
  const auto executor = co_await asio::this_coro::executor;
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) co_return std::unexpected(sockets.error());

  SpawnSpec spec;
  spec.program = options.program;
  spec.fds = {(*sockets)[1].get()};
  spec.clone_flags =
      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  spec.prepare = [&options](pid_t pid) -> Result<> {
    const std::string folder = "/proc/" + std::to_string(pid) + "/";
    const std::string map =
        "0 " + std::to_string(options.id_base) + " " + std::to_string(options.id_count);
    if (auto uid = write_control(AT_FDCWD, folder + "uid_map", map); !uid) return uid;
    if (auto gid = write_control(AT_FDCWD, folder + "gid_map", map); !gid) return gid;
    return options.place ? options.place(pid) : Result<>{};
  };
  auto process = spawn(spec);
  if (!process) co_return std::unexpected(process.error());

  Channel control(executor, std::move((*sockets)[0]));
  std::unique_ptr<Keeper> keeper(
      new Keeper(std::move(options), std::move(*process), std::move(control)));
  auto built = co_await keeper->build_root();
  if (!built) co_return std::unexpected(built.error());
  co_return keeper;
}

asio::awaitable<Result<>> Keeper::build_root() {
  auto mounts = sandbox::build_root(options_.root);
  if (!mounts) co_return std::unexpected(mounts.error());
  for (const auto& mount : *mounts) {
    InitMessage message;
    message.type = InitMessageType::kMount;
    if (mount.target.size() > kLongestText) {
      co_return fail(Code::kInvalid, "sandbox root", mount.target + " is too long a path");
    }
    const int fd = mount.tree.get();
    if (auto sent = send(control_, message, {&fd, 1}, mount.target); !sent) co_return sent;
  }
  InitMessage seal;
  seal.type = InitMessageType::kSeal;
  if (auto sent = send(control_, seal); !sent) co_return sent;
  auto reply = co_await receive_reply(control_, Clock::now() + options_.timeout);
  if (!reply) co_return std::unexpected(reply.error());
  co_return Result<>{};
}

asio::awaitable<bool> Keeper::stop(Clock::time_point deadline) {
  process_.signal(SIGKILL);
  auto ended = co_await await_exit(process_.pidfd(), deadline);
  if (ended) co_return process_.try_reap().has_value();
  // Its destructor would wait for ever.
  const Fd abandoned = process_.release();
  co_return false;
}

asio::awaitable<Result<Shell>> Keeper::build_shell(int netns, std::uint64_t tmp_bytes) {
  const auto executor = co_await asio::this_coro::executor;
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) co_return std::unexpected(sockets.error());
  auto guard = co_await lanes_[next_lane_++ % lanes_.size()].lock();
  InitMessage message;
  message.type = InitMessageType::kShell;
  message.tmp_bytes = tmp_bytes;
  message.tmp_inodes = Limits{}.tmp_inodes;
  const int fds[] = {netns, (*sockets)[1].get()};
  if (auto sent = send(control_, message, fds); !sent) {
    co_return std::unexpected(sent.error());
  }
  (*sockets)[1].reset();
  // A shell that we give up here ends by itself, when it finds this socket closed.
  Channel control(executor, std::move((*sockets)[0]));
  auto reply = co_await receive_reply(control, Clock::now() + options_.timeout);
  if (!reply) co_return std::unexpected(reply.error());
  if (reply->size() != 1) co_return fail(Code::kInternal, "sock-init", "no pidfd in the reply");
  co_return Shell(std::move(reply->front()), std::move(control));
}

}  // namespace sock::sandbox
