#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "base/error.h"
#include "bench/pkgcache/sample.h"
#include "bench/pkgcache/trees.h"
#include "bench/samples.h"

namespace sock::bench {

/// What all trials of a run have in common.
struct TrialSpec {
  std::string sockd;           ///< program
  std::filesystem::path home;  ///< of every daemon, one after the other: they share the state
  std::filesystem::path wheels;
  const Sample& sample;
  std::span<const std::size_t> calls;     ///< measured
  std::span<const std::size_t> learning;  ///< made before, where there is something to learn
  double budget_mb = 0;
  unsigned clients = 1;
  const std::atomic<bool>& interrupted;
};

/// Deploys all functions with a daemon that stops again; they, and the packages that were installed
/// for them, stay in the home. "deploy.ms" gets a value a function.
[[nodiscard]] Result<> deploy_all(const TrialSpec& spec, Samples& samples);

/// Starts a daemon with the contender's zygotes, waits until they stand and it is idle, makes the
/// calls. Of each figure, "NAME.mean_ms" and so on (see report.h), one value is added. A call that
/// fails, or a zygote, is counted among the errors.
[[nodiscard]] Result<> run_trial(const TrialSpec& spec, const Contender& contender,
                                 Samples& samples);

}  // namespace sock::bench
