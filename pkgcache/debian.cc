#include "pkgcache/debian.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "pkgcache/text.h"
#include "pkgcache/version.h"

namespace sock::pkgcache {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxStatus = 64 << 20;  // a desktop's is about 5 MB
constexpr std::size_t kMaxList = 16 << 20;
constexpr std::string_view kInterpreterVersion = "3.11.2";

/// One installed Debian package.
struct Installed {
  std::string architecture;
  std::string depends;
};

struct Database {
  std::map<std::string, Installed, std::less<>> packages;
  std::map<std::string, std::string, std::less<>> provided_by;  ///< virtual name → package
};

/// The name in "python3-numpy:any (>= 1:1.22) [amd64]".
std::string_view bare_name(std::string_view relation) {
  relation = trim(relation);
  return relation.substr(0, relation.find_first_of(" :([<"));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const std::size_t end = text.find(separator);
    if (!trim(text).empty()) out.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

Database parse_status(std::string_view text) {
  Database out;
  std::map<std::string, std::string, std::less<>> fields;
  const auto finish = [&] {
    if (fields["Status"].ends_with(" installed") && !fields["Package"].empty()) {
      for (const std::string_view name : split(fields["Provides"], ',')) {
        out.provided_by.emplace(bare_name(name), fields["Package"]);
      }
      const std::string depends = fields["Pre-Depends"] + "," + fields["Depends"];
      out.packages.insert_or_assign(fields["Package"], Installed{fields["Architecture"], depends});
    }
    fields.clear();
  };
  for (const std::string_view line : split_lines(text)) {
    if (line.empty()) {
      finish();
      continue;
    }
    // Fields of more than one line (descriptions, file lists) are of no interest.
    const std::size_t colon = line.find(':');
    if (is_space(line.front()) || colon == std::string_view::npos) continue;
    const std::string_view field = line.substr(0, colon);
    if (field == "Package" || field == "Status" || field == "Architecture" || field == "Depends" ||
        field == "Pre-Depends" || field == "Provides") {
      fields.insert_or_assign(std::string(field), std::string(trim(line.substr(colon + 1))));
    }
  }
  finish();
  return out;
}

/// "python3", "python3:any", "python3 (>> 3.8)": does our interpreter satisfy it?
bool is_satisfied_interpreter(std::string_view relation) {
  if (bare_name(relation) != "python3") return false;
  const std::size_t open = relation.find('(');
  if (open == std::string_view::npos) return true;
  const std::string_view constraint =
      trim(relation.substr(open + 1, relation.find(')', open) - open - 1));
  const std::size_t digit = constraint.find_first_of("0123456789");
  if (digit == std::string_view::npos) return false;
  const std::string_view op = trim(constraint.substr(0, digit));
  std::string_view wanted = constraint.substr(digit);
  wanted = wanted.substr(0, wanted.find_first_not_of("0123456789."));  // "3.11~", "3.9.0-1"
  const auto ours = Version::parse(kInterpreterVersion);
  const auto theirs = Version::parse(wanted);
  if (!ours || !theirs) return false;
  if (op == "<<") return *ours < *theirs;
  if (op == "<=") return *ours <= *theirs;
  if (op == "=") return *ours == *theirs;
  if (op == ">=") return *ours >= *theirs;
  if (op == ">>") return *ours > *theirs;
  return false;
}

bool is_library(std::string_view name) { return name.starts_with("python3-"); }

/// The Debian packages of Python libraries that `package` depends on.
std::vector<std::string> library_depends(const Database& database, const Installed& package) {
  std::vector<std::string> out;
  for (const std::string_view group : split(package.depends, ',')) {
    const auto choices = split(group, '|');
    if (std::ranges::any_of(choices, is_satisfied_interpreter)) continue;
    std::string_view library;
    bool choice = false;
    for (const std::string_view relation : choices) {
      const std::string_view name = bare_name(relation);
      if (!is_library(name)) continue;
      choice = choice || (!library.empty() && library != name);
      library = name;
    }
    if (library.empty() || choice) continue;
    if (database.packages.contains(library)) {
      out.emplace_back(library);
    } else if (const auto real = database.provided_by.find(library);
               real != database.provided_by.end()) {
      out.push_back(real->second);
    }
  }
  return out;
}

/// The names from `metadata` whose files the Debian package installed.
Result<std::vector<std::string>> owned_names(const fs::path& dpkg, const std::string& name,
                                             const Installed& package,
                                             const std::map<std::string, std::string>& metadata) {
  std::error_code error;
  fs::path list = dpkg / "info" / (name + ".list");
  if (!fs::is_regular_file(list, error)) {  // "Multi-Arch: same" packages
    list = dpkg / "info" / (name + ":" + package.architecture + ".list");
    if (!fs::is_regular_file(list, error)) return std::vector<std::string>{};
  }
  auto text = read_file(AT_FDCWD, list.string(), kMaxList);
  if (!text) return std::unexpected(text.error());
  std::vector<std::string> out;
  for (const std::string_view line : split_lines(*text)) {
    if (!line.ends_with(".dist-info") && !line.ends_with(".egg-info")) continue;
    const auto found = metadata.find(std::string(line));
    if (found != metadata.end()) out.push_back(found->second);
  }
  return out;
}

}  // namespace

Result<std::map<std::string, std::vector<std::string>>> debian_dependencies(
    const fs::path& dpkg, const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::vector<std::string>> out;
  std::error_code error;
  if (metadata.empty() || !fs::is_regular_file(dpkg / "status", error)) return out;
  auto status = read_file(AT_FDCWD, (dpkg / "status").string(), kMaxStatus);
  if (!status) return std::unexpected(status.error());
  const Database database = parse_status(*status);

  std::map<std::string, std::vector<std::string>> owned;
  for (const auto& [name, package] : database.packages) {
    // A program such as yq may carry metadata too: its Debian package can have any name, but
    // depends on the interpreter. The others' file lists need not be read.
    if (!is_library(name) && !package.depends.contains("python3")) continue;
    auto names = owned_names(dpkg, name, package, metadata);
    if (!names) return std::unexpected(names.error());
    if (!names->empty()) owned.emplace(name, std::move(*names));
  }

  for (const auto& [debian, names] : owned) {
    std::set<std::string> found;
    std::set<std::string> seen = {debian};
    std::vector<std::string> todo = {debian};
    while (!todo.empty()) {
      const std::string current = std::move(todo.back());
      todo.pop_back();
      const auto package = database.packages.find(current);
      if (package == database.packages.end()) continue;
      for (std::string& library : library_depends(database, package->second)) {
        if (!seen.insert(library).second) continue;
        const auto reached = owned.find(library);
        if (reached != owned.end()) {
          found.insert(reached->second.begin(), reached->second.end());
        } else {
          todo.push_back(std::move(library));
        }
      }
    }
    for (const std::string& name : names) {
      auto& dependencies = out[name];
      for (const std::string& dependency : found) {
        if (dependency != name) dependencies.push_back(dependency);
      }
    }
  }
  for (auto& [name, dependencies] : out) {
    std::ranges::sort(dependencies);
    const auto repeated = std::ranges::unique(dependencies);
    dependencies.erase(repeated.begin(), repeated.end());
  }
  return out;
}

}  // namespace sock::pkgcache
