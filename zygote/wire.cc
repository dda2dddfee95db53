#include "zygote/wire.h"

namespace sock::zygote {

const char* to_string(ReadyStep step) {
  switch (step) {
    case ReadyStep::kNone:
      return "none";
    case ReadyStep::kProtocol:
      return "zygote protocol";
    case ReadyStep::kNamespaces:
      return "join namespaces";
    case ReadyStep::kInterpreter:
      return "start interpreter";
    case ReadyStep::kImport:
      return "import packages";
    case ReadyStep::kAudit:
      return "audit zygote";
    case ReadyStep::kSeal:
      return "seal zygote";
  }
  return "unknown step";
}

}  // namespace sock::zygote
