#include "pkgcache/store/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/pkgcache/store/store_fixture.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class StoreTest : public StoreFixture {
 protected:
  /// Why a tree that `change` has had its way with is refused.
  template <class Change>
  std::string refusal(Change change) {
    const Package package = package_of("foo", "1.0");
    auto staged = store_->begin();
    EXPECT_TRUE(staged);
    fill(staged->tree(), package);
    change(staged->tree());
    const auto admitted = store_->admit(std::move(*staged), package, "wheel.whl");
    EXPECT_EQ(names_in(root_ / "staging"), Names{});
    if (admitted) return "(admitted)";
    EXPECT_EQ(admitted.error().code, Code::kInvalid);
    EXPECT_EQ(names_in(root_ / "packages"), Names{});
    EXPECT_EQ(names_in(root_ / "records"), Names{});
    EXPECT_EQ(store_->find(package), nullptr);
    return admitted.error().message;
  }
};

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  EXPECT_EQ(status.st_uid, ::geteuid()) << path;
  return status.st_mode & 07777U;
}

TEST_F(StoreTest, AdmittedPackageIsThereAndStaysThere) {
  const Package package = package_of("foo", "1.0+local.1");
  const auto admitted = admit(
      package, "Requires-Dist: bar>=2; python_version >= '3'\nRequires-Dist: baz; extra == 'x'\n");
  ASSERT_TRUE(admitted) << admitted.error().describe();
  const std::string folder = "foo-1.0+local.1-aaaaaaaaaaaaaaaa";
  EXPECT_EQ(folder_in_sandbox(package), "/var/packages/" + folder);
  for (int round = 0; round < 2; ++round) {
    const auto found = store_->find(package);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(store_->find_by_digest(package.digest), found);
    EXPECT_EQ(found->package(), package);
    EXPECT_EQ(found->wheel, "wheel.whl");
    EXPECT_EQ(found->files, kFilledFiles);
    EXPECT_GT(found->bytes, 5000U);
    EXPECT_GT(found->installed_at, 1'500'000'000);
    EXPECT_EQ(found->entry.modules, (Names{"foo"}));
    EXPECT_EQ(found->entry.needs(), (Names{"bar"}));
    EXPECT_EQ(found->entry.dependencies.size(), 2U);
    EXPECT_EQ(found->entry.version.text(), "1.0+local.1");
    EXPECT_TRUE(fs::exists(found->entry.metadata / "METADATA"));
    EXPECT_EQ(found->entry.metadata.parent_path(), store_->packages() / folder);
    EXPECT_EQ(names_in(root_ / "packages"), Names{folder});
    EXPECT_EQ(names_in(root_ / "staging"), Names{});
    reopen();
    EXPECT_EQ(problems_, Names{});
  }
}

TEST_F(StoreTest, OnlyTheVeryPackageIsFound) {
  ASSERT_TRUE(admit(package_of("foo", "1.0", 'a')));
  ASSERT_TRUE(admit(package_of("foo", "1.0", 'b')));
  ASSERT_TRUE(admit(package_of("bar", "1.0", 'c')));
  EXPECT_NE(store_->find(package_of("foo", "1.0", 'b')), nullptr);
  EXPECT_EQ(store_->find(package_of("foo", "1.0", 'c')), nullptr);
  EXPECT_EQ(store_->find(package_of("foo", "2.0", 'a')), nullptr);
  EXPECT_EQ(store_->find({"foo", "1.0"}), nullptr);
  EXPECT_EQ(store_->find_by_digest(""), nullptr);
  std::vector<Package> listed;
  for (const auto& each : store_->list()) listed.push_back(each->package());
  EXPECT_EQ(listed,
            (std::vector<Package>{package_of("bar", "1.0", 'c'), package_of("foo", "1.0", 'a'),
                                  package_of("foo", "1.0", 'b')}));
}

TEST_F(StoreTest, ModesAndOwnerAreNormalised) {
  const Package package = package_of("foo", "1.0");
  auto staged = store_->begin();
  ASSERT_TRUE(staged);
  EXPECT_EQ(mode_of(staged->tree().parent_path()), 0700U);
  fill(staged->tree(), package);
  write_file(staged->tree() / "foo/tool", "x");
  ASSERT_EQ(::chmod((staged->tree() / "foo/tool").c_str(), 0766), 0);
  ASSERT_EQ(::chmod((staged->tree() / "foo/part.py").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((staged->tree() / "foo").c_str(), 03777), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown((staged->tree() / "foo/part.py").c_str(), 1234, 1234), 0);
  }
  const mode_t before = ::umask(0077);
  ASSERT_TRUE(store_->admit(std::move(*staged), package, "wheel.whl"));
  ::umask(before);
  const fs::path folder = store_->packages() / folder_name(package);
  EXPECT_EQ(mode_of(folder), 0755U);
  EXPECT_EQ(mode_of(folder / "foo"), 0755U);
  EXPECT_EQ(mode_of(folder / "foo/tool"), 0755U);
  EXPECT_EQ(mode_of(folder / "foo/part.py"), 0644U);
  EXPECT_EQ(mode_of(store_->packages()), 0755U);
  EXPECT_EQ(mode_of(root_ / "staging"), 0700U);
}

TEST_F(StoreTest, HostileTreesAreRefused) {
  const auto contains = [](const std::string& why, const char* part) {
    EXPECT_NE(why.find(part), std::string::npos) << why;
  };
  contains(refusal([](const fs::path& tree) { fs::create_symlink("/etc/passwd", tree / "l"); }),
           "foo==1.0: \"l\" is neither a file nor a folder");
  contains(refusal([](const fs::path& tree) { ::mkfifo((tree / "foo/p").c_str(), 0644); }),
           "\"p\" is neither a file nor a folder");
  contains(refusal([](const fs::path& tree) {
             fs::create_hard_link(tree / "foo/part.py", tree / "foo/more.py");
           }),
           "is a hard link");
  contains(refusal([](const fs::path& tree) { ::chmod((tree / "foo/part.py").c_str(), 04755); }),
           "\"part.py\" has a set-user-id");
  contains(refusal([](const fs::path& tree) {
             fs::path deep = tree;
             for (int i = 0; i < 310; ++i) deep /= "d";
             fs::create_directories(deep);
           }),
           "nested too deeply");
  contains(refusal([](const fs::path& tree) { fs::remove_all(tree / "foo-1.0.dist-info"); }),
           "it installs 0 folders of metadata");
  contains(refusal([](const fs::path& tree) { fs::remove(tree / "foo-1.0.dist-info/METADATA"); }),
           "METADATA is missing");
  contains(refusal([](const fs::path& tree) { fill(tree, package_of("bar", "1.0")); }),
           "it installs 2 folders of metadata");
  contains(refusal([](const fs::path& tree) {
             write_file(tree / "bar.egg-info/PKG-INFO", "Name: bar\nVersion: 1\n");
           }),
           "it installs 2 folders of metadata");
  const auto metadata = [](const std::string& text) {
    return [text](const fs::path& tree) { write_file(tree / "foo-1.0.dist-info/METADATA", text); };
  };
  contains(refusal(metadata("Name: bar\nVersion: 1.0\n")), "the wheel installs bar==1.0");
  contains(refusal(metadata("Name: foo\nVersion: 1.0.0\n")), "the wheel installs foo==1.0.0");
  contains(refusal(metadata("Name: ../foo\nVersion: 1.0\n")), "is not a package name");
  contains(refusal(metadata("")), "is not a package name");
  contains(refusal(metadata("Name: foo\nVersion: 1.0\nRequires-Dist: x @ https://example.org\n")),
           "URL");
  // importlib.metadata would take it for numpy's.
  contains(refusal([](const fs::path& tree) {
             fs::rename(tree / "foo-1.0.dist-info", tree / "numpy-1.0.dist-info");
           }),
           "foo==1.0 in \"numpy-1.0.dist-info\"");
  EXPECT_EQ(refusal([](const fs::path&) {}), "(admitted)");
}

TEST_F(StoreTest, LimitsHold) {
  auto opened = Store::open(root_, {.entries = 7, .bytes = 6000, .depth = 64});
  ASSERT_TRUE(opened);
  store_ = std::move(opened->store);
  EXPECT_NE(refusal([](const fs::path& tree) {
              write_file(tree / "more.py", "");
            }).find("more than 7 files and folders"),
            std::string::npos);
  EXPECT_NE(refusal([](const fs::path& tree) {
              fs::resize_file(tree / "foo/part.py", 6000);
            }).find("larger than 6000 bytes"),
            std::string::npos);
  EXPECT_EQ(refusal([](const fs::path&) {}), "(admitted)");
}

TEST_F(StoreTest, BadIdentitiesAreRefused) {
  std::vector<Package> bad(7, package_of("foo", "1.0"));
  bad[0].digest = "";
  bad[1].digest = std::string(63, 'a') + "/";
  bad[2].name = "Foo";
  bad[3].name = "../foo";
  bad[4].version = "1.0/../..";
  bad[5].version = "";
  bad[6].version = "1." + std::string(100, '0');
  bad[6].name = std::string(128, 'n');
  for (const Package& package : bad) {
    auto staged = store_->begin();
    ASSERT_TRUE(staged);
    fill(staged->tree(), package_of("foo", "1.0"));
    EXPECT_FALSE(store_->admit(std::move(*staged), package, "wheel.whl")) << package.key();
  }
  auto staged = store_->begin();
  ASSERT_TRUE(staged);
  fill(staged->tree(), package_of("foo", "1.0"));
  EXPECT_FALSE(store_->admit(std::move(*staged), package_of("foo", "1.0"), "../wheel.whl"));
}

TEST_F(StoreTest, FolderNamesTellWheelsApartOrRefuse) {
  Package first = package_of("foo", "1.0");
  Package second = first;
  second.digest.back() = 'b';  // beyond the part that is in the folder's name
  const auto admitted = admit(first);
  ASSERT_TRUE(admitted);
  const auto refused = admit(second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_EQ(store_->find(first), *admitted);
  EXPECT_TRUE(fs::exists((*admitted)->entry.metadata));
}

TEST_F(StoreTest, SecondAdmissionReturnsTheFirst) {
  const Package package = package_of("foo", "1.0");
  const auto first = admit(package);
  const auto second = admit(package);
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(names_in(root_ / "staging"), Names{});
}

TEST_F(StoreTest, ManyAtOnceInstallOnce) {
  for (int round = 0; round < 20; ++round) {
    const Package package =
        package_of("foo", "1." + std::to_string(round), static_cast<char>('a' + round % 6));
    std::atomic<int> ready = 0;
    std::vector<std::shared_ptr<const StoredPackage>> results(6);
    std::vector<std::thread> threads;
    threads.reserve(results.size());
    for (auto& result : results) {
      threads.emplace_back([&] {
        auto staged = store_->begin();
        ASSERT_TRUE(staged);
        fill(staged->tree(), package);
        ++ready;
        while (ready < 6) std::this_thread::yield();
        auto admitted = store_->admit(std::move(*staged), package, "wheel.whl");
        ASSERT_TRUE(admitted) << admitted.error().describe();
        result = *admitted;
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& result : results) EXPECT_EQ(result, results.front());
    EXPECT_EQ(names_in(root_ / "staging"), Names{});
    const auto removed = store_->collect(std::chrono::seconds(0), {});
    EXPECT_EQ(removed, std::vector<Package>{package});
  }
}

TEST_F(StoreTest, StagingIsRemovedUnlessAdmitted) {
  {
    auto staged = store_->begin();
    ASSERT_TRUE(staged);
    fill(staged->tree(), package_of("foo", "1.0"));
    Staging moved(std::move(*staged));
    auto other = store_->begin();
    ASSERT_TRUE(other);
    moved = std::move(*other);
    EXPECT_EQ(names_in(root_ / "staging").size(), 2U);
  }
  EXPECT_EQ(names_in(root_ / "staging"), Names{});
}

class StorePinTest : public StoreFixture {
 protected:
  /// Names of what a collection at that second removes; the grace is 10 s.
  Names collect(int second) {
    Names out;
    const std::chrono::steady_clock::time_point now{std::chrono::seconds(1000 + second)};
    for (const Package& package : store_->collect(std::chrono::seconds(10), now)) {
      EXPECT_EQ(store_->find(package), nullptr);
      EXPECT_FALSE(fs::exists(store_->packages() / folder_name(package)));
      out.push_back(package.name);
    }
    return out;
  }

  const Package foo_ = package_of("foo", "1.0", 'a');
  const Package bar_ = package_of("bar", "1.0", 'b');
};

TEST_F(StorePinTest, UnpinnedPackagesGoAfterTheGrace) {
  ASSERT_TRUE(admit(foo_));
  ASSERT_TRUE(admit(bar_));
  auto pin = store_->pin(std::vector{foo_});
  ASSERT_TRUE(pin) << pin.error().describe();
  EXPECT_EQ(collect(0), Names{});
  EXPECT_EQ(collect(9), Names{});
  EXPECT_EQ(collect(10), Names{"bar"});
  pin->reset();
  EXPECT_EQ(collect(100), Names{});  // counted from here on
  EXPECT_EQ(collect(109), Names{});
  EXPECT_EQ(collect(110), Names{"foo"});
  EXPECT_EQ(names_in(root_ / "records"), Names{});
  EXPECT_EQ(names_in(root_ / "staging"), Names{});
  reopen();
  EXPECT_EQ(problems_, Names{});
  ASSERT_TRUE(admit(foo_));
}

TEST_F(StorePinTest, PinInBetweenStartsTheGraceAnew) {
  ASSERT_TRUE(admit(foo_));
  EXPECT_EQ(collect(0), Names{});
  ASSERT_TRUE(store_->pin(std::vector{foo_}));
  EXPECT_EQ(collect(10), Names{});
  EXPECT_EQ(collect(19), Names{});
  EXPECT_EQ(collect(20), Names{"foo"});
}

TEST_F(StorePinTest, PinIsAllOrNothing) {
  ASSERT_TRUE(admit(foo_));
  const Package platform{"numpy", "1.24.2"};
  const auto refused = store_->pin(std::vector{platform, foo_, bar_});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kNotFound);
  EXPECT_NE(refused.error().message.find("bar==1.0"), std::string::npos);
  EXPECT_EQ(collect(0), Names{});
  EXPECT_EQ(collect(10), Names{"foo"});
}

TEST_F(StorePinTest, EveryPinCounts) {
  ASSERT_TRUE(admit(foo_));
  ASSERT_TRUE(admit(bar_));
  const Package platform{"numpy", "1.24.2"};
  auto first = store_->pin(std::vector{platform, foo_, bar_, foo_});
  auto second = store_->pin(std::vector{foo_});
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  ASSERT_EQ((*first)->packages().size(), 3U);
  EXPECT_EQ((*first)->packages()[1]->package(), bar_);
  const std::shared_ptr<const Pin> copy = *first;
  first->reset();
  second->reset();
  EXPECT_EQ(collect(0), Names{});
  EXPECT_EQ(collect(50), Names{});
  store_.reset();  // a pin may outlive the store
}

TEST_F(StorePinTest, PinsAndCollectionsRace) {
  ASSERT_TRUE(admit(foo_));
  std::atomic<bool> stop = false;
  std::thread collector([&] {
    while (!stop) static_cast<void>(store_->collect(std::chrono::seconds(0), {}));
  });
  // On a busy machine the collector may win for long.
  constexpr int kMostTries = 5'000;
  int kept = 0;
  for (int i = 0; i < 60 || (kept == 0 && i < kMostTries); ++i) {
    const auto admitted = admit(foo_);
    EXPECT_TRUE(admitted) << admitted.error().describe();
    const auto pin = store_->pin(std::vector{foo_});
    if (!pin) continue;
    ++kept;
    EXPECT_TRUE(fs::exists((*pin)->packages()[0]->entry.metadata / "METADATA"));
  }
  stop = true;
  collector.join();
  EXPECT_GT(kept, 0);
}

}  // namespace
}  // namespace sock::pkgcache
