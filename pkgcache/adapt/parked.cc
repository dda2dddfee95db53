#include "pkgcache/adapt/parked.h"

#include <cmath>
#include <cstddef>
#include <queue>
#include <utility>

namespace sock::pkgcache {

namespace {

double finite(double value) { return std::isfinite(value) && value > 0 ? value : 0; }

}  // namespace

double erlang_loss(std::uint32_t parked, double load) {
  double loss = 1;
  for (std::uint32_t k = 1; k <= parked; ++k) loss = load * loss / (k + load * loss);
  return loss;
}

std::vector<std::uint32_t> plan_parked(std::span<const ParkedDemand> zygotes,
                                       const ParkedLimits& limits) {
  constexpr double kMb = 1 << 20;
  struct Next {
    bool first;
    double density;  ///< what one more saves, in ms of latency per second and MB
    std::size_t zygote;
    double loss;  ///< without it

    bool operator<(const Next& other) const {
      if (first != other.first) return other.first;
      if (density != other.density) return density < other.density;
      return zygote > other.zygote;
    }
  };
  std::vector<std::uint32_t> out(zygotes.size(), 0);
  const auto next = [&](std::size_t i, double loss) {
    const ParkedDemand& zygote = zygotes[i];
    const double load = finite(zygote.rate) * limits.refill_ms / 1e3;
    const double after = load * loss / (out[i] + 1 + load * loss);
    const double saved = finite(zygote.rate) * finite(zygote.clone_ms) * (loss - after);
    const double mb = static_cast<double>(zygote.clone_bytes + 1) / kMb;
    return Next{out[i] == 0, saved / mb, i, loss};
  };
  std::priority_queue<Next> queue;
  for (std::size_t i = 0; i < zygotes.size(); ++i) {
    if (finite(zygotes[i].rate) > 0 && limits.most > 0) queue.push(next(i, 1));
  }
  std::uint64_t left = limits.budget_bytes;
  while (!queue.empty()) {
    const Next best = queue.top();
    queue.pop();
    const ParkedDemand& zygote = zygotes[best.zygote];
    if (zygote.clone_bytes > left) continue;
    if (!best.first && best.density < limits.least_density) continue;
    left -= zygote.clone_bytes;
    const double load = zygote.rate * limits.refill_ms / 1e3;
    const double loss = load * best.loss / (++out[best.zygote] + load * best.loss);
    if (out[best.zygote] < limits.most) queue.push(next(best.zygote, loss));
  }
  return out;
}

}  // namespace sock::pkgcache
