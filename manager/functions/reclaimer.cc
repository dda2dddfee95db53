#include "manager/functions/reclaimer.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "base/tree.h"

namespace sock::manager {

Reclaimer::Reclaimer(std::filesystem::path staging) : staging_(std::move(staging)) {
  // Signals belong to the threads that asked for them: this one is born with all of them blocked.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Reclaimer::~Reclaimer() {
  thread_.request_stop();
  thread_.join();
}

void Reclaimer::add(std::filesystem::path generation) {
  const std::scoped_lock lock(mutex_);
  queue_.push_back(std::move(generation));
  added_.notify_one();
}

void Reclaimer::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    added_.wait(lock, stop, [this] { return !queue_.empty(); });
    if (queue_.empty()) return;  // stopped, and nothing is left
    const std::filesystem::path generation = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    reclaim(generation);
    lock.lock();
  }
}

void Reclaimer::reclaim(const std::filesystem::path& generation) {
  const std::filesystem::path grave = staging_ / ("retired-" + std::to_string(++count_));
  if (std::rename(generation.c_str(), grave.c_str()) != 0) return;
  // Fails as long as the function has other generations, which is what we want.
  ::rmdir(generation.parent_path().c_str());
  if (const auto removed = remove_tree(grave); !removed) return;
}

}  // namespace sock::manager
