#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "manager/functions/function.h"
#include "manager/settings/config.h"

namespace sock::manager {

/// Every option of a function, spelt alike in the API's options object and in sock.toml:
///
///   handler       "module.function"; default "handler.handler"
///   requirements  a list of lines or one text
///   memory, tmp   a size: "256M", or a whole number of bytes
///   timeout       a duration: "30s"
///   cpu           a number of cores: 1.5
///   pids          a whole number
///   network       "none", or "nat": a network by address translation
///   allow         with "nat": a list of destinations or one (netns-pool/egress_text.h), in place
///   of
///                 the default, "internet"
///   env           names and texts
///   keep_ready    a whole number of parked clones

/// ^[a-z0-9][a-z0-9_.-]{0,63}$
[[nodiscard]] bool is_function_name(std::string_view name);

/// kInvalid unless is_function_name(); says the rule.
[[nodiscard]] Result<> check_function_name(std::string_view name);

/// Names are ^[A-Za-z_][A-Za-z0-9_]*$ without the prefixes SOCK_, LD_ and PYTHON (which would
/// steer the interpreter or the loader); values hold no NUL; names and values with their "=" and
/// NUL take at most 32 KiB. kInvalid names the variable.
[[nodiscard]] Result<> check_environment(const std::map<std::string, std::string>& environment);

/// The lines of a requirements text that say something, trimmed: what build_spec keeps of it. Empty
/// for a text that build_spec refuses.
[[nodiscard]] std::vector<std::string> requirement_lines(std::string_view text);

/// A function's spec from what its deployer wrote.
///
/// `flags` win over `sock_toml` (the text of the bundle's sock.toml), which wins over
/// `requirements_txt` (its requirements.txt) and the daemon's defaults. Variables of env are merged
/// name by name. Requirements are kept as lines, without blank and comment lines; `packages` is
/// left to the caller. A layer that says network = "none" takes back what a lower one allows. A
/// value above the daemon's caps is refused, never lowered. Every failure is kInvalid and names the
/// option, and the line when it stands in sock.toml.
[[nodiscard]] Result<FunctionSpec> build_spec(const std::string& name,
                                              const boost::json::object& flags,
                                              const std::optional<std::string>& sock_toml,
                                              const std::optional<std::string>& requirements_txt,
                                              const Config& config);

}  // namespace sock::manager
