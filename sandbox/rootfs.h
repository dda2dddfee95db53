#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sock::sandbox {

/// One detached mount and where it goes below the sandbox root.
struct RootMount {
  Fd tree;
  std::string target;  ///< relative, "" for the root itself
};

/// Where sandboxes see the folder of the store's packages.
inline constexpr char kStorePlace[] = "/var/packages";

struct RootOptions {
  /// Host folders bound read-only at the same place, each as check_bind() wants it. Left out are
  /// those that are missing, and those beneath another, which shows them.
  std::vector<std::string> binds{"/usr/lib", "/usr/lib64", "/usr/bin", "/usr/share"};
  /// Host folder bound read-only at kStorePlace; empty: none. What appears in it later is seen by
  /// sandboxes that run already.
  std::string store;
  /// Host files and folders copied (symbolic links kept) into the root's /etc.
  std::vector<std::string> etc_copies{"alternatives", "fonts",           "ld.so.cache", "localtime",
                                      "matplotlibrc", "mime.types",      "protocols",   "services",
                                      "ssl/certs",    "ssl/openssl.cnf", "timezone"};
};

/// Whether sandboxes can show the host's folder at the same place: kInvalid where they have
/// something of their own (/tmp, /dev, …), and for a path above 255 bytes. `folder` is absolute and
/// free of symbolic links: the root has links of its own.
[[nodiscard]] Result<> check_bind(const std::filesystem::path& folder);

/// Builds the read-only root that all sandboxes start from, as detached mounts (fsopen(2),
/// open_tree(2)): nothing appears in the host's mount table.
///
/// The root and /dev are tmpfs instances owned by the *initial* user namespace, so that not even
/// id 0 of the sandboxes' namespace may write to or remount them; device nodes work for the same
/// reason. The first mount returned is the root; each of the others belongs below it.
///
/// Needs root on the host. Called once at start.
[[nodiscard]] Result<std::vector<RootMount>> build_root(const RootOptions& options);

/// A read-only, nosuid, nodev, private, detached view of a folder for Attachments. About 5 µs.
[[nodiscard]] Result<Fd> task_mount(const std::string& folder);

}  // namespace sock::sandbox
