#include "cli/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "cli/input.h"

namespace sock::cli {
namespace {

namespace fs = std::filesystem;

struct ArchiveDeleter {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
struct EntryDeleter {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

/// Where libarchive's bytes go.
struct Sink {
  std::string bytes;
  std::size_t limit = 0;
  bool overflowed = false;
};

la_ssize_t append(archive*, void* data, const void* bytes, std::size_t size) {
  auto* const sink = static_cast<Sink*>(data);
  if (sink->bytes.size() + size > sink->limit) {
    sink->overflowed = true;
    return -1;
  }
  sink->bytes.append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

bool is_skipped(const std::string& name) { return name == "__pycache__" || name == ".git"; }

std::unexpected<Failure> unusable(const std::string& path, const std::string& why) {
  return fail(ExitCode::kUsage, path + ": " + why);
}

class Packer {
 public:
  Packer(fs::path root, const BundleLimits& limits) : root_(std::move(root)), limits_(limits) {
    sink_.limit = limits.bytes;
  }

  Outcome<Bundle> pack() {
    writer_.reset(archive_write_new());
    // The GNU format takes names as bytes, whatever the locale, and of any length.
    if (!writer_ || archive_write_set_format_gnutar(writer_.get()) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(writer_.get(), 0) != ARCHIVE_OK ||
        archive_write_open(writer_.get(), &sink_, nullptr, append, nullptr) != ARCHIVE_OK) {
      return archive_failure(root_.string());
    }
    if (auto done = add_folder("", 1); !done) return std::unexpected(done.error());
    if (files_ == 0) return unusable(root_.string(), "the folder has no file in it");
    if (archive_write_close(writer_.get()) != ARCHIVE_OK) return archive_failure(root_.string());
    return Bundle{"application/x-tar", std::move(sink_.bytes)};
  }

 private:
  Outcome<> add_folder(const fs::path& relative, std::size_t depth) {
    const fs::path folder = root_ / relative;
    if (depth > limits_.depth) return unusable(folder.string(), "folders are nested too deeply");
    std::error_code error;
    std::vector<std::string> names;
    fs::directory_iterator each(folder, error);
    for (; !error && each != fs::directory_iterator(); each.increment(error)) {
      std::string name = each->path().filename().string();
      if (is_skipped(name)) continue;
      if (++entries_ > limits_.entries) {
        return unusable(root_.string(),
                        "more than " + std::to_string(limits_.entries) + " files and folders");
      }
      names.push_back(std::move(name));
    }
    if (error) return unusable(folder.string(), error.message());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (auto done = add(relative / name, depth); !done) return done;
    }
    return {};
  }

  Outcome<> add(const fs::path& relative, std::size_t depth) {
    const std::string path = (root_ / relative).string();
    struct stat status {};
    if (::lstat(path.c_str(), &status) < 0) {
      return unusable(path, std::generic_category().message(errno));
    }
    if (S_ISDIR(status.st_mode)) {
      if (auto done = write_header(relative.string() + "/", AE_IFDIR, 0755, 0); !done) return done;
      return add_folder(relative, depth + 1);
    }
    if (S_ISLNK(status.st_mode)) {
      return unusable(path, "is a symbolic link; copy what it points to, links are not deployed");
    }
    if (!S_ISREG(status.st_mode)) {
      return unusable(path, "is neither a file nor a folder, it cannot be deployed");
    }
    return add_file(relative, path);
  }

  Outcome<> add_file(const fs::path& relative, const std::string& path) {
    // Opened without following links and looked at again: the entry may have been swapped.
    auto fd = open_fd(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fd) return fail(ExitCode::kUsage, "cannot " + fd.error().describe());
    struct stat status {};
    if (::fstat(fd->get(), &status) < 0 || !S_ISREG(status.st_mode)) {
      return unusable(path, "changed while it was being packed");
    }
    auto bytes = read_all(fd->get(), limits_.bytes, path);
    if (!bytes) return std::unexpected(bytes.error());
    const mode_t mode = (status.st_mode & S_IXUSR) != 0 ? 0755 : 0644;
    auto header = write_header(relative.string(), AE_IFREG, mode, bytes->size());
    if (!header) return header;
    if (archive_write_data(writer_.get(), bytes->data(), bytes->size()) !=
        static_cast<la_ssize_t>(bytes->size())) {
      return archive_failure(path);
    }
    ++files_;
    return {};
  }

  Outcome<> write_header(const std::string& name, unsigned type, mode_t mode, std::size_t size) {
    const std::unique_ptr<archive_entry, EntryDeleter> entry(archive_entry_new());
    if (!entry) return unusable(name, "out of memory");
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), mode);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (archive_write_header(writer_.get(), entry.get()) != ARCHIVE_OK) {
      return archive_failure(name);
    }
    return {};
  }

  std::unexpected<Failure> archive_failure(const std::string& path) {
    if (sink_.overflowed) {
      return unusable(root_.string(), "more than " + std::to_string(limits_.bytes >> 20U) +
                                          " MiB; deploy less, or packages by requirements.txt");
    }
    const char* const reason = writer_ ? archive_error_string(writer_.get()) : nullptr;
    return unusable(path, std::string("cannot be packed: ") +
                              (reason != nullptr ? reason : "libarchive failed"));
  }

  fs::path root_;
  BundleLimits limits_;
  Sink sink_;
  std::unique_ptr<archive, ArchiveDeleter> writer_;
  std::size_t entries_ = 0;
  std::size_t files_ = 0;
};

std::string content_type_of(const std::string& path) {
  if (path.ends_with(".py")) return "text/x-python";
  if (path.ends_with(".zip")) return "application/zip";
  if (path.ends_with(".tar")) return "application/x-tar";
  if (path.ends_with(".tar.gz") || path.ends_with(".tgz")) return "application/gzip";
  return {};
}

}  // namespace

Outcome<Bundle> load_bundle(const std::string& path, const BundleLimits& limits) {
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) {
    return unusable(path, std::generic_category().message(errno));
  }
  if (S_ISDIR(status.st_mode)) return Packer(path, limits).pack();
  const std::string type = content_type_of(path);
  if (type.empty()) {
    return unusable(path,
                    "not a function; give a .py file, a folder, a .zip, .tar, .tar.gz or .tgz");
  }
  auto bytes = read_input_file(path, limits.bytes);
  if (!bytes) return std::unexpected(bytes.error());
  if (bytes->empty()) return unusable(path, "the file is empty");
  return Bundle{type, std::move(*bytes)};
}

}  // namespace sock::cli
