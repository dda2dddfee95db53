#include "pkgcache/plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <ranges>
#include <set>
#include <string_view>
#include <utility>

namespace sock::pkgcache {

namespace {

constexpr std::string_view kRoot = "root";

/// 32-bit FNV-1a: the same on every build and host, unlike std::hash.
class Fnv {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      hash_ ^= static_cast<std::uint8_t>(c);
      hash_ *= 0x01000193U;
    }
  }
  [[nodiscard]] std::uint32_t value() const { return hash_; }

 private:
  std::uint32_t hash_ = 0x811c9dc5U;
};

void sort_unique(std::vector<Package>& packages) {
  std::ranges::sort(packages);
  const auto repeated = std::ranges::unique(packages);
  packages.erase(repeated.begin(), repeated.end());
}

bool has_conflict(const std::vector<Package>& packages) {
  return std::ranges::adjacent_find(packages, {}, &Package::name) != packages.end();
}

/// The sets of the plan, the root first, most important first.
std::vector<std::vector<Package>> choose_sets(const std::vector<std::vector<Package>>& configured,
                                              std::span<const Demand> demand,
                                              std::size_t max_zygotes) {
  std::vector<std::vector<Package>> chosen = {{}};
  std::set<std::string> ids = {std::string(kRoot)};
  const auto choose = [&](const std::vector<Package>& packages) {
    if (chosen.size() >= max_zygotes || has_conflict(packages)) return;
    // By id: two sets whose ids collide cannot be told apart, so the second goes without.
    if (ids.insert(zygote_id(packages)).second) chosen.push_back(packages);
  };
  for (const auto& packages : configured) choose(packages);

  std::map<std::vector<Package>, double> rates;
  for (const Demand& function : demand) {
    std::vector<Package> packages = function.packages;
    sort_unique(packages);
    const double rate = function.rate;
    rates[std::move(packages)] += std::isfinite(rate) && rate > 0 ? rate : 0;
  }
  std::vector<std::pair<double, const std::vector<Package>*>> by_rate;
  by_rate.reserve(rates.size());
  for (const auto& [packages, rate] : rates) by_rate.emplace_back(rate, &packages);
  std::ranges::stable_sort(by_rate, std::ranges::greater{}, [](const auto& r) { return r.first; });
  for (const auto& [rate, packages] : by_rate) choose(*packages);
  return chosen;
}

}  // namespace

std::string zygote_id(std::span<const Package> packages) {
  if (packages.empty()) return std::string(kRoot);
  constexpr std::size_t kMostNames = 44;  // leaves room for the count and the hash
  Fnv hash;
  std::string names;
  std::size_t left_out = 0;
  for (const Package& package : packages) {
    hash.add(package.key());
    hash.add("\n");
    if (left_out > 0 || names.size() + 1 + package.name.size() > kMostNames) {
      ++left_out;
      continue;
    }
    if (!names.empty()) names += '+';
    names += package.name;
  }
  if (names.empty()) {
    names = packages.front().name.substr(0, kMostNames);
    --left_out;
  }
  if (left_out > 0) names += "+" + std::to_string(left_out);
  std::array<char, 16> digits{};
  (void)std::snprintf(digits.data(), digits.size(), "-%08x", hash.value());
  return names + digits.data();
}

ExactSetPlanner::ExactSetPlanner(std::vector<std::vector<Package>> configured,
                                 std::size_t max_zygotes)
    : configured_(std::move(configured)), max_zygotes_(max_zygotes) {
  for (auto& packages : configured_) sort_unique(packages);
}

ZygotePlan ExactSetPlanner::plan(std::span<const Demand> demand) const {
  auto sets = choose_sets(configured_, demand, max_zygotes_);
  std::vector<ZygoteSpec> specs;
  specs.reserve(sets.size());
  for (auto& packages : sets) specs.push_back({zygote_id(packages), "", std::move(packages)});

  std::vector<std::size_t> parents(specs.size(), 0);
  for (std::size_t i = 1; i < specs.size(); ++i) {
    for (std::size_t j = 1; j < specs.size(); ++j) {
      const auto& candidate = specs[j].packages;
      if (candidate.size() < specs[i].packages.size() &&
          candidate.size() > specs[parents[i]].packages.size() &&
          is_subset(candidate, specs[i].packages)) {
        parents[i] = j;
      }
    }
    specs[i].parent = specs[parents[i]].id;
  }

  // Important nodes first, each right after the ancestors it still lacks.
  ZygotePlan out;
  std::vector<bool> placed(specs.size(), false);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    std::vector<std::size_t> chain;
    for (std::size_t node = i; !placed[node]; node = parents[node]) {
      placed[node] = true;
      chain.push_back(node);
    }
    for (const std::size_t node : chain | std::views::reverse) {
      out.nodes.push_back(std::move(specs[node]));
    }
  }
  return out;
}

}  // namespace sock::pkgcache
