#pragma once

#include <cstdint>

namespace sock::zygote {

/// Messages between sockd and a zygote (SOCK_SEQPACKET), and frames between sockd and a clone
/// (a stream of base/frame.h). PODs in host order; both sides are this build.

enum class RequestType : std::uint32_t {
  kStart = 1,  ///< first message to a new process: [keeper pidfd, config memfd]; answered by Ready
  kClone = 2,  ///< [shell pidfd, connection, log pipe, image?, touches?, cgroup?]; answered by
               ///< CloneReply
  kFork = 3,   ///< a child zygote: [its control socket, config memfd]; CloneReply here, then
               ///< Ready on the new socket
  kSeals = 4,  ///< waits on a child zygote's socket from its birth: the memfds its memory is mapped
               ///< from (seal.h), none to kMaxMessageFds; no answer
};

enum RequestFlags : std::uint32_t {
  kIntoCgroup = 1,     ///< the last descriptor is a cgroup v2 directory to be born in
  kAwaitGo = 2,        ///< the clone waits for one byte before it confines itself: sockd still has
                       ///< to attach it to cgroups it could not be born in
  kWithImage = 4,      ///< restore this image (image.h) before parking
  kWithTouches = 8,    ///< populate these pages (image.h) before parking
  kToBeRecorded = 16,  ///< gets another pid than its restored copies will have, so that libraries
                       ///< that notice forks by getpid() notice those too
};

struct Request {
  RequestType type = RequestType::kStart;
  std::uint32_t flags = 0;
  std::uint32_t uid = 0;         ///< kClone: in the user namespace
  std::uint32_t open_files = 0;  ///< kClone
};

/// Answer to kClone and kFork; carries the pidfd when `error` is 0.
struct CloneReply {
  std::uint32_t type = kType;
  std::int32_t error = 0;  ///< errno of the clone

  static constexpr std::uint32_t kType = 0x636c6f6e;
};

/// Stages of making a zygote ready.
enum class ReadyStep : std::uint32_t {
  kNone = 0,
  kProtocol,
  kNamespaces,
  kInterpreter,
  kImport,
  kAudit,
  kSeal,  ///< its memory cannot be trusted any more; unsealed the same zygote would do
};

[[nodiscard]] const char* to_string(ReadyStep step);

/// Carries the zygote's image when it is sealed.
struct Ready {
  std::uint32_t type = kType;
  ReadyStep step = ReadyStep::kNone;  ///< the stage that failed; kNone is success
  std::int64_t import_us = 0;
  std::int64_t seal_us = 0;        ///< including the trial clone
  std::uint64_t sealed_bytes = 0;  ///< of the image
  std::uint32_t sealed = 0;        ///< 1 = yes
  std::uint32_t mappings_before = 0;
  std::uint32_t mappings_after = 0;
  std::uint32_t reserved = 0;
  /// What failed, for a person; NUL terminated. With kNone, why it is not sealed.
  char error[496] = {};

  static constexpr std::uint32_t kType = 0x72656479;
};

/// Frame types on a clone's connection.
enum class FrameType : std::uint32_t {
  kParked = 1,  ///< clone → sockd: confined and waiting; no payload
  kFailed = 2,  ///< clone → sockd: Failure
  kCall = 3,    ///< sockd → clone: CallHeader, then its parts in order; kResult or kRaised follow
  kResult = 4,  ///< clone → sockd: ResultHeader, then the result's JSON
  kRaised = 5,  ///< clone → sockd: ResultHeader, then {"errorType","errorMessage","stackTrace"}
  kPrepare = 6,  ///< sockd → clone: as kCall, without an event: load the handler and wait to be
                 ///< recorded; kResult (empty) or kRaised follow
  kCompile = 7,  ///< sockd → clone: as kCall: compile the handler's module; kResult carries it
};

struct Failure {
  std::uint32_t step = 0;  ///< sandbox::ConfineStep
  std::int32_t error = 0;
};

struct CallHeader {
  std::int64_t deadline_ns = 0;  ///< CLOCK_MONOTONIC
  std::uint32_t memory_mb = 0;
  std::uint32_t handler_length = 0;
  std::uint32_t function_length = 0;
  std::uint32_t id_length = 0;
  std::uint32_t environment_length = 0;  ///< "K\0V\0" pairs
  std::uint32_t path_length = 0;         ///< of sys.path, "P\0" each; 0 = as the zygote has it
  std::uint32_t code_length = 0;         ///< what kCompile answered; may be 0
  std::uint32_t cpus = 1;                ///< of the function's CPU limit, rounded up
  std::uint64_t event_length = 0;
};

struct ResultHeader {
  std::int64_t init_us = 0;
  std::int64_t run_us = 0;
};

/// Descriptors of a zygote and of a clone beyond 0, 1 and 2.
inline constexpr int kControlFd = 3;
inline constexpr int kPidNamespaceFd = 4;
inline constexpr int kConnectionFd = 3;
inline constexpr int kImageFd = 4;    ///< only until the clone is parked
inline constexpr int kTouchesFd = 5;  ///< likewise

}  // namespace sock::zygote
