#include "pkgcache/profile/measurement.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <optional>
#include <utility>

#include "base/text.h"
#include "pkgcache/profile/vet.h"

namespace sock::pkgcache {

namespace {

namespace json = boost::json;

constexpr double kMostMs = 3.6e6;
constexpr double kMostBytes = 1ULL << 40U;
constexpr double kMostObjects = 1e6;  ///< mappings or modules
constexpr std::size_t kLongestModule = 128;

/// The answer, or the part of it, is not what measure.py writes.
constexpr std::string_view kUnreadable = "was measured with an unreadable answer";

template <class T>
const T* get(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr) return nullptr;
  if constexpr (std::is_same_v<T, json::array>) return value->if_array();
  if constexpr (std::is_same_v<T, json::string>) return value->if_string();
}

/// Between 0 and `most`; nothing when it is no number.
std::optional<double> number(const json::object& object, std::string_view key, double most) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const auto found = value->to_number<double>();
  if (std::isnan(found)) return std::nullopt;
  return std::clamp(found, 0.0, most);
}

bool is_module_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= kLongestModule && std::ranges::all_of(name, fits);
}

std::optional<std::vector<std::string>> texts(const json::object& object, std::string_view key) {
  const auto* const list = get<json::array>(object, key);
  if (list == nullptr) return std::nullopt;
  std::vector<std::string> out;
  for (const json::value& item : *list) {
    if (!item.is_string()) return std::nullopt;
    out.emplace_back(item.get_string());
  }
  return out;
}

std::optional<std::vector<Change>> changes_of(const json::object& report) {
  const auto* const list = get<json::array>(report, "changes");
  if (list == nullptr) return std::nullopt;
  std::vector<Change> changes;
  for (const json::value& item : *list) {
    const json::array* const pair = item.if_array();
    if (pair == nullptr || pair->size() != 2 || !pair->at(0).is_string() ||
        !pair->at(1).is_string()) {
      return std::nullopt;
    }
    changes.push_back({.kind = std::string(pair->at(0).get_string()),
                       .what = std::string(pair->at(1).get_string())});
  }
  return changes;
}

/// False: the report cannot be read.
bool read_report(const json::object& report, Profile& profile) {
  const auto ms = number(report, "ms", kMostMs);
  const auto bytes = number(report, "private_bytes", kMostBytes);
  const auto vmas = number(report, "vmas", kMostObjects);
  const auto modules = number(report, "modules", kMostObjects);
  auto standard = texts(report, "standard_modules");
  const auto errors = texts(report, "errors");
  const auto changes = changes_of(report);
  if (!ms || !bytes || !vmas || !modules || !standard || !errors || !changes) return false;
  profile.ms = *ms;
  profile.private_bytes = static_cast<std::uint64_t>(*bytes);
  profile.vmas = static_cast<std::uint64_t>(*vmas);
  profile.modules = static_cast<std::uint64_t>(*modules);
  std::erase_if(*standard, [](const std::string& name) { return !is_module_name(name); });
  std::ranges::sort(*standard);
  const auto repeated = std::ranges::unique(*standard);
  standard->erase(repeated.begin(), repeated.end());
  if (standard->size() > kMostStandardModules) standard->resize(kMostStandardModules);
  profile.standard_modules = std::move(*standard);
  profile.reasons.clear();
  for (const auto& error : *errors)
    profile.reasons.push_back("cannot be imported: " + in_quotes(error));
  for (auto& reason : vet(*changes)) profile.reasons.push_back(std::move(reason));
  if (profile.reasons.size() > kMostReasons) profile.reasons.resize(kMostReasons);
  if (profile.reasons.empty()) profile.verdict = Verdict::kVetted;
  return true;
}

const json::object* report_on(const json::array& reports, std::string_view key) {
  for (const json::value& item : reports) {
    const json::object* const report = item.if_object();
    const auto* const found = report == nullptr ? nullptr : get<json::string>(*report, "key");
    if (found != nullptr && std::string_view(*found) == key) return report;
  }
  return nullptr;
}

Profile profile_of(const MeasureItem& item, const json::array& reports,
                   const std::string& interpreter, std::chrono::sys_seconds now) {
  Profile profile = unmeasured(item.package, interpreter, now, "ends the process");
  const json::object* const report = report_on(reports, item.package.key());
  if (report == nullptr) return profile;
  const auto* const ended = get<json::string>(*report, "ended");
  if (ended != nullptr && !ended->empty()) {
    // The words are measure.py's own, which no package can write.
    profile.reasons = {has_controls(*ended) ? std::string(kUnreadable) : std::string(*ended)};
  } else if (ended == nullptr || !read_report(*report, profile)) {
    profile.reasons = {std::string(kUnreadable)};
  }
  return profile;
}

json::array list_of(std::span<const std::string> texts) {
  json::array list;
  for (const auto& text : texts) list.emplace_back(text);
  return list;
}

std::unexpected<Error> unreadable(const std::string& what) {
  return fail(Code::kInvalid, "measure", "the answer " + what);
}

}  // namespace

json::object measure_event(std::span<const MeasureItem> items, std::chrono::seconds seconds) {
  json::array packages;
  for (const MeasureItem& item : items) {
    packages.push_back(json::object{{"key", item.package.key()},
                                    {"path", list_of(item.path)},
                                    {"first", list_of(item.first)},
                                    {"modules", list_of(item.modules)}});
  }
  return {{"packages", std::move(packages)}, {"seconds", seconds.count()}};
}

Result<Measured> read_measured(std::string_view answer, std::span<const MeasureItem> items,
                               std::chrono::sys_seconds now) {
  json::error_code error;
  const json::value document = json::parse(answer, error);
  if (error) return unreadable("is not JSON: " + error.message());
  const json::object* const object = document.if_object();
  const auto* const interpreter =
      object == nullptr ? nullptr : get<json::string>(*object, "interpreter");
  const auto* const reports = object == nullptr ? nullptr : get<json::array>(*object, "packages");
  if (interpreter == nullptr || reports == nullptr)
    return unreadable("lacks \"interpreter\" or \"packages\"");
  if (interpreter->empty() || interpreter->size() > kMostInterpreterBytes ||
      has_controls(*interpreter)) {
    return unreadable("does not name the interpreter");
  }
  Measured measured{.interpreter = std::string(*interpreter), .profiles = {}};
  for (const MeasureItem& item : items) {
    measured.profiles.push_back(profile_of(item, *reports, measured.interpreter, now));
  }
  return measured;
}

}  // namespace sock::pkgcache
