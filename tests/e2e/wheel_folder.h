#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "tests/support/wheel.h"

namespace sock::e2e {

/// A folder of wheels for `[packages] find_links`, of a test's own; removed with the object.
class WheelFolder {
 public:
  explicit WheelFolder(const std::function<void(WheelFolder&)>& fill);
  ~WheelFolder();
  WheelFolder(const WheelFolder&) = delete;
  WheelFolder& operator=(const WheelFolder&) = delete;

  void add(const test_support::WheelSpec& spec);

  /// The sha256 of a wheel that was added.
  [[nodiscard]] const std::string& digest_of(const std::string& name,
                                             const std::string& version) const {
    return digests_.at({name, version});
  }

  /// The section that makes the wheels available; keys may be appended.
  [[nodiscard]] std::string setting() const;

 private:
  std::filesystem::path folder_;
  std::map<std::pair<std::string, std::string>, std::string> digests_;
};

}  // namespace sock::e2e
