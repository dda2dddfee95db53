#pragma once

#include <boost/json/object.hpp>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "manager/functions/function.h"

namespace sock::manager {

/// What `describe` shows. Options stand in the form build_spec reads, and beside them as numbers:
///
///   {"name","generation","handler","requirements":[…],"packages":[{"name","version"}],
///    "memory":"256M","memory_bytes","timeout":"30s","timeout_ms","cpu":1,"pids","tmp":"64M",
///    "tmp_bytes","open_files","network":"nat","allow":["internet",…],"env":{…},"keep_ready",
///    "code_bytes","sha256","deployed_at"}
///
/// "allow" is there with "nat" only, each entry in its canonical form (netns-pool/egress_text.h).
/// The code's folder is the host's business and is left out.
[[nodiscard]] boost::json::object to_json(const Function& function);

/// The way back, with `code` supplied. Strict: kInvalid unless every key of to_json is there with
/// its type and range, none besides, and the two forms of a value agree.
[[nodiscard]] Result<Function> from_json(const boost::json::object& object,
                                         std::filesystem::path code);

/// The text of a registry entry: to_json with a format number and a digest, so that damage to any
/// byte that matters is noticed.
[[nodiscard]] Result<std::string> to_record(const Function& function);

/// Reads to_record's text, which may be truncated, altered or anything else: kInvalid then.
[[nodiscard]] Result<Function> from_record(std::string_view text, std::filesystem::path code);

}  // namespace sock::manager
