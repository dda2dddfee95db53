#include "sandbox/wire.h"

namespace sock::sandbox {

const char* to_string(InitStep step) {
  switch (step) {
    case InitStep::kNone:
      return "none";
    case InitStep::kProtocol:
      return "init protocol";
    case InitStep::kPrivateMounts:
      return "make mounts private";
    case InitStep::kAttachMount:
      return "attach root mount";
    case InitStep::kProc:
      return "mount keeper /proc";
    case InitStep::kPivot:
      return "pivot_root";
    case InitStep::kCloneShell:
      return "clone shell";
    case InitStep::kOpenPidfd:
      return "open pidfd of shell";
    case InitStep::kJoinNetns:
      return "join netns";
    case InitStep::kHostname:
      return "set host name";
    case InitStep::kShellProc:
      return "mount /proc";
    case InitStep::kTmp:
      return "mount /tmp";
    case InitStep::kShm:
      return "mount /dev/shm";
    case InitStep::kAttachTask:
      return "attach /var/task";
    case InitStep::kAttachWheels:
      return "attach /var/wheels";
    case InitStep::kResolvConf:
      return "attach /etc/resolv.conf";
    case InitStep::kDropPrivileges:
      return "drop privileges of init";
  }
  return "unknown step";
}

}  // namespace sock::sandbox
