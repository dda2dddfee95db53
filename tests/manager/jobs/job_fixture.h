#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "manager/jobs/job_runner.h"
#include "sandbox/seccomp_policy.h"
#include "tests/manager/calls/slot_fixture.h"

namespace sock::manager {

/// Jobs in real sandboxes: clones of a bare zygote.
class JobFixture : public SlotFixture {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(store());
    SlotFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    start(Nat::kOffered);
    zygote::ZygoteOptions options;
    options.program = helpers_ + "sock-zygote";
    options.keeper = keeper_->pidfd();
    options.config.search_path = {"/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload"};
    options.config.filter = sandbox::compile_seccomp_policy().value();
    options.place = [this](pid_t pid) { return cgroups_->attach_service(pid); };
    auto zygote = run(zygote::Zygote::start(std::move(options)));
    ASSERT_TRUE(zygote) << zygote.error().describe();
    zygote_ = std::move(*zygote);
    jobs_ = runner(job_scripts());
  }

  void TearDown() override {
    // Whatever the test did: nothing is left of any job.
    if (slots_) {
      EXPECT_EQ(slots_->dying(), 0U);
    }
    zygote_.reset();
    SlotFixture::TearDown();
  }

  sandbox::RootOptions root() override {
    sandbox::RootOptions options;
    options.store = store();
    return options;
  }

  /// Bound at /var/packages.
  [[nodiscard]] std::filesystem::path store() const { return folder_.path() / "packages"; }

  std::unique_ptr<JobRunner> runner(std::span<const JobScript> scripts) {
    auto recipe = [this]() -> Result<CloneRecipe> {
      CloneRecipe bare;
      bare.zygote = zygote_;
      return bare;
    };
    auto runner = JobRunner::create(folder_.path() / "jobs", *slots_, recipe, scripts);
    EXPECT_TRUE(runner) << runner.error().describe();
    return runner ? std::move(*runner) : nullptr;
  }

  /// Runs a script of the test's own: the body of its handler(event, context).
  Result<JobAnswer> run_script(const std::string& body, Job job = {},
                               JobRunner::Collect collect = {}) {
    std::string source = "import os, sys, time, json\ndef handler(event, context):\n";
    source += body;
    const JobScript script{"test", source};
    own_ = runner({&script, 1});
    job.script = "test";
    return run(own_->run(std::move(job), std::move(collect)));
  }

  std::shared_ptr<zygote::Zygote> zygote_;
  std::unique_ptr<JobRunner> jobs_;
  std::unique_ptr<JobRunner> own_;
};

}  // namespace sock::manager
