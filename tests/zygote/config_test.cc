#include "zygote/config.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace sock::zygote {
namespace {

ZygoteConfig sample() {
  ZygoteConfig config;
  config.search_path = {"/usr/lib/python3.11", "/opt/with space"};
  config.modules = {"numpy", "PIL.Image"};
  config.filter.inherited = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  config.filter.last = {{9, 10, 11, 12}};
  return config;
}

TEST(ZygoteConfig, SurvivesTheTrip) {
  auto file = write_config(sample());
  ASSERT_TRUE(file) << file.error().describe();
  auto read = read_config(file->get());
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(read->search_path, sample().search_path);
  EXPECT_EQ(read->modules, sample().modules);
  ASSERT_EQ(read->filter.inherited.size(), 2U);
  EXPECT_EQ(read->filter.inherited[1].k, 8U);
  ASSERT_EQ(read->filter.last.size(), 1U);
  EXPECT_EQ(read->filter.last[0].k, 12U);
}

TEST(ZygoteConfig, CannotBeChangedOnceWritten) {
  auto file = write_config(sample());
  ASSERT_TRUE(file);
  EXPECT_EQ(::pwrite(file->get(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(file->get(), 0), -1);
}

TEST(ZygoteConfig, RefusesEveryTruncation) {
  auto file = write_config(sample());
  ASSERT_TRUE(file);
  const off_t size = ::lseek(file->get(), 0, SEEK_END);
  std::string text(static_cast<std::size_t>(size), '\0');
  ASSERT_EQ(::pread(file->get(), text.data(), text.size(), 0), size);
  for (std::size_t length = 0; length < text.size(); ++length) {
    const Fd cut(::memfd_create("cut", MFD_CLOEXEC));
    ASSERT_EQ(::write(cut.get(), text.data(), length), static_cast<ssize_t>(length));
    EXPECT_FALSE(read_config(cut.get())) << "at " << length;
  }
}

TEST(ZygoteConfig, RefusesLengthsThatOverflow) {
  const std::uint64_t header[4] = {~0ULL, 1, 0, 0};
  const Fd file(::memfd_create("bad", MFD_CLOEXEC));
  ASSERT_EQ(::write(file.get(), header, sizeof header), static_cast<ssize_t>(sizeof header));
  EXPECT_FALSE(read_config(file.get()));
}

}  // namespace
}  // namespace sock::zygote
