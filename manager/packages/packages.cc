#include "manager/packages/packages.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "manager/functions/function_options.h"
#include "pkgcache/adapt/fit_world.h"
#include "pkgcache/requirement.h"

namespace sock::manager {

namespace asio = boost::asio;
using pkgcache::Package;

namespace {

std::vector<std::string> host_folders(const Config& config) {
  std::vector<std::string> folders;
  for (const auto& folder : config.packages.folders) folders.push_back(folder.string());
  return folders;
}

/// Deploys whose packages are being installed, or wait for their turn.
constexpr unsigned kMostInstallations = 32;

std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text.append(line).push_back('\n');
  return text;
}

InstallerOptions installer_options(const Config& config) {
  const Config::Packages& packages = config.packages;
  InstallerOptions options;
  options.find_links = packages.find_links;
  options.index_url = packages.index_url;
  options.extra_index_urls = packages.extra_index_urls;
  options.extra_options = packages.pip_options;
  options.allow_sdists = packages.sdists;
  options.egress = packages.allow;
  options.limits.memory_bytes = packages.memory_bytes;
  options.limits.tmp_bytes = packages.memory_bytes;
  options.timeout = packages.timeout;
  return options;
}

}  // namespace

Packages::Packages(const Config& config, pkgcache::Catalogue catalogue,
                   std::unique_ptr<pkgcache::Store> store,
                   std::unique_ptr<pkgcache::ProfileBook> book, WarmList warm)
    : config_(config),
      catalogue_(std::move(catalogue)),
      store_(std::move(store)),
      book_(std::move(book)),
      paths_({"/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload"}, host_folders(config)),
      library_(catalogue_, *store_, paths_),
      warm_(std::move(warm)) {}

Result<std::unique_ptr<Packages>> Packages::open(const Config& config) {
  auto catalogue = pkgcache::Catalogue::scan(config.packages.folders);
  if (!catalogue) return std::unexpected(catalogue.error());
  for (const auto& problem : catalogue->problems()) {
    spdlog::debug("package {}: {}", problem.path.string(), problem.reason);
  }
  for (const auto& [name, modules] : config.packages.preload) {
    if (auto set = catalogue->set_preload(name, modules); !set) return std::unexpected(set.error());
  }
  auto store = pkgcache::Store::open(config.state_dir / "store");
  if (!store) return std::unexpected(store.error());
  for (const auto& problem : store->problems) spdlog::warn("store: {}", problem);
  auto book = pkgcache::ProfileBook::open(config.state_dir / "store" / "profiles");
  if (!book) return std::unexpected(book.error());
  for (const auto& problem : book->problems) spdlog::warn("profiles: {}", problem);
  auto warm = WarmList::open(config.state_dir / "warm.json");
  if (!warm.problem.empty()) spdlog::warn("warm sets: {}", warm.problem);
  return std::unique_ptr<Packages>(new Packages(config, std::move(*catalogue),
                                                std::move(store->store), std::move(book->book),
                                                std::move(warm.list)));
}

Result<> Packages::begin(JobRunner& jobs, Worker& disk, Background& background,
                         std::function<void()> on_change) {
  disk_ = &disk;
  background_ = &background;
  on_change_ = std::move(on_change);
  InstallerOptions options = installer_options(config_);
  options.host = &catalogue_;
  auto installer = Installer::create(std::move(options), config_.state_dir / "store" / "wheels",
                                     jobs, *store_, disk);
  if (!installer) return std::unexpected(installer.error());
  installer_ = std::move(*installer);
  measurer_.emplace(background, jobs, disk, library_, *book_, [this] { on_change_(); });
  measure_all();
  return {};
}

asio::awaitable<Result<Packages::Closure>> Packages::resolve(
    std::vector<std::string> requirements, std::optional<std::string> requirements_txt) {
  // The file itself where it is what counts: errors then name its own line numbers.
  const bool is_file = requirements_txt && requirement_lines(*requirements_txt) == requirements;
  auto parsed = pkgcache::parse_requirements(is_file ? *requirements_txt : text_of(requirements));
  if (!parsed) co_return std::unexpected(parsed.error());
  const bool wheels = pkgcache::needs_wheels(*parsed);
  auto found = catalogue_.resolve(*parsed);
  if (found && !wheels) co_return Closure{std::move(*found), nullptr};
  if (!installer_ || !installer_->configured()) {
    Error error = wheels ? Error{Code::kInvalid, "requirements", 0,
                                 "they have hashes, which only wheels can match"}
                         : found.error();
    error.message += "; where wheels are to be had, say so in sockd.toml: [packages] find_links";
    co_return std::unexpected(std::move(error));
  }
  if (installing_ >= kMostInstallations) {
    co_return fail(Code::kRejected, "packages",
                   "too many deploys wait for their packages; try again later");
  }
  ++installing_;
  auto installed = co_await installer_->ensure(std::move(*parsed));
  --installing_;
  if (!installed) co_return std::unexpected(installed.error());
  co_return Closure{std::move(installed->packages), std::move(installed->pin)};
}

Result<std::vector<Package>> Packages::find(const std::vector<std::string>& requirements) const {
  const auto parsed = pkgcache::parse_requirements(text_of(requirements));
  if (!parsed) return std::unexpected(parsed.error());
  // What a function has: only a zygote with just that is of use to it.
  for (const auto& function : functions_) {
    auto part = part_of(function->spec.packages, *parsed);
    if (!part.empty()) return part;
  }
  std::vector<pkgcache::Entry> entries;
  for (const auto& stored : store_->list()) {
    const auto wanted =
        std::ranges::find(*parsed, stored->package().name, &pkgcache::Requirement::name);
    if (wanted != parsed->end() && !wanted->specifiers.contains(stored->entry.version)) continue;
    const auto same = std::ranges::find_if(entries, [&](const pkgcache::Entry& entry) {
      return entry.package.name == stored->package().name;
    });
    if (same == entries.end()) {
      entries.push_back(stored->entry);
    } else if (same->version < stored->entry.version) {
      *same = stored->entry;
    }
  }
  return catalogue_.preferring(std::move(entries)).resolve(*parsed);
}

/// The packages of a closure that satisfy the requirements, and what they need; empty when some
/// requirement is not satisfied.
std::vector<Package> Packages::part_of(
    const std::vector<Package>& closure,
    const std::vector<pkgcache::Requirement>& requirements) const {
  std::set<Package> part;
  for (const auto& requirement : requirements) {
    const auto found = std::ranges::find(closure, requirement.name, &Package::name);
    if (found == closure.end()) return {};
    const auto entry = library_.find(*found);
    if (!entry || !requirement.specifiers.contains(entry->version)) return {};
    part.insert(*found);
    const auto needs = library_.needs_of(*found, closure);
    part.insert(needs.begin(), needs.end());
  }
  return {part.begin(), part.end()};
}

void Packages::adopt(std::vector<std::shared_ptr<const Function>> functions) {
  functions_ = std::move(functions);
  users_.clear();
  for (const auto& function : functions_) {
    for (const Package& package : function->spec.packages) ++users_[package];
  }
  measure_all();
}

void Packages::measure_all() {
  if (!measurer_) return;
  const auto want = [this](const std::vector<Package>& closure) {
    if (auto pin = store_->pin(closure)) measurer_->want(closure, std::move(*pin));
  };
  for (const auto& set : pinned_sets()) want(set);
  for (const auto& function : functions_) want(function->spec.packages);
}

void Packages::hold(std::span<const Package> packages) {
  std::vector<Package> here;
  for (const Package& package : packages) {
    if (package.digest.empty() || store_->find(package)) here.push_back(package);
  }
  if (auto pin = store_->pin(here)) held_ = std::move(*pin);
}

std::vector<std::vector<Package>> Packages::pinned_sets() {
  std::vector<std::vector<std::string>> wanted = config_.zygotes.sets;
  wanted.insert(wanted.end(), warm_.sets().begin(), warm_.sets().end());
  std::vector<std::vector<Package>> sets;
  std::vector<Package> all;
  for (const auto& lines : wanted) {
    auto closure = find(lines);
    if (closure) {
      all.insert(all.end(), closure->begin(), closure->end());
      sets.push_back(pkgcache::usable_part(std::move(*closure), trusted(all)));
    } else if (missed_.insert(lines).second) {
      spdlog::warn("no zygote for {}: {}", fmt::join(lines, ", "), closure.error().message);
    }
  }
  if (auto pin = store_->pin(all)) kept_sets_ = std::move(*pin);
  return sets;
}

pkgcache::MeasuredPackages Packages::trusted(std::span<const Package> packages) const {
  pkgcache::MeasuredPackages out;
  for (const Package& package : packages) {
    const auto profile = book_->find(package);
    if (profile && profile->verdict == pkgcache::Verdict::kQuarantined) continue;
    if (auto entry = library_.find(package)) out[package].needs = entry->needs();
  }
  return out;
}

asio::awaitable<Result<>> Packages::warm(std::vector<std::string> set) {
  auto closure = find(set);
  if (!closure) co_return std::unexpected(closure.error());
  std::ranges::sort(set);
  auto added = warm_.add(set);
  if (!added) co_return std::unexpected(added.error());
  if (*added) {
    auto save = [list = warm_] { return list.save(); };
    auto saved = co_await disk_->run(save);
    if (!saved) {
      (void)warm_.remove(set);
      co_return saved;
    }
  }
  measure_all();
  on_change_();
  co_return Result<>{};
}

asio::awaitable<Result<>> Packages::cool(std::vector<std::string> set) {
  std::ranges::sort(set);
  if (!warm_.remove(set)) {
    co_return fail(Code::kNotFound, "", "no such set is kept warm; see sockctl packages");
  }
  auto save = [list = warm_] { return list.save(); };
  auto saved = co_await disk_->run(save);
  if (!saved) {
    (void)warm_.add(set);
    co_return saved;
  }
  on_change_();
  co_return saved;
}

std::shared_ptr<const pkgcache::MeasuredPackages> Packages::measured() const {
  auto out = std::make_shared<pkgcache::MeasuredPackages>();
  for (const auto& [package, cost] : book_->costs()) {
    auto entry = library_.find(package);
    if (!entry) continue;
    (*out)[package] = {cost.ms, cost.mb, cost.vmas, entry->needs()};
  }
  return out;
}

double Packages::worth(std::span<const Package> packages) const {
  // So little that only what was measured decides, where anything was.
  constexpr double kUnknown = 1e-3;
  double sum = 0;
  for (const Package& package : packages) {
    const auto profile = book_->find(package);
    sum += kUnknown + (profile ? profile->ms : 0);
  }
  return sum;
}

void Packages::tick() {
  if (measurer_) measurer_->tick();
  if (collecting_ || disk_ == nullptr) return;
  collecting_ = true;
  background_->run(collect());
}

asio::awaitable<void> Packages::collect() {
  auto sweep = [this] { return store_->collect(config_.packages.keep_unused, Clock::now()); };
  const auto gone = co_await disk_->run(sweep);
  collecting_ = false;
  for (const Package& package : gone) {
    spdlog::info("package {} is removed from the store: nobody needs it", package.to_string());
  }
  if (gone.empty()) co_return;
  std::vector<Package> here;
  for (const auto& entry : catalogue_.entries()) here.push_back(entry.package);
  for (const auto& stored : store_->list()) here.push_back(stored->package());
  auto forget = [this, &here] { return book_->retain(here); };
  const auto forgot = co_await disk_->run(forget);
  if (!forgot) spdlog::warn("profiles: {}", forgot.error().describe());
  on_change_();
}

void Packages::stop() {
  if (measurer_) measurer_->stop();
}

}  // namespace sock::manager
