#include "manager/packages/packages.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "manager/functions/function_options.h"
#include "pkgcache/requirement.h"
#include "sandbox/rootfs.h"

namespace sock::manager {

namespace asio = boost::asio;
using pkgcache::Package;

namespace {

std::vector<std::string> host_folders(const Config& config) {
  std::vector<std::string> folders;
  for (const auto& folder : config.packages.folders) folders.push_back(folder.string());
  return folders;
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
  std::string text;
  if (requirements_txt && requirement_lines(*requirements_txt) == requirements) {
    text = std::move(*requirements_txt);
  } else {
    for (const auto& line : requirements) text.append(line).push_back('\n');
  }
  auto parsed = pkgcache::parse_requirements(text);
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
  auto installed = co_await installer_->ensure(std::move(*parsed));
  if (!installed) co_return std::unexpected(installed.error());
  co_return Closure{std::move(installed->packages), std::move(installed->pin)};
}

Result<std::vector<Package>> Packages::find(const std::vector<std::string>& requirements) const {
  std::string text;
  for (const auto& line : requirements) text.append(line).push_back('\n');
  const auto parsed = pkgcache::parse_requirements(text);
  if (!parsed) return std::unexpected(parsed.error());
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
  for (const auto& set : pinned_sets()) measurer_->want(set);
  for (const auto& function : functions_) measurer_->want(function->spec.packages);
}

void Packages::hold(std::span<const Package> packages) {
  auto pin = store_->pin(packages);
  if (pin) held_ = std::move(*pin);
}

std::vector<std::vector<Package>> Packages::pinned_sets() {
  std::vector<std::vector<std::string>> wanted = config_.zygotes.sets;
  wanted.insert(wanted.end(), warm_.sets().begin(), warm_.sets().end());
  std::vector<std::vector<Package>> sets;
  for (const auto& lines : wanted) {
    auto closure = find(lines);
    if (closure) {
      sets.push_back(std::move(*closure));
    } else if (missed_.insert(lines).second) {
      spdlog::warn("no zygote for {}: {}", fmt::join(lines, ", "), closure.error().message);
    }
  }
  return sets;
}

asio::awaitable<Result<>> Packages::warm(std::vector<std::string> set) {
  auto closure = find(set);
  if (!closure) co_return std::unexpected(closure.error());
  std::ranges::sort(set);
  auto added = warm_.add(std::move(set));
  if (!added) co_return std::unexpected(added.error());
  if (*added) {
    auto save = [this] { return warm_.save(); };
    auto saved = co_await disk_->run(save);
    if (!saved) co_return saved;
  }
  measurer_->want(*closure);
  on_change_();
  co_return Result<>{};
}

asio::awaitable<Result<>> Packages::cool(std::vector<std::string> set) {
  std::ranges::sort(set);
  if (!warm_.remove(set)) {
    co_return fail(Code::kNotFound, "", "no such set is kept warm; see sockctl packages");
  }
  auto save = [this] { return warm_.save(); };
  auto saved = co_await disk_->run(save);
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

void Packages::collect() {
  if (collecting_ || disk_ == nullptr) return;
  collecting_ = true;
  auto sweep = [](Packages* self) -> asio::awaitable<void> {
    auto work = [self] {
      return self->store_->collect(self->config_.packages.keep_unused, Clock::now());
    };
    const auto gone = co_await self->disk_->run(work);
    self->collecting_ = false;
    for (const Package& package : gone) {
      spdlog::info("package {} is removed from the store: nobody needs it", package.to_string());
    }
    if (gone.empty()) co_return;
    std::vector<Package> here;
    for (const auto& entry : self->catalogue_.entries()) here.push_back(entry.package);
    for (const auto& stored : self->store_->list()) here.push_back(stored->package());
    auto forget = [self, &here] { return self->book_->retain(here); };
    auto forgot = co_await self->disk_->run(forget);
    if (!forgot) spdlog::warn("profiles: {}", forgot.error().describe());
  };
  background_->run(sweep(this));
}

void Packages::stop() {
  if (measurer_) measurer_->stop();
}

}  // namespace sock::manager
