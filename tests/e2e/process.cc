#include "tests/e2e/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "base/fd.h"

namespace sock::e2e {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// Only async-signal-safe calls: other threads of the test may hold locks.
[[noreturn]] void become(const char* program, char* const* argv, char* const* envp,
                         const std::array<int, 3>& streams, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (::getppid() != parent) ::_exit(127);
  // Above 2 first, so that no target overwrites a source.
  std::array<int, 3> sources{};
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const int source = streams[i] >= 0 ? streams[i] : ::open("/dev/null", O_RDWR | O_CLOEXEC);
    sources[i] = ::fcntl(source, F_DUPFD_CLOEXEC, 10);
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (::dup2(sources[i], static_cast<int>(i)) < 0) ::_exit(127);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execve(program, argv, envp);
  ::_exit(127);
}

std::string contents_of(int fd) {
  std::string text;
  std::array<char, 65536> buffer{};
  ::lseek(fd, 0, SEEK_SET);
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

Fd temporary(const char* name) { return Fd(::memfd_create(name, MFD_CLOEXEC)); }

}  // namespace

void pause_briefly() { std::this_thread::sleep_for(Millis(5)); }

Result<Process> launch(const std::string& program, const std::vector<std::string>& args,
                       const Streams& streams, const std::vector<std::string>& extra_env) {
  std::vector<std::string> argv{program};
  argv.insert(argv.end(), args.begin(), args.end());
  std::vector<std::string> env;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text(*variable);
    if (!text.starts_with("SOCK_")) env.push_back(text);
  }
  env.insert(env.end(), extra_env.begin(), extra_env.end());
  const auto argv_pointers = pointers(argv);
  const auto env_pointers = pointers(env);
  const std::array<int, 3> fds{streams.in, streams.out, streams.err};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", program);
  if (pid == 0) become(program.c_str(), argv_pointers.data(), env_pointers.data(), fds, parent);
  // Not reaped yet, so the number still names our child.
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno("pidfd_open", program);
  return Process(std::move(pidfd), pid);
}

std::optional<Exit> wait_exit(Process& process, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::max<std::int64_t>(
        std::chrono::duration_cast<Millis>(deadline - Clock::now()).count(), 0);
    pollfd waiting{process.pidfd(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 ? process.try_reap() : std::nullopt;
  }
}

int shell_status(const Exit& exit) { return exit.signalled ? 128 + exit.status : exit.status; }

Finished run_program(const std::string& program, const std::vector<std::string>& args,
                     const std::string& input) {
  const Fd in = temporary("stdin");
  const Fd out = temporary("stdout");
  const Fd err = temporary("stderr");
  Finished finished;
  if (::write(in.get(), input.data(), input.size()) != static_cast<ssize_t>(input.size())) {
    finished.err = "cannot prepare stdin";
    return finished;
  }
  ::lseek(in.get(), 0, SEEK_SET);
  auto process = launch(program, args, {in.get(), out.get(), err.get()});
  if (!process) {
    finished.err = process.error().describe();
    return finished;
  }
  const auto exit = wait_exit(*process, Clock::now() + std::chrono::seconds(60));
  if (exit) finished.exit = shell_status(*exit);
  finished.out = contents_of(out.get());
  finished.err = contents_of(err.get());
  return finished;
}

}  // namespace sock::e2e
