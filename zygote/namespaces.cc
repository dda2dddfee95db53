#include "zygote/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/confine.h"
#include "zygote/wire.h"

namespace sock::zygote {

Result<> enter_namespaces(int keeper_pidfd) {
  if (::setns(keeper_pidfd, CLONE_NEWUSER) < 0) return fail_errno("setns", "user namespace");
  if (::syscall(SYS_setgroups, 0, nullptr) < 0 || ::syscall(SYS_setresgid, 0, 0, 0) < 0 ||
      ::syscall(SYS_setresuid, 0, 0, 0) < 0) {
    return fail_errno("setresuid", "id 0 of the user namespace");
  }
  // After the change of identity, which clears it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail_errno("prctl", "PDEATHSIG");
  if (::setns(keeper_pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0) {
    return fail_errno("setns", "the keeper's namespaces");
  }
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0) {
    return fail_errno("unshare", "namespaces of the zygote");
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    return fail_errno("mount", "make / private");
  }
  // Packages may write scratch files while they are imported; the clones never see them.
  if (::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m,nr_inodes=4096") <
      0) {
    return fail_errno("mount", "/tmp of the zygote");
  }
  if (::chdir("/") < 0) return fail_errno("chdir", "/");
  ::umask(022);
  const int own = ::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (own < 0) return fail_errno("open", "/proc/self/ns/pid");
  if (own != kPidNamespaceFd) {
    if (::dup3(own, kPidNamespaceFd, O_CLOEXEC) < 0) return fail_errno("dup3", "pid namespace");
    ::close(own);
  }
  if (!sandbox::prepare_confinement()) return fail_errno("capabilities", "of the zygote");
  return {};
}

}  // namespace sock::zygote
