#include "sandbox/control_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

namespace sock::sandbox {
namespace {

class ControlFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sock-control-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    mount_ = Fd(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// In place, as the kernel changes what a file says.
  void write(const std::string& text) { std::ofstream(folder_ / "file") << text; }

  std::filesystem::path folder_;
  Fd mount_;
};

TEST_F(ControlFileTest, EveryReadSeesTheMoment) {
  ControlFile file;
  write("12\n");
  EXPECT_EQ(file.number(mount_.get(), "file").value_or(0), 12U);
  write("7\n");
  EXPECT_EQ(file.number(mount_.get(), "file").value_or(0), 7U);
  write("max\n");
  EXPECT_EQ(file.number(mount_.get(), "file").value_or(0),
            std::numeric_limits<std::uint64_t>::max());
  write("populated 1\nfrozen 0\n");
  EXPECT_EQ(file.key(mount_.get(), "file", "populated").value_or(9), 1U);
  EXPECT_EQ(file.key(mount_.get(), "file", "frozen").value_or(9), 0U);
}

TEST_F(ControlFileTest, WhatIsWrittenIsReadAgain) {
  write("5\n");
  ControlFile file(O_RDWR);
  ASSERT_TRUE(file.write(mount_.get(), "file", "7"));
  EXPECT_EQ(file.number(mount_.get(), "file").value_or(0), 7U);
  ASSERT_TRUE(file.write(mount_.get(), "file", "8")) << "each write begins at the beginning";
  EXPECT_EQ(file.number(mount_.get(), "file").value_or(0), 8U);
  ControlFile absent(O_WRONLY);
  const auto done = absent.write(mount_.get(), "none", "1");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().sys_errno, ENOENT);
}

TEST_F(ControlFileTest, AnAbsentFileMayAppear) {
  ControlFile file;
  const auto absent = file.number(mount_.get(), "file");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().sys_errno, ENOENT);
  write("3\n");
  EXPECT_EQ(file.number(mount_.get(), "file").value_or(0), 3U);
}

TEST_F(ControlFileTest, RefusesWhatItCannotRead) {
  ControlFile file;
  for (const char* text : {"", "\n", "x\n", "1 2\n", "-1\n", "99999999999999999999\n"}) {
    write(text);
    EXPECT_FALSE(file.number(mount_.get(), "file")) << text;
  }
  for (const char* text : {"", "populate 1\n", "populated\n", "populated x\n", " populated 1\n"}) {
    write(text);
    EXPECT_FALSE(file.key(mount_.get(), "file", "populated")) << text;
  }
  write(std::string(5000, '1'));
  EXPECT_FALSE(file.number(mount_.get(), "file"));
}

}  // namespace
}  // namespace sock::sandbox
