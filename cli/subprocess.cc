#include "cli/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/fd.h"
#include "base/process.h"

namespace sock::cli {
namespace {

/// posix_spawn's list of what the child does to its descriptors.
class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  [[nodiscard]] posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

Result<Process> start(const std::string& program, const std::vector<std::string>& args,
                      int standard_output) {
  FileActions actions;
  ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), standard_output, STDOUT_FILENO);
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), actions.get(), nullptr, argv.data(), environ);
  if (error != 0) return fail_errno("run", program, error);
  // Not reaped yet, so the number still names our child.
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno("pidfd_open", program);
  return Process(std::move(pidfd), pid);
}

}  // namespace

Result<std::string> output_of(const std::string& program, const std::vector<std::string>& args,
                              std::size_t limit, Millis timeout) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return fail_errno("pipe", program);
  Fd reader(ends[0]);
  Fd writer(ends[1]);
  auto process = start(program, args, writer.get());
  if (!process) return std::unexpected(process.error());
  writer.reset();
  const auto deadline = Clock::now() + timeout;
  std::string output;
  std::array<char, 16384> buffer{};
  for (;;) {
    const auto left = std::chrono::duration_cast<Millis>(deadline - Clock::now()).count();
    pollfd waiting{reader.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno("poll", program);
    if (ready == 0) return fail(Code::kTimeout, "run", program + " did not finish in time");
    const ssize_t n = ::read(reader.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", program);
    if (n == 0) return output;
    if (output.size() + static_cast<std::size_t>(n) > limit) {
      return fail(Code::kInternal, "run", program + " wrote too much");
    }
    output.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace sock::cli
