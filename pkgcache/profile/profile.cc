#include "pkgcache/profile/profile.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <utility>

#include "base/text.h"

namespace sock::pkgcache {

namespace {

namespace json = boost::json;

constexpr std::size_t kLongestVersion = 128;
constexpr std::size_t kLongestText = 1024;

json::array list_of(const std::vector<std::string>& texts) {
  json::array list;
  for (const auto& text : texts) list.emplace_back(text);
  return list;
}

/// Takes the keys of an object one by one; remembers what is wrong with the first that is.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  std::string text(std::string_view key, std::size_t most = kLongestText) {
    const json::value* const value = object_.if_contains(key);
    if (value != nullptr && value->is_string() && value->get_string().size() <= most &&
        !has_controls(value->get_string())) {
      return std::string(value->get_string());
    }
    return wrong(key), "";
  }

  std::uint64_t count(std::string_view key) {
    const json::value* const value = object_.if_contains(key);
    if (value != nullptr && value->is_int64() && value->get_int64() >= 0) {
      return static_cast<std::uint64_t>(value->get_int64());
    }
    return wrong(key), 0;
  }

  double number(std::string_view key) {
    const json::value* const value = object_.if_contains(key);
    const double found = value != nullptr && value->is_number() ? value->to_number<double>() : -1;
    if (std::isfinite(found) && found >= 0) return found;
    return wrong(key), 0;
  }

  std::vector<std::string> texts(std::string_view key, std::size_t most) {
    const json::value* const value = object_.if_contains(key);
    std::vector<std::string> out;
    if (value == nullptr || !value->is_array() || value->get_array().size() > most) {
      return wrong(key), out;
    }
    for (const json::value& item : value->get_array()) {
      if (!item.is_string() || item.get_string().size() > kLongestText ||
          has_controls(item.get_string())) {
        return wrong(key), out;
      }
      out.emplace_back(item.get_string());
    }
    return out;
  }

  Package package(std::string_view key) {
    const json::value* const value = object_.if_contains(key);
    if (value == nullptr || !value->is_object()) return wrong(key), Package{};
    Reader inner(value->get_object());
    Package package{.name = inner.text("name"),
                    .version = inner.text("version", kLongestVersion),
                    .digest = inner.text("digest")};
    if (!inner.wrong_.empty() || !is_valid_name(package.name) ||
        normalise_name(package.name) != package.name || package.version.empty() ||
        (!package.digest.empty() && !is_digest(package.digest))) {
      wrong(key);
    }
    return package;
  }

  void wrong(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }

  [[nodiscard]] const std::string& first_wrong() const { return wrong_; }

 private:
  const json::object& object_;
  std::string wrong_;
};

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "profile", std::move(message));
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  return verdict == Verdict::kVetted ? "vetted" : "quarantined";
}

Profile unmeasured(Package package, std::string interpreter, std::chrono::sys_seconds now,
                   std::string reason) {
  return {.package = std::move(package),
          .interpreter = std::move(interpreter),
          .measured_at = now,
          .standard_modules = {},
          .verdict = Verdict::kQuarantined,
          .reasons = {std::move(reason)}};
}

json::object to_json(const Profile& profile) {
  return {{"package", json::object{{"name", profile.package.name},
                                   {"version", profile.package.version},
                                   {"digest", profile.package.digest}}},
          {"interpreter", profile.interpreter},
          {"measured_at", profile.measured_at.time_since_epoch().count()},
          {"ms", profile.ms},
          {"private_bytes", profile.private_bytes},
          {"vmas", profile.vmas},
          {"modules", profile.modules},
          {"standard_modules", list_of(profile.standard_modules)},
          {"verdict", to_string(profile.verdict)},
          {"reasons", list_of(profile.reasons)}};
}

Result<Profile> profile_from_json(std::string_view text) {
  json::error_code error;
  const json::value document = json::parse(text, error);
  if (error) return invalid("not JSON: " + error.message());
  if (!document.is_object()) return invalid("not an object");
  Reader reader(document.get_object());
  Profile profile{.package = reader.package("package"),
                  .interpreter = reader.text("interpreter", kMostInterpreterBytes),
                  .measured_at = std::chrono::sys_seconds(
                      std::chrono::seconds(static_cast<std::int64_t>(reader.count("measured_at")))),
                  .ms = reader.number("ms"),
                  .private_bytes = reader.count("private_bytes"),
                  .vmas = reader.count("vmas"),
                  .modules = reader.count("modules"),
                  .standard_modules = reader.texts("standard_modules", kMostStandardModules),
                  .verdict = reader.text("verdict") == to_string(Verdict::kVetted)
                                 ? Verdict::kVetted
                                 : Verdict::kQuarantined,
                  .reasons = reader.texts("reasons", kMostReasons)};
  if (reader.text("verdict") != to_string(profile.verdict) ||
      profile.reasons.empty() != (profile.verdict == Verdict::kVetted)) {
    reader.wrong("verdict");
  }
  if (!reader.first_wrong().empty()) {
    return invalid("\"" + reader.first_wrong() + "\" is missing or out of range");
  }
  return profile;
}

}  // namespace sock::pkgcache
