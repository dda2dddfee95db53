#include "manager/jobs/job_runner.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "tests/manager/jobs/job_fixture.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;

class JobRunnerTest : public JobFixture {
 protected:
  static Job small(Millis timeout = Millis(10'000)) {
    Job job;
    job.limits.memory_bytes = 64U << 20;
    job.limits.tmp_bytes = 16U << 20;
    job.timeout = timeout;
    return job;
  }

  static std::string text(const Result<JobAnswer>& answer) {
    return answer ? json::serialize(answer->value) : answer.error().describe();
  }

  static Code code(const Result<JobAnswer>& answer) {
    EXPECT_FALSE(answer) << text(answer);
    return answer ? Code::kInternal : answer.error().code;
  }
};

TEST_F(JobRunnerTest, AnswersWhatTheScriptAnswers) {
  Job job = small();
  job.event = {{"n", 20}};
  job.environment = {{"COLOUR", "green"}};
  const auto answer = run_script(
      "  print('at work', file=sys.stderr)\n"
      "  return {'n': event['n'] + 1, 'colour': os.environ['COLOUR'],\n"
      "          'memory': context.memory_limit_in_mb, 'uid': os.getuid()}\n",
      std::move(job));
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->value.at("n"), 21);
  EXPECT_EQ(answer->value.at("colour"), "green");
  EXPECT_EQ(answer->value.at("memory"), 64);
  EXPECT_NE(answer->value.at("uid"), 0);
  EXPECT_EQ(answer->log, "at work\n");
}

TEST_F(JobRunnerTest, ScriptsAreReadableByAllAndWritableByNone) {
  const auto answer = run_script(
      "  try:\n    open('/var/task/handler.py', 'a')\n  except OSError as error:\n"
      "    return {'error': error.errno, 'mode': os.stat('/var/task/handler.py').st_mode & "
      "0o777}\n");
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(answer->value.at("error"), EACCES);
  EXPECT_EQ(answer->value.at("mode"), 0644);
}

TEST_F(JobRunnerTest, ShowsItsFoldersReadOnly) {
  Job job = small();
  for (const char* name : {"a", "b", "c", "d"}) {
    write_text(folder_.path() / name / "file", name);
    job.wheels.push_back(folder_.path() / name);
  }
  const std::string body =
      "  texts = [open(f'/var/wheels/{i}/file').read() for i in range(4)]\n"
      "  try:\n    open('/var/wheels/3/more', 'w')\n  except OSError as error:\n"
      "    return {'texts': texts, 'error': error.errno,\n"
      "            'flags': os.statvfs('/var/wheels/0').f_flag}\n";
  const auto answer = run_script(body, job);
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(json::serialize(answer->value.at("texts")), R"(["a","b","c","d"])");
  EXPECT_EQ(answer->value.at("error"), EROFS);
  constexpr int kWanted = ST_RDONLY | ST_NOSUID | ST_NODEV;
  EXPECT_EQ(answer->value.at("flags").as_int64() & kWanted, kWanted);

  job.wheels.push_back(folder_.path() / "a");
  EXPECT_EQ(code(run_script(body, job)), Code::kInvalid);
  job.wheels = {folder_.path() / "missing"};
  EXPECT_EQ(code(run_script(body, job)), Code::kInternal);
}

TEST_F(JobRunnerTest, WithoutFoldersThereIsNothingAtTheirPlaces) {
  const auto answer =
      run_script("  return {'all': [os.listdir(f'/var/wheels/{i}') for i in range(4)]}\n");
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(json::serialize(answer->value.at("all")), "[[],[],[],[]]");
}

TEST_F(JobRunnerTest, PackagesThatAppearAreSeenBySandboxesThatRunAlready) {
  fs::create_directories(folder_.path() / "new/early");
  fs::rename(folder_.path() / "new/early", store() / "early");
  const std::string body =
      "  before = os.listdir('/var/packages')\n"
      "  open('/tmp/looked', 'w').close()\n"
      "  while not os.path.exists('/var/packages/late/m.py'): time.sleep(0.001)\n"
      "  sys.path.append('/var/packages/late')\n"
      "  import m\n"
      "  try:\n    os.mkdir('/var/packages/mine')\n  except OSError as error:\n"
      "    return {'before': before, 'value': m.value, 'error': error.errno,\n"
      "            'flags': os.statvfs('/var/packages').f_flag}\n";
  const std::string source = "import os, sys, time\ndef handler(event, context):\n" + body;
  const JobScript script{"test", source};
  const auto runner = this->runner({&script, 1});
  Job job = small();
  job.script = "test";
  std::optional<Result<JobAnswer>> answer;
  auto keep = [&]() -> asio::awaitable<void> {
    auto got = co_await runner->run(job);
    answer.emplace(std::move(got));
  };
  asio::co_spawn(loop_, keep(), asio::detached);
  // It has taken a slot by the time it looks; the package comes once it has looked.
  write_text(folder_.path() / "new/late/m.py", "value = 7\n");
  loop_.restart();
  loop_.run_for(Millis(300));
  ASSERT_FALSE(answer.has_value()) << text(*answer);
  fs::rename(folder_.path() / "new/late", store() / "late");
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  ASSERT_TRUE(*answer) << (*answer).error().describe();
  EXPECT_EQ(json::serialize((*answer)->value.at("before")), R"(["early"])");
  EXPECT_EQ((*answer)->value.at("value"), 7);
  EXPECT_EQ((*answer)->value.at("error"), EROFS);
  constexpr int kFlags = ST_RDONLY | ST_NOSUID | ST_NODEV;
  EXPECT_EQ((*answer)->value.at("flags").as_int64() & (kFlags | ST_NOEXEC), kFlags);
}

TEST_F(JobRunnerTest, FilesAreTakenWhileTheSandboxStands) {
  std::string taken;
  bool daemon_alive = false;
  auto collect = [&](const json::object& answer, int tmp) -> asio::awaitable<Result<>> {
    auto read = read_file(tmp, std::string(answer.at("file").as_string()));
    taken = read.value_or("cannot be read");
    struct stat info {};
    daemon_alive = ::fstatat(tmp, "daemon", &info, 0) == 0;
    // The folder given is the sandbox's own.
    EXPECT_EQ(::faccessat(tmp, "../etc/hosts", F_OK, 0), 0);
    co_return Result<>{};
  };
  // A link in place of /tmp is out of its reach; one within is not.
  const auto answer = run_script(
      "  if os.fork() == 0:\n"
      "    os.setsid()\n"
      "    open('/tmp/daemon', 'w').close()\n"
      "    time.sleep(1000)\n"
      "  while not os.path.exists('/tmp/daemon'): time.sleep(0.001)\n"
      "  open('/tmp/out', 'w').write('made here')\n"
      "  return {'file': 'out'}\n",
      small(), collect);
  ASSERT_TRUE(answer) << answer.error().describe();
  EXPECT_EQ(taken, "made here");
  EXPECT_TRUE(daemon_alive);
}

TEST_F(JobRunnerTest, WhatTheCollectorFindsWrongIsTheJobsError) {
  auto collect = [](const json::object&, int) -> asio::awaitable<Result<>> {
    co_return fail(Code::kConflict, "copy", "no good");
  };
  const auto answer = run_script("  return {}\n", small(), collect);
  EXPECT_EQ(code(answer), Code::kConflict);
  EXPECT_EQ(text(answer), "test job: no good");
}

TEST_F(JobRunnerTest, AnExceptionIsTold) {
  const auto answer = run_script("  raise ValueError('no such thing')\n", small());
  EXPECT_EQ(code(answer), Code::kAppError);
  EXPECT_EQ(text(answer), "test job: ValueError: no such thing");
}

TEST_F(JobRunnerTest, ACrashIsTold) {
  const auto killed = run_script("  os.kill(os.getpid(), 11)\n", small());
  EXPECT_EQ(code(killed), Code::kKilled);
  EXPECT_NE(text(killed).find("SIGSEGV"), std::string::npos) << text(killed);
  const auto left = run_script("  os._exit(3)\n", small());
  EXPECT_EQ(code(left), Code::kKilled);
  EXPECT_NE(text(left).find("status 3"), std::string::npos) << text(left);
}

TEST_F(JobRunnerTest, OneThatNeverAnswersIsKilledAtItsDeadline) {
  const auto begin = Clock::now();
  const auto answer = run_script("  while True: time.sleep(1)\n", small(Millis(300)));
  EXPECT_EQ(code(answer), Code::kTimeout);
  EXPECT_EQ(text(answer), "test job: no answer within 300 ms");
  EXPECT_LT(Clock::now() - begin, Millis(3'000));
}

TEST_F(JobRunnerTest, DaemonsAndForksEndWithIt) {
  const auto answer = run_script(
      "  for _ in range(20):\n"
      "    if os.fork() == 0:\n"
      "      os.setsid()\n"
      "      while True: time.sleep(1)\n"
      "  return {}\n",
      small());
  EXPECT_TRUE(answer) << text(answer);
  EXPECT_EQ(slots_->dying(), 0U);
}

TEST_F(JobRunnerTest, MoreMemoryThanItsLimitIsToldAsSuch) {
  EXPECT_EQ(code(run_script("  x = b'x' * (200 << 20)\n  return {}\n", small())), Code::kOom);
}

TEST_F(JobRunnerTest, AFullTmpIsAnErrorOfItsOwn) {
  const auto answer = run_script(
      "  with open('/tmp/x', 'wb') as file:\n"
      "    while True: file.write(b'x' * 65536)\n",
      small());
  EXPECT_EQ(code(answer), Code::kAppError);
  EXPECT_NE(text(answer).find("No space left on device"), std::string::npos) << text(answer);
}

TEST_F(JobRunnerTest, TmpHasAsManyFilesAsTheLimitsSay) {
  Job job = small();
  job.limits.tmp_inodes = 6'000;
  const std::string body =
      "  n = 0\n"
      "  try:\n"
      "    while n < 7000:\n      os.mknod(f'/tmp/{n}'); n += 1\n"
      "  except OSError: pass\n"
      "  return {'n': n}\n";
  const auto answer = run_script(body, job);
  ASSERT_TRUE(answer) << text(answer);
  EXPECT_GT(answer->value.at("n").as_int64(), 5'900);
  EXPECT_LE(answer->value.at("n").as_int64(), 6'000);
}

TEST_F(JobRunnerTest, GarbageIsNoAnswer) {
  // 3 is the connection.
  const auto noise = run_script("  os.write(3, b'garbage' * 100)\n  time.sleep(1000)\n", small());
  EXPECT_EQ(code(noise), Code::kInvalid) << text(noise);
  EXPECT_EQ(code(run_script("  return [1, 2]\n", small())), Code::kInvalid);
  EXPECT_EQ(code(run_script("  return None\n", small())), Code::kInvalid);
  Job job = small();
  job.answer_bytes = 1000;
  EXPECT_EQ(code(run_script("  return {'x': 'y' * 2000}\n", job)), Code::kInvalid);
}

TEST_F(JobRunnerTest, OnlyTheEndOfItsOutputIsKept) {
  const auto answer = run_script(
      "  for i in range(100000): print('line', i)\n"
      "  return {}\n",
      small(Millis(60'000)));
  ASSERT_TRUE(answer) << text(answer);
  EXPECT_EQ(answer->log.size(), kJobLogBytes);
  EXPECT_TRUE(answer->log.ends_with("line 99999\n"));
}

TEST_F(JobRunnerTest, StoppingKillsThoseAtWork) {
  const std::string source = "import time\ndef handler(event, context): time.sleep(1000)\n";
  const JobScript script{"test", source};
  const auto runner = this->runner({&script, 1});
  std::optional<Result<JobAnswer>> answer;
  auto keep = [&]() -> asio::awaitable<void> {
    Job job = small(Millis(15'000));
    job.script = "test";
    auto got = co_await runner->run(std::move(job));
    answer.emplace(std::move(got));
  };
  asio::co_spawn(loop_, keep(), asio::detached);
  loop_.restart();
  loop_.run_for(Millis(200));
  const auto begin = Clock::now();
  runner->stop();
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  EXPECT_EQ(code(*answer), Code::kDraining) << text(*answer);
  EXPECT_LT(Clock::now() - begin, Millis(5'000));
  Job job = small();
  job.script = "test";
  EXPECT_EQ(code(run(runner->run(std::move(job)))), Code::kDraining);
}

}  // namespace
}  // namespace sock::manager
