#include "bench/gauges.h"

#include <fcntl.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <filesystem>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "bench/http.h"
#include "bench/proc_stat.h"
#include "bench/targets_context.h"
#include "sandbox/cgroup_layout.h"

namespace sock::bench {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr auto kSettledWithin = std::chrono::seconds(60);

Result<json::object> get(const Instance& instance, const std::string& target) {
  const auto reply = request(instance.socket(), "GET", target, "", {}, Millis(10'000));
  if (!reply) return std::unexpected(reply.error());
  json::error_code error;
  auto value = json::parse(reply->body, error);
  if (error || !value.is_object()) {
    return fail(Code::kInternal, "GET " + target, "not what was expected: " + reply->body);
  }
  return std::move(value.get_object());
}

double count_files(const std::string& folder) {
  std::error_code error;
  double count = 0;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    ++count;
  }
  return count;
}

Result<double> count_cgroups(const std::string& parent) {
  const auto mounts = sandbox::read_cgroup_mounts("/sys/fs/cgroup");
  if (!mounts) return std::unexpected(mounts.error());
  double count = 0;
  for (const auto& hierarchy : mounts->hierarchies) {
    std::error_code error;
    fs::recursive_directory_iterator at(hierarchy.mount_point + "/" + parent, error);
    for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
      if (at->is_directory(error)) ++count;
    }
  }
  return count;
}

double read_dentries() {
  const auto text = read_file(AT_FDCWD, "/proc/sys/fs/dentry-state");
  return text ? std::strtod(text->c_str(), nullptr) : 0;
}

/// Counts that a sandbox coming or going changes.
bool same_counts(const Gauges& a, const Gauges& b) {
  return a.descriptors == b.descriptors && a.cgroups == b.cgroups && a.netns == b.netns &&
         a.processes == b.processes && a.zombies == b.zombies;
}

}  // namespace

bool grew(const GaugeKind& kind, const Gauges& start, const Gauges& end) {
  if (kind.relative < 0) return false;
  const double before = start.*kind.field;
  return end.*kind.field > before + kind.absolute + before * kind.relative;
}

Result<Gauges> read_gauges(const Instance& instance) {
  const auto zygotes = zygotes_of(instance.socket());
  if (!zygotes) return std::unexpected(zygotes.error());
  const auto netns = get(instance, "/v1/netns");
  if (!netns) return std::unexpected(netns.error());
  const auto cgroups = count_cgroups(instance.cgroup());
  if (!cgroups) return std::unexpected(cgroups.error());
  const auto daemon = read_proc_stat(instance.pid());
  const auto rss = proc_bytes(instance.pid(), "status", "VmRSS");
  if (!daemon || !rss) return fail(Code::kNotFound, "gauges", "sockd has gone");
  Gauges out;
  out.rss = *rss;
  out.threads = static_cast<double>(daemon->threads);
  out.descriptors = count_files("/proc/" + std::to_string(instance.pid()) + "/fd");
  out.cgroups = *cgroups;
  out.netns = netns->at("builds").to_number<double>() - netns->at("destroyed").to_number<double>();
  for (const auto& zygote : zygotes->at("zygotes").as_array()) {
    out.zygotes_pss += zygote.as_object().at("memory_bytes").to_number<double>();
  }
  for (const auto& process : all_processes()) {
    const bool child = process.parent == instance.pid();
    if (!child && !in_cgroup(process.pid, instance.cgroup())) continue;
    ++(process.state == 'Z' ? out.zombies : out.processes);
  }
  out.dentries = read_dentries();
  return out;
}

Result<Gauges> settled_gauges(const Instance& instance) {
  const auto deadline = Clock::now() + kSettledWithin;
  if (auto still = await_zygotes(instance.socket(), ""); !still) {
    return std::unexpected(still.error());
  }
  std::optional<Gauges> before;
  for (;;) {
    const auto health = get(instance, "/v1/health");
    if (!health) return std::unexpected(health.error());
    const auto now = read_gauges(instance);
    if (!now) return now;
    const bool idle = health->at("running").to_number<int>() == 0;
    if (idle && before && same_counts(*before, *now)) return now;
    if (Clock::now() > deadline) return fail(Code::kTimeout, "gauges", "sockd does not settle");
    before = *now;
    std::this_thread::sleep_for(Millis(500));  // between two looks
  }
}

}  // namespace sock::bench
