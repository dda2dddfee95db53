#pragma once

#include <cstddef>
#include <cstdint>

namespace sock::sandbox {

/// Messages between sockd and sock-init over SOCK_SEQPACKET sockets. All are PODs in host order.

enum class InitMessageType : std::uint32_t {
  kMount = 1,   ///< keeper: attach the accompanying mount at `target`; the first is the root
  kSeal = 2,    ///< keeper: the root is complete, pivot into it; answered with InitReply
  kShell = 3,   ///< keeper: build a shell from [netns, shell's control socket]; answered on that
                ///< socket, by the shell, with InitReply and its pidfd
  kAttach = 4,  ///< shell: attach [function directory, folders] at /var/task and /var/wheels/0, 1,
                ///< …, and `text`, if there is any, as /etc/resolv.conf; answered with InitReply
};

/// Sent without the part of `text` that is not used.
struct InitMessage {
  InitMessageType type = InitMessageType::kMount;
  std::uint32_t text_length = 0;
  std::uint64_t tmp_bytes = 0;   ///< kShell, kAttach: size of /tmp and /dev/shm
  std::uint64_t tmp_inodes = 0;  ///< kShell, kAttach: of each of the two
  /// kMount: the place, relative to the root, "" is the root itself. kAttach: a whole file. Ends
  /// with a NUL, which `text_length` does not count.
  char text[1024] = {};
};

/// The bytes that are sent of a message with this much text.
[[nodiscard]] constexpr std::size_t sent_size(std::size_t text_length) {
  return offsetof(InitMessage, text) + text_length;
}

/// Most folders that one sandbox is shown at /var/wheels/0 and up.
inline constexpr std::size_t kMostWheelFolders = 4;

/// What every sandbox is called.
inline constexpr char kHostName[] = "sandbox";

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
  kAttachWheels,
  kResolvConf,
  kDropPrivileges,
};

struct InitReply {
  InitStep step = InitStep::kNone;  ///< the stage that failed; kNone is success
  std::int32_t error = 0;           ///< errno of the failure
};

[[nodiscard]] const char* to_string(InitStep step);

}  // namespace sock::sandbox
