#include "pkgcache/profile/profile_book.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/pkgcache/temporary_folder.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;

const Package kNumpy{.name = "numpy", .version = "1.24.2"};
const Package kWheel{.name = "numpy", .version = "1.24.2", .digest = std::string(64, 'a')};
const Package kOdd{.name = "odd", .version = "1!2/../x y+\u00e9"};

Profile vetted(const Package& package, double ms = 12.5) {
  return {.package = package,
          .interpreter = "3.11.2, root 1",
          .measured_at = std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000)),
          .ms = ms,
          .private_bytes = 3 << 20,
          .vmas = 17,
          .modules = 9,
          .standard_modules = {"email.policy", "wave"},
          .verdict = Verdict::kVetted,
          .reasons = {}};
}

Profile quarantined(const Package& package) {
  return unmeasured(package, "3.11.2, root 1", {}, "leaves a thread running");
}

class ProfileBookTest : public testing::Test {
 protected:
  std::unique_ptr<ProfileBook> open() {
    auto opened = ProfileBook::open(folder_.path() / "profiles");
    EXPECT_TRUE(opened) << opened.error().describe();
    if (!opened) return nullptr;
    problems_ = opened->problems;
    return std::move(opened->book);
  }

  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(
        fs::directory_iterator(folder_.path() / "profiles"), fs::directory_iterator{}));
  }

  TemporaryFolder folder_;
  std::vector<std::string> problems_;
};

TEST_F(ProfileBookTest, KeepsProfilesOverAReopening) {
  {
    const auto book = open();
    for (const auto& package : {kNumpy, kWheel, kOdd}) {
      const auto put = book->put(vetted(package));
      ASSERT_TRUE(put) << put.error().describe();
    }
    ASSERT_TRUE(book->put(quarantined(kWheel)));
  }
  const auto book = open();
  EXPECT_TRUE(problems_.empty()) << testing::PrintToString(problems_);
  EXPECT_EQ(book->list(), (std::vector{vetted(kNumpy), quarantined(kWheel), vetted(kOdd)}));
  EXPECT_EQ(book->find(kOdd), vetted(kOdd));
  EXPECT_EQ(book->find({.name = "numpy", .version = "1"}), std::nullopt);
  EXPECT_EQ(files(), 3U);
}

TEST_F(ProfileBookTest, DamagedFilesAreRemovedAndToldOf) {
  ASSERT_TRUE(open()->put(vetted(kNumpy)));
  const std::string whole = boost::json::serialize(to_json(vetted(kNumpy)));
  folder_.write("profiles/cut==1.json", whole.substr(0, whole.size() / 2));
  folder_.write("profiles/other==1.json", whole);
  folder_.write("profiles/numpy==1.24.2.json.new", "");
  folder_.write("profiles/huge==1.json", std::string(2 << 20, ' '));
  fs::create_directories(folder_.path() / "profiles/folder==1.json");
  fs::create_symlink("/etc/shadow", folder_.path() / "profiles/link==1.json");
  const auto book = open();
  EXPECT_EQ(problems_.size(), 6U) << testing::PrintToString(problems_);
  EXPECT_EQ(book->list(), std::vector{vetted(kNumpy)});
  EXPECT_EQ(files(), 1U);
  EXPECT_TRUE(fs::exists("/etc/shadow"));
}

TEST_F(ProfileBookTest, MissingIsWhatHasNoProfileOfThisInterpreter) {
  const auto book = open();
  ASSERT_TRUE(book->put(vetted(kNumpy)));
  ASSERT_TRUE(book->put(quarantined(kOdd)));
  const std::vector packages = {kWheel, kOdd, kNumpy};
  EXPECT_EQ(book->missing(packages, "3.11.2, root 1"), std::vector{kWheel});
  EXPECT_EQ(book->missing(packages, "3.11.2, root 2"), packages);
}

TEST_F(ProfileBookTest, TellsWhatIsQuarantinedAndWhy) {
  const auto book = open();
  ASSERT_TRUE(book->put(vetted(kNumpy)));
  ASSERT_TRUE(book->put(quarantined(kWheel)));
  EXPECT_EQ(book->quarantined(std::vector{kOdd, kNumpy}), std::vector<std::string>{});
  EXPECT_EQ(book->quarantined(std::vector{kNumpy, kWheel}),
            std::vector<std::string>{"numpy==1.24.2 leaves a thread running"});
}

TEST_F(ProfileBookTest, CostsAreThoseOfVettedPackages) {
  const auto book = open();
  ASSERT_TRUE(book->put(vetted(kNumpy)));
  ASSERT_TRUE(book->put(quarantined(kWheel)));
  EXPECT_EQ(book->costs(),
            (std::map<Package, MeasuredCost>{{kNumpy, {.ms = 12.5, .mb = 3, .vmas = 17}}}));
}

TEST_F(ProfileBookTest, RetainForgetsTheOthers) {
  auto book = open();
  for (const auto& package : {kNumpy, kWheel, kOdd}) ASSERT_TRUE(book->put(vetted(package)));
  ASSERT_TRUE(book->retain(std::vector{kWheel, Package{.name = "never", .version = "1"}}));
  EXPECT_EQ(book->list(), std::vector{vetted(kWheel)});
  EXPECT_EQ(files(), 1U);
  book = open();
  EXPECT_EQ(book->list(), std::vector{vetted(kWheel)});
}

TEST_F(ProfileBookTest, RefusesWhatItCouldNotReadAgain) {
  const auto book = open();
  Profile nameless = vetted({.name = "", .version = "1"});
  EXPECT_FALSE(book->put(nameless));
  Profile contradictory = vetted(kNumpy);
  contradictory.reasons = {"leaves a thread running"};
  EXPECT_FALSE(book->put(contradictory));
  EXPECT_FALSE(
      book->put(vetted({.name = std::string(128, 'x'), .version = std::string(128, '9')})));
  EXPECT_EQ(files(), 0U);
}

TEST_F(ProfileBookTest, SeveralThreadsMayUseIt) {
  const auto book = open();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(book->put(vetted(t % 2 == 0 ? kNumpy : kWheel, i)));
        EXPECT_LE(book->list().size(), 2U);
        EXPECT_TRUE(book->retain(std::vector{kNumpy, kWheel}));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(book->list().size(), 2U);
  EXPECT_EQ(open()->list(), book->list());
}

TEST(ProfileTest, StrictAboutWhatItReads) {
  const auto good = boost::json::serialize(to_json(vetted(kWheel)));
  ASSERT_TRUE(profile_from_json(good));
  EXPECT_EQ(*profile_from_json(good), vetted(kWheel));
  for (const auto& [key, value] : to_json(vetted(kWheel))) {
    auto object = to_json(vetted(kWheel));
    object.erase(key);
    EXPECT_FALSE(profile_from_json(boost::json::serialize(object))) << key;
    object[key] = boost::json::array{boost::json::array{}};
    EXPECT_FALSE(profile_from_json(boost::json::serialize(object))) << key;
    object[key] = -1;
    EXPECT_FALSE(profile_from_json(boost::json::serialize(object))) << key;
  }
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(profile_from_json(good.substr(0, cut))) << cut;
  }
}

}  // namespace
}  // namespace sock::pkgcache
