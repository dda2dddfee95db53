#include "manager/functions/handler.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "base/text.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// "a.b.f" → "a/b"
fs::path module_path(std::string_view handler) {
  std::string path(handler.substr(0, handler.rfind('.')));
  std::ranges::replace(path, '.', '/');
  return path;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool has_extension_module(const fs::path& folder, const std::string& module) {
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    const std::string name = i->path().filename().native();
    if (name.starts_with(module + '.') && name.ends_with(".so") && is_file(i->path())) return true;
  }
  return false;
}

std::string top_level(const fs::path& code) {
  constexpr std::size_t kShown = 10;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator i(code, error), end; !error && i != end; i.increment(error)) {
    std::error_code ignored;
    const std::string name = i->path().filename().native();
    names.push_back(fs::is_directory(i->path(), ignored) ? name + '/' : name);
  }
  if (names.empty()) return "nothing";
  std::ranges::sort(names);
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

}  // namespace

bool is_module_name(std::string_view name) {
  while (true) {
    const std::size_t dot = name.find('.');
    if (!is_identifier(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool is_handler(std::string_view handler) {
  return handler.size() <= 255 && handler.find('.') != std::string_view::npos &&
         is_module_name(handler);
}

bool has_module(const fs::path& code, std::string_view handler) {
  const fs::path module = code / module_path(handler);
  return is_file(module.native() + ".py") || is_file(module / "__init__.py") ||
         has_extension_module(module.parent_path(), module.filename().native());
}

Result<> require_module(const fs::path& code, std::string_view handler) {
  if (has_module(code, handler)) return {};
  const std::string module = module_path(handler).native();
  return fail(Code::kInvalid, "bundle",
              "handler " + in_quotes(handler) + " needs the file " + module + ".py or " + module +
                  "/__init__.py; the top level of the bundle holds " + top_level(code));
}

}  // namespace sock::manager
