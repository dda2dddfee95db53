#include "sandbox/rootfs.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/file.h"
#include "sandbox/mount_api.h"
#include "sandbox/wire.h"

namespace sock::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestCopy = 4 << 20;
constexpr std::size_t kLongestPath = 255;
static_assert(kLongestPath < sizeof InitMessage::text);

Result<Fd> new_tmpfs(const char* size) {
  Fd context(mount_api::fsopen("tmpfs"));
  if (!context) return fail_errno("fsopen", "tmpfs");
  const std::array<std::array<const char*, 2>, 3> settings{
      {{"size", size}, {"mode", "0755"}, {"nr_inodes", "16384"}}};
  for (const auto& [key, value] : settings) {
    if (mount_api::fsconfig_string(context.get(), key, value) < 0) {
      return fail_errno("fsconfig", std::string("tmpfs ") + key);
    }
  }
  if (mount_api::fsconfig_create(context.get()) < 0) return fail_errno("fsconfig", "create tmpfs");
  Fd tree(mount_api::fsmount(context.get()));
  if (!tree) return fail_errno("fsmount", "tmpfs");
  return tree;
}

Result<> make_folders(int root, const std::string& path) {
  for (std::size_t at = path.find('/');; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (!part.empty() && ::mkdirat(root, part.c_str(), 0755) < 0 && errno != EEXIST) {
      return fail_errno("mkdir", part + " in the sandbox root");
    }
    if (at == std::string::npos) return {};
  }
}

Result<> write_file(int root, const std::string& path, std::string_view text) {
  auto fd = open_fd(root, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!fd) return std::unexpected(fd.error());
  while (!text.empty()) {
    const ssize_t n = ::write(fd->get(), text.data(), text.size());
    if (n < 0) return fail_errno("write", path + " in the sandbox root");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> link_to(int root, const char* target, const char* path) {
  if (::symlinkat(target, root, path) < 0) return fail_errno("symlink", path);
  return {};
}

/// Copies one entry of the host's /etc. What cannot be read is left out: none of it is needed for
/// the sandbox to be safe, and a host may lack any of it.
Result<> copy_entry(int root, const fs::path& source, const std::string& target) {
  std::error_code error;
  if (fs::is_symlink(source, error)) {
    const auto to = fs::read_symlink(source, error);
    return error ? Result<>{} : link_to(root, to.c_str(), target.c_str());
  }
  if (!fs::is_regular_file(source, error)) return {};
  auto text = read_file(AT_FDCWD, source.string(), kLargestCopy);
  if (!text) return {};
  return write_file(root, target, *text);
}

Result<> copy_etc(int root, const std::string& name) {
  const fs::path source = fs::path("/etc") / name;
  const std::string target = "etc/" + name;
  std::error_code error;
  if (!fs::exists(fs::symlink_status(source, error))) return {};
  const auto parent = fs::path(target).parent_path().string();
  if (auto made = make_folders(root, parent); !made) return made;
  if (!fs::is_directory(fs::symlink_status(source, error))) return copy_entry(root, source, target);
  if (auto made = make_folders(root, target); !made) return made;
  fs::recursive_directory_iterator walk(source, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    const std::string below = target + "/" + walk->path().lexically_relative(source).string();
    std::error_code ignored;
    const bool folder = walk->symlink_status(ignored).type() == fs::file_type::directory;
    auto copied = folder ? make_folders(root, below) : copy_entry(root, walk->path(), below);
    if (!copied) return copied;
  }
  return {};
}

/// Whether `path` is `folder` or lies beneath it.
bool is_within(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(folder, path).in1 == folder.end();
}

Result<> fill_root(int root, const RootOptions& options) {
  for (const char* folder : {"usr", "proc", "tmp", "dev", "etc", "var/task"}) {
    if (auto made = make_folders(root, folder); !made) return made;
  }
  for (std::size_t i = 0; i < kMostWheelFolders; ++i) {
    const std::string folder = "var/wheels/" + std::to_string(i);
    if (auto made = make_folders(root, folder); !made) return made;
  }
  constexpr std::array<std::array<const char*, 2>, 4> kLinks{
      {{"usr/lib", "lib"}, {"usr/lib64", "lib64"}, {"usr/bin", "bin"}, {"/tmp", "var/tmp"}}};
  for (const auto& [target, path] : kLinks) {
    if (auto linked = link_to(root, target, path); !linked) return linked;
  }
  for (const auto& name : options.etc_copies) {
    if (auto copied = copy_etc(root, name); !copied) return copied;
  }
  const std::string hosts = std::string("127.0.0.1 localhost\n127.0.1.1 ") + kHostName +
                            "\n::1 localhost ip6-localhost ip6-loopback\n";
  const std::array<std::array<const char*, 2>, 6> files{{
      {"etc/passwd",
       "root:x:0:0:root:/:/bin/false\nsandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n"
       "nobody:x:65534:65534:nobody:/:/bin/false\n"},
      {"etc/group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n"},
      // A name in there may have an address of each family.
      {"etc/host.conf", "multi on\n"},
      {"etc/hosts", hosts.c_str()},
      {"etc/nsswitch.conf",
       "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n"},
      // Shell::attach() covers it where there is somebody to ask. Empty, it means the sandbox's own
      // loopback, where nobody answers, which a lookup is told at once.
      {"etc/resolv.conf", ""},
  }};
  for (const auto& [path, text] : files) {
    if (auto written = write_file(root, path, text); !written) return written;
  }
  return {};
}

Result<> fill_dev(int dev) {
  struct Node {
    const char* name;
    unsigned minor;
  };
  // Character devices of major 1 (Documentation/admin-guide/devices.txt).
  constexpr std::array<Node, 5> kNodes{
      {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}}};
  for (const auto& node : kNodes) {
    if (::mknodat(dev, node.name, S_IFCHR | 0666, makedev(1, node.minor)) < 0 ||
        ::fchmodat(dev, node.name, 0666, 0) < 0) {
      return fail_errno("mknod", std::string("/dev/") + node.name);
    }
  }
  constexpr std::array<std::array<const char*, 2>, 4> kLinks{{{"/proc/self/fd", "fd"},
                                                              {"/proc/self/fd/0", "stdin"},
                                                              {"/proc/self/fd/1", "stdout"},
                                                              {"/proc/self/fd/2", "stderr"}}};
  for (const auto& [target, path] : kLinks) {
    if (auto linked = link_to(dev, target, path); !linked) return linked;
  }
  return make_folders(dev, "shm");
}

/// The host's folder, and the place for it.
Result<RootMount> bind(int root, const std::string& folder, const std::string& target) {
  if (auto made = make_folders(root, target); !made) return std::unexpected(made.error());
  Fd tree(mount_api::open_tree(AT_FDCWD, folder.c_str(), OPEN_TREE_CLONE | AT_RECURSIVE));
  if (!tree) return fail_errno("open_tree", folder);
  return RootMount{std::move(tree), target};
}

}  // namespace

Result<> check_bind(const fs::path& folder) {
  for (const char* own :
       {"/dev", "/etc", "/proc", "/tmp", kStorePlace, "/var/task", "/var/tmp", "/var/wheels"}) {
    if (is_within(folder, own) || is_within(own, folder)) {
      return fail(
          Code::kInvalid, "sandbox root",
          "sandboxes cannot be shown " + folder.string() + ": they have " + own + " to themselves");
    }
  }
  if (folder.native().size() > kLongestPath) {
    return fail(Code::kInvalid, "sandbox root", folder.string() + " is too long a path");
  }
  return {};
}

Result<std::vector<RootMount>> build_root(const RootOptions& options) {
  // The folders of the root are created with exact modes whatever the caller's umask.
  const mode_t mask = ::umask(022);
  auto restore = [mask] { ::umask(mask); };

  std::vector<RootMount> mounts;
  auto root = new_tmpfs("16m");
  if (!root) return restore(), std::unexpected(root.error());
  auto filled = fill_root(root->get(), options);
  const int root_fd = root->get();
  mounts.push_back({std::move(*root), ""});

  auto dev = new_tmpfs("64k");
  if (filled && dev) filled = fill_dev(dev->get());
  if (!filled || !dev) return restore(), std::unexpected(filled ? dev.error() : filled.error());
  mounts.push_back({std::move(*dev), "dev"});

  for (const auto& path : options.binds) {
    std::error_code error;
    const auto shows_it = [&path](const std::string& other) {
      return other != path && is_within(path, other);
    };
    if (!fs::is_directory(path, error) || std::ranges::any_of(options.binds, shows_it)) continue;
    auto bound = bind(root_fd, path, path.substr(1));
    if (!bound) return restore(), std::unexpected(bound.error());
    mounts.push_back(std::move(*bound));
  }
  if (!options.store.empty()) {
    auto bound = bind(root_fd, options.store, kStorePlace + 1);
    if (!bound) return restore(), std::unexpected(bound.error());
    mounts.push_back(std::move(*bound));
  }
  restore();
  for (const auto& mount : mounts) {
    const bool dev_mount = mount.target == "dev";
    const std::uint64_t attributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | (dev_mount ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV);
    if (mount_api::set_attributes(mount.tree.get(), attributes, true) < 0) {
      return fail_errno("mount_setattr", "/" + mount.target);
    }
  }
  return mounts;
}

Result<Fd> task_mount(const std::string& folder) {
  constexpr std::uint64_t kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  Fd tree(mount_api::detached_view(AT_FDCWD, folder.c_str(), 0, kAttributes));
  if (!tree) return fail_errno("task mount", folder);
  return tree;
}

}  // namespace sock::sandbox
