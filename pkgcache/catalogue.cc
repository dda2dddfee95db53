#include "pkgcache/catalogue.h"

#include <algorithm>
#include <expected>
#include <set>
#include <system_error>
#include <utility>

#include "pkgcache/closure.h"
#include "pkgcache/debian.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 50'000;

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "packages", std::move(message));
}

/// "numpy" for "numpy-1.24.2.egg-info": for metadata whose own name cannot be read.
std::string name_from_file(const fs::path& path) {
  const std::string stem = path.stem().string();
  const std::string name = stem.substr(0, stem.find('-'));
  return is_valid_name(name) ? normalise_name(name) : std::string();
}

const std::string& name_of(const Entry& entry) { return entry.package.name; }

}  // namespace

class Catalogue::Scanner {
 public:
  Result<> add_folder(const fs::path& folder) {
    std::error_code error;
    const fs::path absolute = fs::canonical(folder, error);
    fs::directory_iterator files(absolute, error);
    if (error) {
      return invalid("package folder " + folder.string() + ": " + error.message() +
                     "; name an existing folder");
    }
    std::vector<fs::path> metadata;
    ModuleNames importable;
    std::size_t count = 0;
    for (; files != fs::directory_iterator(); files.increment(error)) {
      if (++count > kMaxFiles) {
        return invalid("package folder " + folder.string() + " holds more than " +
                       std::to_string(kMaxFiles) + " files");
      }
      const fs::path& path = files->path();
      if (path.extension() == ".dist-info" || path.extension() == ".egg-info") {
        metadata.push_back(path);
        continue;
      }
      std::error_code ignored;
      std::string module =
          module_name_of(path.filename().string(), fs::is_directory(path, ignored));
      if (!module.empty()) importable.insert(std::move(module));
    }
    if (error) return invalid("package folder " + folder.string() + ": " + error.message());

    // Wheels first: where a package has both kinds of metadata the wheel's is more precise.
    std::ranges::sort(metadata, {}, [](const fs::path& path) {
      return std::pair(path.extension() != ".dist-info", path.string());
    });
    Names in_folder;
    for (const fs::path& path : metadata) read(path, importable, in_folder);
    finish_folder(in_folder);
    return {};
  }

  Catalogue finish(const fs::path& dpkg) {
    restore_debian(dpkg);
    Catalogue out;
    for (auto& [name, entry] : entries_) out.entries_.push_back(std::move(entry));
    out.problems_ = std::move(problems_);
    return out;
  }

 private:
  /// Package → what one folder has of it; usually one, two when kinds or versions differ.
  using Names = std::map<std::string, std::vector<Entry>>;

  void read(const fs::path& path, const ModuleNames& importable, Names& in_folder) {
    std::vector<std::string> skipped;
    auto entry = read_metadata(path, importable, skipped);
    if (!entry) {
      problems_.push_back({path, name_from_file(path), entry.error().describe()});
      return;
    }
    for (std::string& what : skipped) {
      problems_.push_back({path, entry->package.name, std::move(what) + " (left out)"});
    }
    in_folder[entry->package.name].push_back(std::move(*entry));
  }

  void finish_folder(Names& in_folder) {
    for (auto& [name, found] : in_folder) {
      if (entries_.contains(name) || shadowed_.contains(name)) continue;
      const auto other = std::ranges::find_if(
          found, [&](const Entry& e) { return e.version != found.front().version; });
      if (other == found.end()) {
        entries_.emplace(name, std::move(found.front()));
        continue;
      }
      // The first folder decides also when it decides against the package: Python would import
      // the code found there.
      shadowed_.insert(name);
      problems_.push_back({other->metadata, name,
                           "two versions are recorded, " + found.front().package.version + " and " +
                               other->package.version + "; remove the stale metadata"});
    }
  }

  void restore_debian(const fs::path& dpkg) {
    std::map<std::string, std::string> metadata;
    for (const auto& [name, entry] : entries_) metadata.emplace(entry.metadata.string(), name);
    auto dependencies = debian_dependencies(dpkg, metadata);
    if (!dependencies) {
      problems_.push_back(
          {dpkg, "",
           "dependencies recorded by Debian are unknown: " + dependencies.error().describe()});
      return;
    }
    for (const auto& [name, wanted] : *dependencies) {
      Entry& entry = entries_.at(name);
      // What the metadata still mentions is not what was removed from it: it is either there
      // already, or belongs to an extra that Debian merely chose to install along.
      std::set<std::string> mentioned;
      for (const auto& dependency : entry.dependencies) {
        mentioned.insert(dependency.requirement.name);
      }
      for (const std::string& package : wanted) {
        if (mentioned.contains(package)) continue;
        ConditionalRequirement restored;
        restored.requirement.name = package;
        restored.requirement.text = package;
        entry.dependencies.push_back(std::move(restored));
      }
    }
  }

  std::map<std::string, Entry> entries_;
  std::set<std::string> shadowed_;
  std::vector<Problem> problems_;
};

Result<Catalogue> Catalogue::scan(const std::vector<fs::path>& folders, const fs::path& dpkg) {
  Scanner scanner;
  for (const fs::path& folder : folders) {
    if (auto added = scanner.add_folder(folder); !added) return std::unexpected(added.error());
  }
  return scanner.finish(dpkg);
}

const Entry* Catalogue::find(std::string_view name) const {
  const std::string wanted = normalise_name(name);
  const auto found = std::ranges::lower_bound(entries_, wanted, {}, name_of);
  return found != entries_.end() && name_of(*found) == wanted ? &*found : nullptr;
}

Result<std::vector<Package>> Catalogue::resolve(
    const std::vector<Requirement>& requirements) const {
  const auto look_up = [&](const std::string& name) -> std::expected<Choice, std::string> {
    const Entry* const entry = find(name);
    if (entry != nullptr) return Choice{&entry->package, &entry->version, entry->dependencies};
    const auto problem = std::ranges::find(problems_, name, &Problem::package);
    if (problem == problems_.end()) {
      return std::unexpected("'" + name +
                             "' is not available; available packages: sockctl packages");
    }
    return std::unexpected("'" + name + "' is installed but cannot be used: " +
                           problem->path.string() + ": " + problem->reason);
  };
  return closure_of(requirements, {.find = look_up, .presence = "this host has"});
}

Catalogue Catalogue::preferring(std::vector<Entry> entries) const {
  Catalogue out = *this;
  for (Entry& entry : entries) {
    const auto same = std::ranges::find(out.entries_, entry.package.name, name_of);
    if (same != out.entries_.end()) {
      *same = std::move(entry);
    } else {
      out.entries_.push_back(std::move(entry));
    }
  }
  std::ranges::sort(out.entries_, {}, name_of);
  return out;
}

std::vector<std::string> Catalogue::modules_of(const std::vector<Package>& packages) const {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const Package& package : packages) {
    const Entry* const entry = find(package.name);
    if (entry == nullptr) continue;
    for (std::string& module : preloads_of(*entry)) {
      if (seen.insert(module).second) out.push_back(std::move(module));
    }
  }
  return out;
}

std::vector<std::string> Catalogue::preloads_of(const Entry& entry) const {
  const auto listed = preload_.find(entry.package.name);
  if (listed != preload_.end()) return listed->second;
  std::vector<std::string> out;
  std::ranges::copy_if(entry.modules, std::back_inserter(out), is_public_module);
  return out;
}

Result<> Catalogue::set_preload(std::string_view name, std::vector<std::string> modules) {
  if (!is_valid_name(name)) return invalid("'" + printable(name) + "' is not a package name");
  for (const std::string& module : modules) {
    if (!is_module_name(module)) {
      return invalid("preload of " + normalise_name(name) + ": '" + printable(module) +
                     "' is not a module name such as PIL.Image");
    }
  }
  preload_.insert_or_assign(normalise_name(name), std::move(modules));
  return {};
}

}  // namespace sock::pkgcache
