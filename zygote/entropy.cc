#include "zygote/entropy.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace sock::zygote {
namespace {

struct Spot {
  std::uintptr_t address = 0;
  std::size_t length = 0;
};

std::array<Spot, 256> g_spots;
std::size_t g_count = 0;

bool fill(const Spot& spot) {
  for (std::size_t done = 0; done < spot.length;) {
    // Raw, as in restore.h: this runs in memory that may be a tenant's.
    const long n = ::syscall(SYS_getrandom, spot.address + done, spot.length - done, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

bool keep_random(std::uintptr_t address, std::size_t length) {
  if (g_count >= g_spots.size()) return false;
  g_spots[g_count++] = {address, length};
  return true;
}

bool renew_randomness() {
  // The count, too, may be a tenant's by now.
  for (std::size_t i = 0; i < g_count && i < g_spots.size(); ++i) {
    if (!fill(g_spots[i])) return false;
  }
  return true;
}

}  // namespace sock::zygote
