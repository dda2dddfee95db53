#include "manager/doctor.h"

#include <boost/json/array.hpp>

#include "sandbox/host.h"

namespace sock::manager {

namespace json = boost::json;

json::object doctor_report(const std::string& cgroup_parent) {
  bool healthy = true;
  json::array checks;
  for (const auto& check : sandbox::probe_host(cgroup_parent)) {
    const bool failed = check.status == sandbox::HostCheck::kFail;
    healthy = healthy && !failed;
    checks.push_back(json::object{{"name", check.name},
                                  {"status", sandbox::to_string(check.status)},
                                  {"detail", check.detail},
                                  {"advice", check.advice}});
  }
  return json::object{{"healthy", healthy}, {"checks", std::move(checks)}};
}

}  // namespace sock::manager
