#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pkgcache/store/store.h"
#include "tests/pkgcache/temporary_folder.h"

namespace sock::pkgcache {

/// A package by two words: its digest is the letter 64 times.
inline Package package_of(const std::string& name, const std::string& version, char digest = 'a') {
  return {.name = name, .version = version, .digest = std::string(64, digest)};
}

inline void write_file(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << text;
  EXPECT_TRUE(out.flush().good()) << file;
}

/// What pip leaves behind for a small package: four files.
inline void fill(const std::filesystem::path& tree, const Package& package,
                 const std::string& more_metadata = {}) {
  const std::filesystem::path info = tree / (package.name + "-" + package.version + ".dist-info");
  write_file(tree / package.name / "__init__.py", "from . import part\n");
  write_file(tree / package.name / "part.py", std::string(5000, '#') + "\n");
  write_file(info / "METADATA", "Metadata-Version: 2.1\nName: " + package.name +
                                    "\nVersion: " + package.version + "\n" + more_metadata);
  write_file(info / "RECORD", package.name + "/__init__.py,,\n");
}

inline constexpr std::uint64_t kFilledFiles = 4;

/// Entries of a folder, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

/// Opens stores in a folder of its own.
class StoreFixture : public testing::Test {
 protected:
  StoreFixture() { reopen(); }

  /// As after a restart. What was reported is in problems_.
  void reopen() {
    store_.reset();
    auto opened = Store::open(root_);
    ASSERT_TRUE(opened) << opened.error().describe();
    store_ = std::move(opened->store);
    problems_ = std::move(opened->problems);
  }

  Result<std::shared_ptr<const StoredPackage>> admit(const Package& package,
                                                     const std::string& more_metadata = {}) {
    auto staged = store_->begin();
    if (!staged) return std::unexpected(staged.error());
    fill(staged->tree(), package, more_metadata);
    return store_->admit(std::move(*staged), package, "wheel.whl");
  }

  TemporaryFolder folder_;
  const std::filesystem::path root_ = folder_.path() / "store";
  std::unique_ptr<Store> store_;
  std::vector<std::string> problems_;
};

}  // namespace sock::pkgcache
