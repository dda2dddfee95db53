#include "bench/progress.h"

#include <unistd.h>

#include <cstdio>

namespace sock::bench {

void show_progress(const std::string& text) {
  if (::isatty(STDERR_FILENO) != 0) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void end_progress() {
  if (::isatty(STDERR_FILENO) != 0) std::fputs("\r\033[K", stderr);
}

}  // namespace sock::bench
