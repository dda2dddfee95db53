#pragma once

#include <boost/json/object.hpp>
#include <string>

namespace sock::bench {

/// What figures depend on and a reader must know.
struct Host {
  std::string cpu;  ///< model
  long processors = 0;
  std::string kernel;
  std::string cgroups;  ///< "v2", "v1", "hybrid"
  std::string python;   ///< version of /usr/bin/python3
  std::string load;     ///< the load averages at the start
};

/// Reads it from the machine; what cannot be read is "?". Call it from the main thread.
[[nodiscard]] Host read_host();

/// One line for a person.
[[nodiscard]] std::string describe(const Host& host);

/// The same for programs.
[[nodiscard]] boost::json::object to_json(const Host& host);

}  // namespace sock::bench
