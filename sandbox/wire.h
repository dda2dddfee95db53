#pragma once

#include <cstdint>

namespace sock::sandbox {

/// Messages between sockd and sock-init over SOCK_SEQPACKET sockets. All are PODs in host order.

enum class InitMessageType : std::uint32_t {
  kMount = 1,   ///< keeper: attach the accompanying mount at `target`; the first is the root
  kSeal = 2,    ///< keeper: the root is complete, pivot into it; answered with InitReply
  kShell = 3,   ///< keeper: build a shell from [netns, shell's control socket]; answered on that
                ///< socket, by the shell, with InitReply and its pidfd
  kAttach = 4,  ///< shell: attach [function directory] at /var/task; answered with InitReply
};

struct InitMessage {
  InitMessageType type = InitMessageType::kMount;
  std::uint32_t reserved = 0;
  std::uint64_t tmp_bytes = 0;   ///< kShell, kAttach: size of /tmp and /dev/shm
  std::uint64_t tmp_inodes = 0;  ///< kShell
  char target[256] = {};         ///< kMount: relative to the root, "" is the root itself
};

/// Stages of building the keeper's root and a shell, for errors and their tests.
enum class InitStep : std::uint32_t {
  kNone = 0,
  kProtocol,
  kPrivateMounts,
  kAttachMount,
  kProc,
  kPivot,
  kCloneShell,
  kOpenPidfd,
  kJoinNetns,
  kHostname,
  kShellProc,
  kTmp,
  kShm,
  kAttachTask,
  kDropPrivileges,
};

struct InitReply {
  InitStep step = InitStep::kNone;  ///< the stage that failed; kNone is success
  std::int32_t error = 0;           ///< errno of the failure
};

[[nodiscard]] const char* to_string(InitStep step);

}  // namespace sock::sandbox
