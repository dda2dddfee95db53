#include "pkgcache/store/tree_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "base/file.h"
#include "tests/pkgcache/temporary_folder.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;

class TreeCopyTest : public testing::Test {
 protected:
  TreeCopyTest() {
    fs::create_directory(source_);
    fresh_target();
  }

  void fresh_target() {
    fs::remove_all(target_);
    fs::create_directory(target_);
  }

  Result<TreeSize> copy() {
    const auto source = open_fd(AT_FDCWD, source_.native(), O_PATH | O_DIRECTORY);
    if (!source) return std::unexpected(source.error());
    return copy_tree(source->get(), target_, limits_);
  }

  std::string refusal() {
    const auto copied = copy();
    if (copied) return "(copied)";
    return (copied.error().code == Code::kInvalid ? "" : "internal: ") + copied.error().message;
  }

  [[nodiscard]] std::string copied(const std::string& name) const {
    std::ifstream in(target_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  [[nodiscard]] unsigned mode(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::lstat((target_ / name).c_str(), &status), 0) << name;
    return status.st_mode & 07777U;
  }

  TemporaryFolder folder_;
  const fs::path source_ = folder_.path() / "source";
  const fs::path target_ = folder_.path() / "target";
  TreeLimits limits_;
};

TEST_F(TreeCopyTest, FilesAndFoldersAreCopied) {
  const std::string large(3'000'000, 'x');
  folder_.write("source/a.py", "a = 1\n");
  folder_.write("source/p/q/large.so", large);
  folder_.write("source/p/tool", "#!/bin/sh\n");
  folder_.write("source/empty.py", "");
  fs::create_directory(source_ / "void");
  ASSERT_EQ(::chmod((source_ / "a.py").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((source_ / "p/tool").c_str(), 0700), 0);
  ASSERT_EQ(::chmod((source_ / "p").c_str(), 02777), 0);
  const mode_t before = ::umask(0077);
  const auto size = copy();
  ::umask(before);
  ASSERT_TRUE(size) << size.error().describe();
  EXPECT_EQ(size->files, 4U);
  EXPECT_EQ(size->bytes, large.size() + 6 + 10);
  EXPECT_EQ(copied("a.py"), "a = 1\n");
  EXPECT_EQ(copied("p/q/large.so"), large);
  EXPECT_TRUE(fs::is_directory(target_ / "void"));
  EXPECT_EQ(mode("a.py"), 0644U);
  EXPECT_EQ(mode("p/tool"), 0755U);
  EXPECT_EQ(mode("p"), 0755U);
  EXPECT_EQ(mode("p/q"), 0755U);
}

TEST_F(TreeCopyTest, LinksAndSpecialFilesAreRefused) {
  folder_.write("secret", "secret");
  folder_.write("source/p/a.py", "a = 1\n");
  const fs::path bad = source_ / "p/bad";
  const auto refused = [&] {
    fresh_target();
    const std::string why = refusal();
    fs::remove_all(bad);
    return why;
  };
  fs::create_symlink(folder_.path() / "secret", bad);
  EXPECT_EQ(refused(), "\"p/bad\" is a symbolic link");
  fs::create_directory_symlink(folder_.path(), bad);
  EXPECT_EQ(refused(), "\"p/bad\" is a symbolic link");
  fs::create_symlink("/proc/self/root", bad);
  EXPECT_EQ(refused(), "\"p/bad\" is a symbolic link");
  fs::create_symlink("nowhere", bad);
  EXPECT_EQ(refused(), "\"p/bad\" is a symbolic link");
  fs::create_hard_link(folder_.path() / "secret", bad);
  EXPECT_EQ(refused(), "\"p/bad\" is a hard link");
  ASSERT_EQ(::mkfifo(bad.c_str(), 0644), 0);
  EXPECT_EQ(refused(), "\"p/bad\" is a special file (FIFO, socket or device)");
  if (::mknod(bad.c_str(), S_IFCHR | 0644, makedev(1, 3)) == 0) {
    EXPECT_EQ(refused(), "\"p/bad\" is a special file (FIFO, socket or device)");
  }
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  bad.native().copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(refused(), "\"p/bad\" is a special file (FIFO, socket or device)");
  ::close(socket);
  for (const unsigned bits : {04755U, 02755U}) {
    folder_.write("source/p/bad", "x");
    ASSERT_EQ(::chmod(bad.c_str(), bits), 0);
    EXPECT_EQ(refused(), "\"p/bad\" has a set-user-id or set-group-id bit");
  }
  EXPECT_EQ(refused(), "(copied)");
}

TEST_F(TreeCopyTest, OtherFileSystemsAreRefused) {
  fs::create_directories(source_ / "p/mounted");
  std::string why = "the mount failed";
  // A mount namespace of the thread's own, gone with it.
  std::thread([&] {
    if (::unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount("none", (source_ / "p/mounted").c_str(), "tmpfs", 0, nullptr) < 0) {
      return;
    }
    why = refusal();
  }).join();
  if (why == "the mount failed") GTEST_SKIP() << "needs the right to mount";
  EXPECT_EQ(why, "\"p/mounted\" is on another file system");
}

TEST_F(TreeCopyTest, NamesAreChecked) {
  for (const std::string name : {"a\nb", "\x1b[31m", "caf\xe9", "\xc2\x85"}) {
    folder_.write("source/" + name, "x");
    fresh_target();
    EXPECT_NE(refusal().find("control characters"), std::string::npos);
    fs::remove(source_ / name);
  }
  folder_.write("source/caf\u00e9 \u4e2d.py", "x");
  EXPECT_EQ(refusal(), "(copied)");
}

TEST_F(TreeCopyTest, LimitsHold) {
  limits_ = {.entries = 5, .bytes = 1000, .depth = 3};
  for (int i = 0; i < 5; ++i) folder_.write("source/f" + std::to_string(i), std::string(200, 'x'));
  EXPECT_EQ(refusal(), "(copied)");
  folder_.write("source/f5", "");
  fresh_target();
  EXPECT_NE(refusal().find("at most 5 files and folders"), std::string::npos);
  fs::remove(source_ / "f5");
  folder_.write("source/f4", std::string(201, 'x'));
  fresh_target();
  EXPECT_NE(refusal().find("above 1000 bytes"), std::string::npos);
  // Refused by its length, before a byte is read.
  fs::resize_file(source_ / "f4", 1ULL << 42U);
  fresh_target();
  EXPECT_NE(refusal().find("\"f4\" takes the files above 1000 bytes"), std::string::npos);

  fs::remove_all(source_);
  folder_.write("source/a/b/c/f", "x");
  fresh_target();
  EXPECT_EQ(refusal(), "(copied)");
  fs::create_directory(source_ / "a/b/c/d");
  fresh_target();
  EXPECT_EQ(refusal(),
            "\"a/b/c/d\" is nested too deeply: at most 3 folders may stand in each other");
}

TEST_F(TreeCopyTest, DeepTreesCostNeitherStackNorDescriptors) {
  fs::path deep = source_;
  for (int i = 0; i < 200; ++i) deep /= "d";
  fs::create_directories(deep);
  EXPECT_NE(refusal().find("nested too deeply"), std::string::npos);
}

TEST_F(TreeCopyTest, TargetMustBeEmpty) {
  folder_.write("source/a", "x");
  folder_.write("target/a", "y");
  EXPECT_EQ(refusal(), "\"a\" comes twice");
  EXPECT_EQ(copied("a"), "y");
  fs::remove(target_ / "a");
  fs::create_symlink(folder_.path() / "elsewhere", target_ / "a");
  EXPECT_EQ(refusal(), "\"a\" comes twice");
  EXPECT_FALSE(fs::exists(folder_.path() / "elsewhere"));
}

/// Exchanges two names as fast as it can, until destroyed.
class Swapper {
 public:
  Swapper(fs::path one, fs::path other)
      : thread_([this, one = std::move(one), other = std::move(other)] {
          while (!stop_) {
            if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) {
              ++swaps_;
            }
          }
        }) {}
  ~Swapper() {
    stop_ = true;
    thread_.join();
    EXPECT_GT(swaps_, 0U);
  }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> swaps_ = 0;
  std::thread thread_;
};

TEST_F(TreeCopyTest, FolderSwappedForALinkLeadsNowhere) {
  folder_.write("outside/deep/f", "secret");
  folder_.write("source/a/deep/f", "public");
  fs::create_directory_symlink(folder_.path() / "outside", folder_.path() / "link");
  const Swapper swapper(source_ / "a", folder_.path() / "link");
  int copies = 0;
  for (int i = 0; i < 500; ++i) {
    fresh_target();
    if (copy()) ++copies;
    const std::string text = copied("a/deep/f");
    EXPECT_TRUE(text.empty() || text == "public") << text;
  }
  EXPECT_GT(copies, 0);
  EXPECT_LT(copies, 500);
}

TEST_F(TreeCopyTest, FileSwappedForAFifoOrALinkDoesNotBlockOrLeak) {
  folder_.write("outside", "secret");
  folder_.write("source/f", "public");
  ASSERT_EQ(::mkfifo((source_ / "g").c_str(), 0644), 0);
  fs::create_symlink(folder_.path() / "outside", folder_.path() / "link");
  const Swapper fifo(source_ / "f", source_ / "g");
  const Swapper link(source_ / "f", folder_.path() / "link");
  for (int i = 0; i < 500; ++i) {
    fresh_target();
    const auto ignored = copy();
    for (const char* const name : {"f", "g"}) {
      const std::string text = copied(name);
      EXPECT_TRUE(text.empty() || text == "public") << text;
    }
  }
}

TEST_F(TreeCopyTest, FileThatChangesItsLengthIsRefused) {
  folder_.write("source/f", std::string(1 << 20, 'x'));
  std::atomic<bool> stop = false;
  std::thread changer([&] {
    while (!stop) {
      fs::resize_file(source_ / "f", 1 << 20);
      fs::resize_file(source_ / "f", 3 << 20);
    }
  });
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    fresh_target();
    const auto size = copy();
    if (size) {
      EXPECT_EQ(fs::file_size(target_ / "f"), size->bytes);
    } else {
      ++refused;
      EXPECT_EQ(size.error().message, "\"f\" changed while it was being copied");
    }
  }
  stop = true;
  changer.join();
  EXPECT_GT(refused, 0);
}

TEST_F(TreeCopyTest, FolderThatGrowsEndlesslyIsRefused) {
  limits_.entries = 1000;
  std::atomic<bool> stop = false;
  std::thread grower([&] {
    for (int i = 0; !stop && i < 200'000; ++i) {
      const std::string name = (source_ / ("f" + std::to_string(i))).native();
      ::close(::open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    }
  });
  std::string why;
  for (int i = 0; i < 1000 && !why.contains("one too many"); ++i) {
    fresh_target();
    why = refusal();
  }
  stop = true;
  grower.join();
  EXPECT_NE(why.find("at most 1000"), std::string::npos) << why;
}

}  // namespace
}  // namespace sock::pkgcache
