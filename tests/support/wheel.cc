#include "tests/support/wheel.h"

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace sock::test_support {
namespace {

using Digest = std::array<unsigned char, 32>;

Digest sha256_of(std::string_view bytes) {
  Digest digest{};
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("libcrypto could not compute a digest");
  }
  return digest;
}

std::string hexadecimal(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 0xfU];
  }
  return out;
}

/// RECORD's spelling: base64 for URLs, without padding.
std::string base64(const Digest& digest) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  unsigned bits = 0;
  unsigned count = 0;
  for (const unsigned char byte : digest) {
    bits = (bits << 8U) | byte;
    for (count += 8; count >= 6; count -= 6) out += kDigits[(bits >> (count - 6)) & 63U];
  }
  if (count > 0) out += kDigits[(bits << (6 - count)) & 63U];
  return out;
}

std::string metadata(const WheelSpec& spec) {
  std::string out = "Metadata-Version: 2.1\nName: " + spec.name + "\nVersion: " + spec.version;
  if (!spec.requires_python.empty()) out += "\nRequires-Python: " + spec.requires_python;
  for (const std::string& extra : spec.extras) out += "\nProvides-Extra: " + extra;
  for (const std::string& requirement : spec.requirements) out += "\nRequires-Dist: " + requirement;
  return out + "\n";
}

std::string wheel_file(const WheelSpec& spec) {
  return "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: " + spec.tags + "\n";
}

std::string record(const std::map<std::string, std::string>& files, const std::string& own_path) {
  std::string out;
  for (const auto& [path, content] : files) {
    out += path + ",sha256=" + base64(sha256_of(content)) + "," + std::to_string(content.size());
    out += '\n';
  }
  return out + own_path + ",,\n";
}

/// A zip by libarchive, into memory.
class Zip {
 public:
  Zip() : writer_(archive_write_new(), archive_write_free) {
    check(archive_write_set_format_zip(writer_.get()));
    const auto append = [](archive*, void* text, const void* data, std::size_t size) -> la_ssize_t {
      static_cast<std::string*>(text)->append(static_cast<const char*>(data), size);
      return static_cast<la_ssize_t>(size);
    };
    check(archive_write_set_bytes_in_last_block(writer_.get(), 1));
    check(archive_write_open(writer_.get(), &bytes_, nullptr, append, nullptr));
  }

  void add_file(const std::string& path, const std::string& content) {
    const auto entry = start(path, AE_IFREG);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    check(archive_write_header(writer_.get(), entry.get()));
    if (archive_write_data(writer_.get(), content.data(), content.size()) !=
        static_cast<la_ssize_t>(content.size())) {
      throw std::runtime_error(archive_error_string(writer_.get()));
    }
  }

  void add_link(const std::string& path, const std::string& target) {
    const auto entry = start(path, AE_IFLNK);
    archive_entry_set_symlink(entry.get(), target.c_str());
    check(archive_write_header(writer_.get(), entry.get()));
  }

  std::string finish() {
    check(archive_write_close(writer_.get()));
    return std::move(bytes_);
  }

 private:
  using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

  static Entry start(const std::string& path, unsigned type) {
    Entry entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 1'600'000'000, 0);  // the same spec, the same bytes
    return entry;
  }

  void check(int status) const {
    if (status != ARCHIVE_OK) throw std::runtime_error(archive_error_string(writer_.get()));
  }

  std::string bytes_;
  std::unique_ptr<archive, decltype(&archive_write_free)> writer_;
};

}  // namespace

std::string wheel_name(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (separator && out.ends_with('_')) continue;
    out += separator ? '_' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return out;
}

Wheel make_wheel(const WheelSpec& spec) {
  std::string version = spec.version;
  std::ranges::replace(version, '-', '_');
  const std::string stem = wheel_name(spec.name) + "-" + version;
  const std::string info = stem + ".dist-info/";

  std::map<std::string, std::string> files = spec.files;
  if (files.empty()) files[wheel_name(spec.name) + ".py"] = "VERSION = '" + spec.version + "'\n";
  files.try_emplace(info + "METADATA", metadata(spec));
  files.try_emplace(info + "WHEEL", wheel_file(spec));
  if (!files.contains(info + "RECORD")) {
    files.emplace(info + "RECORD", record(files, info + "RECORD"));
  }

  Zip zip;
  for (const auto& [path, content] : files) zip.add_file(path, content);
  for (const auto& [path, target] : spec.links) zip.add_link(path, target);
  Wheel wheel{.file_name = stem + "-" + spec.tags + ".whl", .bytes = zip.finish(), .sha256 = {}};
  wheel.sha256 = hexadecimal(sha256_of(wheel.bytes));
  return wheel;
}

Wheel write_wheel(const std::filesystem::path& folder, const WheelSpec& spec) {
  Wheel wheel = make_wheel(spec);
  std::ofstream out(folder / wheel.file_name, std::ios::binary);
  out << wheel.bytes;
  if (!out.flush()) throw std::runtime_error("cannot write " + (folder / wheel.file_name).string());
  return wheel;
}

}  // namespace sock::test_support
