#include "pkgcache/planner/cost_model.h"

#include <algorithm>
#include <utility>

namespace sock::pkgcache {

namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

PackageCost median_cost(std::span<const PackageCost> costs) {
  std::vector<double> ms;
  std::vector<double> mb;
  std::vector<double> vmas;
  for (const PackageCost& cost : costs) {
    ms.push_back(cost.ms);
    mb.push_back(cost.mb);
    if (cost.vmas > 0) vmas.push_back(cost.vmas);
  }
  return {median(std::move(ms)), median(std::move(mb)), median(std::move(vmas))};
}

}  // namespace

CostModel::CostModel(const Universe& universe, const CostTable& table, CostParameters parameters)
    : parameters_(parameters) {
  std::vector<PackageCost> all;
  for (const auto& [name, versions] : table) {
    for (const auto& [version, cost] : versions) all.push_back(cost);
  }
  const PackageCost typical = median_cost(all);
  for (std::size_t i = 0; i < universe.size(); ++i) {
    PackageCost cost = typical;
    const auto versions = table.find(universe.package(i).name);
    if (versions == table.end()) {
      ++unknown_;
    } else if (const auto exact = versions->second.find(universe.package(i).version);
               exact != versions->second.end()) {
      cost = exact->second;
    } else {
      std::vector<PackageCost> known;
      for (const auto& [version, other] : versions->second) known.push_back(other);
      cost = median_cost(known);
    }
    add(cost);
  }
}

CostModel::CostModel(std::span<const PackageCost> packages, CostParameters parameters)
    : parameters_(parameters) {
  for (const PackageCost& cost : packages) add(cost);
}

void CostModel::add(const PackageCost& cost) {
  ms_.push_back(cost.ms * (1 - parameters_.root_share_ms));
  mb_.push_back(cost.mb * (1 - parameters_.root_share_mb));
  vmas_.push_back(cost.vmas > 0 ? cost.vmas : parameters_.vmas_per_mb * mb_.back());
}

double CostModel::clone_ms(const PackageSet& set) const {
  const CloneCost& clone = parameters_.clone;
  const double mb = parameters_.root_mb + memory_mb(set);
  const double vmas = parameters_.root_vmas + mappings(set);
  return (clone.base_us + clone.us_per_mb * mb + clone.us_per_vma * vmas) / 1e3;
}

double CostModel::saved_ms(const PackageSet& set) const {
  return import_ms(set) - (clone_ms(set) - clone_ms(PackageSet()));
}

double CostModel::service_ms(const PackageSet& wanted, const PackageSet& held) const {
  PackageSet rest = wanted;
  rest -= held;
  return clone_ms(held) + import_ms(rest);
}

}  // namespace sock::pkgcache
