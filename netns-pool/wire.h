#pragma once

#include <cstddef>
#include <cstdint>

/// Messages between the pool and sock-netns over a SOCK_SEQPACKET socket; PODs in host order.
///
/// The pool sends one BuildRequest at a time. The helper answers with `count` BuildReply, one a
/// namespace, each kBuilt with descriptors (SCM_RIGHTS) or kBuildFailed without any.
/// A helper that cannot start sends one kStartFailed and exits. It exits on end of file.
namespace sock::netns {

inline constexpr int kControlFd = 3;        ///< the socket
inline constexpr int kUserNamespaceFd = 4;  ///< with kJoinUserFlag: pidfd of the namespace's holder
/// May be followed by the most network namespaces that the user namespace may own, in decimal.
inline constexpr char kJoinUserFlag[] = "--join-user";

inline constexpr std::uint32_t kMaxBatch = 64;

/// What a namespace comes with.
enum class Furnish : std::uint32_t {
  kLoopback = 0,
  kRoutable = 1,  ///< settings for a link to the outside, and an rtnetlink socket to make it by
};

struct BuildRequest {
  std::uint32_t magic = kMagic;
  std::uint32_t count = 0;  ///< 1…kMaxBatch
  Furnish furnish = Furnish::kLoopback;

  static constexpr std::uint32_t kMagic = 0x736e7332;  // "sns2"
};
static_assert(sizeof(BuildRequest) == 12);

/// Descriptors of an answer behind that of the namespace itself, in this order.
enum Companion : std::uint32_t {
  kCensusSocket = 1,  ///< sock_diag, where the kernel has it
  kRouteSocket = 2,   ///< with kRoutable
};

enum class ReplyKind : std::uint32_t {
  kBuilt = 1,
  kBuildFailed = 2,
  kStartFailed = 3,
};

/// Stages of starting the helper and of building one namespace.
enum class BuildStep : std::uint32_t {
  kNone = 0,
  kJoinUser,
  kBecomeRoot,
  kParentDeath,
  kBaseNamespace,
  kUnshare,
  kNetlink,
  kLoopbackUp,
  kVerifyLinks,
  kVerifyAddresses,
  kSettings,
  kDescriptor,
  kReturnToBase,
};
inline constexpr std::uint32_t kBuildSteps = 13;

struct BuildReply {
  ReplyKind kind = ReplyKind::kBuilt;
  BuildStep step = BuildStep::kNone;  ///< that failed
  std::int32_t error = 0;             ///< errno of the failure, 0 when no system call failed
  std::uint32_t companions = 0;       ///< sum of Companion
  std::uint64_t inode = 0;            ///< of the namespace
  std::uint64_t build_us = 0;         ///< from unshare to verified
  char detail[64] = {};               ///< of the failure: NUL-terminated text
};
static_assert(sizeof(BuildReply) == 96);

[[nodiscard]] const char* to_string(BuildStep step);

}  // namespace sock::netns
