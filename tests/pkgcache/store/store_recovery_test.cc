#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "pkgcache/store/store.h"
#include "tests/pkgcache/store/store_fixture.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class StoreRecoveryTest : public StoreFixture {
 protected:
  /// Damages one of two packages, reopens, and expects the other alone to be left. Returns what was
  /// reported.
  template <class Damage>
  std::string after(Damage damage) {
    EXPECT_TRUE(admit(good_));
    EXPECT_TRUE(admit(bad_));
    const std::string name = folder_name(bad_);
    damage(root_ / "packages" / name, root_ / "records" / (name + ".json"));
    reopen();
    EXPECT_EQ(store_->find(bad_), nullptr);
    expect_only(good_);
    return problems_.size() == 1 ? problems_[0] : std::to_string(problems_.size()) + " problems";
  }

  void expect_only(const Package& package) {
    const auto found = store_->list();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0]->package(), package);
    EXPECT_EQ(names_in(root_ / "packages"), Names{folder_name(package)});
    EXPECT_EQ(names_in(root_ / "records"), Names{folder_name(package) + ".json"});
    EXPECT_EQ(names_in(root_ / "staging"), Names{});
  }

  const Package good_ = package_of("good", "1.0", 'a');
  const Package bad_ = package_of("bad", "1.0", 'b');
};

TEST_F(StoreRecoveryTest, HalfPackagesAreSwept) {
  const auto contains = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  contains(after([](const fs::path&, const fs::path& record) { fs::remove(record); }),
           "\"packages/bad-1.0-bbbbbbbbbbbbbbbb\": it has no valid record; removed");
  contains(after([](const fs::path& folder, const fs::path&) { fs::remove_all(folder); }),
           "\"records/bad-1.0-bbbbbbbbbbbbbbbb.json\"");
  contains(after([](const fs::path& folder, const fs::path& record) {
             fs::remove_all(folder);
             fs::rename(record, record.native() + ".new");
           }),
           ".json.new\"");
}

TEST_F(StoreRecoveryTest, DamagedPackagesAreSwept) {
  const auto two = [&](auto damage) { EXPECT_EQ(after(damage), "2 problems"); };
  two([](const fs::path& folder, const fs::path&) { fs::remove(folder / "bad/part.py"); });
  two([](const fs::path& folder, const fs::path&) { fs::resize_file(folder / "bad/part.py", 10); });
  two([](const fs::path& folder, const fs::path&) { fs::create_symlink("x", folder / "link"); });
  two([](const fs::path&, const fs::path& record) { write_file(record, "{\"format\":1}"); });
  two([](const fs::path&, const fs::path& record) { write_file(record, "\xff"); });
  two([](const fs::path&, const fs::path& record) { fs::resize_file(record, 5 << 20); });
  two([](const fs::path&, const fs::path& record) {
    fs::remove(record);
    fs::create_symlink("/dev/zero", record);
  });
  two([this](const fs::path&, const fs::path& record) {
    fs::copy_file(root_ / "records" / (folder_name(good_) + ".json"), record,
                  fs::copy_options::overwrite_existing);
  });
}

TEST_F(StoreRecoveryTest, StrangersAreSwept) {
  ASSERT_TRUE(admit(good_));
  write_file(root_ / "staging/package-x/tree/a.py", "x");
  write_file(root_ / "packages/file", "x");
  write_file(folder_.path() / "outside", "x");
  fs::create_directory_symlink(folder_.path(), root_ / "packages/link");
  fs::create_directory(root_ / "records/folder.json");
  reopen();
  expect_only(good_);
  EXPECT_EQ(problems_.size(), 3U);
  EXPECT_TRUE(fs::exists(folder_.path() / "outside"));
}

/// Runs `work` in a child that is killed at its `step`th system call. False when it has ended
/// before.
bool killed_at(int step, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  // A system call stops twice, before and after it.
  for (int i = 0; i < 2 * step && WIFSTOPPED(status); ++i) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
  }
  if (!WIFSTOPPED(status)) return false;
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return true;
}

TEST_F(StoreRecoveryTest, KilledAnywhereInAnAdmission) {
  ASSERT_TRUE(admit(good_));
  int present = 0;
  int absent = 0;
  const auto work = [&] { static_cast<void>(admit(bad_)); };
  for (int step = 0; killed_at(step, work); ++step) {
    reopen();
    if (const auto found = store_->find(bad_)) {
      ++present;
      EXPECT_EQ(found->files, kFilledFiles);
      EXPECT_EQ(store_->collect(std::chrono::seconds(0), {}).size(), 2U);
      ASSERT_TRUE(admit(good_));
    } else {
      ++absent;
    }
    expect_only(good_);
  }
  EXPECT_GT(absent, 50);
  EXPECT_GT(present, 0);
}

TEST_F(StoreRecoveryTest, KilledAnywhereInARemoval) {
  int present = 0;
  int absent = 0;
  ASSERT_TRUE(admit(good_));
  ASSERT_TRUE(admit(bad_));
  const auto work = [&] {
    const auto pin = store_->pin(std::vector{good_});
    static_cast<void>(store_->collect(std::chrono::seconds(0), {}));
  };
  for (int step = 0; killed_at(step, work); ++step) {
    reopen();
    if (store_->find(bad_) != nullptr) {
      ++present;
      EXPECT_EQ(names_in(root_ / "packages").size(), 2U);
      EXPECT_EQ(problems_, Names{});
    } else {
      ++absent;
      expect_only(good_);
      ASSERT_TRUE(admit(bad_));
    }
  }
  EXPECT_GT(present, 0);
  EXPECT_GT(absent, 5);
}

}  // namespace
}  // namespace sock::pkgcache
