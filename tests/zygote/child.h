#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace sock::zygote {

/// A fork of the test that does something and then stands still until it is destroyed. What it does
/// must not use the test framework.
class Child {
 public:
  template <class Work>
  explicit Child(Work work) {
    int ready[2];
    if (::pipe(ready) < 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char result = work() ? 'y' : 'n';
      (void)!::write(ready[1], &result, 1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char result = 'n';
    worked_ = ::read(ready[0], &result, 1) == 1 && result == 'y';
    ::close(ready[0]);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Whether it said that it did what it should.
  [[nodiscard]] bool worked() const { return worked_; }

 private:
  pid_t pid_ = -1;
  bool worked_ = false;
};

}  // namespace sock::zygote
