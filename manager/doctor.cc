#include "manager/doctor.h"

#include <net/if.h>

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

}  // namespace

json::object doctor_report(const Config& config) {
  bool healthy = true;
  json::array checks;
  auto all = sandbox::probe_host(config.cgroup_parent);
  all.push_back(check_nat(config));
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
