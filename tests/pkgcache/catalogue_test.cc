#include "pkgcache/catalogue.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "temporary_folder.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;
using Set = std::vector<Package>;

std::string headers(const std::string& name, const std::string& version,
                    const std::string& more = "") {
  return "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n" + more +
         "\nThe description.\nName: not a header\n";
}

/// A folder of packages, and no dpkg.
class CatalogueTest : public testing::Test {
 protected:
  Catalogue scan() { return scan({folder_.path()}); }
  Catalogue scan(const std::vector<fs::path>& folders) {
    auto catalogue = Catalogue::scan(folders, "/nonexistent");
    EXPECT_TRUE(catalogue) << catalogue.error().describe();
    return catalogue ? std::move(*catalogue) : Catalogue();
  }
  static std::string error_of(const Catalogue& catalogue, std::string_view requirements) {
    const auto parsed = parse_requirements(requirements);
    EXPECT_TRUE(parsed) << parsed.error().message;
    const auto resolved = catalogue.resolve(*parsed);
    if (resolved) return "resolved";
    EXPECT_EQ(resolved.error().code, Code::kInvalid);
    return resolved.error().message;
  }
  static Set resolved(const Catalogue& catalogue, std::string_view requirements) {
    const auto parsed = parse_requirements(requirements);
    EXPECT_TRUE(parsed) << parsed.error().message;
    const auto closure = catalogue.resolve(*parsed);
    EXPECT_TRUE(closure) << closure.error().message;
    return closure ? *closure : Set{};
  }
  /// The reason given for the one problem with a package.
  static std::string problem_of(const Catalogue& catalogue, const std::string& package) {
    const auto& all = catalogue.problems();
    EXPECT_EQ(std::ranges::count(all, package, &Catalogue::Problem::package), 1) << package;
    const auto found = std::ranges::find(all, package, &Catalogue::Problem::package);
    return found == all.end() ? "" : found->reason;
  }

  TemporaryFolder folder_;
};

TEST_F(CatalogueTest, ReadsWheelMetadata) {
  folder_.write("Big_Pkg-1.5.3+dfsg.dist-info/METADATA",
                headers("Big.Pkg", "1.5.3+dfsg",
                        "Requires-Dist: six (>=1.5)\n"
                        "requires-dist: typing-extensions ; python_version < \"3.8\"\n"
                        "Requires-Dist: pytest\n  (>=7) ;\n  extra == 'test'\n"));
  folder_.write("Big_Pkg-1.5.3+dfsg.dist-info/RECORD",
                "bigpkg/__init__.py,sha256=x,1\nbigpkg/sub/a.py,,\n\"_big.abi3.so\",,\n"
                "Big_Pkg-1.5.3+dfsg.dist-info/METADATA,,\n../../bin/tool,,\nbigdata/x.csv,,\n"
                "missing.py,,\nsingle.py,,\n");
  folder_.write("bigpkg/__init__.py", "");
  folder_.write("bigdata/x.csv", "");
  folder_.write("_big.abi3.so", "");
  folder_.write("single.py", "");
  const Catalogue catalogue = scan();
  EXPECT_TRUE(catalogue.problems().empty());
  ASSERT_EQ(catalogue.entries().size(), 1U);
  const Entry* const entry = catalogue.find("big_PKG");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->package, (Package{"big-pkg", "1.5.3+dfsg"}));
  EXPECT_EQ(entry->modules, (Names{"_big", "bigpkg", "single"}));
  EXPECT_EQ(entry->dependencies.size(), 3U);
  EXPECT_EQ(entry->needs(), (Names{"six"}));
  EXPECT_EQ(catalogue.find("big"), nullptr);
}

TEST_F(CatalogueTest, ReadsEggFoldersAndFiles) {
  folder_.write("Jinja2-3.1.2.egg-info/PKG-INFO", headers("Jinja2", "3.1.2"));
  folder_.write("Jinja2-3.1.2.egg-info/requires.txt",
                "MarkupSafe>=2.0\n\n[:python_version < \"3.8\"]\nimportlib-metadata\n\n"
                "[i18n]\nBabel>=2.7\n\n[x:sys_platform == \"linux\"]\nsix; os_name == 'posix'\n");
  folder_.write("Jinja2-3.1.2.egg-info/top_level.txt", "jinja2\nmissing\n\n");
  folder_.write("jinja2/__init__.py", "");
  folder_.write("MarkupSafe-2.1.2.egg-info/PKG-INFO", headers("MarkupSafe", "2.1.2"));
  folder_.write("MarkupSafe-2.1.2.egg-info/installed-files.txt",
                "../markup/__init__.py\n../markup/x.py\nPKG-INFO\n");
  folder_.write("markup/__init__.py", "");
  folder_.write("sympy-1.11.1.egg-info", headers("sympy", "1.11.1", "Requires: mpmath\n"));
  folder_.write("sympy/__init__.py", "");
  folder_.write("isympy.py", "");
  folder_.write("six-1.16.0.egg-info", headers("six", "1.16.0"));
  folder_.write("six.py", "");
  folder_.write("babel-2.10.egg-info", headers("Babel", "2.10"));
  const Catalogue catalogue = scan();
  EXPECT_TRUE(catalogue.problems().empty());
  ASSERT_EQ(catalogue.entries().size(), 5U);
  EXPECT_EQ(catalogue.find("jinja2")->modules, (Names{"jinja2"}));
  EXPECT_EQ(catalogue.find("jinja2")->needs(), (Names{"markupsafe"}));
  EXPECT_EQ(catalogue.find("markupsafe")->modules, (Names{"markup"}));
  EXPECT_EQ(catalogue.find("sympy")->modules, (Names{"sympy"}));
  EXPECT_TRUE(catalogue.find("sympy")->dependencies.empty());
  EXPECT_TRUE(catalogue.find("babel")->modules.empty());
  EXPECT_EQ(resolved(catalogue, "jinja2"), (Set{{"jinja2", "3.1.2"}, {"markupsafe", "2.1.2"}}));
  EXPECT_EQ(
      resolved(catalogue, "jinja2[i18n,x]\n"),
      (Set{{"babel", "2.10"}, {"jinja2", "3.1.2"}, {"markupsafe", "2.1.2"}, {"six", "1.16.0"}}));
}

TEST_F(CatalogueTest, BadMetadataIsSkippedWithAReason) {
  folder_.write("good-1.0.egg-info", headers("good", "1.0"));
  fs::create_directory(folder_.path() / "empty-1.0.dist-info");
  folder_.write("file-1.0.dist-info", headers("file", "1.0"));
  folder_.write("noname-1.0.egg-info", "Version: 1.0\n");
  folder_.write("noversion-1.0.egg-info", "Name: noversion\n");
  folder_.write("badversion-1.0.egg-info", headers("badversion", "one"));
  folder_.write("badname-1.0.egg-info", headers("../../etc/passwd", "1.0"));
  folder_.write("binary-1.0.egg-info", std::string("\x7f"
                                                   "ELF\0\xff\xfe\n\0",
                                                   9));
  folder_.write("badneed-1.0.dist-info/METADATA",
                headers("badneed", "1.0", "Requires-Dist: six >=>= 1\n"));
  folder_.write("section-1.0.egg-info/PKG-INFO", headers("section", "1.0"));
  folder_.write("section-1.0.egg-info/requires.txt", "[open\nsix\n");
  folder_.write("deep-1.0.dist-info/METADATA",
                headers("deep", "1.0", "Requires-Dist: six; " + std::string(100'000, '(') + "\n"));
  fs::create_directories(folder_.path() / "folder-1.0.dist-info" / "METADATA");
  fs::create_directories(folder_.path() / "fifo-1.0.egg-info");
  ASSERT_EQ(::mkfifo((folder_.path() / "fifo-1.0.egg-info" / "PKG-INFO").c_str(), 0600), 0);
  fs::create_symlink("loop-1.0.egg-info", folder_.path() / "loop-1.0.egg-info");
  const Catalogue catalogue = scan();
  ASSERT_EQ(catalogue.entries().size(), 1U);
  EXPECT_NE(catalogue.find("good"), nullptr);
  EXPECT_EQ(catalogue.problems().size(), 13U);
  EXPECT_TRUE(problem_of(catalogue, "empty").contains("METADATA"));
  EXPECT_TRUE(problem_of(catalogue, "file").contains("not a folder"));
  EXPECT_TRUE(problem_of(catalogue, "noname").contains("package name"));
  EXPECT_TRUE(problem_of(catalogue, "noversion").contains("version"));
  EXPECT_TRUE(problem_of(catalogue, "badversion").contains("'one'"));
  EXPECT_TRUE(problem_of(catalogue, "badname").contains("'../../etc/passwd'"));
  EXPECT_FALSE(problem_of(catalogue, "binary").empty());
  EXPECT_TRUE(problem_of(catalogue, "badneed").contains("six >=>= 1"));
  EXPECT_TRUE(problem_of(catalogue, "section").contains("section is not closed"));
  EXPECT_TRUE(problem_of(catalogue, "deep").contains("too deep"));
  EXPECT_TRUE(problem_of(catalogue, "folder").contains("regular file"));
  EXPECT_TRUE(problem_of(catalogue, "fifo").contains("regular file"));
  EXPECT_FALSE(problem_of(catalogue, "loop").empty());
  const std::string message = error_of(catalogue, "badversion");
  EXPECT_TRUE(message.contains("'badversion' is installed but cannot be used")) << message;
  EXPECT_TRUE(message.contains("badversion-1.0.egg-info")) << message;
}

TEST_F(CatalogueTest, ABadRequirementOfAnExtraCostsOnlyThatRequirement) {
  folder_.write("a-1.0.dist-info/METADATA",
                headers("a", "1.0",
                        "Requires-Dist: theme @ https://example.org/x ; extra == 'docs'\n"
                        "Requires-Dist: six\n"));
  folder_.write("six-1.16.0.egg-info", headers("six", "1.16.0"));
  const Catalogue catalogue = scan();
  EXPECT_EQ(resolved(catalogue, "a[docs]"), (Set{{"a", "1.0"}, {"six", "1.16.0"}}));
  EXPECT_TRUE(problem_of(catalogue, "a").contains("left out"));
}

TEST_F(CatalogueTest, MetadataIsBounded) {
  const std::string start = headers("fits", "1.0");
  folder_.write("fits-1.0.egg-info", start + std::string((1 << 20) - start.size(), 'x'));
  folder_.write("large-1.0.egg-info", headers("large", "1.0") + std::string(1 << 20, 'x'));
  folder_.write("long-1.0.egg-info", "Name: " + std::string(1'000'000, 'x') + "\nVersion: 1\n");
  std::string many;
  for (int i = 0; i < 5001; ++i) many += "Requires-Dist: six\n";
  folder_.write("many-1.0.egg-info", headers("many", "1.0", many));
  // A list of modules that is too large is as good as none: the name still finds the module.
  folder_.write("listed-1.0.egg-info/PKG-INFO", headers("listed", "1.0"));
  folder_.write("listed-1.0.egg-info/top_level.txt", std::string((1 << 20) + 1, '\n'));
  folder_.write("listed.py", "");
  const Catalogue catalogue = scan();
  EXPECT_NE(catalogue.find("fits"), nullptr);
  ASSERT_NE(catalogue.find("listed"), nullptr);
  EXPECT_EQ(catalogue.find("listed")->modules, (Names{"listed"}));
  EXPECT_EQ(catalogue.entries().size(), 2U);
  EXPECT_TRUE(problem_of(catalogue, "large").contains("larger than"));
  EXPECT_LT(problem_of(catalogue, "long").size(), 300U);
  EXPECT_TRUE(problem_of(catalogue, "many").contains("too many"));
}

TEST_F(CatalogueTest, HostileModuleListsNameOnlyWhatExists) {
  folder_.write("x-1.0.egg-info/PKG-INFO", headers("x", "1.0"));
  folder_.write("x-1.0.egg-info/top_level.txt",
                "../../etc\nos; import evil\nx y\nx-1\n.\n..\n/\n__pycache__\nx\n");
  folder_.write("x.py", "");
  folder_.write("x-1.py", "");
  folder_.write("__pycache__/x.cpython-311.pyc", "");
  EXPECT_EQ(scan().find("x")->modules, (Names{"x"}));
}

TEST_F(CatalogueTest, TheSamePackageTwice) {
  // Both kinds of metadata for one version is what Debian's cryptography has.
  folder_.write("same-1.0.dist-info/METADATA", headers("same", "1.0", "Requires-Dist: two\n"));
  folder_.write("same.egg-info/PKG-INFO", headers("Same", "1.0.0"));
  folder_.write("two-1.0.egg-info", headers("two", "1.0"));
  folder_.write("two-2.0.egg-info", headers("Two", "2.0"));
  const Catalogue catalogue = scan();
  ASSERT_EQ(catalogue.entries().size(), 1U);
  EXPECT_EQ(catalogue.find("same")->metadata.extension(), ".dist-info");
  EXPECT_TRUE(problem_of(catalogue, "two").contains("1.0 and 2.0"));
  const std::string message = error_of(catalogue, "two");
  EXPECT_TRUE(message.contains("remove the stale metadata")) << message;
}

TEST_F(CatalogueTest, TheFirstFolderWins) {
  const TemporaryFolder second;
  folder_.write("a-2.0.egg-info", headers("a", "2.0"));
  folder_.write("torn-1.0.egg-info", headers("torn", "1.0"));
  folder_.write("torn-2.0.egg-info", headers("torn", "2.0"));
  second.write("a-1.0.egg-info", headers("a", "1.0"));
  second.write("b-1.0.egg-info", headers("b", "1.0"));
  second.write("torn-1.0.egg-info", headers("torn", "1.0"));
  const Catalogue catalogue = scan({folder_.path(), second.path()});
  EXPECT_EQ(catalogue.find("a")->package.version, "2.0");
  EXPECT_EQ(catalogue.find("b")->package.version, "1.0");
  EXPECT_EQ(catalogue.find("torn"), nullptr);
}

TEST_F(CatalogueTest, AMissingFolderIsAnError) {
  const auto catalogue = Catalogue::scan({folder_.path() / "nope"});
  ASSERT_FALSE(catalogue);
  EXPECT_EQ(catalogue.error().code, Code::kInvalid);
  EXPECT_TRUE(catalogue.error().message.contains("nope")) << catalogue.error().message;
  folder_.write("file", "");
  EXPECT_FALSE(Catalogue::scan({folder_.path() / "file"}));
  const auto nothing = Catalogue::scan({});
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->entries().empty());
}

TEST_F(CatalogueTest, ResolveErrorsSayWhatAndWhere) {
  folder_.write("numpy-1.24.2.egg-info", headers("numpy", "1.24.2"));
  folder_.write("a-1.0.dist-info/METADATA",
                headers("a", "1.0",
                        "Requires-Dist: b\nRequires-Dist: lost ; extra == 'more'\n"
                        "Requires-Dist: lost ; python_version < '3'\n"));
  folder_.write("b-1.0.dist-info/METADATA", headers("b", "1.0", "Requires-Dist: C (>=2)\n"));
  folder_.write("c-1.0.dist-info/METADATA", headers("c", "1.0", "Requires-Dist: a\n"));
  folder_.write("d-1.0.dist-info/METADATA", headers("d", "1.0", "Requires-Dist: lost>=3\n"));
  folder_.write("e-1.0.dist-info/METADATA", headers("e", "1.0", "Requires-Dist: d\n"));
  const Catalogue catalogue = scan();
  EXPECT_EQ(error_of(catalogue, "\n\nnumpy==2.0  # new\n"),
            "requirements.txt line 3: numpy==2.0: this host has numpy 1.24.2");
  EXPECT_EQ(error_of(catalogue, "numpy\nNoSuch>=1\n"),
            "requirements.txt line 2: NoSuch>=1: 'nosuch' is not available; available packages: "
            "sockctl packages");
  EXPECT_EQ(error_of(catalogue, "a\n"),
            "requirements.txt line 1: a: needs a → b → C (>=2): this host has c 1.0");
  EXPECT_EQ(error_of(catalogue, "numpy\ne"),
            "requirements.txt line 2: e: needs e → d → lost>=3: 'lost' is not available; "
            "available packages: sockctl packages");
  Requirement configured = parse_requirement("numpy<1")->requirement;
  EXPECT_EQ(catalogue.resolve({configured}).error().message, "numpy<1: this host has numpy 1.24.2");
}

TEST_F(CatalogueTest, ResolveFollowsExtrasAndEndsOnCycles) {
  folder_.write("a-1.0.dist-info/METADATA",
                headers("a", "1.0",
                        "Requires-Dist: b\nRequires-Dist: c ; extra == 'More_Of'\n"
                        "Requires-Dist: lost ; extra == 'lost'\n"));
  folder_.write("b-1.0.dist-info/METADATA", headers("b", "1.0", "Requires-Dist: a[more-of]\n"));
  folder_.write("c-1.0.dist-info/METADATA", headers("c", "1.0", "Requires-Dist: c\n"));
  const Catalogue catalogue = scan();
  EXPECT_EQ(resolved(catalogue, "A"), (Set{{"a", "1.0"}, {"b", "1.0"}, {"c", "1.0"}}));
  EXPECT_EQ(resolved(catalogue, "c[unknown]"), (Set{{"c", "1.0"}}));
  EXPECT_EQ(resolved(catalogue, ""), Set{});
  EXPECT_TRUE(error_of(catalogue, "a[lost]").contains("needs a → lost ; extra == 'lost': 'lost'"))
      << error_of(catalogue, "a[lost]");
  // Each of several lines must hold.
  EXPECT_TRUE(error_of(catalogue, "a>=1\na<1\n").starts_with("requirements.txt line 2: a<1: "));
}

TEST_F(CatalogueTest, ModulesToImportAhead) {
  folder_.write("x-1.0.egg-info/PKG-INFO", headers("x", "1.0"));
  folder_.write("x-1.0.egg-info/top_level.txt", "_x\nx\ntests\ntest\nshared\n");
  for (const char* name : {"_x.py", "x.py", "tests/a.py", "test/a.py", "shared/a.py"}) {
    folder_.write(name, "");
  }
  folder_.write("y-1.0.egg-info/PKG-INFO", headers("Y", "1.0"));
  folder_.write("y-1.0.egg-info/top_level.txt", "shared\ny\n");
  folder_.write("y.py", "");
  folder_.write("pillow-9.4.0.egg-info", headers("Pillow", "9.4.0"));
  Catalogue catalogue = scan();
  EXPECT_EQ(catalogue.modules_of({{"x", "1.0"}, {"y", "1.0"}, {"unknown", "1"}}),
            (Names{"shared", "x", "y"}));
  EXPECT_EQ(catalogue.modules_of({{"pillow", "9.4.0"}}),
            (Names{"PIL.Image", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"}));
  ASSERT_TRUE(catalogue.set_preload("Pillow", {"PIL.Image"}));
  ASSERT_TRUE(catalogue.set_preload("y", {}));
  EXPECT_EQ(catalogue.modules_of({{"pillow", "9.4.0"}, {"y", "1.0"}}), (Names{"PIL.Image"}));
  EXPECT_FALSE(catalogue.set_preload("x", {"x", "x; import os"}));
  EXPECT_FALSE(catalogue.set_preload("x y", {"x"}));
  EXPECT_EQ(catalogue.modules_of({{"x", "1.0"}}), (Names{"shared", "x"}));
}

}  // namespace
}  // namespace sock::pkgcache
