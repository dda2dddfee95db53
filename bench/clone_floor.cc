// The floor under every fresh process: a small static program clones itself, the child exits at
// once, the parent waits for it. Writes what fork_loop.py writes, so that one reader serves both.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

/// Enough for a minute of the fastest clones; static, so that nothing is allocated meanwhile.
constexpr int kMost = 1 << 20;
int latencies_us[kMost];

double seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double cpu_us() {
  double sum = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    sum += static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6;
    sum += static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  }
  return sum;
}

bool clone_and_wait() {
  const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
  if (child == 0) ::_exit(0);
  if (child < 0) return false;
  int status = 0;
  return ::waitpid(static_cast<pid_t>(child), &status, 0) == child && status == 0;
}

int fail(const char* what) {
  std::perror(what);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  double window = 1;
  double pause = 0;
  const char* output = nullptr;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) window = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--pause") == 0) pause = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--output") == 0) output = argv[i + 1];
  }
  if (output == nullptr) {
    std::fputs("usage: clone_floor --output FILE [--seconds S] [--pause S]\n", stderr);
    return 2;
  }
  const timespec rest{
      static_cast<time_t>(pause),
      static_cast<long>((pause - static_cast<double>(static_cast<time_t>(pause))) * 1e9)};
  // A terminal's interrupt is for the benchmark, which waits for this window to end.
  ::signal(SIGINT, SIG_IGN);
  const double began = seconds();
  const double cpu = cpu_us();
  int count = 0;
  do {
    if (pause > 0) ::nanosleep(&rest, nullptr);
    const double before = seconds();
    if (!clone_and_wait()) return fail("clone_floor");
    latencies_us[count++] = static_cast<int>((seconds() - before) * 1e6);
  } while (count < kMost && seconds() - began < window);
  const double used = cpu_us() - cpu;

  std::FILE* file = std::fopen(output, "we");
  if (file == nullptr) return fail(output);
  std::fputs("{\"latencies_us\": [", file);
  for (int i = 0; i < count; ++i) std::fprintf(file, "%s%d", i == 0 ? "" : ",", latencies_us[i]);
  std::fprintf(file, "], \"seconds\": %.6f, \"own_cpu_us\": %.1f, \"machine_cpu_us\": 0.0}\n",
               seconds() - began, used);
  return std::fclose(file) == 0 ? 0 : fail(output);
}
