#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "manager/functions/registry.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {

using Handle = std::shared_ptr<const Function>;

inline FunctionSpec spec_named(const std::string& name) {
  FunctionSpec spec;
  spec.name = name;
  return spec;
}

/// Files are deleted on another thread: gives it time.
inline bool eventually(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(Millis(5));
  }
  return true;
}

class RegistryTest : public testing::Test {
 protected:
  void open() {
    registry_.reset();
    auto opened = Registry::open(state_, BundleLimits());
    ASSERT_TRUE(opened) << opened.error().describe();
    registry_ = std::move(opened->registry);
    problems_ = std::move(opened->problems);
  }
  Result<Handle> try_deploy(const FunctionSpec& spec, std::string_view bundle) {
    auto staged = registry_->prepare(bundle, "");
    if (!staged) return std::unexpected(staged.error());
    return registry_->commit(std::move(*staged), spec);
  }
  Handle deploy(const std::string& name, std::string_view bundle = "x = 1\n") {
    auto deployed = try_deploy(spec_named(name), bundle);
    EXPECT_TRUE(deployed) << deployed.error().describe();
    return deployed ? *deployed : nullptr;
  }
  [[nodiscard]] std::size_t count(const char* folder) const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(state_ / folder),
                      std::filesystem::directory_iterator()));
  }
  [[nodiscard]] std::filesystem::path generation(const std::string& name, int number) const {
    return state_ / "functions" / name / std::to_string(number);
  }

  TemporaryFolder folder_;
  std::filesystem::path state_ = folder_.path() / "state";
  std::unique_ptr<Registry> registry_;
  std::vector<std::string> problems_;
};

}  // namespace sock::manager
