#include "pkgcache/profile/vet.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace sock::pkgcache {

namespace {

/// Reasons come in this order: those first that make a zygote fail its audit (zygote/audit.h).
struct Rule {
  std::string_view kind;
  std::string_view reason;  ///< "%" stands for what was changed
};
constexpr std::array kRules = std::to_array<Rule>({
    {"descriptor", "leaves % open"},
    {"shared memory", "maps % as writable shared memory"},
    {"timer", "leaves the % timer running"},
    {"signal", "changes what % does"},
    {"environment", "changes the environment variable %"},
    {"working folder", "changes the working folder to %"},
    {"umask", "changes the umask to %"},
    {"limit", "changes the resource limit %"},
    {"locale", "changes the locale to %"},
    {"interpreter", "changes the interpreter's setting %"},
    {"search path", "changes % in sys.path"},
    {"import hook", "changes the import hook %"},
    {"builtin", "changes the builtin %"},
    {"patch", "replaces % in the standard library"},
});

/// Variables that numeric libraries and Qt read for themselves, and which packages set for them on
/// import (scikit-learn: KMP_DUPLICATE_LIB_OK, KMP_INIT_AT_FORK; opencv-python: QT_QPA_FONTDIR).
/// They mean nothing to anybody else, and a function's own setting still wins. Variables that steer
/// other programs (PATH, LD_LIBRARY_PATH, PYTHON…) would reach whatever a function starts.
constexpr std::array<std::string_view, 6> kHarmlessVariables = {"KMP_",      "OMP_",     "MKL_",
                                                                "OPENBLAS_", "NUMEXPR_", "QT_QPA_"};

/// They answer for modules of their own package alone: six.moves (in six, and the copies of it in
/// dateutil, botocore and urllib3), what setuptools brings with it, and the metadata of installed
/// packages (importlib_metadata).
constexpr std::array<std::string_view, 3> kHarmlessHooks = {"_SixMetaPathImporter",
                                                            "VendorImporter", "MetadataPathFinder"};

/// Every extension that Cython 0.29 made (pandas, …) puts a function there which also knows
/// Cython's own generators.
constexpr std::array<std::string_view, 1> kHarmlessPatches = {"inspect.isgenerator"};

/// Extensions that pybind11 made (contourpy, and with it matplotlib) share their types through a
/// capsule of that name; only others of that kind look for it.
constexpr std::string_view kHarmlessBuiltin = "__pybind11_internals_v";

bool is_harmless(const Change& change) {
  if (change.kind == "builtin") return change.what.starts_with(kHarmlessBuiltin);
  if (change.kind == "environment") {
    return std::ranges::any_of(kHarmlessVariables,
                               [&](auto prefix) { return change.what.starts_with(prefix); });
  }
  if (change.kind == "import hook") {
    return std::ranges::find(kHarmlessHooks, change.what) != kHarmlessHooks.end();
  }
  return change.kind == "patch" &&
         std::ranges::find(kHarmlessPatches, change.what) != kHarmlessPatches.end();
}

bool is_counted(const Change& change) { return change.kind == "thread" || change.kind == "child"; }

std::string counted(std::size_t count, std::string_view one, std::string_view more) {
  return "leaves " + (count == 1 ? std::string(one) : std::to_string(count) + std::string(more)) +
         " running";
}

std::string told(const Rule& rule, const std::string& what) {
  if (rule.kind == "descriptor" && what.starts_with("socket:")) return "leaves a socket open";
  if (rule.kind == "descriptor" &&
      std::ranges::all_of(what, [](char c) { return c >= '0' && c <= '9'; })) {
    return "closes descriptor " + in_quotes(what) + ", which is not its own";
  }
  const auto gap = rule.reason.find('%');
  return std::string(rule.reason.substr(0, gap)) + in_quotes(what) +
         std::string(rule.reason.substr(gap + 1));
}

}  // namespace

std::vector<std::string> vet(std::span<const Change> changes) {
  std::vector<std::string> reasons;
  const auto add = [&](std::string reason) {
    if (std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(std::move(reason));
  };
  const auto count = [&](std::string_view kind) {
    return static_cast<std::size_t>(std::ranges::count(changes, kind, &Change::kind));
  };
  if (const auto threads = count("thread"); threads > 0) {
    add(counted(threads, "a thread", " threads"));
  }
  if (const auto children = count("child"); children > 0) {
    add(counted(children, "a child process", " child processes"));
  }
  for (const Rule& rule : kRules) {
    for (const Change& change : changes) {
      if (change.kind == rule.kind && !is_harmless(change)) add(told(rule, change.what));
    }
  }
  for (const Change& change : changes) {
    if (!is_counted(change) &&
        std::ranges::find(kRules, change.kind, &Rule::kind) == kRules.end()) {
      add("changes " + in_quotes(change.kind) + ": " + in_quotes(change.what));
    }
  }
  return reasons;
}

}  // namespace sock::pkgcache
