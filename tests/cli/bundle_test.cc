#include "cli/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

namespace fs = std::filesystem;

struct Entry {
  std::string text;
  unsigned mode = 0;
};

/// What another reader makes of the tar.
std::map<std::string, Entry> entries_of(const std::string& bytes) {
  std::map<std::string, Entry> entries;
  archive* const reader = archive_read_new();
  archive_read_support_format_tar(reader);
  EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    Entry& seen = entries[archive_entry_pathname(entry)];
    seen.mode = archive_entry_perm(entry);
    seen.text.resize(static_cast<std::size_t>(archive_entry_size(entry)));
    EXPECT_EQ(archive_read_data(reader, seen.text.data(), seen.text.size()),
              static_cast<la_ssize_t>(seen.text.size()));
    EXPECT_EQ(archive_entry_uid(entry), 0);
  }
  archive_read_free(reader);
  return entries;
}

void expect_refused(const Outcome<Bundle>& bundle, const std::string& why) {
  ASSERT_FALSE(bundle);
  EXPECT_EQ(bundle.error().exit, 2);
  EXPECT_NE(bundle.error().message.find(why), std::string::npos) << bundle.error().message;
}

TEST(LoadBundle, TakesFilesAsTheyAre) {
  const TemporaryFolder folder;
  const std::map<std::string, std::string> types = {{"f.py", "text/x-python"},
                                                    {"f.zip", "application/zip"},
                                                    {"f.tar", "application/x-tar"},
                                                    {"f.tar.gz", "application/gzip"},
                                                    {"f.tgz", "application/gzip"}};
  for (const auto& [name, type] : types) {
    const auto bundle = load_bundle(folder.write(name, "bytes of " + name));
    ASSERT_TRUE(bundle) << bundle.error().message;
    EXPECT_EQ(bundle->content_type, type);
    EXPECT_EQ(bundle->bytes, "bytes of " + name);
  }
}

TEST(LoadBundle, RefusesOtherFiles) {
  const TemporaryFolder folder;
  expect_refused(load_bundle(folder.write("f.txt", "x")), "give a .py file");
  expect_refused(load_bundle(folder.write("f.tar.xz", "x")), "give a .py file");
  expect_refused(load_bundle(folder.write("f.py", "")), "empty");
  expect_refused(load_bundle((folder.path() / "none.py").string()), "No such file");
}

TEST(LoadBundle, PacksAFolder) {
  const TemporaryFolder folder;
  (void)folder.write("handler.py", "def handler(e): return e\n");
  (void)folder.write("pkg/deep/data.bin", std::string(100'000, '\0'));
  ::chmod(folder.write("run.sh", "#!/bin/sh\n").c_str(), 0755);
  (void)folder.write("__pycache__/handler.pyc", "x");
  (void)folder.write("pkg/__pycache__/a.pyc", "x");
  (void)folder.write(".git/config", "x");
  (void)folder.write("é" + std::string(150, 'n') + ".txt", "long name");
  const auto bundle = load_bundle(folder.path().string());
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(bundle->content_type, "application/x-tar");
  const auto entries = entries_of(bundle->bytes);
  std::string names;
  for (const auto& [name, entry] : entries) names += name + "\n";
  EXPECT_EQ(names, "handler.py\npkg/\npkg/deep/\npkg/deep/data.bin\nrun.sh\né" +
                       std::string(150, 'n') + ".txt\n");
  EXPECT_EQ(entries.at("handler.py").text, "def handler(e): return e\n");
  EXPECT_EQ(entries.at("handler.py").mode, 0644U);
  EXPECT_EQ(entries.at("run.sh").mode, 0755U);
  EXPECT_EQ(entries.at("pkg/deep/data.bin").text, std::string(100'000, '\0'));
}

TEST(LoadBundle, SameFolderGivesSameBytes) {
  const TemporaryFolder one;
  const TemporaryFolder two;
  for (const char* name : {"c.py", "a.py", "b/x.py"}) (void)one.write(name, name);
  for (const char* name : {"b/x.py", "a.py", "c.py"}) (void)two.write(name, name);
  EXPECT_EQ(load_bundle(one.path().string()).value().bytes,
            load_bundle(two.path().string()).value().bytes);
}

TEST(LoadBundle, RefusesLinksAndSpecialFiles) {
  const TemporaryFolder folder;
  (void)folder.write("handler.py", "x");
  const std::string link = (folder.path() / "link").string();
  fs::create_symlink("/etc/passwd", link);
  expect_refused(load_bundle(folder.path().string()), "link: is a symbolic link");
  fs::remove(link);
  fs::create_directory_symlink("/etc", link);
  expect_refused(load_bundle(folder.path().string()), "link: is a symbolic link");
  fs::remove(link);
  ASSERT_EQ(::mkfifo(link.c_str(), 0600), 0);
  expect_refused(load_bundle(folder.path().string()), "neither a file nor a folder");
}

TEST(LoadBundle, RefusesAnEmptyFolder) {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "empty");
  expect_refused(load_bundle(folder.path().string()), "no file");
}

TEST(LoadBundle, IsBounded) {
  const TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) (void)folder.write("f" + std::to_string(i), std::string(1000, 'x'));
  expect_refused(load_bundle(folder.path().string(), {.bytes = 4096}), "MiB; deploy less");
  expect_refused(load_bundle(folder.path().string(), {.entries = 4}), "more than 4 files");
  (void)folder.write("a/b/c/d", "x");
  expect_refused(load_bundle(folder.path().string(), {.depth = 3}), "nested too deeply");
  EXPECT_TRUE(load_bundle(folder.path().string(), {.entries = 9, .depth = 4}));
}

}  // namespace
}  // namespace sock::cli
