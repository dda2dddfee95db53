#include "manager/api/api_route.h"

#include <algorithm>
#include <array>
#include <optional>

namespace sock::manager {

namespace {

/// Targets have no more segments than this; the rest of a longer one stays in the last.
constexpr std::size_t kMaxSegments = 5;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view segment) {
  std::string out;
  out.reserve(segment.size());
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      out += segment[i];
      continue;
    }
    if (i + 2 >= segment.size()) return std::nullopt;
    const int high = hex_digit(segment[i + 1]);
    const int low = hex_digit(segment[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

struct Segments {
  std::array<std::string_view, kMaxSegments> parts;
  std::size_t count = 0;
};

Segments split(std::string_view path) {
  Segments segments;
  while (segments.count < kMaxSegments) {
    const std::size_t slash =
        segments.count + 1 < kMaxSegments ? path.find('/') : std::string_view::npos;
    segments.parts[segments.count++] = path.substr(0, slash);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return segments;
}

Resource collection(std::string_view name) {
  if (name == "health") return Resource::kHealth;
  if (name == "functions") return Resource::kFunctions;
  if (name == "zygotes") return Resource::kZygotes;
  if (name == "netns") return Resource::kNetns;
  if (name == "packages") return Resource::kPackages;
  if (name == "doctor") return Resource::kDoctor;
  return Resource::kUnknown;
}

Resource keyed(const Segments& path) {
  const bool whole = path.count == 3;
  if (path.parts[1] == "packages" && whole) {
    if (path.parts[2] == "warm") return Resource::kWarm;
    if (path.parts[2] == "cool") return Resource::kCool;
  }
  const std::string_view part = whole ? std::string_view() : path.parts[3];
  if (path.parts[1] == "functions") {
    if (whole) return Resource::kFunction;
    if (part == "invoke") return Resource::kInvoke;
    if (part == "calls") return Resource::kFunctionCalls;
  } else if (path.parts[1] == "calls") {
    if (whole) return Resource::kCall;
    if (part == "logs") return Resource::kCallLogs;
  }
  return Resource::kUnknown;
}

}  // namespace

Route route_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    const std::size_t path = target.find('/', kScheme.size());
    target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
  }
  target = target.substr(0, target.find_first_of("?#"));
  if (!target.starts_with('/')) return {};
  target.remove_prefix(1);
  if (target == "metrics") return {Resource::kMetrics, {}};
  const Segments path = split(target);
  if (path.parts[0] != "v1") return {};
  if (path.count == 2) return {collection(path.parts[1]), {}};
  if (path.count != 3 && path.count != 4) return {};
  const Resource resource = keyed(path);
  if (resource == Resource::kUnknown) return {};
  auto key = decode(path.parts[2]);
  if (!key || key->empty()) return {};
  return {resource, std::move(*key)};
}

std::string_view allowed_methods(Resource resource) {
  switch (resource) {
    case Resource::kUnknown:
      return "";
    case Resource::kFunction:
      return "GET, PUT, DELETE";
    case Resource::kInvoke:
    case Resource::kWarm:
    case Resource::kCool:
      return "POST";
    default:
      return "GET";
  }
}

}  // namespace sock::manager
