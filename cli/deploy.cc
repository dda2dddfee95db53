#include "cli/deploy.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "cli/api_error.h"
#include "cli/bundle.h"
#include "cli/functions.h"
#include "cli/input.h"
#include "cli/patience.h"
#include "cli/terminal.h"

namespace sock::cli {
namespace {

constexpr std::size_t kMaxRequirementsBytes = 1U << 20U;
/// Packages are installed before the answer: two steps of [packages] timeout each, one deploy
/// after the other.
constexpr Millis kDeployTimeout{3'600'000};

Outcome<boost::json::object> environment_of(const std::vector<std::string>& pairs) {
  boost::json::object environment;
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ExitCode::kUsage, "--env takes NAME=VALUE, not '" + pair + "'");
    }
    environment[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return environment;
}

/// Every line as written, blank ones and comments included: sockd names the line it refuses.
boost::json::array lines_of(std::string_view text) {
  boost::json::array lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(boost::json::string(line.data(), line.size()));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

template <class T>
void put(boost::json::object& object, const char* key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}

}  // namespace

Outcome<std::string> options_header(const DeployOptions& options) {
  boost::json::object object;
  put(object, "handler", options.handler);
  put(object, "memory", options.memory);
  put(object, "timeout", options.timeout);
  put(object, "cpu", options.cpu);
  put(object, "pids", options.pids);
  put(object, "tmp", options.tmp);
  put(object, "network", options.network);
  if (!options.allow.empty()) {
    object["allow"] = boost::json::array(options.allow.begin(), options.allow.end());
  }
  put(object, "keep_ready", options.keep_ready);
  if (!options.environment.empty()) {
    auto environment = environment_of(options.environment);
    if (!environment) return std::unexpected(environment.error());
    object["env"] = std::move(*environment);
  }
  if (options.requirements_file) {
    auto text = read_input_file(*options.requirements_file, kMaxRequirementsBytes);
    if (!text) return std::unexpected(text.error());
    object["requirements"] = lines_of(*text);
  }
  std::string header = ascii_json(boost::json::serialize(object));
  if (header.empty()) {
    return fail(ExitCode::kUsage, "options, environment and requirements must be UTF-8");
  }
  if (header.size() > kMaxOptionsBytes) {
    return fail(ExitCode::kUsage, "options, environment and requirements exceed " +
                                      std::to_string(kMaxOptionsBytes >> 10U) +
                                      " KiB together; put them into the folder as sock.toml and "
                                      "requirements.txt");
  }
  return header;
}

Outcome<int> deploy(Context& context, const DeployOptions& options) {
  if (auto good = check_name(options.name); !good) return std::unexpected(good.error());
  auto header = options_header(options);
  if (!header) return std::unexpected(header.error());
  auto bundle = load_bundle(options.path);
  if (!bundle) return std::unexpected(bundle.error());

  Request request;
  request.method = "PUT";
  request.target = "/v1/functions/" + encode_segment(options.name);
  request.body = std::move(bundle->bytes);
  request.content_type = std::move(bundle->content_type);
  request.headers = {{"X-Sock-Options", std::move(*header)}};
  request.timeout = kDeployTimeout;
  const Patience patience(context.console,
                          "sockd is finding and installing packages, which may take minutes…");
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  return show_function(context, *response);
}

}  // namespace sock::cli
