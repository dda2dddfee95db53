#include "manager/calls/clone.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>
#include <cstring>

#include "base/channel.h"
#include "base/file.h"
#include "base/frame.h"
#include "sandbox/confine.h"
#include "sandbox/rootfs.h"
#include "sandbox/verify.h"
#include "zygote/wire.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// Confinement takes under a millisecond; a machine that swaps gets the rest.
constexpr Millis kParkTimeout{5'000};

struct Pipes {
  Fd connection, clones_connection;
  Fd log, clones_log;
};

Result<Pipes> open_pipes(bool discard_output) {
  auto sockets = socket_pair(SOCK_STREAM);
  if (!sockets) return std::unexpected(sockets.error());
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) < 0) return fail_errno("pipe", "log of a sandbox");
  Pipes pipes{std::move((*sockets)[0]), std::move((*sockets)[1]), Fd(pipe[0]), Fd(pipe[1])};
  if (discard_output) {
    auto nowhere = open_fd(AT_FDCWD, "/dev/null", O_WRONLY);
    if (!nowhere) return std::unexpected(nowhere.error());
    pipes.clones_log = std::move(*nowhere);
  }
  return pipes;
}

/// The clone's one frame before it is given a call: kParked, or why it failed.
Result<> read_parked(int connection) {
  char buffer[sizeof(FrameHeader) + sizeof(zygote::Failure)];
  const ssize_t n = ::recv(connection, buffer, sizeof buffer, MSG_DONTWAIT);
  FrameHeader header;
  if (n < static_cast<ssize_t>(sizeof header)) {
    return fail(Code::kInternal, "confine", "the clone died before it was confined");
  }
  std::memcpy(&header, buffer, sizeof header);
  const bool known = header.magic == FrameHeader::kMagic;
  if (known && header.type == static_cast<std::uint32_t>(zygote::FrameType::kParked) &&
      header.length == 0 && n == sizeof header) {
    return {};
  }
  if (known && header.type == static_cast<std::uint32_t>(zygote::FrameType::kFailed) &&
      n == sizeof buffer) {
    zygote::Failure failure;
    std::memcpy(&failure, buffer + sizeof header, sizeof failure);
    return fail_errno(sandbox::to_string(static_cast<sandbox::ConfineStep>(failure.step)),
                      "in the clone", failure.error);
  }
  return fail(Code::kInternal, "confine", "malformed frame from a clone");
}

asio::awaitable<Result<Process>> start_clone(const CloneRecipe& recipe, Slot& slot,
                                             const SlotStock& slots, const Pipes& pipes) {
  zygote::CloneArguments arguments;
  arguments.shell = slot.shell.pidfd();
  arguments.connection = pipes.clones_connection.get();
  arguments.log = pipes.clones_log.get();
  arguments.image = recipe.image ? recipe.image->get() : -1;
  arguments.touches = recipe.touches ? recipe.touches->get() : -1;
  arguments.to_be_recorded = recipe.to_be_recorded;
  arguments.cgroup = slot.cgroup.v2_dir();
  arguments.await_go = slots.attach_after_birth();
  arguments.uid = slot.uid;
  arguments.open_files = slots.limits().open_files;
  co_return co_await recipe.zygote->clone(arguments);
}

Result<> verify(const Clone& clone, const SlotStock& slots) {
  const Slot& slot = *clone.slot;
  sandbox::Expectation expected;
  expected.host_uid = slots.host_uid(slot);
  expected.shell = {slot.shell_pid, slot.shell.pidfd()};
  expected.network = slot.netns.inode();
  expected.user = slot.netns.owner();
  expected.cgroup = slot.cgroup.name();
  expected.cgroup_folder = slot.cgroup.v2_dir();
  return sandbox::verify_confined({clone.process.pid(), clone.process.pidfd()}, expected);
}

asio::awaitable<Result<>> confine(Clone& clone, SlotStock& slots) {
  Slot& slot = *clone.slot;
  if (slots.attach_after_birth()) {
    const pid_t pid = clone.process.pid();
    auto attach = [&slot, pid] { return slot.cgroup.attach(pid, slot.cgroup.v2_dir() >= 0); };
    auto attached = co_await slots.cgroup_worker().run(attach);
    if (!attached) co_return attached;
    const char go = 'g';
    if (::send(clone.connection.native_handle(), &go, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
      co_return fail_errno("confine", "send go to the clone");
    }
  }
  auto ready = co_await wait_readable(clone.connection, Clock::now() + kParkTimeout);
  if (!ready) co_return ready;
  if (auto parked = read_parked(clone.connection.native_handle()); !parked) co_return parked;
  co_return verify(clone, slots);
}

using Folders = std::vector<std::filesystem::path>;

Result<sandbox::Attachments> attachments_for(const Function& function, const Folders& wheels) {
  auto task = sandbox::task_mount(function.code.string());
  if (!task) return std::unexpected(task.error());
  const sandbox::Limits& limits = function.spec.limits;
  sandbox::Attachments attachments{
      .task = std::move(*task), .tmp_bytes = limits.tmp_bytes, .tmp_inodes = limits.tmp_inodes};
  for (const auto& folder : wheels) {
    auto view = sandbox::task_mount(folder.string());
    if (!view) return std::unexpected(view.error());
    attachments.wheels.push_back(std::move(*view));
  }
  return attachments;
}

asio::awaitable<Result<>> attach(Clone& clone, std::shared_ptr<const Function> function,
                                 const Folders& wheels, SlotStock& slots,
                                 Clock::time_point deadline) {
  clone.slot->owner = owner_of(*function);
  clone.slot->home->note_owner(clone.slot->netns, clone.slot->owner);
  if (clone.slot->network != Network::kNone) {
    auto opened = co_await slots.open(*clone.slot, *function);
    if (!opened) co_return opened;
  }
  auto attachments = attachments_for(*function, wheels);
  if (!attachments) co_return std::unexpected(attachments.error());
  attachments->resolv_conf = slots.resolv_conf(*clone.slot);
  clone.function = std::move(function);
  co_return co_await clone.slot->shell.attach(std::move(*attachments), deadline);
}

}  // namespace

Clone::Clone(const asio::any_io_executor& executor, std::unique_ptr<Slot> its_slot,
             Process its_process, Fd its_connection, Fd its_log)
    : slot(std::move(its_slot)),
      process(std::move(its_process)),
      connection(executor, its_connection.release()),
      log(executor, its_log.release()) {
  // Only our ends: the flag belongs to the open file, and the clone's ends must block.
  boost::system::error_code ignored;
  connection.native_non_blocking(true, ignored);
  log.native_non_blocking(true, ignored);
}

bool Clone::alive() {
  char byte = 0;
  const ssize_t n = ::recv(connection.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

asio::awaitable<Result<std::unique_ptr<Clone>>> make_clone(CloneRecipe recipe, SlotStock& slots) {
  auto slot = co_await slots.take(recipe.network, recipe.function.get());
  if (!slot) co_return std::unexpected(slot.error());
  co_return co_await make_clone(std::move(recipe), std::move(*slot), slots);
}

asio::awaitable<Result<std::unique_ptr<Clone>>> make_clone(CloneRecipe recipe,
                                                           std::unique_ptr<Slot> slot,
                                                           SlotStock& slots) {
  const auto executor = co_await asio::this_coro::executor;
  auto pipes = open_pipes(recipe.discard_output);
  Result<Process> process = Process();
  if (!pipes) process = std::unexpected(pipes.error());
  // The limits before the clone: what an image brings counts against the function's memory.
  if (process && recipe.function) {
    auto limited = slot->cgroup.set_limits(recipe.function->spec.limits);
    if (!limited) process = std::unexpected(limited.error());
  }
  if (process) process = co_await start_clone(recipe, *slot, slots, *pipes);
  if (!process) {
    co_await slots.bury(std::move(slot), Process(), Haste::kNone);
    co_return std::unexpected(process.error());
  }
  // The clone's ends must be closed here, or its death would never read as end of file.
  pipes->clones_connection.reset();
  pipes->clones_log.reset();
  auto clone = std::make_unique<Clone>(executor, std::move(slot), std::move(*process),
                                       std::move(pipes->connection), std::move(pipes->log));
  clone->search_path = recipe.zygote->search_path();
  auto confined = co_await confine(*clone, slots);
  if (confined && recipe.function) {
    const auto deadline = Clock::now() + kParkTimeout;
    confined = co_await attach(*clone, std::move(recipe.function), recipe.wheels, slots, deadline);
  }
  if (confined) co_return clone;
  co_await bury_clone(std::move(clone), slots);
  co_return std::unexpected(confined.error());
}

asio::awaitable<Result<>> dedicate(Clone& clone, std::shared_ptr<const Function> function,
                                   SlotStock& slots, Clock::time_point deadline) {
  auto limited = clone.slot->cgroup.set_limits(function->spec.limits);
  if (!limited) co_return limited;
  const Folders none;
  co_return co_await attach(clone, std::move(function), none, slots, deadline);
}

asio::awaitable<void> bury_clone(std::unique_ptr<Clone> clone, SlotStock& slots) {
  const auto obituary =
      co_await slots.bury(std::move(clone->slot), std::move(clone->process), Haste::kNone);
  (void)obituary;
}

}  // namespace sock::manager
