#include "pkgcache/planner/costs_text.h"

#include <algorithm>
#include <boost/json/stream_parser.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <utility>

#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

namespace json = boost::json;

constexpr double kMaxMs = 3.6e6;
constexpr double kMaxMb = 1e6;
constexpr std::size_t kMaxJsonDepth = 64;

std::string text_of(json::string_view text) { return {text.data(), text.size()}; }

Result<json::value> parse(std::string_view text, const std::string& file) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::stream_parser parser({}, options);
  json::error_code error;
  const std::size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error && !parser.done()) parser.finish(error);
  if (!error && text.find_first_not_of(" \t\r\n", read) != std::string_view::npos) {
    error = json::error::extra_data;
  }
  if (!error) return parser.release();
  const auto lines = std::ranges::count(text.substr(0, std::min(read, text.size())), '\n');
  return fail(Code::kInvalid, "",
              file + ":" + std::to_string(lines + 1) + ": not JSON: " + error.message());
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  Result<CostTable> read(const json::value& document) {
    const auto* const packages = document.if_object();
    if (packages == nullptr) return wrong("", "an object of packages is expected");
    for (const auto& [key, package] : *packages) {
      const std::string spelt = text_of(key);
      if (!is_valid_name(spelt)) return wrong(spelt, "is not a package's name");
      const std::string name = normalise_name(spelt);
      if (table_.contains(name)) return wrong(spelt, "is given twice");
      const auto* const fields = package.if_object();
      const auto* const versions = fields == nullptr ? nullptr : fields->if_contains("versions");
      if (versions == nullptr || !versions->is_object()) {
        return wrong(spelt, "an object with \"versions\", an object too, is expected");
      }
      for (const auto& [version, facts] : versions->get_object()) {
        if (auto good = read_version(name, text_of(version), facts); !good) {
          return std::unexpected(good.error());
        }
      }
    }
    return std::move(table_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> wrong(const std::string& where,
                                             const std::string& what) const {
    const std::string place = where.empty() ? file_ : file_ + ": " + printable(where);
    return fail(Code::kInvalid, "", place + ": " + what);
  }

  Result<double> number(const json::object& cost, std::string_view key, double most,
                        const std::string& where) const {
    const auto* const value = cost.if_contains(key);
    if (value == nullptr || !value->is_number()) {
      return wrong(where, "\"" + std::string(key) + "\" must be a number");
    }
    const auto number = value->to_number<double>();
    if (!std::isfinite(number) || number < 0 || number > most) {
      return wrong(where, "\"" + std::string(key) + "\" is out of range");
    }
    return number;
  }

  Result<> read_version(const std::string& name, const std::string& version,
                        const json::value& facts) {
    const std::string where = name + "==" + version;
    const auto* const fields = facts.if_object();
    if (fields == nullptr) return wrong(where, "an object is expected");
    const auto* const cost = fields->if_contains("cost");
    if (cost == nullptr || cost->is_null()) return {};
    if (!cost->is_object()) return wrong(where, "\"cost\" must be an object");
    const auto ms = number(cost->get_object(), "ms", kMaxMs, where);
    if (!ms) return std::unexpected(ms.error());
    const auto mb = number(cost->get_object(), "mb", kMaxMb, where);
    if (!mb) return std::unexpected(mb.error());
    table_[name][version] = {*ms, *mb};
    return {};
  }

  const std::string& file_;
  CostTable table_;
};

}  // namespace

Result<CostTable> parse_costs(std::string_view text, const std::string& file) {
  auto document = parse(text, file);
  if (!document) return std::unexpected(document.error());
  return Reader(file).read(*document);
}

}  // namespace sock::pkgcache
