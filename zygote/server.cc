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
#include "zygote/seal.h"
#include "zygote/wire.h"

namespace sock::zygote {
namespace {

/// A healthy one takes milliseconds.
constexpr Millis kTrialTimeout{5'000};

struct Incoming {
  Request request;
  std::array<int, kMaxMessageFds> fds{};
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
/// Whether to seal; set with the latest configuration.
bool g_seal = false;

Ready ready_error(ReadyStep step, const Error& error) {
  Ready ready;
  ready.step = step;
  std::snprintf(ready.error, sizeof ready.error, "%s", error.describe().c_str());
  return ready;
}

/// Everything from the imports to the audit, the same for a first zygote and for a child of one.
Ready import_and_audit(const ZygoteConfig& config) {
  Ready ready;
  g_seal = config.seal;
  const auto begin = Clock::now();
  if (auto imported = interpreter::import_modules(config.modules, config.search_path); !imported) {
    return ready_error(ReadyStep::kImport, imported.error());
  }
  if (auto settled = interpreter::settle(); !settled) {
    return ready_error(ReadyStep::kImport, settled.error());
  }
  ready.import_us = micros_between(begin, Clock::now());
  if (auto audited = audit(); !audited) return ready_error(ReadyStep::kAudit, audited.error());
  return ready;
}

bool finish_trial() { return interpreter::after_clone().has_value(); }

/// The last step before serving, when nothing is left to be freed: makes clones cheap. Gives the
/// image of a sealed zygote; what cannot be sealed gets huge pages instead.
Fd make_cheap_to_clone(Ready& ready, std::span<const int> ancestors) {
  settle_heap();
  if (!g_seal) {
    std::snprintf(ready.error, sizeof ready.error, "not wanted");
    collapse_heap();
    return {};
  }
  const auto begin = Clock::now();
  auto seal = seal_memory(ancestors);
  if (!seal && seal.error().code != Code::kInvalid) {
    ready = ready_error(ReadyStep::kSeal, seal.error());
    return {};
  }
  if (!seal) {
    std::snprintf(ready.error, sizeof ready.error, "%s", seal.error().message.c_str());
    collapse_heap();
    return {};
  }
  if (!trial_clone(finish_trial, kTrialTimeout)) {
    ready =
        ready_error(ReadyStep::kSeal, Error{Code::kInternal, "seal", 0, "a trial clone failed"});
    return {};
  }
  ready.seal_us = micros_between(begin, Clock::now());
  ready.sealed = 1;
  ready.sealed_bytes = seal->bytes;
  ready.mappings_before = seal->mappings_before;
  ready.mappings_after = seal->mappings_after;
  return std::move(seal->image);
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
  keep_heap_together();
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
  keep_heap_together();
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

/// Answers Ready; false when this zygote is not to serve. From here on nothing is allocated.
bool report(Ready ready, std::span<const int> ancestors = {}) {
  Fd image;
  if (ready.step == ReadyStep::kNone) image = make_cheap_to_clone(ready, ancestors);
  const int fd = image.get();
  return send_message(kControlFd, bytes_of(ready), {&fd, image.valid() ? 1U : 0U}).has_value() &&
         ready.step == ReadyStep::kNone;
}

/// The child zygote's answer. What its memory is mapped from waits in its socket until now: no
/// package has seen it.
bool report_child(const Ready& ready) {
  Incoming seals;
  if (!receive(seals) || seals.request.type != RequestType::kSeals) return false;
  const bool serves = report(ready, std::span(seals.fds).first(seals.fd_count));
  close_fds(seals);
  return serves;
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
          if (!report_child(become_child(incoming))) return 1;
          continue;
        }
        break;
      case RequestType::kStart:
      case RequestType::kSeals:
        answer({-1, EPROTO});
        break;
    }
    close_fds(incoming);
  }
  return 0;
}

}  // namespace sock::zygote
