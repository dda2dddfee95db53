#include "pkgcache/profile/profile_book.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace sock::pkgcache {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = 1 << 20;
constexpr std::size_t kLongestName = 250;
constexpr std::string_view kSuffix = ".json";

/// The package's key with whatever is unusual in a version as %XX.
std::string file_name(const Package& package) {
  constexpr std::string_view kUsual =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+!=#";
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name;
  for (const char c : package.key()) {
    if (kUsual.contains(c)) {
      name += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      name += {'%', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
    }
  }
  return name.append(kSuffix);
}

Result<Profile> load(const fs::path& path) {
  const auto text = read_file(AT_FDCWD, path.native(), kLargestFile);
  if (!text) return std::unexpected(text.error());
  auto profile = profile_from_json(*text);
  if (profile && file_name(profile->package) != path.filename()) {
    return fail(Code::kInvalid, "profile", "it is another package's");
  }
  return profile;
}

Result<> remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno("unlink", path.native());
  return {};
}

}  // namespace

Result<ProfileBook::Opened> ProfileBook::open(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST) {
    return fail_errno("mkdir", folder.native());
  }
  Opened opened{.book = std::unique_ptr<ProfileBook>(new ProfileBook(folder)), .problems = {}};
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    auto profile = load(i->path());
    if (profile) {
      opened.book->profiles_.insert_or_assign(profile->package, std::move(*profile));
      continue;
    }
    opened.problems.push_back("removed " + in_quotes(i->path().native()) + ": " +
                              profile.error().describe());
    std::error_code stays;
    fs::remove_all(i->path(), stays);
    if (stays) return fail_errno("remove", i->path().native(), stays.value());
  }
  if (error) return fail_errno("list", folder.native(), error.value());
  return opened;
}

std::optional<Profile> ProfileBook::find(const Package& package) const {
  const std::lock_guard lock(mutex_);
  const auto found = profiles_.find(package);
  if (found == profiles_.end()) return std::nullopt;
  return found->second;
}

std::vector<Profile> ProfileBook::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Profile> out;
  out.reserve(profiles_.size());
  for (const auto& [package, profile] : profiles_) out.push_back(profile);
  return out;
}

Result<> ProfileBook::put(Profile profile) {
  const std::string name = file_name(profile.package);
  if (name.size() > kLongestName) {
    return fail(Code::kInvalid, "profile",
                "the name and version of " + in_quotes(profile.package.to_string()) +
                    " are too long for a file's name");
  }
  const std::string text = boost::json::serialize(to_json(profile));
  // What could not be read again must not be written.
  if (auto readable = profile_from_json(text); !readable) {
    return std::unexpected(readable.error());
  }
  const std::lock_guard writing(writing_);
  if (auto written = replace_file(folder_ / name, text, 0600); !written) return written;
  const std::lock_guard lock(mutex_);
  Package package = profile.package;
  profiles_.insert_or_assign(std::move(package), std::move(profile));
  return {};
}

std::vector<Package> ProfileBook::missing(std::span<const Package> packages,
                                          std::string_view interpreter) const {
  const std::lock_guard lock(mutex_);
  std::vector<Package> out;
  for (const Package& package : packages) {
    const auto found = profiles_.find(package);
    if (found == profiles_.end() || found->second.interpreter != interpreter) {
      out.push_back(package);
    }
  }
  return out;
}

std::vector<std::string> ProfileBook::quarantined(std::span<const Package> packages) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const Package& package : packages) {
    const auto found = profiles_.find(package);
    if (found == profiles_.end()) continue;
    for (const std::string& reason : found->second.reasons) {
      out.push_back(package.to_string() + " " + reason);
    }
  }
  return out;
}

std::map<Package, MeasuredCost> ProfileBook::costs() const {
  constexpr double kMiB = 1 << 20;
  const std::lock_guard lock(mutex_);
  std::map<Package, MeasuredCost> out;
  for (const auto& [package, profile] : profiles_) {
    if (profile.verdict != Verdict::kVetted) continue;
    out.emplace(package, MeasuredCost{.ms = profile.ms,
                                      .mb = static_cast<double>(profile.private_bytes) / kMiB,
                                      .vmas = static_cast<double>(profile.vmas)});
  }
  return out;
}

Result<> ProfileBook::retain(std::span<const Package> packages) {
  std::vector<Package> kept(packages.begin(), packages.end());
  std::ranges::sort(kept);
  const std::lock_guard writing(writing_);
  std::vector<Package> dropped;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [package, profile] : profiles_) {
      if (!std::ranges::binary_search(kept, package)) dropped.push_back(package);
    }
  }
  for (const Package& package : dropped) {
    if (auto removed = remove_file(folder_ / file_name(package)); !removed) return removed;
    const std::lock_guard lock(mutex_);
    profiles_.erase(package);
  }
  return {};
}

}  // namespace sock::pkgcache
