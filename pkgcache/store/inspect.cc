#include "pkgcache/store/inspect.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/tree.h"
#include "pkgcache/text.h"
#include "pkgcache/version.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;

// With room for the suffixes of a record and its temporary file in NAME_MAX.
constexpr std::size_t kMaxFolderName = 240;

std::unexpected<Error> invalid(const Package& package, std::string_view why) {
  return fail(Code::kInvalid, "package", package.to_string() + ": " + std::string(why));
}

/// Counts, checks and normalises, entry by entry.
Result<TreeSize> settle_files(const fs::path& tree, const Package& claimed,
                              const TreeLimits& limits) {
  TreeSize size;
  std::uint64_t entries = 0;
  auto walked =
      walk_tree(tree, [&](int folder, const char* name, const struct stat& status) -> Result<> {
        if (++entries > limits.entries) {
          return invalid(
              claimed, "it has more than " + std::to_string(limits.entries) + " files and folders");
        }
        const bool file = S_ISREG(status.st_mode);
        if (file && status.st_nlink > 1)
          return invalid(claimed, in_quotes(name) + " is a hard link");
        if (file && (status.st_mode & (S_ISUID | S_ISGID)) != 0) {
          return invalid(claimed, in_quotes(name) + " has a set-user-id or set-group-id bit");
        }
        const auto length = file ? static_cast<std::uint64_t>(status.st_size) : 0;
        if (length > limits.bytes - size.bytes) {
          return invalid(claimed, "it is larger than " + std::to_string(limits.bytes) + " bytes");
        }
        size.files += file ? 1 : 0;
        size.bytes += length;
        if (::fchownat(folder, name, ::geteuid(), ::getegid(), AT_SYMLINK_NOFOLLOW) < 0) {
          return fail_errno("chown", in_quotes(name));
        }
        const bool plain = file && (status.st_mode & S_IXUSR) == 0;
        if (::fchmodat(folder, name, plain ? 0644 : 0755, 0) < 0) {
          return fail_errno("chmod", in_quotes(name));
        }
        return {};
      });
  if (!walked) {
    // What is neither a file nor a folder.
    if (walked.error().code == Code::kInvalid && walked.error().step == "walk") {
      return invalid(claimed, walked.error().message);
    }
    return std::unexpected(walked.error());
  }
  return size;
}

struct TopLevel {
  std::vector<fs::path> metadata;
  ModuleNames importable;
};

Result<TopLevel> list_top_level(const fs::path& tree) {
  TopLevel out;
  std::error_code error;
  for (fs::directory_iterator i(tree, error), end; !error && i != end; i.increment(error)) {
    const fs::path& path = i->path();
    if (path.extension() == ".dist-info" || path.extension() == ".egg-info") {
      out.metadata.push_back(path);
      continue;
    }
    std::error_code ignored;
    std::string module = module_name_of(path.filename().native(), i->is_directory(ignored));
    if (!module.empty()) out.importable.insert(std::move(module));
  }
  if (error) return fail_errno("list", tree.native(), error.value());
  return out;
}

}  // namespace

Result<> check_identity(const Package& package) {
  if (!is_valid_name(package.name) || normalise_name(package.name) != package.name) {
    return fail(Code::kInvalid, "package", in_quotes(package.name) + " is not a normalised name");
  }
  const auto version = Version::parse(package.version);
  if (!version || version->text() != package.version) {
    return fail(Code::kInvalid, "package", in_quotes(package.version) + " is not a version");
  }
  if (!is_digest(package.digest)) return invalid(package, "its digest is not a sha256");
  if (folder_name(package).size() > kMaxFolderName) {
    return invalid(package, "its name and version are too long");
  }
  return {};
}

Result<StoredPackage> inspect_tree(const fs::path& tree, const Package& claimed,
                                   const TreeLimits& limits) {
  // First, so that nothing below can meet a link or a FIFO.
  const auto size = settle_files(tree, claimed, limits);
  if (!size) return std::unexpected(size.error());
  const auto top = list_top_level(tree);
  if (!top) return std::unexpected(top.error());
  if (top->metadata.size() != 1 || top->metadata.front().extension() != ".dist-info") {
    return invalid(claimed, "the wheel must install one *.dist-info folder; it installs " +
                                std::to_string(top->metadata.size()) +
                                " folders of metadata (*.dist-info, *.egg-info)");
  }
  const fs::path& metadata = top->metadata.front();
  std::vector<std::string> skipped;
  auto entry = read_metadata(metadata, top->importable, skipped);
  if (!entry) return invalid(claimed, metadata.filename().native() + ": " + entry.error().message);
  // importlib.metadata goes by the folder's name.
  const bool misnamed =
      !normalise_name(metadata.filename().native()).starts_with(claimed.name + "-");
  if (entry->package.name != claimed.name || entry->package.version != claimed.version ||
      misnamed) {
    return invalid(claimed, "the wheel installs " + entry->package.to_string() + " in " +
                                in_quotes(metadata.filename().native()));
  }
  entry->package.digest = claimed.digest;
  return StoredPackage{.entry = std::move(*entry),
                       .wheel = {},
                       .files = size->files,
                       .bytes = size->bytes,
                       .installed_at = 0};
}

}  // namespace sock::pkgcache
