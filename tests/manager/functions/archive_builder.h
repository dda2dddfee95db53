#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <locale.h>
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sock::manager {

/// One entry as libarchive shall write it, however wrong.
struct ArchiveItem {
  std::string name;
  std::string content = {};
  unsigned mode = 0644;
  unsigned type = AE_IFREG;
  std::string link = {};       ///< target of a symbolic link
  std::string hard_link = {};  ///< target of a hard link
  std::time_t modified = 1'600'000'000;
  bool sparse = false;             ///< a hole of 1 MiB before the content
  std::size_t attribute_size = 0;  ///< bytes of an extended attribute
};

enum class ArchiveFormat { kZip, kTar, kTarGz, kTarXz, kTarZst, kTarGzGz };

/// Real archives, built by libarchive.
inline std::string build_archive(ArchiveFormat format, const std::vector<ArchiveItem>& items,
                                 const std::string& encryption = {}) {
  const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  const locale_t before = ::uselocale(utf8);
  std::string out;
  archive* const writer = archive_write_new();
  if (format == ArchiveFormat::kZip) {
    archive_write_set_format_zip(writer);
    if (!encryption.empty()) {
      EXPECT_EQ(archive_write_set_format_option(writer, "zip", "encryption", encryption.c_str()),
                ARCHIVE_OK)
          << archive_error_string(writer);
      archive_write_set_passphrase(writer, "secret");
    }
  } else {
    archive_write_set_format_pax(writer);
    if (format == ArchiveFormat::kTarGz) archive_write_add_filter_gzip(writer);
    if (format == ArchiveFormat::kTarXz) archive_write_add_filter_xz(writer);
    if (format == ArchiveFormat::kTarZst) archive_write_add_filter_zstd(writer);
    if (format == ArchiveFormat::kTarGzGz) {
      archive_write_add_filter_gzip(writer);
      archive_write_add_filter_gzip(writer);
    }
  }
  archive_write_set_bytes_in_last_block(writer, 1);
  const auto append = [](archive*, void* text, const void* data, std::size_t size) -> la_ssize_t {
    static_cast<std::string*>(text)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  };
  EXPECT_EQ(archive_write_open(writer, &out, nullptr, append, nullptr), ARCHIVE_OK);
  for (const ArchiveItem& item : items) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, item.name.c_str());
    archive_entry_set_filetype(entry, item.type);
    archive_entry_set_perm(entry, item.mode);
    archive_entry_set_mtime(entry, item.modified, 0);
    const std::string content =
        item.sparse ? std::string(1 << 20, '\0') + item.content : item.content;
    if (item.type == AE_IFREG)
      archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    if (item.sparse) {
      archive_entry_sparse_add_entry(entry, 1 << 20, static_cast<la_int64_t>(item.content.size()));
    }
    if (!item.link.empty()) archive_entry_set_symlink(entry, item.link.c_str());
    if (!item.hard_link.empty()) {
      archive_entry_set_size(entry, 0);
      archive_entry_set_hardlink(entry, item.hard_link.c_str());
    }
    if (item.attribute_size != 0) {
      const std::string value(item.attribute_size, 'x');
      archive_entry_xattr_add_entry(entry, "user.x", value.data(), value.size());
    }
    EXPECT_EQ(archive_write_header(writer, entry), ARCHIVE_OK)
        << item.name << ": " << archive_error_string(writer);
    if (item.type == AE_IFREG && item.hard_link.empty()) {
      EXPECT_EQ(archive_write_data(writer, content.data(), content.size()),
                static_cast<la_ssize_t>(content.size()));
    }
    archive_entry_free(entry);
  }
  EXPECT_EQ(archive_write_close(writer), ARCHIVE_OK) << archive_error_string(writer);
  archive_write_free(writer);
  ::uselocale(before);
  ::freelocale(utf8);
  return out;
}

}  // namespace sock::manager
