#include "pkgcache/planner/functions_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

constexpr std::size_t kMaxFunctions = 20'000;
constexpr std::size_t kMaxClosure = 2'000;
constexpr std::size_t kMaxPackages = 5'000;
constexpr std::size_t kMaxVersion = 128;
constexpr double kMaxRate = 1e12;

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  Result<std::vector<Function>> read(std::string_view text) {
    if (!is_utf8(text)) return fail(Code::kInvalid, "", file_ + ": is not UTF-8 text");
    bool header = true;
    std::size_t columns = 0;
    for (const std::string_view line : split_lines(text)) {
      ++line_;
      if (trim(line).empty()) continue;
      auto fields = split(line);
      if (!fields) return std::unexpected(fields.error());
      if (header) {
        if (auto good = read_header(*fields); !good) return std::unexpected(good.error());
        columns = fields->size();
        header = false;
        continue;
      }
      if (fields->size() != columns) {
        return wrong("has " + std::to_string(fields->size()) + " fields where the header has " +
                     std::to_string(columns));
      }
      if (auto good = read_function(*fields); !good) return std::unexpected(good.error());
    }
    if (header) {
      line_ = 1;
      return wrong("the header fn,direct,closure is missing");
    }
    return std::move(functions_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> wrong(const std::string& what) const {
    return fail(Code::kInvalid, "", file_ + ":" + std::to_string(line_) + ": " + what);
  }

  Result<std::vector<std::string>> split(std::string_view line) const {
    std::vector<std::string> fields(1);
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == ',') {
        fields.emplace_back();
      } else if (line[i] != '"') {
        fields.back() += line[i];
      } else {
        if (!fields.back().empty()) return wrong("a quote in the middle of a field");
        for (++i;; ++i) {
          if (i >= line.size()) return wrong("a quoted field does not end");
          if (line[i] == '"' && (i + 1 >= line.size() || line[i + 1] != '"')) break;
          if (line[i] == '"') ++i;
          fields.back() += line[i];
        }
        if (i + 1 < line.size() && line[i + 1] != ',') return wrong("text after a closing quote");
      }
    }
    return fields;
  }

  Result<> read_header(const std::vector<std::string>& fields) const {
    const std::vector<std::string> plain = {"fn", "direct", "closure"};
    std::vector<std::string> rated = plain;
    rated.emplace_back("rate");
    if (fields == plain || fields == rated) return {};
    return wrong("the header must be fn,direct,closure or fn,direct,closure,rate");
  }

  Result<std::vector<Package>> read_packages(std::string_view text) {
    std::vector<Package> out;
    while (!(text = trim(text)).empty()) {
      const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
      const std::string_view word = text.substr(0, end);
      text.remove_prefix(end);
      const std::size_t equals = word.find("==");
      const std::string_view name = word.substr(0, equals);
      const std::string_view version =
          equals == std::string_view::npos ? std::string_view() : word.substr(equals + 2);
      if (!is_valid_name(name) || version.empty() || version.size() > kMaxVersion ||
          version.find('=') != std::string_view::npos) {
        return wrong("'" + printable(word) + "' is not name==version");
      }
      out.push_back({normalise_name(name), std::string(version)});
      if (out.size() > kMaxClosure) return wrong("too many packages in one function");
    }
    std::ranges::sort(out);
    for (std::size_t i = 1; i < out.size(); ++i) {
      if (out[i] == out[i - 1]) return wrong(out[i].to_string() + " is given twice");
      if (out[i].name == out[i - 1].name) {
        return wrong("two versions of " + out[i].name + ": " + out[i - 1].version + " and " +
                     out[i].version);
      }
    }
    return out;
  }

  Result<> read_function(const std::vector<std::string>& fields) {
    Function function;
    function.name = std::string(trim(fields[0]));
    if (function.name.empty()) return wrong("a function without a name");
    if (!names_.insert(function.name).second) {
      return wrong("function '" + printable(function.name) + "' is given twice");
    }
    const auto direct = read_packages(fields[1]);
    if (!direct) return std::unexpected(direct.error());
    auto closure = read_packages(fields[2]);
    if (!closure) return std::unexpected(closure.error());
    for (const Package& package : *direct) {
      if (!std::ranges::binary_search(*closure, package)) {
        return wrong("the closure lacks " + package.to_string() + ", which is asked for directly");
      }
    }
    function.packages = std::move(*closure);
    packages_.insert(function.packages.begin(), function.packages.end());
    if (packages_.size() > kMaxPackages) {
      return wrong("more than " + std::to_string(kMaxPackages) + " different packages");
    }
    if (fields.size() > 3) {
      const std::string_view text = trim(fields[3]);
      const auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), function.rate);
      if (error != std::errc() || end != text.data() + text.size() ||
          !std::isfinite(function.rate) || function.rate < 0 || function.rate > kMaxRate) {
        return wrong("'" + printable(text) + "' is not a rate: a number from 0 to 1e12");
      }
    }
    functions_.push_back(std::move(function));
    if (functions_.size() > kMaxFunctions) {
      return wrong("more than " + std::to_string(kMaxFunctions) + " functions");
    }
    return {};
  }

  const std::string& file_;
  std::size_t line_ = 0;
  std::vector<Function> functions_;
  std::unordered_set<std::string> names_;
  std::set<Package> packages_;
};

}  // namespace

Result<std::vector<Function>> parse_functions(std::string_view text, const std::string& file) {
  return Reader(file).read(text);
}

}  // namespace sock::pkgcache
