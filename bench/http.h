#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace sock::bench {

struct Reply {
  unsigned status = 0;
  std::string body;
};

/// One HTTP exchange with sockd on a connection of its own, at most `timeout` long.
/// An error means that no reply came; any status is a reply. Blocks.
[[nodiscard]] Result<Reply> request(const std::string& socket, const std::string& method,
                                    const std::string& target, const std::string& body,
                                    const std::map<std::string, std::string>& headers,
                                    Millis timeout);

}  // namespace sock::bench
