#include "pkgcache/marker.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "pkgcache/package.h"
#include "pkgcache/specifier.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxInstructions = 512;

struct Variable {
  std::string_view name;
  std::string MarkerEnvironment::*field;
};

constexpr std::array<Variable, 17> kVariables = {{
    {"os_name", &MarkerEnvironment::os_name},
    {"sys_platform", &MarkerEnvironment::sys_platform},
    {"platform_system", &MarkerEnvironment::platform_system},
    {"platform_machine", &MarkerEnvironment::platform_machine},
    {"platform_release", &MarkerEnvironment::platform_release},
    {"platform_version", &MarkerEnvironment::platform_version},
    {"platform_python_implementation", &MarkerEnvironment::platform_python_implementation},
    {"implementation_name", &MarkerEnvironment::implementation_name},
    {"implementation_version", &MarkerEnvironment::implementation_version},
    {"python_version", &MarkerEnvironment::python_version},
    {"python_full_version", &MarkerEnvironment::python_full_version},
    // Spellings from before PEP 508 that setuptools still writes.
    {"os.name", &MarkerEnvironment::os_name},
    {"sys.platform", &MarkerEnvironment::sys_platform},
    {"platform.version", &MarkerEnvironment::platform_version},
    {"platform.machine", &MarkerEnvironment::platform_machine},
    {"platform.python_implementation", &MarkerEnvironment::platform_python_implementation},
    {"python_implementation", &MarkerEnvironment::platform_python_implementation},
}};

const Variable* find_variable(std::string_view name) {
  const auto* const found = std::ranges::find(kVariables, name, &Variable::name);
  return found == kVariables.end() ? nullptr : found;
}

bool compare_text(std::string_view left, std::string_view op, std::string_view right) {
  if (op == "==" || op == "===") return left == right;
  if (op == "!=") return left != right;
  if (op == "<") return left < right;
  if (op == "<=") return left <= right;
  if (op == ">") return left > right;
  if (op == ">=") return left >= right;
  return false;  // "~=" has a meaning for versions only
}

}  // namespace

const MarkerEnvironment& target_environment() {
  static const MarkerEnvironment environment = [] {
    MarkerEnvironment out;
    utsname kernel{};
    if (::uname(&kernel) == 0) {
      out.platform_release = kernel.release;
      out.platform_version = kernel.version;
    }
    return out;
  }();
  return environment;
}

/// marker := and ("or" and)*, and := item ("and" item)*, item := "(" marker ")" | comparison.
class Marker::Parser {
 public:
  Parser(std::string_view text, Marker& marker) : rest_(text), marker_(marker) {}

  /// Empty on success, else what is wrong.
  std::string parse() {
    if (parse_or(0) && error_.empty()) {
      skip();
      if (!rest_.empty()) error_ = "unexpected '" + printable(rest_) + "'";
    }
    return error_;
  }

 private:
  void skip() { rest_ = trim(rest_); }

  bool refuse(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }

  /// A keyword that ends where a name ends ("order" does not start with "or").
  bool take_word(std::string_view word) {
    skip();
    if (!rest_.starts_with(word)) return false;
    if (rest_.size() > word.size() && (is_alnum(rest_[word.size()]) || rest_[word.size()] == '_')) {
      return false;
    }
    rest_.remove_prefix(word.size());
    return true;
  }

  bool emit(Instruction instruction) {
    if (marker_.program_.size() == kMaxInstructions) return refuse("too many comparisons");
    marker_.program_.push_back(std::move(instruction));
    return true;
  }

  bool parse_or(int depth) {
    if (!parse_and(depth)) return false;
    while (take_word("or")) {
      if (!parse_and(depth) || !emit({Instruction::Kind::kOr, {}, {}, {}})) return false;
    }
    return true;
  }

  bool parse_and(int depth) {
    if (!parse_item(depth)) return false;
    while (take_word("and")) {
      if (!parse_item(depth) || !emit({Instruction::Kind::kAnd, {}, {}, {}})) return false;
    }
    return true;
  }

  bool parse_item(int depth) {
    skip();
    if (rest_.starts_with('(')) {
      if (depth == kMaxDepth) return refuse("parentheses nest too deep");
      rest_.remove_prefix(1);
      if (!parse_or(depth + 1)) return false;
      skip();
      if (!rest_.starts_with(')')) return refuse("')' is missing");
      rest_.remove_prefix(1);
      return true;
    }
    Instruction comparison;
    if (!parse_operand(comparison.left) || !parse_operator(comparison.op) ||
        !parse_operand(comparison.right)) {
      return false;
    }
    if (comparison.op == "~=" && !comparison.right.variable &&
        !Specifier::parse("~=" + comparison.right.text)) {
      return refuse("'~=' wants a version with at least two numbers");
    }
    return emit(std::move(comparison));
  }

  bool parse_operand(Operand& operand) {
    skip();
    if (rest_.empty()) return refuse("it ends too early");
    const char quote = rest_.front();
    if (quote == '"' || quote == '\'') {
      const std::size_t end = rest_.find(quote, 1);
      if (end == std::string_view::npos) return refuse("a quote is not closed");
      operand.text = rest_.substr(1, end - 1);
      rest_.remove_prefix(end + 1);
      return true;
    }
    std::size_t length = 0;
    while (length < rest_.size() &&
           (is_alnum(rest_[length]) || rest_[length] == '_' || rest_[length] == '.')) {
      ++length;
    }
    const std::string_view name = rest_.substr(0, length);
    if (name != "extra" && find_variable(name) == nullptr) {
      return refuse("unknown variable '" + printable(name.empty() ? rest_ : name) + "'");
    }
    operand.variable = true;
    operand.text = name;
    rest_.remove_prefix(length);
    return true;
  }

  bool parse_operator(std::string& op) {
    skip();
    for (const std::string_view symbol : {"===", "==", "!=", "~=", "<=", ">=", "<", ">"}) {
      if (rest_.starts_with(symbol)) {
        op = symbol;
        rest_.remove_prefix(symbol.size());
        return true;
      }
    }
    if (take_word("in")) {
      op = "in";
      return true;
    }
    if (take_word("not") && take_word("in")) {
      op = "not in";
      return true;
    }
    return refuse("a comparison (==, !=, <, <=, >, >=, ~=, in, not in) is missing");
  }

  std::string_view rest_;
  Marker& marker_;
  std::string error_;
};

Result<Marker> Marker::parse(std::string_view text) {
  Marker marker;
  if (const std::string why = Parser(text, marker).parse(); !why.empty()) {
    return fail(Code::kInvalid, "marker",
                "'" + printable(trim(text)) + "' is not an environment marker: " + why);
  }
  return marker;
}

bool Marker::evaluate(std::string_view extra, const MarkerEnvironment& environment) const {
  const auto value = [&](const Operand& operand) -> std::string {
    if (!operand.variable) return operand.text;
    const Variable* const variable = find_variable(operand.text);
    return variable == nullptr ? std::string(extra) : environment.*(variable->field);
  };
  const auto is_extra = [](const Operand& o) { return o.variable && o.text == "extra"; };
  const auto compare = [&](const Instruction& comparison) {
    std::string left = value(comparison.left);
    std::string right = value(comparison.right);
    const bool names = is_extra(comparison.left) || is_extra(comparison.right);
    if (names) {
      left = normalise_name(left);
      right = normalise_name(right);
    }
    if (comparison.op == "in") return right.contains(left);
    if (comparison.op == "not in") return !right.contains(left);
    if (!names) {
      const auto specifier = Specifier::parse(comparison.op + right);
      const auto version = Version::parse(left);
      if (specifier && version) return specifier->contains(*version);
    }
    return compare_text(left, comparison.op, right);
  };

  if (program_.empty()) return true;
  std::vector<bool> stack;
  for (const Instruction& instruction : program_) {
    if (instruction.kind == Instruction::Kind::kCompare) {
      stack.push_back(compare(instruction));
      continue;
    }
    const bool right = stack.back();
    stack.pop_back();
    const bool left = stack.back();
    stack.back() = instruction.kind == Instruction::Kind::kAnd ? left && right : left || right;
  }
  return stack.back();
}

bool Marker::mentions_extra() const {
  return std::ranges::any_of(program_, [](const Instruction& i) {
    return (i.left.variable && i.left.text == "extra") ||
           (i.right.variable && i.right.text == "extra");
  });
}

}  // namespace sock::pkgcache
