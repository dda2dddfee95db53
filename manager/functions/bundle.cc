#include "manager/functions/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "manager/functions/bundle_writer.h"
#include "manager/settings/units.h"

namespace sock::manager {
namespace {

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, FreeReader>;

/// libarchive converts names that are declared as UTF-8 to the locale's charset, and in the "C"
/// locale replaces what does not fit. This thread alone speaks UTF-8 for as long as it lives.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) previous_ = ::uselocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;
  ~Utf8Locale() {
    if (locale_ == nullptr) return;
    ::uselocale(previous_);
    ::freelocale(locale_);
  }

 private:
  locale_t locale_;
  locale_t previous_ = nullptr;
};

enum class Kind { kSource, kArchive };

bool has_archive_magic(std::string_view bytes) {
  constexpr std::array<std::string_view, 5> kMagics = {"PK\3\4", "PK\5\6", "\x1f\x8b",
                                                       "\xfd"
                                                       "7zXZ",
                                                       "\x28\xb5\x2f\xfd"};
  constexpr std::size_t kUstarOffset = 257;
  return std::ranges::any_of(kMagics, [&](std::string_view m) { return bytes.starts_with(m); }) ||
         (bytes.size() > kUstarOffset && bytes.substr(kUstarOffset).starts_with("ustar"));
}

bool is_text(std::string_view bytes) {
  return bytes.find('\0') == std::string_view::npos && is_utf8(bytes);
}

Kind recognise(std::string_view bytes, std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  std::erase(type, ' ');
  std::ranges::transform(type, type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (type == "text/x-python") return Kind::kSource;
  constexpr std::array<std::string_view, 8> kArchives = {
      "application/zip", "application/x-tar",  "application/gzip", "application/x-gzip",
      "application/xz",  "application/x-gtar", "application/x-xz", "application/zstd"};
  if (std::ranges::find(kArchives, type) != kArchives.end()) return Kind::kArchive;
  return has_archive_magic(bytes) || !is_text(bytes) ? Kind::kArchive : Kind::kSource;
}

Result<BundleInfo> unpack_source(std::string_view bytes, BundleWriter& writer) {
  if (!is_text(bytes)) {
    return fail(Code::kInvalid, "bundle", "the Python source is not UTF-8 text, or holds a NUL");
  }
  if (auto begun = writer.begin_file("handler.py", false, std::nullopt); !begun) {
    return std::unexpected(begun.error());
  }
  if (auto written = writer.write(bytes); !written) return std::unexpected(written.error());
  if (auto ended = writer.end_file(); !ended) return std::unexpected(ended.error());
  return writer.finish();
}

std::unexpected<Error> damaged(archive* reader) {
  if (archive_errno(reader) == ENOMEM) return fail_errno("unpack", "reading the bundle", ENOMEM);
  const char* const why = archive_error_string(reader);
  return fail(Code::kInvalid, "bundle",
              "the bundle is not Python source (UTF-8 text), nor a whole zip or tar (plain, gzip, "
              "xz or zstd): " +
                  in_quotes(why == nullptr ? "unknown error" : why));
}

class Unpacker {
 public:
  Unpacker(archive* reader, BundleWriter& writer, const BundleLimits& limits)
      : reader_(reader), writer_(writer), limits_(limits) {}

  Result<BundleInfo> run() {
    std::uint64_t headers = 0;
    for (;;) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(reader_, &entry);
      if (status == ARCHIVE_EOF) return writer_.finish();
      if (status != ARCHIVE_OK) return damaged(reader_);
      // The root itself may be listed, and does not count.
      if (++headers > std::uint64_t{limits_.entries} + 1) {
        return fail(Code::kInvalid, "bundle",
                    "the bundle has more than " + std::to_string(limits_.entries) +
                        " entries, this daemon's cap ([deploy] entries)");
      }
      if (auto done = unpack(entry, headers); !done) return std::unexpected(done.error());
    }
  }

 private:
  Result<> unpack(archive_entry* entry, std::uint64_t headers) {
    const char* const raw = archive_entry_pathname(entry);
    if (raw == nullptr) return refuse_entry("", "has a name that cannot be read");
    std::string_view name = raw;
    if (auto plain = check_plain(entry, name); !plain) return plain;
    if (auto bounded = check_stream(name, headers); !bounded) return bounded;
    const bool folder = archive_entry_filetype(entry) == AE_IFDIR;
    // "tar -C folder -c ." lists the folder itself.
    if (folder && (name == "." || name == "./")) {
      if (std::exchange(root_listed_, true)) return refuse_entry(raw, "comes twice");
      return {};
    }
    if (name.starts_with("./")) name.remove_prefix(2);
    if (!folder) return unpack_file(entry, name, headers);
    if (name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
    return writer_.add_folder(name);
  }

  /// Everything that is not an ordinary file or folder.
  static Result<> check_plain(archive_entry* entry, std::string_view name) {
    if (archive_entry_hardlink(entry) != nullptr) return refuse_entry(name, "is a hard link");
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFLNK || archive_entry_symlink(entry) != nullptr) {
      return refuse_entry(name, "is a symbolic link");
    }
    if (type == AE_IFCHR || type == AE_IFBLK) return refuse_entry(name, "is a device");
    if (type == AE_IFIFO) return refuse_entry(name, "is a FIFO");
    if (type == AE_IFSOCK) return refuse_entry(name, "is a socket");
    if (type != AE_IFREG && type != AE_IFDIR) return refuse_entry(name, "has an unknown type");
    if ((archive_entry_perm(entry) & 07000U) != 0) {
      return refuse_entry(name, "has a set-user-id, set-group-id or sticky bit");
    }
    if (archive_entry_is_encrypted(entry) != 0) return refuse_entry(name, "is encrypted");
    if (archive_entry_sparse_count(entry) != 0) return refuse_entry(name, "is sparse");
    return {};
  }

  /// What the decompressor gave so far. Files are bounded by the writer, but headers (pax records,
  /// long names) and skipped bytes also cost time.
  Result<> check_stream(std::string_view name, std::uint64_t headers) const {
    constexpr std::uint64_t kPerEntry = 16 << 10;
    constexpr std::uint64_t kSlack = 1 << 20;
    const auto bytes = static_cast<std::uint64_t>(archive_filter_bytes(reader_, 0));
    if (bytes <= limits_.unpacked_bytes + kSlack + headers * kPerEntry) return {};
    return refuse_entry(name, "comes after more bytes than the bundle may unpack to (" +
                                  format_size(limits_.unpacked_bytes) +
                                  ", [deploy] unpacked_bytes)");
  }

  Result<> unpack_file(archive_entry* entry, std::string_view name, std::uint64_t headers) {
    const bool sized = archive_entry_size_is_set(entry) != 0;
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    std::optional<std::time_t> modified;
    if (archive_entry_mtime_is_set(entry) != 0) modified = archive_entry_mtime(entry);
    const bool executable = (archive_entry_perm(entry) & 0111U) != 0;
    if (auto begun = writer_.begin_file(name, executable, modified); !begun) return begun;
    std::uint64_t written = 0;
    for (;;) {
      const void* data = nullptr;
      std::size_t length = 0;
      la_int64_t offset = 0;
      const int status = archive_read_data_block(reader_, &data, &length, &offset);
      if (status == ARCHIVE_EOF) break;
      if (status != ARCHIVE_OK) return damaged(reader_);
      if (static_cast<std::uint64_t>(offset) != written) return refuse_entry(name, "is sparse");
      if (auto bounded = check_stream(name, headers); !bounded) return bounded;
      const std::string_view block(static_cast<const char*>(data), length);
      if (auto done = writer_.write(block); !done) return done;
      written += length;
    }
    if (sized && written != size) {
      return refuse_entry(
          name, "is " + std::to_string(written) + " bytes long, but says " + std::to_string(size));
    }
    return writer_.end_file();
  }

  archive* reader_;
  BundleWriter& writer_;
  const BundleLimits& limits_;
  bool root_listed_ = false;
};

Result<BundleInfo> unpack_archive(std::string_view bytes, BundleWriter& writer,
                                  const BundleLimits& limits) {
  const Utf8Locale locale;
  const Reader reader(archive_read_new());
  // By name: "all" would include filters that run programs. The zip reader that seeks follows the
  // central directory, as Python's own does.
  const bool ready = reader && archive_read_support_filter_none(reader.get()) == ARCHIVE_OK &&
                     archive_read_support_filter_gzip(reader.get()) == ARCHIVE_OK &&
                     archive_read_support_filter_xz(reader.get()) == ARCHIVE_OK &&
                     archive_read_support_filter_zstd(reader.get()) == ARCHIVE_OK &&
                     archive_read_support_format_tar(reader.get()) == ARCHIVE_OK &&
                     archive_read_support_format_zip_seekable(reader.get()) == ARCHIVE_OK;
  if (!ready) {
    return fail(Code::kInternal, "unpack", "libarchive lacks gzip, xz, zstd, tar or zip");
  }
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return damaged(reader.get());
  }
  return Unpacker(reader.get(), writer, limits).run();
}

}  // namespace

Result<BundleInfo> unpack_bundle(std::string_view bytes, std::string_view content_type,
                                 const std::filesystem::path& target, const BundleLimits& limits) {
  if (bytes.empty()) return fail(Code::kInvalid, "bundle", "the bundle is empty");
  if (bytes.size() > limits.bundle_bytes) {
    return fail(Code::kInvalid, "bundle",
                "the bundle has " + std::to_string(bytes.size()) +
                    " bytes, above this daemon's cap of " + format_size(limits.bundle_bytes) +
                    " ([deploy] bundle_bytes)");
  }
  auto root = open_fd(AT_FDCWD, target.native(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!root) return std::unexpected(root.error());
  BundleWriter writer(std::move(*root), limits);
  if (recognise(bytes, content_type) == Kind::kSource) return unpack_source(bytes, writer);
  return unpack_archive(bytes, writer, limits);
}

}  // namespace sock::manager
