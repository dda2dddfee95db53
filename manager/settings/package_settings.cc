#include "manager/settings/package_settings.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "manager/functions/network.h"
#include "pkgcache/requirement.h"

namespace sock::manager {
namespace {

/// Folders that one sandbox can be shown (sandbox/keeper.h).
constexpr std::size_t kMostFolders = 4;
constexpr std::size_t kMostOptions = 64;
constexpr Range<std::uint64_t> kInstallMemoryRange{128ULL << 20, 64ULL << 30};
constexpr Range<Millis> kInstallTimeoutRange{Millis(1'000), Millis(3'600'000)};
constexpr Range<Millis> kKeepRange{Millis(0), Millis(1000LL * 3600 * 24 * 365)};

std::optional<std::string> url_problem(std::string_view url) {
  const bool known = url.starts_with("https://") || url.starts_with("http://");
  if (known && !has_controls(url) && url.find(' ') == std::string_view::npos) return std::nullopt;
  return "must be an http:// or https:// address, not " + in_quotes(url);
}

void read_folders(OptionReader& in, Config::Packages& packages) {
  const auto folders = in.one_or_more("find_links");
  if (!folders) return;
  if (folders->size() > kMostFolders) {
    return in.refuse("find_links", "must be at most " + std::to_string(kMostFolders) +
                                       " folders, not " + std::to_string(folders->size()));
  }
  packages.find_links.clear();
  for (const std::string& folder : *folders) {
    if (!folder.starts_with('/') || has_controls(folder)) {
      return in.refuse("find_links",
                       "must be folders of this host, by absolute paths, not " + in_quotes(folder));
    }
    packages.find_links.emplace_back(folder);
  }
}

void read_indexes(OptionReader& in, Config::Packages& packages) {
  in.text("index_url", packages.index_url);
  if (!packages.index_url.empty()) {
    if (const auto why = url_problem(packages.index_url)) return in.refuse("index_url", *why);
  }
  if (auto urls = in.one_or_more("extra_index_urls")) {
    for (const std::string& url : *urls) {
      if (const auto why = url_problem(url)) return in.refuse("extra_index_urls", *why);
    }
    if (packages.index_url.empty() && !urls->empty()) {
      return in.refuse("extra_index_urls", "needs index_url, too");
    }
    packages.extra_index_urls = std::move(*urls);
  }
  if (auto allow = read_egress(in, "allow")) packages.allow = std::move(*allow);
}

}  // namespace

void read_package_sources(OptionReader& in, Config::Packages& packages) {
  read_folders(in, packages);
  read_indexes(in, packages);
  if (auto options = in.one_or_more("pip_options")) {
    for (const std::string& option : *options) {
      if (!option.starts_with('-') || has_controls(option) || options->size() > kMostOptions) {
        return in.refuse("pip_options",
                         "must be options of pip such as \"--pre\", not " + in_quotes(option));
      }
    }
    packages.pip_options = std::move(*options);
  }
  in.flag("sdists", packages.sdists);
  in.size("memory", packages.memory_bytes, kInstallMemoryRange);
  in.duration("timeout", packages.timeout, kInstallTimeoutRange);
  in.duration("keep_unused", packages.keep_unused, kKeepRange);
}

void read_sets(OptionReader& in, std::vector<std::vector<std::string>>& sets) {
  const boost::json::value* value = in.take("sets");
  if (value == nullptr) return;
  if (!value->is_array()) return in.refuse("sets", "must be a list of lists of packages");
  sets.clear();
  for (const boost::json::value& set : value->get_array()) {
    auto lines = in.string_list("sets", set);
    if (!lines) return;
    if (lines->empty()) return in.refuse("sets", "a set must name at least one package");
    for (const std::string& line : *lines) {
      if (const auto parsed = pkgcache::parse_requirement(line); !parsed) {
        return in.refuse("sets", in_quotes(line) + " is not a package's name, nor NAME==VERSION: " +
                                     parsed.error().message);
      }
    }
    sets.push_back(std::move(*lines));
  }
}

}  // namespace sock::manager
