#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "manager/functions/function_json.h"
#include "manager/functions/registry.h"
#include "tests/manager/functions/registry_fixture.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

using RegistryRecoveryTest = RegistryTest;

TEST_F(RegistryRecoveryTest, RemovedFunctionsDoNotComeBack) {
  open();
  const Handle first = deploy("a", "x = 1\n");
  const Handle second = deploy("a", "x = 2\n");
  ASSERT_TRUE(registry_->remove("a"));
  // Both handles are alive, so the files are there; a crash now would leave them.
  EXPECT_TRUE(fs::exists(generation("a", 1)));
  EXPECT_TRUE(fs::exists(generation("a", 2)));
  open();
  EXPECT_TRUE(problems_.empty());
  EXPECT_EQ(registry_->find("a"), nullptr);
  EXPECT_EQ(count("functions"), 0U);
}

TEST_F(RegistryRecoveryTest, OneRegistryPerStateDirectory) {
  open();
  const auto second = Registry::open(state_, BundleLimits());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_EQ(second.error().message, "another sockd (pid " + std::to_string(::getpid()) + ") uses " +
                                        state_.native() +
                                        "; stop it, or choose another state directory");
  registry_.reset();
  EXPECT_TRUE(Registry::open(state_, BundleLimits()));
}

TEST_F(RegistryRecoveryTest, OtherProcessesAreKeptOutUntilTheHolderDies) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto opened = Registry::open(state_, BundleLimits());
    const char byte = opened ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  const auto refused = Registry::open(state_, BundleLimits());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("pid " + std::to_string(child)), std::string::npos);
  open();
}

TEST_F(RegistryRecoveryTest, LeftoversOfACrashAreSwept) {
  open();
  deploy("a", "x = 1\n");
  registry_.reset();
  // In the middle of unpacking, of deleting, and between a deploy and the old generation's end.
  write_text(state_ / "staging/deploy-abc/code/half.py", "x");
  write_text(state_ / "staging/deploy-def/function.json.new", "{");
  write_text(state_ / "staging/retired-7/code/handler.py", "x");
  write_text(state_ / "staging/file", "x");
  fs::create_symlink("/etc", state_ / "staging/link");
  fs::create_directories(state_ / "functions/empty");
  Function newer = *[&] {
    open();
    return registry_->find("a");
  }();
  registry_.reset();
  fs::copy(generation("a", 1), generation("a", 10), fs::copy_options::recursive);
  newer.generation = 10;
  write_text(generation("a", 10) / "function.json", to_record(newer).value());
  open();
  EXPECT_TRUE(problems_.empty());
  EXPECT_EQ(count("staging"), 0U);
  EXPECT_TRUE(fs::exists("/etc/passwd"));
  EXPECT_FALSE(fs::exists(state_ / "functions/empty"));
  EXPECT_EQ(registry_->find("a")->generation, 10U);
  EXPECT_FALSE(fs::exists(generation("a", 1)));
  EXPECT_EQ(deploy("a")->generation, 11U);
}

TEST_F(RegistryRecoveryTest, DamagedEntriesAreSetAsideAndReported) {
  open();
  for (const char* const name :
       {"good", "nojson", "garbage", "renamed", "short", "nocode", "link"}) {
    deploy(name, "x = 1\n");
  }
  registry_.reset();
  fs::remove(generation("nojson", 1) / "function.json");
  write_text(generation("garbage", 1) / "function.json", "{\"format\":1");
  fs::rename(state_ / "functions/renamed", state_ / "functions/other");
  write_text(generation("short", 1) / "code/handler.py", "");
  fs::remove_all(generation("nocode", 1) / "code");
  fs::create_symlink("/etc/passwd", generation("link", 1) / "code/passwd");
  write_text(state_ / "functions/Stray File", "x");
  write_text(state_ / "functions/good/07/function.json", "x");
  write_text(state_ / "functions/good/notes", "x");
  open();
  EXPECT_EQ(problems_.size(), 9U);
  for (const std::string& problem : problems_) {
    EXPECT_NE(problem.find("moved to " + (state_ / "broken").native()), std::string::npos)
        << problem;
  }
  EXPECT_EQ(count("broken"), 9U);
  EXPECT_EQ(count("functions"), 1U);
  ASSERT_EQ(registry_->list().size(), 1U);
  EXPECT_EQ(registry_->list()[0]->spec.name, "good");
  // Nothing is reported twice, and the names are free again.
  open();
  EXPECT_TRUE(problems_.empty());
  EXPECT_EQ(deploy("garbage")->generation, 1U);
}

TEST_F(RegistryRecoveryTest, DamagedNewestGenerationFallsBackToTheOlder) {
  open();
  deploy("a", "x = 1\n");
  registry_.reset();
  write_text(generation("a", 2) / "function.json", "");
  open();
  EXPECT_EQ(problems_.size(), 1U);
  EXPECT_EQ(registry_->find("a")->generation, 1U);
}

TEST_F(RegistryRecoveryTest, RecordTruncatedAtEveryByte) {
  open();
  deploy("a");
  deploy("b");
  registry_.reset();
  const fs::path record = generation("a", 1) / "function.json";
  const std::string whole = read_text(record);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_text(record, whole.substr(0, size));
    open();
    ASSERT_EQ(problems_.size(), 1U) << size;
    ASSERT_EQ(registry_->find("a"), nullptr) << size;
    ASSERT_NE(registry_->find("b"), nullptr) << size;
    registry_.reset();
    // Put it back for the next cut.
    fs::create_directories(state_ / "functions/a");
    fs::rename(state_ / "broken/a.1.1", generation("a", 1));
  }
  write_text(record, whole);
  open();
  EXPECT_TRUE(problems_.empty());
  EXPECT_NE(registry_->find("a"), nullptr);
}

TEST_F(RegistryRecoveryTest, KilledInTheMiddleOfADeploy) {
  open();
  deploy("a", "x = 0\n");
  registry_.reset();
  for (int round = 0; round < 15; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto opened = Registry::open(state_, BundleLimits());
      if (!opened) ::_exit(1);
      for (std::uint32_t i = 0;; ++i) {
        auto staged = opened->registry->prepare("x = " + std::to_string(i % 900) + "\n", "");
        FunctionSpec spec = spec_named("a");
        spec.keep_ready = i % 900;
        if (!staged || !opened->registry->commit(std::move(*staged), spec)) ::_exit(1);
      }
    }
    std::this_thread::sleep_for(Millis(20 + 7 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the deploying process failed by itself";
    open();
    EXPECT_TRUE(problems_.empty()) << problems_.front();
    const Handle a = registry_->find("a");
    ASSERT_NE(a, nullptr);
    EXPECT_EQ(read_text(a->code / "handler.py"),
              "x = " + std::to_string(a->spec.keep_ready) + "\n");
    EXPECT_EQ(count("staging"), 0U);
    EXPECT_EQ(std::distance(fs::directory_iterator(state_ / "functions/a"), {}), 1);
    registry_.reset();
  }
}

}  // namespace
}  // namespace sock::manager
