#pragma once

#include <filesystem>
#include <string>

namespace sock::e2e {

/// A folder of packages for `[packages] folders`, of a test's own; removed with the object.
class PackageFolder {
 public:
  PackageFolder();
  ~PackageFolder();
  PackageFolder(const PackageFolder&) = delete;
  PackageFolder& operator=(const PackageFolder&) = delete;

  /// Installs a package of one module, both called `name`, version 1.0.
  void add(const std::string& name, const std::string& source);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// The setting that makes its packages available, beside the host's.
  [[nodiscard]] std::string setting() const;

 private:
  std::filesystem::path top_;
  std::filesystem::path path_;
};

}  // namespace sock::e2e
