#pragma once

#include <string>
#include <string_view>

namespace sock::manager {

/// What a request's target names.
enum class Resource {
  kUnknown,
  kHealth,         ///< /v1/health
  kFunctions,      ///< /v1/functions
  kFunction,       ///< /v1/functions/{name}
  kInvoke,         ///< /v1/functions/{name}/invoke
  kFunctionCalls,  ///< /v1/functions/{name}/calls
  kCall,           ///< /v1/calls/{id}
  kCallLogs,       ///< /v1/calls/{id}/logs
  kZygotes,        ///< /v1/zygotes
  kNetns,          ///< /v1/netns
  kPackages,       ///< /v1/packages
  kWarm,           ///< /v1/packages/warm
  kCool,           ///< /v1/packages/cool
  kDoctor,         ///< /v1/doctor
  kMetrics,        ///< /metrics
};

struct Route {
  Resource resource = Resource::kUnknown;
  std::string key;  ///< {name} or {id}, percent-decoded, otherwise as the client wrote it
};

/// Reads a request target (RFC 9112, origin or absolute form). The query is ignored, segments are
/// decoded after the path has been split, and nothing is normalised: "." and ".." are names like
/// any other. kUnknown for malformed percent-encoding.
[[nodiscard]] Route route_of(std::string_view target);

/// The methods a resource answers, as in an Allow header: "GET, PUT, DELETE".
[[nodiscard]] std::string_view allowed_methods(Resource resource);

}  // namespace sock::manager
