#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sock::pkgcache {

/// What environment markers are evaluated against (PEP 508): the interpreter that runs the
/// handlers, Debian 12's CPython, not the one of whoever deploys.
struct MarkerEnvironment {
  std::string os_name = "posix";
  std::string sys_platform = "linux";
  std::string platform_system = "Linux";
  std::string platform_machine = "x86_64";
  std::string platform_release;  ///< the running kernel's
  std::string platform_version;  ///< the running kernel's
  std::string platform_python_implementation = "CPython";
  std::string implementation_name = "cpython";
  std::string implementation_version = "3.11.2";
  std::string python_version = "3.11";
  std::string python_full_version = "3.11.2";
};

/// The environment above with the kernel's fields from uname(2). Never changes.
[[nodiscard]] const MarkerEnvironment& target_environment();

/// An environment marker: the part of a requirement after ";". A default one is always true.
class Marker {
 public:
  /// Parentheses may nest 32 deep and a marker may hold 256 comparisons.
  [[nodiscard]] static Result<Marker> parse(std::string_view text);

  /// `extra` is the extra being asked for, "" for none; compared as a normalised name.
  /// Comparisons are by version when both sides are versions, else by text (PEP 508).
  [[nodiscard]] bool evaluate(std::string_view extra = "",
                              const MarkerEnvironment& environment = target_environment()) const;

  [[nodiscard]] bool empty() const { return program_.empty(); }
  [[nodiscard]] bool mentions_extra() const;

 private:
  struct Operand {
    bool variable = false;
    std::string text;  ///< the literal, or the variable's canonical name
  };
  /// One step of the marker in postfix order; comparisons push a truth value.
  struct Instruction {
    enum class Kind : std::uint8_t { kCompare, kAnd, kOr } kind = Kind::kCompare;
    Operand left;
    std::string op;
    Operand right;
  };
  class Parser;

  std::vector<Instruction> program_;
};

}  // namespace sock::pkgcache
