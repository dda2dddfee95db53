#include "manager/functions/bundle_writer.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "manager/settings/units.h"

namespace sock::manager {
namespace {

// NAME_MAX, and PATH_MAX with its final NUL (limits.h, path_resolution(7)).
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxPathBytes = 4095;

// zip cannot tell earlier times, and .pyc files hold 32 bits.
constexpr std::time_t kEarliest = 315'532'800;  // 1980-01-01

}  // namespace

std::unexpected<Error> refuse_entry(std::string_view name, const std::string& why) {
  return fail(Code::kInvalid, "bundle", "bundle entry " + in_quotes(name) + " " + why);
}

BundleWriter::BundleWriter(Fd root, const BundleLimits& limits)
    : root_(std::move(root)), limits_(limits) {}

Result<> BundleWriter::check_name(std::string_view name) const {
  if (name.empty()) return refuse_entry(name, "has no name");
  if (!is_utf8(name)) return refuse_entry(name, "has a name that is not UTF-8");
  if (has_controls(name)) return refuse_entry(name, "has control characters in its name");
  if (name.front() == '/') return refuse_entry(name, "has an absolute name");
  if (name.size() > kMaxPathBytes) return refuse_entry(name, "has a path longer than 4095 bytes");
  std::uint32_t depth = 0;
  for (std::string_view rest = name;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty()) return refuse_entry(name, "has an empty part in its path");
    if (part == "." || part == "..") {
      return refuse_entry(name, "has \"" + std::string(part) + "\" in its path");
    }
    if (part.size() > kMaxNameBytes) {
      return refuse_entry(name, "has a name longer than 255 bytes in its path");
    }
    if (++depth > limits_.depth) {
      return refuse_entry(name, "lies deeper than " + std::to_string(limits_.depth) +
                                    " folders, this daemon's cap ([deploy] depth)");
    }
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

Result<> BundleWriter::count_node(std::string_view name) const {
  if (nodes_.size() < limits_.entries) return {};
  return refuse_entry(name, "is one more than " + std::to_string(limits_.entries) +
                                " files and folders, this daemon's cap ([deploy] entries)");
}

Result<Fd> BundleWriter::open_beneath(const std::string& name, std::uint64_t flags,
                                      std::uint64_t mode) const {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.mode = mode;
  // openat2(2): the kernel itself refuses to leave the root, whatever the name holds.
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how)));
  if (!fd) return fail_errno("unpack", "create " + in_quotes(name));
  return fd;
}

Result<> BundleWriter::make_folder(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : name.substr(0, slash);
  const std::string leaf = slash == std::string::npos ? name : name.substr(slash + 1);
  const auto folder = open_beneath(parent, O_PATH | O_DIRECTORY, 0);
  if (!folder) return std::unexpected(folder.error());
  if (::mkdirat(folder->get(), leaf.c_str(), 0755) < 0) {
    return fail_errno("unpack", "create folder " + in_quotes(name));
  }
  const auto made = open_beneath(name, O_RDONLY | O_DIRECTORY, 0);
  if (!made) return std::unexpected(made.error());
  // mkdir's mode is subject to the umask.
  if (::fchmod(made->get(), 0755) < 0) return fail_errno("unpack", "chmod " + in_quotes(name));
  return {};
}

Result<> BundleWriter::make_parents(std::string_view name) {
  for (std::size_t slash = name.find('/'); slash != std::string_view::npos;
       slash = name.find('/', slash + 1)) {
    const std::string parent(name.substr(0, slash));
    const auto found = nodes_.find(parent);
    if (found != nodes_.end()) {
      if (found->second.folder) continue;
      return refuse_entry(name, "needs the folder " + in_quotes(parent) + ", which is a file");
    }
    if (auto counted = count_node(name); !counted) return counted;
    if (auto made = make_folder(parent); !made) return made;
    nodes_[parent].folder = true;
  }
  return {};
}

Result<> BundleWriter::add_folder(std::string_view name) {
  if (auto checked = check_name(name); !checked) return checked;
  const auto found = nodes_.find(name);
  if (found != nodes_.end()) {
    if (!found->second.folder) return refuse_entry(name, "is both a file and a folder");
    if (std::exchange(found->second.listed, true)) return refuse_entry(name, "comes twice");
    return {};
  }
  if (auto made = make_parents(name); !made) return made;
  if (auto counted = count_node(name); !counted) return counted;
  if (auto made = make_folder(std::string(name)); !made) return made;
  Node& node = nodes_[std::string(name)];
  node.folder = true;
  node.listed = true;
  return {};
}

Result<> BundleWriter::begin_file(std::string_view name, bool executable,
                                  std::optional<std::time_t> modified) {
  if (auto checked = check_name(name); !checked) return checked;
  const auto found = nodes_.find(name);
  if (found != nodes_.end()) {
    return refuse_entry(name, found->second.folder ? "is both a file and a folder" : "comes twice");
  }
  if (auto made = make_parents(name); !made) return made;
  if (auto counted = count_node(name); !counted) return counted;
  auto fd = open_beneath(std::string(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!fd) return std::unexpected(fd.error());
  if (::fchmod(fd->get(), executable ? 0755 : 0644) < 0) {
    return fail_errno("unpack", "chmod " + in_quotes(name));
  }
  Node& node = nodes_[std::string(name)];
  node.listed = true;
  node.executable = executable;
  file_ = {std::string(name), std::move(*fd), Sha256(), modified};
  return {};
}

Result<> BundleWriter::write(std::string_view bytes) {
  if (bytes.size() > bytes_left()) {
    return refuse_entry(file_.name, "takes the bundle above " +
                                        format_size(limits_.unpacked_bytes) +
                                        " unpacked, this daemon's cap ([deploy] unpacked_bytes)");
  }
  file_.hash.update(bytes);
  info_.bytes += bytes.size();
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_.fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("unpack", "write " + in_quotes(file_.name));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> BundleWriter::end_file() {
  if (file_.modified) {
    const std::time_t now = std::time(nullptr);
    const timespec time{std::clamp(*file_.modified, kEarliest, std::max(now, kEarliest)), 0};
    const timespec times[2] = {time, time};
    if (::futimens(file_.fd.get(), times) < 0) {
      return fail_errno("unpack", "set the time of " + in_quotes(file_.name));
    }
  }
  auto digest = file_.hash.finish();
  if (!digest) return std::unexpected(digest.error());
  nodes_.find(file_.name)->second.digest = std::move(*digest);
  file_.fd.reset();
  ++info_.files;
  return {};
}

Result<BundleInfo> BundleWriter::finish() {
  if (info_.files == 0) return fail(Code::kInvalid, "bundle", "the bundle holds no file");
  Sha256 hash;
  for (const auto& [name, node] : nodes_) {
    // Names hold no NUL, so no two trees give the same bytes.
    hash.update(name);
    hash.update(std::string_view("\0", 1));
    hash.update(node.folder ? "folder" : node.executable ? "0755" : "0644");
    hash.update(node.digest);
    hash.update("\n");
  }
  auto digest = hash.finish();
  if (!digest) return std::unexpected(digest.error());
  info_.sha256 = std::move(*digest);
  return info_;
}

}  // namespace sock::manager
