#pragma once

#include <boost/json/object.hpp>

#include "manager/settings/config.h"

namespace sock::manager {

/// What this host offers, as the API and `sockd --doctor` report it:
/// {"healthy":bool,"checks":[{"name","status":"ok|warn|fail","detail","advice"}]}.
/// Probes take some milliseconds and change nothing.
[[nodiscard]] boost::json::object doctor_report(const Config& config);

}  // namespace sock::manager
