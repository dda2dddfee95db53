#include "manager/doctor.h"

#include <net/if.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <filesystem>

#include "manager/networks.h"
#include "netns-pool/forwarding.h"
#include "sandbox/host.h"

namespace sock::manager {

namespace json = boost::json;

namespace {

using sandbox::HostCheck;

/// Who else filters what the host forwards; empty when nobody is known to.
std::string other_firewall() {
  std::error_code ignored;
  if (::if_nametoindex("docker0") != 0) return "Docker";
  if (std::filesystem::exists("/run/firewalld", ignored)) return "firewalld";
  return "";
}

HostCheck check_nat(const Config& config) {
  HostCheck check{.name = "nat", .status = HostCheck::kOk, .detail = {}, .advice = {}};
  if (!config.nat.ipv4) {
    check.detail = "not enabled: functions have loopback only";
    check.advice = "to enable it: [nat] ipv4 in sockd.toml, e.g. \"10.107.0.0/16\"";
    return check;
  }
  auto forwarding = netns::check_forwarding_ipv4();
  if (forwarding && config.nat.ipv6) forwarding = netns::check_forwarding_ipv6();
  if (!forwarding) {
    check.status = HostCheck::kFail;
    check.detail = "the kernel does not forward packets";
    check.advice = forwarding.error().message;
    return check;
  }
  const std::string bridge = network_name(config.state_dir).bridge();
  check.detail =
      "sandboxes have addresses in " + config.nat.ipv4->to_string() + ", behind " + bridge;
  if (const std::string other = other_firewall(); !other.empty()) {
    check.status = HostCheck::kWarn;
    check.detail += "; " + other + " may drop what the host forwards for them";
    check.advice = "if functions reach nothing, let " + other +
                   " accept what comes from and goes to " + bridge;
  }
  return check;
}

/// Where packages come from that the host does not have.
HostCheck check_wheels(const Config& config) {
  HostCheck check{.name = "wheels", .status = HostCheck::kOk, .detail = {}, .advice = {}};
  const Config::Packages& packages = config.packages;
  if (packages.find_links.empty() && packages.index_url.empty()) {
    check.detail = "not enabled: functions have the host's packages";
    check.advice = "to enable them: [packages] find_links or index_url in sockd.toml";
    return check;
  }
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto has_pip = [&](const fs::path& folder) { return fs::exists(folder / "pip", ignored); };
  if (std::ranges::none_of(packages.folders, has_pip)) {
    check.status = HostCheck::kFail;
    check.detail = "pip is in none of the folders of [packages]";
    check.advice = "apt install python3-pip";
    return check;
  }
  for (const fs::path& folder : packages.find_links) {
    constexpr auto kForAll = fs::perms::others_read | fs::perms::others_exec;
    const auto status = fs::status(folder, ignored);
    if (fs::is_directory(status) && (status.permissions() & kForAll) == kForAll) continue;
    check.status = HostCheck::kFail;
    check.detail = folder.string() + " is not a folder that everybody may read";
    check.advice =
        "sandboxes read the wheels as nobody in particular: chmod o+rx " + folder.string();
    return check;
  }
  for (const fs::path& folder : packages.find_links) check.detail += folder.string() + " ";
  check.detail += packages.index_url;
  return check;
}

}  // namespace

json::object doctor_report(const Config& config) {
  bool healthy = true;
  json::array checks;
  auto all = sandbox::probe_host(config.cgroup_parent);
  all.push_back(check_nat(config));
  all.push_back(check_wheels(config));
  for (const auto& check : all) {
    const bool failed = check.status == HostCheck::kFail;
    healthy = healthy && !failed;
    checks.push_back(json::object{{"name", check.name},
                                  {"status", sandbox::to_string(check.status)},
                                  {"detail", check.detail},
                                  {"advice", check.advice}});
  }
  return json::object{{"healthy", healthy}, {"checks", std::move(checks)}};
}

}  // namespace sock::manager
