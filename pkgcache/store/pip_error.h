#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/requirement.h"

namespace sock::pkgcache {

/// One clear error out of what pip printed when it failed: which line of the requirements cannot be
/// met and why, e.g. "requirements.txt line 3: foo==9: no wheel satisfies it; there are 1.0, 2.0".
/// What is not recognised is quoted.
///
/// `output` is pip's standard error and standard output, one after the other (the cause of a
/// conflict is on the latter), hostile and of any length; the message is bounded.
/// Written for pip 23.0. Always kInvalid.
[[nodiscard]] Error explain_pip_failure(const std::vector<Requirement>& requirements,
                                        std::string_view output);

}  // namespace sock::pkgcache
