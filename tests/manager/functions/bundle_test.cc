#include "manager/functions/bundle.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <ctime>
#include <vector>

#include "tests/manager/functions/archive_builder.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFormats = {ArchiveFormat::kZip,    ArchiveFormat::kTar,
                                 ArchiveFormat::kTarGz,  ArchiveFormat::kTarXz,
                                 ArchiveFormat::kTarZst, ArchiveFormat::kTarGzGz};
constexpr std::array kZipAndTar = {ArchiveFormat::kZip, ArchiveFormat::kTar};

/// Unpacks into a fresh target between neighbours that must not change.
class BundleTest : public testing::Test {
 protected:
  BundleTest() { write_text(folder_.path() / "neighbour.py", "untouched"); }
  ~BundleTest() override {
    EXPECT_EQ(read_text(folder_.path() / "neighbour.py"), "untouched");
    std::size_t outside = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      outside += entry.path().filename().native().starts_with("target") ? 0 : 1;
    }
    EXPECT_EQ(outside, 1U);
  }

  Result<BundleInfo> unpack(std::string_view bytes, std::string_view type = "") {
    target_ = folder_.path() / ("target" + std::to_string(++count_));
    fs::create_directory(target_);
    return unpack_bundle(bytes, type, target_, limits_);
  }
  /// The error of a bundle that must be refused.
  std::string refusal(std::string_view bytes, std::string_view type = "") {
    const auto info = unpack(bytes, type);
    if (info) return "(accepted)";
    EXPECT_EQ(info.error().code, Code::kInvalid) << info.error().describe();
    return info.error().message;
  }

  TemporaryFolder folder_;
  fs::path target_;
  BundleLimits limits_;

 private:
  int count_ = 0;
};

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777U;
}

std::time_t time_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mtime;
}

TEST_F(BundleTest, PythonSourceBecomesHandler) {
  const std::string source = "def handler(event):\n    return 'h\xc3\xa9'\n";
  for (const char* const type :
       {"", "text/x-python", "Text/X-Python; charset=utf-8", "application/octet-stream"}) {
    const auto info = unpack(source, type);
    ASSERT_TRUE(info) << info.error().describe();
    EXPECT_EQ(info->files, 1U);
    EXPECT_EQ(info->bytes, source.size());
    EXPECT_EQ(read_text(target_ / "handler.py"), source);
    EXPECT_EQ(mode_of(target_ / "handler.py"), 0644U);
  }
}

TEST_F(BundleTest, WhatIsNeitherSourceNorArchiveIsRefused) {
  EXPECT_EQ(refusal(""), "the bundle is empty");
  EXPECT_NE(refusal("\xff\xfe not text").find("is not Python source"), std::string::npos);
  EXPECT_NE(refusal(std::string("a\0b", 3)).find("is not Python source"), std::string::npos);
  EXPECT_NE(refusal("x = 1", "application/zip").find("nor a whole zip"), std::string::npos);
  EXPECT_EQ(refusal("\xff", "text/x-python"),
            "the Python source is not UTF-8 text, or holds a NUL");
  EXPECT_NE(refusal(std::string(4096, '\0')), "(accepted)");
  EXPECT_NE(refusal("\x1f\x8b garbage"), "(accepted)");
  EXPECT_NE(refusal("PK\3\4 garbage"), "(accepted)");
}

TEST_F(BundleTest, UnpacksEveryFormatToTheSameTree) {
  const std::vector<ArchiveItem> items = {
      {.name = "handler.py", .content = "import pkg.m\n"},
      {.name = "pkg/", .mode = 0700, .type = AE_IFDIR},
      {.name = "pkg/m.py", .content = "x = 1\n", .mode = 0600},
      {.name = "bin/tool", .content = "#!/bin/sh\n", .mode = 0750},
      {.name = "data/caf\xc3\xa9.txt", .content = std::string(100'000, 'd')},
      {.name = "empty.txt"},
  };
  std::optional<BundleInfo> first;
  for (const ArchiveFormat format : kFormats) {
    const auto info = unpack(build_archive(format, items));
    ASSERT_TRUE(info) << static_cast<int>(format) << " " << info.error().describe();
    EXPECT_EQ(info->files, 5U);
    EXPECT_EQ(info->bytes, 13U + 6 + 10 + 100'000);
    EXPECT_EQ(info->sha256.size(), 64U);
    if (!first) first = *info;
    EXPECT_EQ(*info, *first);
    EXPECT_EQ(read_text(target_ / "data/caf\xc3\xa9.txt"), std::string(100'000, 'd'));
    EXPECT_EQ(read_text(target_ / "empty.txt"), "");
    EXPECT_EQ(mode_of(target_ / "pkg"), 0755U);
    EXPECT_EQ(mode_of(target_ / "bin"), 0755U);
    EXPECT_EQ(mode_of(target_ / "pkg/m.py"), 0644U);
    EXPECT_EQ(mode_of(target_ / "bin/tool"), 0755U);
    EXPECT_EQ(time_of(target_ / "handler.py"), 1'600'000'000);
  }
}

TEST_F(BundleTest, ModesDoNotDependOnTheUmask) {
  const mode_t before = ::umask(0077);
  const auto info = unpack(build_archive(ArchiveFormat::kTar, {{.name = "a/b.py", .mode = 0755}}));
  ::umask(before);
  ASSERT_TRUE(info) << info.error().describe();
  EXPECT_EQ(mode_of(target_ / "a"), 0755U);
  EXPECT_EQ(mode_of(target_ / "a/b.py"), 0755U);
}

TEST_F(BundleTest, DigestCoversNamesModesAndContents) {
  const auto digest = [&](const std::vector<ArchiveItem>& items) {
    return unpack(build_archive(ArchiveFormat::kTar, items))->sha256;
  };
  const ArchiveItem a{.name = "a", .content = "1"};
  const ArchiveItem b{.name = "b", .content = "2"};
  const std::string both = digest({a, b});
  EXPECT_EQ(digest({b, a}), both);
  EXPECT_NE(digest({a}), both);
  EXPECT_NE(digest({a, {.name = "b", .content = "3"}}), both);
  EXPECT_NE(digest({a, {.name = "c", .content = "2"}}), both);
  EXPECT_NE(digest({a, {.name = "b", .content = "2", .mode = 0755}}), both);
  EXPECT_NE(digest({a, b, {.name = "d", .mode = 0755, .type = AE_IFDIR}}), both);
}

TEST_F(BundleTest, OneTopLevelFolderIsKept) {
  ASSERT_TRUE(unpack(build_archive(ArchiveFormat::kZip, {{.name = "top/handler.py"}})));
  EXPECT_TRUE(fs::exists(target_ / "top/handler.py"));
}

TEST_F(BundleTest, FolderArchivedAsDotIsFine) {
  const auto info =
      unpack(build_archive(ArchiveFormat::kTar, {{.name = "./", .mode = 0755, .type = AE_IFDIR},
                                                 {.name = "./a/", .mode = 0755, .type = AE_IFDIR},
                                                 {.name = "./a/b.py", .content = "x"}}));
  ASSERT_TRUE(info) << info.error().describe();
  EXPECT_EQ(read_text(target_ / "a/b.py"), "x");
}

TEST_F(BundleTest, TimesAreKeptSane) {
  const std::time_t now = std::time(nullptr);
  ASSERT_TRUE(
      unpack(build_archive(ArchiveFormat::kTar, {{.name = "old", .modified = -5},
                                                 {.name = "new", .modified = 9'999'999'999},
                                                 {.name = "ok", .modified = 1'000'000'000}})));
  EXPECT_EQ(time_of(target_ / "old"), 315'532'800);
  EXPECT_GE(time_of(target_ / "new"), now);
  EXPECT_LE(time_of(target_ / "new"), std::time(nullptr));
  EXPECT_EQ(time_of(target_ / "ok"), 1'000'000'000);
}

struct BadName {
  std::string name;
  const char* why;
};

TEST_F(BundleTest, HostileNamesAreRefused) {
  const std::vector<BadName> table = {
      {"../neighbour.py", "\"..\" in its path"},
      {"a/../../neighbour.py", "\"..\" in its path"},
      {"a/..", "\"..\" in its path"},
      {"..", "\"..\" in its path"},
      {"./../neighbour.py", "\"..\" in its path"},
      {"/etc/passwd", "an absolute name"},
      {".//etc/passwd", "an absolute name"},
      {"a//b.py", "an empty part"},
      {"a/./b.py", "\".\" in its path"},
      {"././a.py", "\".\" in its path"},
      {"a\nb.py", "control characters"},
      {"a\x1b[2Jb.py", "control characters"},
      {"a\x7f.py", "control characters"},
      {"a\xc2\x9b.py", "control characters"},
      {std::string(256, 'n'), "a name longer than 255 bytes"},
  };
  for (const ArchiveFormat format : kZipAndTar) {
    for (const BadName& bad : table) {
      const std::string error =
          refusal(build_archive(format, {{.name = "ok.py"}, {.name = bad.name, .content = "x"}}));
      EXPECT_NE(error.find(bad.why), std::string::npos) << bad.name << " gave " << error;
      EXPECT_EQ(error.find('\n'), std::string::npos);
      EXPECT_EQ(error.find('\x1b'), std::string::npos);
    }
    for (const char* const name : {"../", "/", "a/../", "./../"}) {
      const std::string error = refusal(build_archive(
          format, {{.name = "ok.py"}, {.name = name, .mode = 0755, .type = AE_IFDIR}}));
      EXPECT_NE(error, "(accepted)") << name;
    }
  }
}

TEST_F(BundleTest, LongestNamesUnpackAndCanBeRemoved) {
  // 15 parts of 255 bytes and their slashes: beyond PATH_MAX once the target is in front.
  std::string path;
  for (int i = 0; i < 15; ++i) path += std::string(255, static_cast<char>('a' + i)) + "/";
  path += std::string(4095 - path.size(), 'z');
  ASSERT_EQ(path.size(), 4095U);
  const auto info = unpack(build_archive(ArchiveFormat::kTar, {{.name = path, .content = "x"}}));
  ASSERT_TRUE(info) << info.error().describe();
  EXPECT_NE(refusal(build_archive(ArchiveFormat::kTar, {{.name = path + "z"}}))
                .find("a path longer than 4095 bytes"),
            std::string::npos);
}

TEST_F(BundleTest, NamesThatAreNotUtf8AreRefused) {
  std::string zip = build_archive(ArchiveFormat::kZip, {{.name = "aQb.py", .content = "x"}});
  std::string tar = build_archive(ArchiveFormat::kTar, {{.name = "aQb.py", .content = "x"}});
  for (std::size_t at = 0; (at = zip.find("aQb.py", at)) != std::string::npos;)
    zip[at + 1] = '\xff';
  EXPECT_NE(refusal(zip), "(accepted)");
  // The checksum of a tar header is over the bytes of its name.
  const std::size_t at = tar.find("aQb.py");
  ASSERT_NE(at, std::string::npos);
  tar[at + 1] = '\xff';
  EXPECT_NE(refusal(tar), "(accepted)");
}

TEST_F(BundleTest, NameWithNulStaysInside) {
  std::string zip = build_archive(ArchiveFormat::kZip, {{.name = "aQ/../../n.py", .content = "x"}});
  for (std::size_t at = 0; (at = zip.find("aQ/..", at)) != std::string::npos;) zip[at + 1] = '\0';
  const auto info = unpack(zip);
  // libarchive ends the name at the NUL; what it hands over is what is judged.
  if (info) {
    EXPECT_TRUE(fs::exists(target_ / "a"));
  }
}

TEST_F(BundleTest, LinksAndSpecialFilesAreRefused) {
  const auto refused = [&](ArchiveFormat format, const ArchiveItem& item) {
    return refusal(build_archive(format, {{.name = "ok.py"}, item}));
  };
  for (const ArchiveFormat format : kZipAndTar) {
    EXPECT_EQ(refused(format, {.name = "l", .type = AE_IFLNK, .link = "/etc/passwd"}),
              "bundle entry \"l\" is a symbolic link");
    EXPECT_EQ(refused(format, {.name = "l", .type = AE_IFLNK, .link = "ok.py"}),
              "bundle entry \"l\" is a symbolic link");
    for (const unsigned bits : {04755U, 02755U, 01755U}) {
      EXPECT_EQ(refused(format, {.name = "s", .mode = bits}),
                "bundle entry \"s\" has a set-user-id, set-group-id or sticky bit");
    }
    EXPECT_EQ(refused(format, {.name = "d/", .mode = 01777, .type = AE_IFDIR}),
              "bundle entry \"d/\" has a set-user-id, set-group-id or sticky bit");
  }
  constexpr ArchiveFormat kTar = ArchiveFormat::kTar;
  EXPECT_EQ(refused(kTar, {.name = "h", .hard_link = "ok.py"}),
            "bundle entry \"h\" is a hard link");
  EXPECT_EQ(refused(kTar, {.name = "h", .hard_link = "/etc/passwd"}),
            "bundle entry \"h\" is a hard link");
  EXPECT_EQ(refused(kTar, {.name = "c", .type = AE_IFCHR}), "bundle entry \"c\" is a device");
  EXPECT_EQ(refused(kTar, {.name = "b", .type = AE_IFBLK}), "bundle entry \"b\" is a device");
  EXPECT_EQ(refused(kTar, {.name = "p", .type = AE_IFIFO}), "bundle entry \"p\" is a FIFO");
  EXPECT_EQ(refused(kTar, {.name = "s", .content = "x", .sparse = true}),
            "bundle entry \"s\" is sparse");
}

TEST_F(BundleTest, SymbolicLinkThenFileThroughItIsRefused) {
  const std::vector<ArchiveItem> items = {
      {.name = "out", .type = AE_IFLNK, .link = ".."},
      {.name = "out/neighbour.py", .content = "changed"},
  };
  for (const ArchiveFormat format : kZipAndTar) {
    EXPECT_NE(refusal(build_archive(format, items)), "(accepted)");
  }
}

TEST_F(BundleTest, SpecialTypesInZipAttributesAreRefused) {
  // libarchive writes none of these into a zip: set the type in the central directory's
  // external attributes (bytes 38 to 41 of its record).
  const std::string zip = build_archive(ArchiveFormat::kZip, {{.name = "ok.py", .content = "x"}});
  const std::size_t record = zip.find("PK\1\2");
  ASSERT_NE(record, std::string::npos);
  const auto with_type = [&](unsigned type) {
    std::string changed = zip;
    const unsigned mode = type | 0644U;
    changed[record + 40] = static_cast<char>(mode & 0xffU);
    changed[record + 41] = static_cast<char>(mode >> 8U);
    return changed;
  };
  for (const unsigned type : {0140000U, 0020000U, 0060000U, 0120000U, 0150000U}) {
    EXPECT_NE(refusal(with_type(type)), "(accepted)") << std::oct << type;
  }
  // Info-ZIP marks what it read from a pipe as a FIFO; libarchive gives an ordinary file.
  ASSERT_TRUE(unpack(with_type(0010000U)));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(target_ / "ok.py")));
}

TEST_F(BundleTest, LinksAlreadyInTheTargetAreNotFollowed) {
  const std::string tar =
      build_archive(ArchiveFormat::kTar, {{.name = "a/neighbour.py", .content = "changed"}});
  const fs::path target = folder_.path() / "target-with-link";
  fs::create_directory(target);
  fs::create_directory_symlink(folder_.path(), target / "a");
  EXPECT_FALSE(unpack_bundle(tar, "", target, limits_));
  const fs::path second = folder_.path() / "target-with-file-link";
  fs::create_directory(second);
  fs::create_symlink(folder_.path() / "neighbour.py", second / "handler.py");
  EXPECT_FALSE(unpack_bundle("x = 1", "", second, limits_));
}

TEST_F(BundleTest, DuplicatesAndClashesAreRefused) {
  const ArchiveItem folder{.name = "a/", .mode = 0755, .type = AE_IFDIR};
  for (const ArchiveFormat format : kZipAndTar) {
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a"}, {.name = "a"}})),
              "bundle entry \"a\" comes twice");
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a"}, {.name = "./a"}})),
              "bundle entry \"a\" comes twice");
    EXPECT_EQ(refusal(build_archive(format, {folder, folder})), "bundle entry \"a\" comes twice");
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a"}, folder})),
              "bundle entry \"a\" is both a file and a folder");
    EXPECT_EQ(refusal(build_archive(format, {folder, {.name = "a"}})),
              "bundle entry \"a\" is both a file and a folder");
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a/b"}, {.name = "a"}})),
              "bundle entry \"a\" is both a file and a folder");
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a"}, {.name = "a/b"}})),
              "bundle entry \"a/b\" needs the folder \"a\", which is a file");
    EXPECT_TRUE(unpack(build_archive(format, {{.name = "a/b"}, folder})));
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a/b"}, folder, folder})),
              "bundle entry \"a\" comes twice");
  }
}

TEST_F(BundleTest, LimitsAreCountedWhileWriting) {
  limits_.unpacked_bytes = 1 << 20;
  limits_.entries = 4;
  limits_.depth = 3;
  for (const ArchiveFormat format : kFormats) {
    EXPECT_TRUE(unpack(build_archive(format, {{.name = "a", .content = std::string(1 << 20, 0)}})));
    const std::string bytes = refusal(build_archive(
        format, {{.name = "a"}, {.name = "bomb", .content = std::string(20 << 20, 0)}}));
    EXPECT_NE(bytes.find("1M"), std::string::npos) << bytes;
    EXPECT_NE(bytes.find("[deploy] unpacked_bytes"), std::string::npos) << bytes;
    const std::string sum =
        refusal(build_archive(format, {{.name = "a", .content = std::string(600'000, 0)},
                                       {.name = "b", .content = std::string(600'000, 0)}}));
    EXPECT_NE(sum.find("\"b\" takes the bundle above 1M unpacked"), std::string::npos) << sum;

    EXPECT_TRUE(unpack(build_archive(format, {{.name = "a/b/c"}, {.name = "d"}})));
    EXPECT_NE(refusal(build_archive(format, {{.name = "a/b/c"}, {.name = "d"}, {.name = "e"}}))
                  .find("[deploy] entries"),
              std::string::npos);
    EXPECT_NE(refusal(build_archive(format, {{.name = "a/b/c/d"}})).find("[deploy] depth"),
              std::string::npos);
  }
  limits_.bundle_bytes = 100;
  EXPECT_NE(refusal(std::string(101, '#')).find("[deploy] bundle_bytes"), std::string::npos);
  EXPECT_TRUE(unpack(std::string(100, '#')));
  limits_.unpacked_bytes = 99;
  EXPECT_NE(refusal(std::string(100, '#')).find("[deploy] unpacked_bytes"), std::string::npos);
}

TEST_F(BundleTest, BombOfHeadersIsRefused) {
  limits_.unpacked_bytes = 1 << 20;
  std::vector<ArchiveItem> items;
  for (int i = 0; i < 100; ++i) {
    items.push_back({.name = "f" + std::to_string(i), .attribute_size = 300 << 10});
  }
  const std::string bundle = build_archive(ArchiveFormat::kTarGz, items);
  EXPECT_LT(bundle.size(), 1U << 20);
  const std::string error = refusal(bundle);
  EXPECT_NE(error.find("[deploy] unpacked_bytes"), std::string::npos) << error;
}

TEST_F(BundleTest, ManyEntriesAreRefused) {
  limits_.entries = 100;
  std::vector<ArchiveItem> items;
  for (int i = 0; i < 5000; ++i) items.push_back({.name = "f" + std::to_string(i)});
  for (const ArchiveFormat format : kZipAndTar) {
    EXPECT_NE(refusal(build_archive(format, items)).find("[deploy] entries"), std::string::npos);
  }
}

TEST_F(BundleTest, EncryptedZipIsRefused) {
  for (const char* const how : {"zipcrypt", "aes256"}) {
    const std::string zip =
        build_archive(ArchiveFormat::kZip, {{.name = "a.py", .content = "x"}}, how);
    EXPECT_EQ(refusal(zip), "bundle entry \"a.py\" is encrypted") << how;
  }
}

TEST_F(BundleTest, ArchiveWithoutFilesIsRefused) {
  for (const ArchiveFormat format : kZipAndTar) {
    EXPECT_NE(refusal(build_archive(format, {})), "(accepted)");
    EXPECT_EQ(refusal(build_archive(format, {{.name = "a/", .mode = 0755, .type = AE_IFDIR}})),
              "the bundle holds no file");
  }
}

TEST_F(BundleTest, DamagedArchivesNeverEscapeOrCrash) {
  const std::vector<ArchiveItem> items = {
      {.name = "handler.py", .content = "def handler(event): return event\n"},
      {.name = "a/b.txt", .content = std::string(3000, 'b')},
  };
  for (const ArchiveFormat format : {ArchiveFormat::kZip, ArchiveFormat::kTarGz}) {
    const std::string whole = build_archive(format, items);
    const auto attempt = [&](const std::string& bytes) {
      const auto info = unpack(bytes, "application/zip");
      if (!info) {
        EXPECT_FALSE(info.error().message.empty());
      }
      fs::remove_all(target_);
      return info.has_value();
    };
    for (std::size_t size = 1; size < whole.size(); ++size) {
      const bool accepted = attempt(whole.substr(0, size));
      // A zip ends with its directory, so no part of one is a zip.
      EXPECT_FALSE(accepted && format == ArchiveFormat::kZip) << size;
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 0x41);
      attempt(changed);
    }
  }
}

TEST_F(BundleTest, MissingTargetIsAnError) {
  const auto info = unpack_bundle("x = 1", "", folder_.path() / "none", limits_);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::kInternal);
}

}  // namespace
}  // namespace sock::manager
