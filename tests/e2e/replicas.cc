#include "tests/e2e/replicas.h"

#include <signal.h>

#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <thread>

#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

/// Twice as long as a queue has to last, and half of what a zygote may take for one clone.
constexpr Millis kStuck{500};

void signal_all(const std::vector<pid_t>& pids, int number) {
  for (const pid_t pid : pids) ::kill(pid, number);
}

}  // namespace

std::vector<pid_t> root_processes(Api& api) {
  const Reply reply = api.get("/v1/zygotes");
  if (reply.status != 200) return {};
  for (const auto& zygote : reply.json().at("zygotes").as_array()) {
    if (zygote.at("id") != "root" || zygote.at("pid") == 0) continue;
    std::vector<pid_t> pids{zygote.at("pid").to_number<pid_t>()};
    for (const auto& pid : zygote.at("replicas").as_array()) {
      pids.push_back(pid.to_number<pid_t>());
    }
    return pids;
  }
  return {};
}

testing::AssertionResult add_replica(const std::string& socket, const std::string& function) {
  Api api(socket);
  const auto before = root_processes(api);
  std::atomic<int> failures = 0;
  std::vector<std::thread> callers;
  const auto begin = Clock::now();
  signal_all(before, SIGSTOP);
  const auto more_come = [&] {
    callers.emplace_back([&] {
      if (Api(socket).invoke(function).status != 200) ++failures;
    });
    return Clock::now() - begin > kStuck;
  };
  (void)eventually(more_come);
  signal_all(before, SIGCONT);
  for (auto& caller : callers) caller.join();
  if (failures > 0) return testing::AssertionFailure() << failures << " calls failed";
  if (eventually([&] { return root_processes(api).size() > before.size(); })) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "no replica: " << api.get("/v1/zygotes").body;
}

std::vector<pid_t> leave_to_replicas(const std::string& socket) {
  Api api(socket);
  const Reply deployed = api.deploy("queue", "def handler(e):\n    return e\n");
  if (deployed.status != 201) return {};
  for (int i = 0; i < 2; ++i) {
    const auto added = add_replica(socket, "queue");
    if (!added) {
      ADD_FAILURE() << added.message();
      return {};
    }
  }
  (void)api.remove("queue");
  auto replicas = root_processes(api);
  const pid_t original = replicas.front();
  replicas.erase(replicas.begin());
  ::kill(original, SIGKILL);
  const bool gone = eventually([&] { return root_processes(api) == replicas; });
  return gone ? replicas : std::vector<pid_t>{};
}

}  // namespace sock::e2e
