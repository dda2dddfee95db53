#include "zygote/call.h"

#include <unistd.h>

#include <cstring>
#include <new>
#include <string>

#include "base/frame.h"
#include "zygote/interpreter.h"
#include "zygote/wire.h"

namespace sock::zygote {
namespace {

bool send_frame(FrameType type, std::uint64_t length) {
  const FrameHeader header{FrameHeader::kMagic, static_cast<std::uint32_t>(type), length};
  return write_exactly(kConnectionFd, &header, sizeof header);
}

/// Cuts the parts off a call's payload; false when the lengths do not add up.
bool parse_call(std::string_view payload, interpreter::Call& call) {
  CallHeader header{};
  if (payload.size() < sizeof header) return false;
  std::memcpy(&header, payload.data(), sizeof header);
  payload.remove_prefix(sizeof header);
  auto take = [&payload](std::uint64_t length, std::string_view& part) {
    if (length > payload.size()) return false;
    part = payload.substr(0, length);
    payload.remove_prefix(length);
    return true;
  };
  call.memory_mb = header.memory_mb;
  call.deadline_ns = header.deadline_ns;
  return take(header.handler_length, call.handler) && take(header.function_length, call.function) &&
         take(header.id_length, call.id) && take(header.environment_length, call.environment) &&
         take(header.event_length, call.event) && payload.empty();
}

bool answer(const Result<interpreter::Outcome>& outcome) {
  if (!outcome) return false;
  const ResultHeader header{outcome->init_us, outcome->run_us};
  const FrameType type = outcome->succeeded ? FrameType::kResult : FrameType::kRaised;
  return send_frame(type, sizeof header + outcome->json.size()) &&
         write_exactly(kConnectionFd, &header, sizeof header) &&
         write_exactly(kConnectionFd, outcome->json.data(), outcome->json.size());
}

}  // namespace

void serve_one_call() {
  if (!interpreter::after_clone() || !send_frame(FrameType::kParked, 0)) ::_exit(125);
  FrameHeader header;
  if (!read_exactly(kConnectionFd, &header, sizeof header)) ::_exit(0);
  if (header.magic != FrameHeader::kMagic ||
      header.type != static_cast<std::uint32_t>(FrameType::kCall)) {
    ::_exit(125);
  }
  std::string payload(header.length, '\0');
  interpreter::Call call;
  if (!read_exactly(kConnectionFd, payload.data(), payload.size()) || !parse_call(payload, call)) {
    ::_exit(125);
  }
  ::_exit(answer(interpreter::run(call)) ? 0 : 125);
}

}  // namespace sock::zygote
