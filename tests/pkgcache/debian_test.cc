#include "pkgcache/debian.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "pkgcache/catalogue.h"
#include "temporary_folder.h"

namespace sock::pkgcache {
namespace {

using Names = std::vector<std::string>;
using Found = std::map<std::string, Names>;

std::string stanza(const std::string& name, const std::string& more,
                   const std::string& status = "install ok installed") {
  return "Package: " + name + "\nStatus: " + status + "\nArchitecture: amd64\n" + more +
         "Description: text\n Depends: not a field\n\n";
}

TEST(Debian, FollowsDependenciesBetweenPackagesWithMetadata) {
  const TemporaryFolder dpkg;
  dpkg.write("status",
             stanza("python3-pandas",
                    "Depends: python3-numpy, python3-numpy (>= 1:1.18.5~) | python3 (<< 3.10), "
                    "python3-tz (>= 2022.1~), python3:any, python3-pandas-lib (>= 1.5.3)\n") +
                 stanza("python3-pandas-lib", "Depends: libc6, python3-six-api\n") +
                 stanza("python3-six", "Provides: python3-six-api (= 1), other\n") +
                 stanza("python3-numpy", "Pre-Depends: python3-tz\n") + stanza("python3-tz", "") +
                 stanza("python3-gone", "Depends: python3-tz\n", "deinstall ok config-files"));
  dpkg.write("info/python3-pandas.list",
             "/.\n/p/pandas-1.egg-info\n/p/pandas-1.egg-info/PKG-INFO\n");
  dpkg.write("info/python3-numpy.list", "/p/numpy-1.egg-info\n");
  dpkg.write("info/python3-six:amd64.list", "/p/six-1.egg-info\n");
  dpkg.write("info/python3-tz.list", "/p/pytz-1.egg-info\n");
  dpkg.write("info/python3-gone.list", "/p/gone-1.egg-info\n");
  const auto found = debian_dependencies(dpkg.path(), {{"/p/pandas-1.egg-info", "pandas"},
                                                       {"/p/numpy-1.egg-info", "numpy"},
                                                       {"/p/six-1.egg-info", "six"},
                                                       {"/p/pytz-1.egg-info", "pytz"},
                                                       {"/p/gone-1.egg-info", "gone"}});
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(
      *found,
      (Found{
          {"numpy", {"pytz"}}, {"pandas", {"numpy", "pytz", "six"}}, {"pytz", {}}, {"six", {}}}));
}

TEST(Debian, LeavesOutChoicesAndWhatTheInterpreterSatisfies) {
  const TemporaryFolder dpkg;
  dpkg.write("status", stanza("python3-a",
                              "Depends: python3-b | python3-c, python3-b | python3 (>> 3.8), "
                              "python3-c | python3 (>= 3.11~), python3-d | python3 (<< 3.11)\n") +
                           stanza("python3-b", "") + stanza("python3-c", "") +
                           stanza("python3-d", "Depends: python3-a, python3-absent\n"));
  for (const char* name : {"a", "b", "c", "d"}) {
    dpkg.write("info/python3-" + std::string(name) + ".list",
               "/p/" + std::string(name) + "-1.dist-info\n");
  }
  const auto found = debian_dependencies(dpkg.path(), {{"/p/a-1.dist-info", "a"},
                                                       {"/p/b-1.dist-info", "b"},
                                                       {"/p/c-1.dist-info", "c"},
                                                       {"/p/d-1.dist-info", "d"}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->at("a"), (Names{"d"}));
  EXPECT_EQ(found->at("d"), (Names{"a"}));
}

TEST(Debian, AProgramMayHaveAnyName) {
  const TemporaryFolder dpkg;
  dpkg.write("status",
             stanza("yq", "Depends: jq, python3-toml, python3:any\n") + stanza("python3-toml", ""));
  dpkg.write("info/yq.list", "/p/yq-3.egg-info\n");
  dpkg.write("info/python3-toml.list", "/p/toml-1.egg-info\n");
  const auto found = debian_dependencies(
      dpkg.path(), {{"/p/yq-3.egg-info", "yq"}, {"/p/toml-1.egg-info", "toml"}});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, (Found{{"toml", {}}, {"yq", {"toml"}}}));
}

TEST(Debian, NoDatabaseIsNoError) {
  const TemporaryFolder empty;
  const auto found = debian_dependencies(empty.path(), {{"/p/a-1.dist-info", "a"}});
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->empty());
}

TEST(Debian, GarbageIsHarmless) {
  const TemporaryFolder dpkg;
  std::string garbage = "Depends: a |||,,, (>= \n: x\nPackage:\nno colon\n\n\n\n";
  garbage += stanza("python3-a", "Depends: |, (, python3- , python3 (, python3-a (>= 1, :any\n");
  garbage += std::string("\0\xff\n", 3) + "Package: python3-half";
  dpkg.write("status", garbage);
  dpkg.write("info/python3-a.list", std::string("\0\n\n/p/a-1.dist-info", 19));
  const auto found = debian_dependencies(dpkg.path(), {{"/p/a-1.dist-info", "a"}});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, (Found{{"a", {}}}));
}

TEST(Debian, RestoredDependenciesJoinTheClosureButExtrasDoNot) {
  const TemporaryFolder packages;
  packages.write("fonttools-4.0.egg-info/PKG-INFO", "Name: fonttools\nVersion: 4.0\n");
  packages.write("fonttools-4.0.egg-info/requires.txt", "\n[all]\nlxml>=99\n");
  packages.write("lxml-4.9.egg-info", "Name: lxml\nVersion: 4.9\n");
  packages.write("six-1.16.egg-info", "Name: six\nVersion: 1.16\n");
  const std::string folder = std::filesystem::canonical(packages.path()).string();
  const TemporaryFolder dpkg;
  dpkg.write("status", stanza("python3-fonttools", "Depends: python3-lxml, python3-six\n") +
                           stanza("python3-lxml", "") + stanza("python3-six", ""));
  dpkg.write("info/python3-fonttools.list", folder + "/fonttools-4.0.egg-info\n");
  dpkg.write("info/python3-lxml.list", folder + "/lxml-4.9.egg-info\n");
  dpkg.write("info/python3-six.list", folder + "/six-1.16.egg-info\n");
  const auto catalogue = Catalogue::scan({packages.path()}, dpkg.path());
  ASSERT_TRUE(catalogue);
  EXPECT_EQ(catalogue->find("fonttools")->needs(), (Names{"six"}));
  const auto closure = catalogue->resolve(*parse_requirements("fonttools"));
  ASSERT_TRUE(closure) << closure.error().message;
  EXPECT_EQ(*closure, (std::vector<Package>{{"fonttools", "4.0"}, {"six", "1.16"}}));
}

}  // namespace
}  // namespace sock::pkgcache
