#include "netns-pool/wire.h"

namespace sock::netns {

const char* to_string(BuildStep step) {
  switch (step) {
    case BuildStep::kNone:
      return "none";
    case BuildStep::kJoinUser:
      return "join the user namespace";
    case BuildStep::kBecomeRoot:
      return "become its id 0";
    case BuildStep::kParentDeath:
      return "set the parent-death signal";
    case BuildStep::kBaseNamespace:
      return "create the base network namespace";
    case BuildStep::kUnshare:
      return "create a network namespace";
    case BuildStep::kNetlink:
      return "open rtnetlink";
    case BuildStep::kLoopbackUp:
      return "bring loopback up";
    case BuildStep::kVerifyLinks:
      return "verify links";
    case BuildStep::kVerifyAddresses:
      return "verify addresses";
    case BuildStep::kSettings:
      return "set the namespace's sysctls";
    case BuildStep::kDescriptor:
      return "open the namespace";
    case BuildStep::kReturnToBase:
      return "return to the base network namespace";
  }
  return "unknown step";
}

}  // namespace sock::netns
