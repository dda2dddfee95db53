#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace sock::manager {

/// "a", "a.b": Python identifiers of ASCII letters, digits and "_" joined by dots.
[[nodiscard]] bool is_module_name(std::string_view name);

/// "module.function": at least two identifiers, at most 255 bytes.
[[nodiscard]] bool is_handler(std::string_view handler);

/// Whether `code` holds the module of a valid `handler`. For "a.b.f" that is a/b.py,
/// a/b/__init__.py, or an extension module (a/b.so, a/b.abi3.so, a/b.cpython-….so).
[[nodiscard]] bool has_module(const std::filesystem::path& code, std::string_view handler);

/// kInvalid unless has_module(); the message names the file that was expected and what the top
/// level of `code` holds.
[[nodiscard]] Result<> require_module(const std::filesystem::path& code, std::string_view handler);

}  // namespace sock::manager
