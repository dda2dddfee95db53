#include "zygote/call.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/frame.h"
#include "zygote/clone.h"
#include "zygote/entropy.h"
#include "zygote/interpreter.h"
#include "zygote/restore.h"
#include "zygote/wire.h"

namespace sock::zygote {
namespace {

bool say_parked() {
  const FrameHeader header{FrameHeader::kMagic, static_cast<std::uint32_t>(FrameType::kParked), 0};
  return raw_write(kConnectionFd, &header, sizeof header);
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
  call.cpus = header.cpus;
  return take(header.handler_length, call.handler) && take(header.function_length, call.function) &&
         take(header.id_length, call.id) && take(header.environment_length, call.environment) &&
         take(header.path_length, call.search_path) && take(header.code_length, call.code) &&
         take(header.event_length, call.event) && payload.empty();
}

/// In one write, so that sockd wakes up once: only a long result takes more.
bool answer(const Result<interpreter::Outcome>& outcome) {
  if (!outcome) return false;
  struct {
    FrameHeader frame;
    ResultHeader result;
  } head;
  static_assert(sizeof head == sizeof(FrameHeader) + sizeof(ResultHeader));
  const FrameType type = outcome->succeeded ? FrameType::kResult : FrameType::kRaised;
  head.frame = {FrameHeader::kMagic, static_cast<std::uint32_t>(type),
                sizeof head.result + outcome->json.size()};
  head.result = {outcome->init_us, outcome->run_us};
  const std::string_view json = outcome->json;
  const std::array<iovec, 2> parts{
      {{&head, sizeof head}, {const_cast<char*>(json.data()), json.size()}}};
  const ssize_t sent = ::writev(kConnectionFd, parts.data(), parts.size());
  if (sent < static_cast<ssize_t>(sizeof head)) return false;
  const auto rest = json.substr(static_cast<std::size_t>(sent) - sizeof head);
  return write_exactly(kConnectionFd, rest.data(), rest.size());
}

Result<interpreter::Outcome> obey(FrameType type, const interpreter::Call& call) {
  switch (type) {
    case FrameType::kCall:
      return interpreter::run(call);
    case FrameType::kPrepare:
      return interpreter::prepare(call);
    case FrameType::kCompile:
      return interpreter::compile_handler(call);
    default:
      ::_exit(125);
  }
}

/// Reads one request and does it. The outcome's bytes belong to the interpreter.
FrameType serve_request(Result<interpreter::Outcome>& outcome) {
  FrameHeader header;
  if (!raw_read(kConnectionFd, &header, sizeof header)) ::_exit(0);
  if (header.magic != FrameHeader::kMagic) ::_exit(125);
  std::string payload(header.length, '\0');
  interpreter::Call call;
  if (!read_exactly(kConnectionFd, payload.data(), payload.size()) || !parse_call(payload, call)) {
    ::_exit(125);
  }
  const auto type = static_cast<FrameType>(header.type);
  outcome = obey(type, call);
  return type;
}

/// Serves until a request was answered that is the last. From an answer on, nothing here writes
/// anything but the stack: sockd may be recording this memory.
void serve_requests() {
  for (FrameType type = FrameType::kPrepare; type == FrameType::kPrepare;) {
    Result<interpreter::Outcome> outcome = interpreter::Outcome{};
    type = serve_request(outcome);
    if (!answer(outcome)) ::_exit(125);
  }
}

bool get_ready(Parking parking) {
  if (parking.image) {
    if (!restore_image(kImageFd) || !renew_randomness()) return false;
    renew_thread_id();
  } else if (!interpreter::after_clone()) {
    return false;
  }
  if (parking.touches && !populate(kTouchesFd)) return false;
  // The vdso cannot be populated; a call begins with a look at the clock.
  (void)Clock::now();
  ::syscall(SYS_close, kImageFd);
  ::syscall(SYS_close, kTouchesFd);
  return true;
}

}  // namespace

void serve_one_call(Parking parking) {
  if (!get_ready(parking) || !say_parked()) ::_exit(125);
  serve_requests();
  // sockd may still look at this process's memory; it ends it.
  char byte = 0;
  while (::read(kConnectionFd, &byte, 1) > 0 || errno == EINTR) {
  }
  ::_exit(0);
}

}  // namespace sock::zygote
