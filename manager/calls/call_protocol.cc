#include "manager/calls/call_protocol.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/completion_condition.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "base/frame.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

/// {"errorType","errorMessage","stackTrace"} of an exception; the runtime keeps it far below.
constexpr std::uint64_t kLargestError = 1 << 20;
constexpr std::size_t kFirstRead = 4096;

std::string environment_pairs(const FunctionSpec& spec) {
  std::string pairs;
  for (const auto& [name, value] : spec.environment) {
    pairs.append(name).push_back('\0');
    pairs.append(value).push_back('\0');
  }
  return pairs;
}

template <class T>
void append_pod(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

asio::awaitable<Result<>> send_call(asio::posix::stream_descriptor& connection,
                                    zygote::FrameType type, const Function* function,
                                    CallParts parts, Clock::time_point deadline) {
  static const FunctionSpec kTrial = [] {
    FunctionSpec spec;
    spec.handler.clear();
    return spec;
  }();
  const FunctionSpec& spec = function != nullptr ? function->spec : kTrial;
  const std::string environment = environment_pairs(spec);
  zygote::CallHeader call;
  call.deadline_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  call.memory_mb = static_cast<std::uint32_t>(spec.limits.memory_bytes >> 20);
  call.cpus = (spec.limits.cpu_millis + 999) / 1000;
  call.handler_length = static_cast<std::uint32_t>(spec.handler.size());
  call.function_length = static_cast<std::uint32_t>(spec.name.size());
  call.id_length = static_cast<std::uint32_t>(parts.id.size());
  call.environment_length = static_cast<std::uint32_t>(environment.size());
  call.path_length = static_cast<std::uint32_t>(parts.search_path.size());
  call.code_length = static_cast<std::uint32_t>(parts.code.size());
  call.event_length = parts.event.size();
  const FrameHeader header{FrameHeader::kMagic, static_cast<std::uint32_t>(type),
                           sizeof call + spec.handler.size() + spec.name.size() + parts.id.size() +
                               environment.size() + parts.search_path.size() + parts.code.size() +
                               parts.event.size()};
  std::string head;
  head.reserve(sizeof header + header.length - parts.event.size());
  append_pod(head, header);
  append_pod(head, call);
  head.append(spec.handler).append(spec.name).append(parts.id).append(environment);
  head.append(parts.search_path).append(parts.code);
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(parts.event)};
  auto [error, sent] = co_await asio::async_write(connection, buffers, kNoThrow);
  if (error) co_return fail(Code::kKilled, "send call", error.message());
  co_return Result<>{};
}

asio::awaitable<Result<CallReply>> read_reply(asio::posix::stream_descriptor& connection,
                                              std::uint64_t result_limit) {
  struct Head {
    FrameHeader frame;
    zygote::ResultHeader result;
  } head;
  static_assert(sizeof head == sizeof(FrameHeader) + sizeof(zygote::ResultHeader));
  // Most answers arrive whole with the first read.
  std::string received(kFirstRead, '\0');
  auto [error, got] = co_await asio::async_read(connection, asio::buffer(received),
                                                asio::transfer_at_least(sizeof head), kNoThrow);
  if (error) co_return fail(Code::kKilled, "call", "the sandbox ended without an answer");
  std::memcpy(&head, received.data(), sizeof head);

  const bool result = head.frame.type == static_cast<std::uint32_t>(zygote::FrameType::kResult);
  const bool raised = head.frame.type == static_cast<std::uint32_t>(zygote::FrameType::kRaised);
  if (head.frame.magic != FrameHeader::kMagic || !(result || raised) ||
      head.frame.length < sizeof head.result) {
    co_return fail(Code::kInvalid, "call", "the sandbox sent something that is no answer");
  }
  const std::uint64_t length = head.frame.length - sizeof head.result;
  const std::uint64_t limit = result ? result_limit : kLargestError;
  if (length > limit) {
    co_return fail(Code::kInvalid, "call",
                   "the result has " + std::to_string(length) + " bytes; at most " +
                       std::to_string(limit) + " are allowed ([calls] result_bytes)");
  }
  CallReply reply;
  reply.succeeded = result;
  reply.init_us = std::max<std::int64_t>(head.result.init_us, 0);
  reply.run_us = std::max<std::int64_t>(head.result.run_us, 0);
  // What follows the answer, if anything, is nobody's.
  const std::uint64_t here = std::min<std::uint64_t>(length, got - sizeof head);
  reply.json.assign(received, sizeof head, here);
  if (here == length) co_return reply;
  reply.json.resize(length);
  auto [body_error, body] = co_await asio::async_read(
      connection, asio::buffer(reply.json.data() + here, length - here), kNoThrow);
  if (body_error) co_return fail(Code::kKilled, "call", "the sandbox ended in mid-answer");
  co_return reply;
}

}  // namespace sock::manager
