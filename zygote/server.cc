#include "zygote/server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <span>

#include "base/clock.h"
#include "base/message.h"
#include "sandbox/seccomp_policy.h"
#include "zygote/audit.h"
#include "zygote/clone.h"
#include "zygote/config.h"
#include "zygote/heap.h"
#include "zygote/interpreter.h"
#include "zygote/namespaces.h"
#include "zygote/wire.h"

namespace sock::zygote {
namespace {

struct Incoming {
  Request request;
  std::array<int, 6> fds{};
  std::size_t fd_count = 0;
};

/// Allocates nothing: the serving loop must not dirty the memory its clones share.
bool receive(Incoming& incoming) {
  const ssize_t n = receive_into(kControlFd, writable_bytes_of(incoming.request), incoming.fds,
                                 incoming.fd_count);
  if (n == 0) return false;
  if (n != sizeof incoming.request) ::_exit(2);
  return true;
}

void close_fds(const Incoming& incoming) {
  for (std::size_t i = 0; i < incoming.fd_count; ++i) ::close(incoming.fds[i]);
}

/// What every clone adds to the filter it inherits; filled before serving, read-only afterwards.
std::vector<sock_filter> g_filter;

Ready ready_error(ReadyStep step, const Error& error) {
  Ready ready;
  ready.step = step;
  std::snprintf(ready.error, sizeof ready.error, "%s", error.describe().c_str());
  return ready;
}

/// Everything after the namespaces, the same for a first zygote and for a child of one.
Ready import_and_audit(const ZygoteConfig& config) {
  Ready ready;
  const auto begin = Clock::now();
  if (auto imported = interpreter::import_modules(config.modules); !imported) {
    return ready_error(ReadyStep::kImport, imported.error());
  }
  if (auto settled = interpreter::settle(); !settled) {
    return ready_error(ReadyStep::kImport, settled.error());
  }
  ready.import_us = micros_between(begin, Clock::now());
  if (auto audited = audit(); !audited) return ready_error(ReadyStep::kAudit, audited.error());
  collapse_heap();
  return ready;
}

Ready start(const Incoming& incoming) {
  if (incoming.request.type != RequestType::kStart || incoming.fd_count != 2) {
    return ready_error(ReadyStep::kProtocol, Error{Code::kInternal, "start", EPROTO, ""});
  }
  auto config = read_config(incoming.fds[1]);
  if (!config) return ready_error(ReadyStep::kProtocol, config.error());
  if (auto entered = enter_namespaces(incoming.fds[0]); !entered) {
    return ready_error(ReadyStep::kNamespaces, entered.error());
  }
  // kPidNamespaceFd may have taken the place of one of them.
  for (const int fd : incoming.fds) {
    if (fd > kPidNamespaceFd) ::close(fd);
  }
  if (!prepare_cloning()) {
    return ready_error(ReadyStep::kNamespaces,
                       Error{Code::kInternal, "prepare cloning", errno, "PR_GET_TID_ADDRESS"});
  }
  // Before any package's code runs; all clones and child zygotes inherit it.
  if (!sandbox::load_seccomp_filter(config->filter.inherited)) {
    return ready_error(ReadyStep::kNamespaces,
                       Error{Code::kInternal, "seccomp", errno, "of the zygote"});
  }
  g_filter = std::move(config->filter.last);
  if (auto started = interpreter::start(config->search_path); !started) {
    return ready_error(ReadyStep::kInterpreter, started.error());
  }
  return import_and_audit(*config);
}

void answer(Cloned cloned) {
  CloneReply reply;
  reply.error = cloned.error;
  const std::span<const int> fds(&cloned.pidfd, cloned.pidfd >= 0 ? 1 : 0);
  (void)send_message(kControlFd, bytes_of(reply), fds);
  if (cloned.pidfd >= 0) ::close(cloned.pidfd);
}

/// False when the descriptors are not those that the flags announce.
bool read_plan(const Incoming& incoming, ClonePlan& plan) {
  plan.request = incoming.request;
  plan.filter = g_filter;
  std::size_t next = 0;
  auto take = [&](int& fd, bool announced) {
    if (!announced) return true;
    if (next == incoming.fd_count) return false;
    fd = incoming.fds[next++];
    return true;
  };
  const std::uint32_t flags = incoming.request.flags;
  return take(plan.shell, true) && take(plan.connection, true) && take(plan.log, true) &&
         take(plan.image, (flags & kWithImage) != 0) &&
         take(plan.touches, (flags & kWithTouches) != 0) &&
         take(plan.cgroup, (flags & kIntoCgroup) != 0) && next == incoming.fd_count;
}

void clone(const Incoming& incoming) {
  ClonePlan plan;
  if (!read_plan(incoming, plan)) {
    answer({-1, EPROTO});
    return;
  }
  answer(make_clone(plan));
}

/// The child zygote's first steps: its own control socket, then what its configuration adds.
Ready become_child(const Incoming& incoming) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::dup3(incoming.fds[0], kControlFd, O_CLOEXEC) < 0) {
    return ready_error(ReadyStep::kProtocol, Error{Code::kInternal, "dup3", errno, "control"});
  }
  auto config = read_config(incoming.fds[1]);
  close_fds(incoming);
  if (!config) return ready_error(ReadyStep::kProtocol, config.error());
  if (auto restored = interpreter::after_clone(); !restored) {
    return ready_error(ReadyStep::kInterpreter, restored.error());
  }
  return import_and_audit(*config);
}

/// True in the new child zygote, once it is ready.
bool fork_child(const Incoming& incoming) {
  if (incoming.fd_count != 2) {
    answer({-1, EPROTO});
    return false;
  }
  const Cloned cloned = make_fork();
  if (cloned.pidfd >= 0 || cloned.error != 0) {
    answer(cloned);
    return false;
  }
  return true;
}

bool report(const Ready& ready) {
  return send_message(kControlFd, bytes_of(ready)).has_value() && ready.step == ReadyStep::kNone;
}

}  // namespace

int serve() {
  ::prctl(PR_SET_NAME, "sock-zygote", 0, 0, 0);
  Incoming incoming;
  if (!receive(incoming)) return 0;
  if (!report(start(incoming))) return 1;
  while (receive(incoming)) {
    switch (incoming.request.type) {
      case RequestType::kClone:
        clone(incoming);
        break;
      case RequestType::kFork:
        if (fork_child(incoming)) {
          if (!report(become_child(incoming))) return 1;
          continue;
        }
        break;
      case RequestType::kStart:
        answer({-1, EPROTO});
        break;
    }
    close_fds(incoming);
  }
  return 0;
}

}  // namespace sock::zygote
