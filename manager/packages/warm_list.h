#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"

namespace sock::manager {

/// The sets of packages that a person wants warm whatever the demand, each a list of requirements;
/// kept in one file. Not thread safe; save() waits for the disk.
class WarmList {
 public:
  struct Opened;

  /// A file that cannot be read is left out and told of; a missing one is an empty list.
  [[nodiscard]] static Opened open(std::filesystem::path file);

  [[nodiscard]] const std::set<std::vector<std::string>>& sets() const { return sets_; }

  /// False when it is there already; kRejected when the list is full.
  [[nodiscard]] Result<bool> add(std::vector<std::string> set);
  /// False when it is not there.
  [[nodiscard]] bool remove(const std::vector<std::string>& set);

  /// Durable and atomic.
  [[nodiscard]] Result<> save() const;

 private:
  static constexpr std::size_t kMost = 256;

  explicit WarmList(std::filesystem::path file) : file_(std::move(file)) {}

  std::filesystem::path file_;
  std::set<std::vector<std::string>> sets_;
};

struct WarmList::Opened {
  WarmList list;
  std::string problem;  ///< empty: none
};

}  // namespace sock::manager
