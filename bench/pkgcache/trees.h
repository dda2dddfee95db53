#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "bench/pkgcache/sample.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::bench {

/// One way to choose the zygotes.
struct Contender {
  std::string name;
  std::string what = {};      ///< for a person
  bool adaptive = false;      ///< sockd plans by itself, from its own measurements and the calls
  pkgcache::ZygoteTree tree;  ///< what it is given, or when adaptive what it might arrive at
  double online_creation_ms =
      0;  ///< a call, of an online algorithm once it has learnt; the model's
};

/// none, ForkLift v3, SOCK, ours; the last also adaptive. All know all functions and their rates;
/// SOCK's is the tree after 10,000 calls.
[[nodiscard]] std::vector<Contender> plan_contenders(const Sample& sample, double budget_mb,
                                                     std::uint64_t seed);

/// What the cost model expects of calls.
struct Expectation {
  double mean_ms = 0;  ///< service: clone and the imports that the zygote lacks
  double p50_ms = 0;
  double p99_ms = 0;
  double hit_ratio = 0;    ///< packages found loaded, of all that the calls need
  double memory_mb = 0;    ///< of the zygotes beside the root
  double creation_ms = 0;  ///< imports, once
};

/// The tree as sockd looks it up: each call is served by the zygote that saves it most.
[[nodiscard]] Expectation expect(const Sample& sample, const pkgcache::ZygoteTree& tree,
                                 std::span<const std::size_t> calls);

struct ConfigSpec {
  std::filesystem::path wheels;
  double budget_mb = 0;
  std::size_t history = 0;  ///< finished calls to remember
};

/// sockd.toml for it. Zygotes of functions are off: they would hide what the packages' are worth.
[[nodiscard]] std::string config_of(const Contender& contender, const Sample& sample,
                                    const ConfigSpec& spec);

}  // namespace sock::bench
