#include "manager/functions/function_json.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <system_error>
#include <utility>

#include "manager/functions/digest.h"
#include "manager/functions/function_options.h"
#include "manager/functions/handler.h"
#include "manager/functions/limit_rules.h"
#include "manager/settings/option_reader.h"
#include "manager/settings/units.h"
#include "netns-pool/egress_text.h"

namespace sock::manager {
namespace {

constexpr std::uint64_t kFormat = 1;
constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr Range<std::uint64_t> kAny{0, kLargest};

boost::json::value cpu_to_json(std::uint32_t millis) {
  if (millis % 1000 == 0) return millis / 1000;
  return millis / 1000.0;
}

void read_packages(OptionReader& reader, std::vector<pkgcache::Package>& out) {
  const boost::json::value* value = reader.take("packages");
  if (value == nullptr) return;
  if (!value->is_array()) return reader.refuse("packages", "must be a list");
  for (const boost::json::value& item : value->get_array()) {
    const boost::json::object* object = item.if_object();
    const boost::json::value* name = object ? object->if_contains("name") : nullptr;
    const boost::json::value* version = object ? object->if_contains("version") : nullptr;
    if (name == nullptr || !name->is_string() || version == nullptr || !version->is_string()) {
      return reader.refuse("packages", "each must have a name and a version");
    }
    const boost::json::value* digest = object->if_contains("digest");
    if (digest != nullptr && (!digest->is_string() || !pkgcache::is_digest(digest->get_string()))) {
      return reader.refuse("packages", "a digest is not a sha256");
    }
    out.push_back({.name = std::string(name->get_string()),
                   .version = std::string(version->get_string()),
                   .digest = digest ? std::string(digest->get_string()) : ""});
    if (out.back().version.empty() || out.back().name.empty() ||
        pkgcache::normalise_name(out.back().name) != out.back().name) {
      return reader.refuse("packages", "a name is not normalised, or a version is empty");
    }
  }
}

void read_environment(OptionReader& reader, std::map<std::string, std::string>& out) {
  const boost::json::object* table = reader.table("env", "a table");
  if (table == nullptr) return;
  for (const auto& member : *table) {
    if (!member.value().is_string()) return reader.refuse("env", "must hold texts");
    out.emplace(member.key(), member.value().get_string());
  }
  if (auto checked = check_environment(out); !checked) {
    reader.refuse("env", checked.error().message);
  }
}

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "function.json", std::move(message));
}

}  // namespace

boost::json::object to_json(const Function& function) {
  const FunctionSpec& spec = function.spec;
  boost::json::array packages;
  for (const pkgcache::Package& package : spec.packages) {
    boost::json::object item{{"name", package.name}, {"version", package.version}};
    if (!package.digest.empty()) item["digest"] = package.digest;
    packages.push_back(std::move(item));
  }
  boost::json::object environment;
  for (const auto& [name, value] : spec.environment) environment.emplace(name, value);
  boost::json::object out;
  out["name"] = spec.name;
  out["generation"] = function.generation;
  out["handler"] = spec.handler;
  out["requirements"] = boost::json::array(spec.requirements.begin(), spec.requirements.end());
  out["packages"] = std::move(packages);
  out["memory"] = format_size(spec.limits.memory_bytes);
  out["memory_bytes"] = spec.limits.memory_bytes;
  out["timeout"] = format_duration(spec.timeout);
  out["timeout_ms"] = static_cast<std::uint64_t>(spec.timeout.count());
  out["cpu"] = cpu_to_json(spec.limits.cpu_millis);
  out["pids"] = spec.limits.pids;
  out["tmp"] = format_size(spec.limits.tmp_bytes);
  out["tmp_bytes"] = spec.limits.tmp_bytes;
  out["open_files"] = spec.limits.open_files;
  out["network"] = to_string(spec.network);
  if (spec.network == Network::kNat) {
    const auto allow = netns::to_texts(spec.egress);
    out["allow"] = boost::json::array(allow.begin(), allow.end());
  }
  out["env"] = std::move(environment);
  out["keep_ready"] = spec.keep_ready;
  out["code_bytes"] = function.code_bytes;
  out["sha256"] = function.sha256;
  out["deployed_at"] = function.deployed_at;
  return out;
}

Result<Function> from_json(const boost::json::object& object, std::filesystem::path code) {
  OptionReader reader(object, [](std::string_view) { return std::string(); });
  Function function;
  function.code = std::move(code);
  FunctionSpec& spec = function.spec;
  reader.text("name", spec.name);
  reader.whole("generation", function.generation, {1, kLargest});
  reader.text("handler", spec.handler);
  reader.strings("requirements", spec.requirements);
  read_packages(reader, spec.packages);
  FunctionLimits limits;
  read_limits(reader, limits);
  reader.number("open_files", limits.sandbox.open_files, kOpenFilesRange);
  spec.network = read_network(reader, "network").value_or(Network::kNone);
  if (auto egress = read_egress(reader, "allow")) spec.egress = std::move(*egress);
  read_environment(reader, spec.environment);
  reader.number("keep_ready", spec.keep_ready, {0, std::numeric_limits<std::uint32_t>::max()});
  reader.whole("code_bytes", function.code_bytes, kAny);
  reader.text("sha256", function.sha256);
  std::uint64_t deployed_at = 0;
  reader.whole("deployed_at", deployed_at, kAny);
  if (reader.failed()) return std::unexpected(reader.finish().error());
  spec.limits = limits.sandbox;
  spec.timeout = limits.timeout;
  function.deployed_at = static_cast<std::int64_t>(deployed_at);
  if (!is_function_name(spec.name)) return invalid("\"name\" is not a function's name");
  if (!is_handler(spec.handler)) return invalid("\"handler\" is not module.function");
  if (!pkgcache::is_digest(function.sha256)) return invalid("\"sha256\" is not a digest");
  // What this function would be written as is what was read: no key missing, none unknown, and the
  // derived forms agree.
  const boost::json::object expected = to_json(function);
  for (const auto& member : expected) {
    const boost::json::value* given = object.if_contains(member.key());
    if (given == nullptr) return invalid("\"" + std::string(member.key()) + "\" is missing");
    if (*given != member.value()) {
      return invalid("\"" + std::string(member.key()) + "\" does not fit the other values");
    }
  }
  if (object.size() != expected.size()) return invalid("it holds unknown keys");
  return function;
}

Result<std::string> to_record(const Function& function) {
  boost::json::object object = to_json(function);
  auto digest = sha256(boost::json::serialize(object));
  if (!digest) return std::unexpected(digest.error());
  boost::json::object record;
  record["format"] = kFormat;
  record["sha256"] = *digest;
  record["function"] = std::move(object);
  return boost::json::serialize(record);
}

Result<Function> from_record(std::string_view text, std::filesystem::path code) {
  boost::json::error_code error;
  boost::json::value value;
  try {
    value = boost::json::parse(text, error);
  } catch (const std::exception& thrown) {
    return invalid(thrown.what());
  }
  if (error) return invalid("it is not JSON: " + error.message());
  const boost::json::object* record = value.if_object();
  if (record == nullptr) return invalid("it is not a JSON object");
  OptionReader reader(*record, [](std::string_view) { return std::string(); });
  std::uint64_t format = 0;
  std::string digest;
  reader.whole("format", format, {kFormat, kFormat});
  reader.text("sha256", digest);
  const boost::json::object* object = reader.table("function", "an object");
  if (auto done = reader.finish(); !done) return std::unexpected(done.error());
  if (format != kFormat || object == nullptr) return invalid("it is incomplete");
  auto function = from_json(*object, std::move(code));
  if (!function) return function;
  const auto computed = sha256(boost::json::serialize(to_json(*function)));
  if (!computed) return std::unexpected(computed.error());
  if (*computed != digest) return invalid("its digest does not match: it was altered or damaged");
  return function;
}

}  // namespace sock::manager
