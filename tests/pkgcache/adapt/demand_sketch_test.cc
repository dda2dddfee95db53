#include "pkgcache/adapt/demand_sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "pkgcache/planner/random.h"

namespace sock::pkgcache {
namespace {

Clock::time_point at(double seconds) {
  return Clock::time_point(
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
}

/// Draws 0 … n-1 with popularity 1/(rank + 1), ranks rotated by `shift`.
class Zipf {
 public:
  explicit Zipf(std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) until_.push_back(sum += 1 / static_cast<double>(i + 1));
  }
  SetId draw(Random& random, std::size_t shift = 0) const {
    const auto found = std::ranges::upper_bound(until_, random.unit() * until_.back());
    return (static_cast<std::size_t>(found - until_.begin()) + shift) % until_.size();
  }

 private:
  std::vector<double> until_;
};

TEST(DemandSketch, WeighsCallsAsExactDecayDoes) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SketchOptions options;
    options.half_life = std::chrono::seconds(100);
    options.surprise = 1e9;
    DemandSketch sketch(options);
    Random random(seed);
    const Zipf zipf(200);
    std::vector<std::pair<double, SetId>> calls;
    double now = 0;
    for (int i = 0; i < 20'000; ++i) {
      now += random.unit();
      calls.emplace_back(now, zipf.draw(random));
      const auto noted = sketch.note(calls.back().second, at(now));
      EXPECT_FALSE(noted.forgotten);
    }
    std::map<SetId, double> exact;
    double total = 0;
    for (const auto& [when, set] : calls) {
      const double weight = std::exp2((when - now) / 100);
      exact[set] += weight;
      total += weight;
    }
    EXPECT_EQ(sketch.size(), exact.size());
    EXPECT_NEAR(sketch.total_weight(), total, 1e-6 * total);
    for (const auto& [set, weight] : exact) {
      EXPECT_NEAR(sketch.weight(set), weight, 1e-6 * total) << set;
    }
    EXPECT_NEAR(sketch.rate(at(now)), 2, 0.2);
    EXPECT_NEAR(sketch.rate(at(now + 100)), 1, 0.1);
  }
}

TEST(DemandSketch, KeepsHeavyHittersWhateverComesAndGoes) {
  SketchOptions options;
  options.capacity = 64;
  options.surprise = 1e9;
  DemandSketch sketch(options);
  Random random(1);
  std::map<SetId, double> exact;
  constexpr int kCalls = 1'000'000;
  for (int i = 0; i < kCalls; ++i) {
    // Eight sets with 3 % each among a million that come once.
    const bool heavy = random.below(100) < 24;
    const SetId set = heavy ? random.below(8) : 1000 + static_cast<SetId>(i);
    if (heavy) exact[set] += 1;
    (void)sketch.note(set, at(0));
  }
  EXPECT_EQ(sketch.size(), 64U);
  EXPECT_DOUBLE_EQ(sketch.total_weight(), kCalls);
  for (const auto& [set, calls] : exact) {
    EXPECT_LE(sketch.weight(set), calls);
    EXPECT_GE(sketch.weight(set), calls - kCalls / 64.0);
  }
}

TEST(DemandSketch, ANewSetTakesTheLightestOnesPlace) {
  SketchOptions options;
  options.capacity = 3;
  DemandSketch sketch(options);
  for (const SetId set : {1, 1, 2, 3, 3}) (void)sketch.note(set, at(0));
  EXPECT_EQ(sketch.note(4, at(0)).forgotten, SetId{2});
  EXPECT_EQ(sketch.weight(2), 0);
  // Of what it weighs now one call is known to be its own.
  EXPECT_DOUBLE_EQ(sketch.weight(4), 1);
  EXPECT_FALSE(sketch.note(4, at(0)).forgotten);
}

TEST(DemandSketch, ForgetsWhatItIsTold) {
  SketchOptions options;
  options.capacity = 50;
  options.surprise = 1e9;
  DemandSketch sketch(options);
  std::map<SetId, double> exact;
  Random random(9);
  for (int i = 0; i < 20'000; ++i) {
    const SetId set = random.below(50);
    if (random.below(4) == 0) {
      sketch.forget(set);
      exact.erase(set);
    } else {
      EXPECT_FALSE(sketch.note(set, at(0)).forgotten);
      exact[set] += 1;
    }
  }
  EXPECT_EQ(sketch.size(), exact.size());
  sketch.for_each([&](SetId set, double weight) { EXPECT_DOUBLE_EQ(weight, exact[set]) << set; });
  // The heap is in order: the lightest goes first.
  for (SetId set = 1000; sketch.size() < 50; ++set) (void)sketch.note(set, at(0));
  for (int i = 0; i < 10; ++i) {
    double least = 1e9;
    sketch.for_each([&](SetId, double weight) { least = std::min(least, weight); });
    std::map<SetId, double> before;
    sketch.for_each([&](SetId set, double weight) { before[set] = weight; });
    const SetId newcomer = 2000 + static_cast<SetId>(i);
    const auto noted = sketch.note(newcomer, at(0));
    ASSERT_TRUE(noted.forgotten);
    EXPECT_DOUBLE_EQ(before[*noted.forgotten], least);
    // Heavier than its own calls say, or it would go next.
    for (int more = 0; more < 3; ++more) (void)sketch.note(newcomer, at(0));
  }
}

TEST(DemandSketch, APauseForgetsLittle) {
  DemandSketch sketch;
  for (int i = 0; i < 100; ++i) (void)sketch.note(1, at(i));
  (void)sketch.note(2, at(100'000));
  EXPECT_GT(sketch.weight(1), 90);
  EXPECT_LT(sketch.rate(at(100'000)), 0.01);
}

TEST(DemandSketch, SteadyDemandIsNotTakenForAChange) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    DemandSketch sketch;
    Random random(seed);
    const Zipf zipf(seed % 2 == 0 ? 2000 : 40);
    for (int i = 0; i < 100'000; ++i) {
      EXPECT_FALSE(sketch.note(zipf.draw(random), at(i / 20.0)).moved) << seed << " " << i;
    }
  }
}

TEST(DemandSketch, AnAbruptChangeIsNoticedAndThePastDiscounted) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    DemandSketch sketch;
    Random random(seed);
    const Zipf zipf(500);
    for (int i = 0; i < 20'000; ++i) (void)sketch.note(zipf.draw(random), at(i / 20.0));
    int noticed = 0;
    for (int i = 0; i < 300; ++i) {
      if (sketch.note(zipf.draw(random, 250), at(1000 + i / 20.0)).moved) noticed = i;
    }
    EXPECT_GT(noticed, 0) << seed;
    EXPECT_LT(noticed, 200) << seed;
    EXPECT_LT(sketch.total_weight(), 400);
    EXPECT_GT(sketch.weight(250), 0.1 * sketch.total_weight());
    // The rate of all calls has not changed.
    EXPECT_NEAR(sketch.rate(at(1015)), 20, 1);
  }
}

}  // namespace
}  // namespace sock::pkgcache
