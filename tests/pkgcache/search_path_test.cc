#include "pkgcache/search_path.h"

#include <gtest/gtest.h>

namespace sock::pkgcache {
namespace {

using Texts = std::vector<std::string>;

const Package kHosts{"numpy", "1.24.2"};
const Package kWheel{"six", "1.16.0", std::string(64, 'a')};
const SearchPath kPaths({"/std"}, {"/host"});

TEST(SearchPathTest, StoredPackagesGoBeforeTheHosts) {
  EXPECT_EQ(kPaths.of(std::vector<Package>{kHosts, kWheel}),
            (Texts{"/std", "/var/packages/six-1.16.0-aaaaaaaaaaaaaaaa", "/host"}));
}

TEST(SearchPathTest, WithoutPackagesOfTheHostItsFolderIsNotThere) {
  EXPECT_EQ(kPaths.of(std::vector<Package>{kWheel}),
            (Texts{"/std", "/var/packages/six-1.16.0-aaaaaaaaaaaaaaaa"}));
}

TEST(SearchPathTest, WhoAsksForNothingMayImportWhatTheHostHas) {
  EXPECT_EQ(kPaths.of({}), (Texts{"/std", "/host"}));
  EXPECT_EQ(kPaths.folders_of({}), (Texts{"/host"}));
}

}  // namespace
}  // namespace sock::pkgcache
