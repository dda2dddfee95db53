#include "base/message.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

namespace sock {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

TEST(Message, CarriesBytesAndDescriptors) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair) << pair.error().describe();
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const int value = 42;
  const int fds[] = {pipe[1]};
  ASSERT_TRUE(send_message((*pair)[0].get(), bytes_of(value), fds));
  ::close(pipe[1]);

  int got = 0;
  auto received = receive_message((*pair)[1].get(), writable_bytes_of(got));
  ASSERT_TRUE(received) << received.error().describe();
  EXPECT_EQ(received->size, sizeof value);
  EXPECT_EQ(got, 42);
  ASSERT_EQ(received->fds.size(), 1U);
  EXPECT_EQ(::write(received->fds[0].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(pipe[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  ::close(pipe[0]);
}

TEST(Message, ReportsEndOfFileAsSizeZero) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  (*pair)[0].reset();
  int buffer = 0;
  auto received = receive_message((*pair)[1].get(), writable_bytes_of(buffer));
  ASSERT_TRUE(received);
  EXPECT_EQ(received->size, 0U);
}

TEST(Message, RefusesTruncationAndClosesItsDescriptors) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  const std::array<char, 64> large{};
  const int fds[] = {STDERR_FILENO, STDERR_FILENO};
  ASSERT_TRUE(send_message((*pair)[0].get(), bytes_of(large), fds));
  const std::size_t before = open_descriptors();
  int small = 0;
  auto received = receive_message((*pair)[1].get(), writable_bytes_of(small));
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().sys_errno, EMSGSIZE);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Message, ReceiveIntoClosesMoreDescriptorsThanItHasRoomFor) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  const int value = 1;
  const int fds[] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
  ASSERT_TRUE(send_message((*pair)[0].get(), bytes_of(value), fds));
  const std::size_t before = open_descriptors();
  int got = 0;
  int room[2];
  std::size_t count = 9;
  EXPECT_EQ(receive_into((*pair)[1].get(), writable_bytes_of(got), room, count), -1);
  EXPECT_EQ(errno, EMSGSIZE);
  EXPECT_EQ(count, 0U);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Message, RefusesTooManyDescriptorsToSend) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  const std::array<int, kMaxMessageFds + 1> fds{};
  EXPECT_FALSE(send_message((*pair)[0].get(), bytes_of(1), fds));
}

}  // namespace
}  // namespace sock
