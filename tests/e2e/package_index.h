#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "tests/netns-pool/world.h"
#include "tests/support/wheel.h"

namespace sock::e2e {

/// A package index (PEP 503) over HTTP at port kPort of the outside of a World, whatever the
/// address; gone with the object.
class PackageIndex {
 public:
  static constexpr std::uint16_t kPort = 8010;

  PackageIndex(const netns::testing::World& world,
               const std::vector<test_support::WheelSpec>& specs);
  ~PackageIndex();
  PackageIndex(const PackageIndex&) = delete;
  PackageIndex& operator=(const PackageIndex&) = delete;

  /// What the server has logged: a line for each request.
  [[nodiscard]] std::string log() const;

 private:
  void serve(int netns) const;

  std::filesystem::path folder_;
  pid_t server_ = -1;
};

}  // namespace sock::e2e
