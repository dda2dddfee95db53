#include "manager/calls/stock_gate.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>
#include <thread>
#include <utility>

#include "base/fd.h"

namespace sock::manager {

bool StockGate::enter(const std::function<void()>& retry) {
  if (inside_ > 0 && !idle_cpu_()) {
    refused_.push_back(retry);
    return false;
  }
  ++inside_;
  return true;
}

void StockGate::leave() {
  --inside_;
  // They may come back here and be refused again.
  const auto refused = std::exchange(refused_, {});
  for (const auto& retry : refused) retry();
}

bool has_idle_cpu() {
  static const Fd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  static const unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
  std::array<char, 128> buffer;
  const ssize_t n = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  if (n <= 0) return true;
  // "0.20 0.18 0.12 1/80 11206": running/all.
  std::string_view text(buffer.data(), static_cast<std::size_t>(n));
  const auto slash = text.find('/');
  const auto space = text.rfind(' ', slash);
  if (slash == std::string_view::npos || space == std::string_view::npos) return true;
  unsigned runnable = 0;
  std::from_chars(text.data() + space + 1, text.data() + slash, runnable);
  return runnable <= cpus;
}

}  // namespace sock::manager
