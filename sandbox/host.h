#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sock::sandbox {

/// One thing sandboxes need of the host, as `sockctl doctor` shows it.
struct HostCheck {
  enum Status {
    kOk,
    kWarn,  ///< sandboxes work, with the cost that `detail` names
    kFail,  ///< no sandbox can be built
  };

  std::string name;  ///< stable and machine readable, e.g. "mount-api"
  Status status = kOk;
  std::string detail;  ///< what was found, and what it costs if that is not enough
  std::string advice;  ///< what to do about it; empty when there is nothing to do
};

/// "ok", "warn", "fail".
[[nodiscard]] std::string_view to_string(HostCheck::Status status);

/// Looks at the host by asking the kernel rather than by its version where it can be asked. Changes
/// nothing: the only trace is a child that lives for some microseconds in namespaces of its own.
/// `cgroup_parent` is the parent that CgroupPool::create() would be given. Takes a few
/// milliseconds; thread safe. Always the same checks in the same order.
[[nodiscard]] std::vector<HostCheck> probe_host(const std::string& cgroup_parent);

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  // clang-tidy 14 takes the comparison with 0 inside for a null pointer.
  auto operator<=>(const KernelVersion&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// From the release that uname(2) tells, e.g. "6.1.0-13-amd64"; empty if it is none.
[[nodiscard]] std::optional<KernelVersion> parse_kernel_release(std::string_view release);

}  // namespace sock::sandbox
