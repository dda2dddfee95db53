// sock-netns: builds network namespaces for sockd, inside the sandboxes' user namespace.
// Protocol and descriptors: netns-pool/wire.h.

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>

#include "base/file.h"
#include "base/message.h"
#include "netns-pool/netns_builder.h"
#include "netns-pool/wire.h"

namespace sock::netns {
namespace {

constexpr int kUsage = 2;

/// Enters the user namespace of the process behind kUserNamespaceFd, as its id 0: what we create
/// from here on belongs to that namespace.
std::optional<BuildFailure> join_user_namespace(pid_t parent) {
  const auto failure = [](BuildStep step) { return BuildFailure{step, errno, ""}; };
  if (::setns(kUserNamespaceFd, CLONE_NEWUSER) < 0) return failure(BuildStep::kJoinUser);
  ::close(kUserNamespaceFd);
  if (::setgroups(0, nullptr) < 0 || ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0) {
    return failure(BuildStep::kBecomeRoot);
  }
  // The change of credentials has cleared the signal our starter set (PR_SET_PDEATHSIG(2const)).
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return failure(BuildStep::kParentDeath);
  if (::getppid() != parent) return BuildFailure{BuildStep::kParentDeath, ESRCH, ""};
  return std::nullopt;
}

/// Bounds how many network namespaces the user namespace we have joined may own.
std::optional<BuildFailure> set_most(const char* most) {
  constexpr const char* kMost = "/proc/sys/user/max_net_namespaces";
  if (auto set = write_control(AT_FDCWD, kMost, most); !set) {
    return BuildFailure{BuildStep::kSettings, set.error().sys_errno, kMost};
  }
  return std::nullopt;
}

BuildReply reply_of(ReplyKind kind, const BuildFailure& failure) {
  BuildReply reply;
  reply.kind = kind;
  reply.step = failure.step;
  reply.error = failure.error;
  std::copy_n(failure.detail.data(), std::min(failure.detail.size(), sizeof reply.detail - 1),
              reply.detail);
  return reply;
}

int start_failed(const BuildFailure& failure) {
  (void)send_message(kControlFd, bytes_of(reply_of(ReplyKind::kStartFailed, failure)));
  return EXIT_FAILURE;
}

/// False when there is nobody left to build for, or we cannot go on.
bool build_one(NetnsBuilder& builder, Furnish furnish) {
  auto built = builder.build(furnish);
  if (!built) {
    const auto reply = reply_of(ReplyKind::kBuildFailed, built.error());
    return send_message(kControlFd, bytes_of(reply)).has_value() &&
           built.error().step != BuildStep::kReturnToBase;
  }
  BuildReply reply;
  reply.inode = built->inode;
  reply.build_us = built->build_us;
  std::array<int, 3> fds{built->descriptor.get()};
  std::size_t count = 1;
  const auto add = [&](const Fd& companion, Companion kind) {
    if (!companion) return;
    reply.companions |= kind;
    fds[count++] = companion.get();
  };
  add(built->census, kCensusSocket);
  add(built->route, kRouteSocket);
  return send_message(kControlFd, bytes_of(reply), std::span(fds).first(count)).has_value();
}

int serve(NetnsBuilder& builder) {
  for (;;) {
    BuildRequest request;
    auto received = receive_message(kControlFd, writable_bytes_of(request));
    if (!received) return EXIT_FAILURE;
    if (received->size == 0) return EXIT_SUCCESS;
    if (received->size != sizeof request || !received->fds.empty() ||
        request.magic != BuildRequest::kMagic || request.count == 0 || request.count > kMaxBatch ||
        request.furnish > Furnish::kRoutable) {
      (void)std::fputs("sock-netns: malformed request\n", stderr);
      return EXIT_FAILURE;
    }
    for (std::uint32_t i = 0; i < request.count; ++i) {
      if (!build_one(builder, request.furnish)) return EXIT_FAILURE;
    }
  }
}

int run(int argc, char** argv) {
  const pid_t parent = ::getppid();
  const bool join_user = argc > 1 && argc < 4 && std::string_view(argv[1]) == kJoinUserFlag;
  if (argc > 1 && !join_user) {
    (void)std::fprintf(stderr, "usage: sock-netns [%s [MOST]] (started by sockd)\n", kJoinUserFlag);
    return kUsage;
  }
  if (join_user) {
    if (auto failure = join_user_namespace(parent)) return start_failed(*failure);
  }
  if (argc == 3) {
    if (auto failure = set_most(argv[2])) return start_failed(*failure);
  }
  auto builder = NetnsBuilder::create();
  if (!builder) return start_failed(builder.error());
  return serve(*builder);
}

}  // namespace
}  // namespace sock::netns

int main(int argc, char** argv) {
  // Without exit handlers: a leak checker among them would want to trace a process that its change
  // of credentials has made untraceable.
  ::_exit(sock::netns::run(argc, argv));
}
