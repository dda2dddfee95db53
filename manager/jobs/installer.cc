#include "manager/jobs/installer.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <iterator>
#include <utility>

#include "base/file.h"
#include "base/tree.h"
#include "manager/functions/digest.h"
#include "pkgcache/store/pip_error.h"
#include "pkgcache/store/tree_copy.h"

namespace sock::manager {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr const char* kStep = "packages";

/// So many times its own size a wheel may come to, roughly: packages of one job share its /tmp.
constexpr std::uint64_t kGrowth = 6;

/// A folder of a sandbox's /tmp, not by way of links.
Result<Fd> open_beneath(int tmp, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const long fd = ::syscall(SYS_openat2, tmp, path.c_str(), &how, sizeof how);
  if (fd < 0) return fail_errno(kStep, "the job left no folder " + path);
  return Fd(static_cast<int>(fd));
}

Result<std::string> digest_of_file(const fs::path& path) {
  auto file = open_fd(AT_FDCWD, path.string(), O_RDONLY | O_NOFOLLOW);
  if (!file) return std::unexpected(file.error());
  Sha256 digest;
  std::array<char, 64U << 10> buffer;
  for (;;) {
    const ssize_t n = ::read(file->get(), buffer.data(), buffer.size());
    if (n < 0) return fail_errno(kStep, path.string());
    if (n == 0) return digest.finish();
    digest.update(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

template <class Strings>
json::array to_array(const Strings& strings) {
  json::array out;
  for (const auto& text : strings) out.push_back(json::string(text));
  return out;
}

/// The host's packages for the fetch job: each needs others at just the versions that are here.
json::array host_packages(const pkgcache::Catalogue* catalogue) {
  json::array out;
  if (catalogue == nullptr) return out;
  for (const pkgcache::Entry& entry : catalogue->entries()) {
    json::array needs;
    for (const std::string& name : entry.needs()) {
      const pkgcache::Entry* const need = catalogue->find(name);
      if (need != nullptr) needs.push_back(json::string(need->package.to_string()));
    }
    out.push_back({{"name", entry.package.name},
                   {"version", entry.package.version},
                   {"requires", std::move(needs)}});
  }
  return out;
}

/// What an install job says of wheel `index`; nothing when it is well.
Result<> outcome(const json::object& answer, std::size_t index) {
  const auto* list = answer.if_contains("wheels");
  const auto* entry =
      list != nullptr && list->is_array() ? list->get_array().if_contains(index) : nullptr;
  if (entry == nullptr || !entry->is_object()) {
    return fail(Code::kInvalid, "", "the install job does not say what became of it");
  }
  const json::object& said = entry->get_object();
  const auto* good = said.if_contains("ok");
  if (good != nullptr && good->is_bool() && good->get_bool()) return {};
  return fail(Code::kInvalid, "", text_of(said, "error"));
}

/// Keeps all that is in the store, some of which may be removed between the two looks.
Result<std::shared_ptr<const pkgcache::Pin>> pin_all(pkgcache::Store& store) {
  constexpr int kMostTries = 10;
  for (int i = 1;; ++i) {
    std::vector<pkgcache::Package> here;
    for (const auto& stored : store.list()) here.push_back(stored->package());
    auto pin = store.pin(here);
    if (pin || i == kMostTries) return pin;
  }
}

/// An error of one wheel's, which it names.
std::unexpected<Error> about(const pkgcache::ResolvedWheel& wheel, const Error& error) {
  constexpr std::size_t kMostText = 2000;
  return fail(error.code, kStep,
              wheel.package.to_string() + " cannot be installed from " + wheel.file + ": " +
                  error.describe().substr(0, kMostText));
}

}  // namespace

Installer::Installer(InstallerOptions options, fs::path work_folder, JobRunner& jobs,
                     pkgcache::Store& store, Worker& disk)
    : options_(std::move(options)),
      work_folder_(std::move(work_folder)),
      jobs_(jobs),
      store_(store),
      disk_(disk) {}

Result<std::unique_ptr<Installer>> Installer::create(InstallerOptions options, fs::path work_folder,
                                                     JobRunner& jobs, pkgcache::Store& store,
                                                     Worker& disk) {
  std::unique_ptr<Installer> installer(
      new Installer(std::move(options), std::move(work_folder), jobs, store, disk));
  if (auto cleared = installer->clear(); !cleared) return std::unexpected(cleared.error());
  return installer;
}

Result<> Installer::clear() const {
  if (auto removed = remove_tree(work_folder_); !removed) return removed;
  std::error_code error;
  fs::create_directories(wheels_folder(), error);
  // Sandboxes read the wheels; nobody else has business here.
  if (!error) fs::permissions(work_folder_, fs::perms(0700), error);
  if (!error) fs::permissions(wheels_folder(), fs::perms(0755), error);
  if (error) return fail(Code::kInternal, kStep, work_folder_.string() + ": " + error.message());
  return {};
}

asio::awaitable<Result<Installed>> Installer::ensure(
    std::vector<pkgcache::Requirement> requirements) {
  auto guard = co_await turn_.lock();
  auto installed = co_await obtain(std::move(requirements));
  auto clear_up = [this] { return clear(); };
  auto cleared = co_await disk_.run(clear_up);
  if (!cleared) spdlog::warn("packages: {}", cleared.error().describe());
  co_return installed;
}

asio::awaitable<Result<Installed>> Installer::obtain(
    std::vector<pkgcache::Requirement> requirements) {
  // What pip need not download must be there when it has chosen.
  const auto kept = pin_all(store_);
  if (!kept) co_return std::unexpected(kept.error());
  auto resolution = co_await fetch(requirements);
  if (!resolution) co_return std::unexpected(resolution.error());
  auto look = [this, &resolution] { return missing(*resolution); };
  auto wheels = co_await disk_.run(look);
  if (!wheels) co_return std::unexpected(wheels.error());
  if (!wheels->empty()) spdlog::info("packages: installing {} wheels", wheels->size());
  while (!wheels->empty()) {
    // As many as fit into one job's /tmp, and one at least.
    Wheels batch;
    std::uint64_t bytes = 0;
    while (!wheels->empty()) {
      std::error_code ignored;
      bytes += kGrowth * fs::file_size(wheels_folder() / wheels->back().file, ignored);
      if (!batch.empty() && bytes > options_.limits.tmp_bytes) break;
      batch.push_back(std::move(wheels->back()));
      wheels->pop_back();
    }
    auto installed = co_await install(std::move(batch));
    if (!installed) co_return std::unexpected(installed.error());
  }
  Installed installed{resolution->packages(), nullptr};
  auto pin = store_.pin(installed.packages);
  if (!pin) co_return std::unexpected(pin.error());
  installed.pin = std::move(*pin);
  co_return installed;
}

Job Installer::fetch_job(const std::vector<pkgcache::Requirement>& requirements) const {
  const bool hashes = pkgcache::needs_wheels(requirements);
  json::array have, find_links;
  for (const auto& stored : store_.list()) {
    have.push_back(json::string(stored->package().digest));
  }
  for (std::size_t i = 0; i < options_.find_links.size(); ++i) {
    find_links.push_back(json::string("/var/wheels/" + std::to_string(i)));
  }
  Job job;
  job.script = "fetch";
  job.event = {{"requirements", pkgcache::to_requirements_text(requirements)},
               {"require_hashes", hashes},
               {"wheels_only", hashes || !options_.allow_sdists},
               {"no_index", options_.index_url.empty()},
               {"find_links", std::move(find_links)},
               {"index_url", options_.index_url},
               {"extra_index_urls", to_array(options_.extra_index_urls)},
               {"extra_options", to_array(options_.extra_options)},
               {"have", std::move(have)},
               {"host", host_packages(hashes ? nullptr : options_.host)}};
  job.limits = options_.limits;
  job.timeout = options_.timeout;
  job.wheels = options_.find_links;
  if (!options_.index_url.empty()) {
    job.network = Network::kNat;
    job.egress = options_.egress;
  }
  return job;
}

asio::awaitable<Result<pkgcache::Resolution>> Installer::fetch(
    const std::vector<pkgcache::Requirement>& requirements) {
  auto collect = [this](const json::object& answer, int tmp) -> asio::awaitable<Result<>> {
    if (answer.contains("error")) co_return Result<>{};
    auto copy = [this, tmp] { return take_wheels(tmp); };
    co_return co_await disk_.run(copy);
  };
  auto job = fetch_job(requirements);
  JobRunner::Collect collector = collect;
  auto answer = co_await jobs_.run(std::move(job), std::move(collector));
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->value.contains("error")) {
    const std::string said =
        text_of(answer->value, "error") + "\n" + text_of(answer->value, "output");
    co_return std::unexpected(pkgcache::explain_pip_failure(requirements, said));
  }
  const auto* report = answer->value.if_contains("report");
  if (report == nullptr) co_return fail(Code::kInvalid, kStep, "the fetch job has no report");
  auto resolution = pkgcache::parse_report(json::serialize(*report));
  if (!resolution) co_return resolution;
  auto host = host_entries(answer->value);
  if (!host) co_return std::unexpected(host.error());
  resolution->host = std::move(*host);
  auto checked = pkgcache::check_resolution(*resolution, requirements);
  if (!checked) co_return std::unexpected(checked.error());
  co_return resolution;
}

/// Those of the host's packages that the fetch job names.
Result<std::vector<pkgcache::Entry>> Installer::host_entries(const json::object& answer) const {
  std::vector<pkgcache::Entry> out;
  const auto* names = answer.if_contains("host");
  if (names == nullptr || !names->is_array() || options_.host == nullptr) return out;
  for (const json::value& name : names->get_array()) {
    const pkgcache::Entry* entry = nullptr;
    if (name.is_string()) entry = options_.host->find(name.get_string());
    const auto same = [entry](const pkgcache::Entry& other) {
      return other.package == entry->package;
    };
    if (entry == nullptr || std::ranges::any_of(out, same)) {
      return fail(Code::kInvalid, kStep, "the fetch job names what the host does not have");
    }
    out.push_back(*entry);
  }
  return out;
}

Result<> Installer::take_wheels(int tmp) const {
  auto wheels = open_beneath(tmp, "wheels");
  if (!wheels) return std::unexpected(wheels.error());
  const pkgcache::PackageLimits limits{
      .entries = 1000, .bytes = options_.limits.tmp_bytes, .depth = 1};
  auto copied = pkgcache::copy_tree(wheels->get(), wheels_folder(), limits);
  if (!copied) return std::unexpected(copied.error());
  return {};
}

/// Those to be installed, whose files are here and what they are said to be.
Result<Installer::Wheels> Installer::missing(const pkgcache::Resolution& resolution) const {
  Wheels wheels;
  for (const auto& wheel : resolution.wheels) {
    if (store_.find(wheel.package)) continue;
    auto digest = digest_of_file(wheels_folder() / wheel.file);
    if (!digest) return about(wheel, digest.error());
    if (*digest != wheel.package.digest) {
      const Error other{Code::kInvalid, "", 0, "it is not the file that pip has chosen"};
      return about(wheel, other);
    }
    wheels.push_back(wheel);
  }
  return wheels;
}

Job Installer::install_job(const Wheels& wheels) const {
  json::array list;
  for (const auto& wheel : wheels) {
    list.push_back({{"file", wheel.file},
                    {"index", list.size()},
                    {"folder", pkgcache::folder_in_sandbox(wheel.package)}});
  }
  Job job;
  job.script = "install";
  job.event = {{"wheels", std::move(list)},
               {"most_files", store_.limits().entries},
               {"most_bytes", store_.limits().bytes}};
  job.limits = options_.limits;
  job.timeout = options_.timeout;
  job.wheels = {wheels_folder()};
  return job;
}

asio::awaitable<Result<>> Installer::install(Wheels wheels) {
  auto collect = [this, &wheels](const json::object& answer, int tmp) -> asio::awaitable<Result<>> {
    auto take = [this, &wheels, &answer, tmp] { return admit(wheels, answer, tmp); };
    co_return co_await disk_.run(take);
  };
  auto job = install_job(wheels);
  JobRunner::Collect collector = collect;
  auto answer = co_await jobs_.run(std::move(job), std::move(collector));
  if (!answer) co_return std::unexpected(answer.error());
  co_return Result<>{};
}

Result<> Installer::admit(const Wheels& wheels, const json::object& answer, int tmp) {
  for (std::size_t i = 0; i < wheels.size(); ++i) {
    const auto& wheel = wheels[i];
    if (auto installed = outcome(answer, i); !installed) return about(wheel, installed.error());
    auto tree = open_beneath(tmp, "out/" + std::to_string(i));
    if (!tree) return about(wheel, tree.error());
    auto staged = store_.begin();
    if (!staged) return std::unexpected(staged.error());
    auto copied = pkgcache::copy_tree(tree->get(), staged->tree(), store_.limits());
    if (!copied) return about(wheel, copied.error());
    auto admitted = store_.admit(std::move(*staged), wheel.package, wheel.file);
    if (!admitted) return about(wheel, admitted.error());
    spdlog::info("packages: installed {} from {}", wheel.package.to_string(), wheel.file);
  }
  return {};
}

}  // namespace sock::manager
