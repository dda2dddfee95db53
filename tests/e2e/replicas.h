#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/e2e/api.h"

namespace sock::e2e {

/// The processes of the root zygote, as GET /v1/zygotes names them: the oldest, then its replicas.
[[nodiscard]] std::vector<pid_t> root_processes(Api& api);

/// Has calls of `function` queue for the root zygote, on any machine, until there is one more
/// replica of it. No call may fail for that. Of a sockd whose calls are all cloned on demand.
[[nodiscard]] testing::AssertionResult add_replica(const std::string& socket,
                                                   const std::string& function);

/// Takes the original from a root zygote with two replicas, so that one of these makes every
/// further clone, and says which they are. Empty when that did not work.
[[nodiscard]] std::vector<pid_t> leave_to_replicas(const std::string& socket);

}  // namespace sock::e2e
