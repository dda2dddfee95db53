#pragma once

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>

#include "manager/calls/clone.h"
#include "manager/jobs/job.h"
#include "manager/jobs/job_scripts.h"

namespace sock::manager {

/// Runs jobs: each in a fresh sandbox like any call's, of which nothing remains. On the event loop;
/// not thread safe. What it is given must outlive its jobs.
class JobRunner {
 public:
  /// Takes what it wants from a job that has answered, while the sandbox still stands. `tmp` is the
  /// sandbox's /tmp (an O_PATH descriptor, valid until the wait ends). Both are hostile, and other
  /// processes of the job may go on changing the files. An error becomes the job's.
  using Collect =
      std::function<boost::asio::awaitable<Result<>>(const boost::json::object& answer, int tmp)>;

  /// Writes the scripts to `folder`/NAME/handler.py, replacing what is there. `recipe` is asked for
  /// what to clone where a job names nothing: any ready zygote.
  [[nodiscard]] static Result<std::unique_ptr<JobRunner>> create(
      std::filesystem::path folder, SlotStock& slots, std::function<Result<CloneRecipe>()> recipe,
      std::span<const JobScript> scripts = job_scripts());

  /// Runs one job, in a clone of `parent` where that is given. The error's step is the job, its
  /// code tells what happened to it:
  /// kTimeout   no answer in time
  /// kOom       it needed more memory than its limit
  /// kKilled    its process ended without an answer: the message says how
  /// kInvalid   it answered something that is no JSON object, or too much
  /// kAppError  its handler raised: the message has the exception
  /// kDraining  after stop()
  /// others     there is no sandbox for it
  [[nodiscard]] boost::asio::awaitable<Result<JobAnswer>> run(
      Job job, Collect collect = {}, std::optional<CloneRecipe> parent = std::nullopt);

  /// Kills the jobs at work and refuses others.
  void stop();

 private:
  struct Running;

  JobRunner(std::filesystem::path folder, SlotStock& slots,
            std::function<Result<CloneRecipe>()> recipe);
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> start(
      const Job& job, std::optional<CloneRecipe> parent);
  [[nodiscard]] boost::asio::awaitable<void> perform(Running& running, const Job& job,
                                                     const Collect& collect);

  std::filesystem::path folder_;
  SlotStock& slots_;
  std::function<Result<CloneRecipe>()> recipe_;
  std::uint64_t runs_ = 0;
  std::unordered_set<Clone*> at_work_;
  bool stopping_ = false;
};

}  // namespace sock::manager
