#include "pkgcache/profile/vet.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

using Reasons = std::vector<std::string>;

Reasons vetted(std::vector<Change> changes) { return vet(changes); }

TEST(VetTest, NothingChangedIsFine) { EXPECT_EQ(vetted({}), Reasons{}); }

TEST(VetTest, WhatRealPackagesDoIsFine) {
  EXPECT_EQ(vetted({{"import hook", "_SixMetaPathImporter"},
                    {"patch", "inspect.isgenerator"},
                    {"builtin", "__pybind11_internals_v4_gcc_libstdcpp_cxxabi1017__"},
                    {"environment", "KMP_INIT_AT_FORK"}}),
            Reasons{});
}

TEST(VetTest, WhatOnlyLooksLikeItIsNot) {
  EXPECT_EQ(vetted({{"builtin", "_SixMetaPathImporter"}}),
            Reasons{"changes the builtin \"_SixMetaPathImporter\""});
  EXPECT_EQ(vetted({{"patch", "inspect.isgeneratorfunction"}}),
            Reasons{"replaces \"inspect.isgeneratorfunction\" in the standard library"});
  EXPECT_EQ(vetted({{"environment", "LD_LIBRARY_PATH"}}),
            Reasons{"changes the environment variable \"LD_LIBRARY_PATH\""});
}

TEST(VetTest, CountsThreadsAndChildren) {
  EXPECT_EQ(vetted({{"thread", "12"}, {"child", "14"}, {"thread", "13"}}),
            (Reasons{"leaves 2 threads running", "leaves a child process running"}));
}

TEST(VetTest, SaysEverythingOnce) {
  EXPECT_EQ(vetted({{"descriptor", "socket:[1]"}, {"descriptor", "socket:[2]"}}),
            Reasons{"leaves a socket open"});
}

TEST(VetTest, AnUnknownChangeIsAReason) {
  EXPECT_EQ(vetted({{"aura", "blue"}}), Reasons{"changes \"aura\": \"blue\""});
}

}  // namespace
}  // namespace sock::pkgcache
