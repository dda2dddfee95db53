#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

struct InvokeOptions {
  std::string name;
  std::optional<std::string> data;  ///< the event itself
  std::optional<std::string> file;  ///< where it lies; "-" = standard input
  bool log = false;                 ///< the call's output and a REPORT line, on stderr
};

/// Calls a function once: its result on stdout, or with JSON the call's whole record, whatever came
/// of it. Returns the exit status; 128+N when signal N ended the handler.
[[nodiscard]] Outcome<int> invoke(Context& context, const InvokeOptions& options);

/// "REPORT RequestId: … Status: ok Start: parked Duration: 0.84 ms …" of a call's record.
[[nodiscard]] std::string report_line(const boost::json::object& record);

}  // namespace sock::cli
