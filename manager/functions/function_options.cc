#include "manager/functions/function_options.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <vector>

#include "base/text.h"
#include "manager/functions/handler.h"
#include "manager/settings/option_reader.h"
#include "manager/settings/toml_document.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/egress_text.h"

namespace sock::manager {
namespace {

constexpr std::size_t kMaxTomlBytes = 64 << 10;
constexpr std::size_t kMaxRequirementsBytes = 256 << 10;
constexpr std::size_t kMaxRequirements = 1000;
constexpr std::size_t kMaxEnvironmentBytes = 32 << 10;
constexpr Range<std::uint32_t> kKeepReadyRange{0, 1000};

/// A spec on its way through the layers: defaults, then sock.toml, then flags.
struct Draft {
  std::string handler = FunctionSpec().handler;
  std::optional<std::vector<std::string>> requirements;
  FunctionLimits limits;
  Network network = Network::kNone;
  std::optional<netns::Egress> allow;
  std::map<std::string, std::string> environment;
  std::uint32_t keep_ready = 0;
};

std::string_view trim(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r\f\v";
  const std::size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

/// Appends the requirement lines of `text`; the reason when it cannot be one.
std::optional<std::string> add_requirements(std::string_view text, std::vector<std::string>& out) {
  if (text.size() > kMaxRequirementsBytes) return "is longer than 256 KiB";
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (!is_utf8(text)) return "is not UTF-8 text";
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    const auto control = [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; };
    if (std::ranges::any_of(line, control)) {
      return "holds control characters: " + in_quotes(line);
    }
    if (out.size() == kMaxRequirements) return "has more than 1000 lines";
    out.emplace_back(line);
  }
  return std::nullopt;
}

void read_requirements(OptionReader& reader, Draft& draft) {
  const auto texts = reader.one_or_more("requirements");
  if (!texts) return;
  std::vector<std::string> lines;
  for (const std::string& text : *texts) {
    if (const auto why = add_requirements(text, lines)) {
      return reader.refuse("requirements", *why);
    }
  }
  draft.requirements = std::move(lines);
}

void read_environment(OptionReader& reader, Draft& draft) {
  const boost::json::object* table = reader.table("env", "a table of texts");
  if (table == nullptr) return;
  std::map<std::string, std::string> given;
  for (const auto& member : *table) {
    if (!member.value().is_string()) {
      return reader.refuse("env", "the value of " + in_quotes(member.key()) + " must be a text");
    }
    given[std::string(member.key())] = std::string(member.value().get_string());
  }
  if (auto checked = check_environment(given); !checked) {
    return reader.refuse("env", checked.error().message);
  }
  for (auto& [key, value] : given) draft.environment[key] = std::move(value);
}

void read_network_options(OptionReader& reader, Draft& draft) {
  if (const auto network = read_network(reader, "network")) {
    draft.network = *network;
    // What a layer below would allow is of no use to one that wants no network.
    if (draft.network == Network::kNone) draft.allow.reset();
  }
  if (auto allow = read_egress(reader, "allow")) draft.allow = std::move(*allow);
}

Result<> read_layer(const boost::json::object& options, OptionReader::Locate locate, Draft& draft) {
  OptionReader reader(options, std::move(locate));
  reader.text("handler", draft.handler);
  if (!is_handler(draft.handler)) {
    reader.refuse("handler", "must be module.function, such as \"handler.handler\", not " +
                                 in_quotes(draft.handler));
  }
  read_requirements(reader, draft);
  read_limits(reader, draft.limits);
  read_network_options(reader, draft);
  read_environment(reader, draft);
  reader.number("keep_ready", draft.keep_ready, kKeepReadyRange);
  return reader.finish();
}

Result<> read_sock_toml(const std::string& text, Draft& draft) {
  if (text.size() > kMaxTomlBytes) {
    return fail(Code::kInvalid, "options", "sock.toml is longer than 64 KiB");
  }
  const auto document = parse_toml(text, "sock.toml");
  if (!document) return std::unexpected(document.error());
  return read_layer(
      document->root,
      [&](std::string_view key) { return document->where(std::string(key)) + ": "; }, draft);
}

Result<> check_caps(const Draft& draft, const Config& config) {
  if (const auto excess = first_excess(draft.limits, config.max_limits)) {
    const std::string key(excess->key);
    return fail(Code::kInvalid, "options",
                key + " " + excess->value + " is above this daemon's cap of " + excess->cap +
                    " ([limits.max] " + key + ")");
  }
  if (draft.keep_ready > config.parked.max) {
    return fail(Code::kInvalid, "options",
                "keep_ready " + std::to_string(draft.keep_ready) +
                    " is above this daemon's cap of " + std::to_string(config.parked.max) +
                    " ([parked] max)");
  }
  return {};
}

/// Where the function's packets may go, if it has a network at all.
Result<netns::Egress> check_egress(const Draft& draft, const Config::Nat& nat) {
  const auto refused = [](const std::string& why) { return fail(Code::kInvalid, "options", why); };
  if (draft.network == Network::kNone) {
    if (draft.allow)
      return refused("allow needs network = \"nat\"; with \"none\" nothing is reached");
    return netns::Egress();
  }
  if (!nat.ipv4) {
    return refused("network \"nat\" is not enabled on this daemon ([nat] ipv4)");
  }
  const netns::Egress egress = draft.allow.value_or(netns::Egress());
  if (const auto entry = netns::first_beyond(nat.allow, egress)) {
    const std::string why =
        "allow: " + in_quotes(*entry) + " is not within what this daemon permits ([nat] allow)";
    return refused(draft.allow ? why : why + "; name what the function is to reach");
  }
  const auto plan = netns::AddressPlan::create(*nat.ipv4, nat.ipv6);
  if (!plan) return std::unexpected(plan.error());
  if (const auto reachable = netns::check_reachable(egress, &*plan); !reachable) {
    return refused("allow: " + reachable.error().message);
  }
  return egress;
}

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

bool is_function_name(std::string_view name) {
  const auto inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  };
  if (name.empty() || name.size() > 64 || !std::ranges::all_of(name, inner)) return false;
  return std::string_view("_.-").find(name.front()) == std::string_view::npos;
}

Result<> check_function_name(std::string_view name) {
  if (is_function_name(name)) return {};
  return fail(Code::kInvalid, "name",
              in_quotes(name) +
                  " is not a function's name: 1 to 64 lower-case letters, digits, \"_\", \".\" and "
                  "\"-\", starting with a letter or digit");
}

std::vector<std::string> requirement_lines(std::string_view text) {
  std::vector<std::string> lines;
  if (add_requirements(text, lines)) lines.clear();
  return lines;
}

Result<> check_environment(const std::map<std::string, std::string>& environment) {
  std::size_t total = 0;
  for (const auto& [name, value] : environment) {
    if (!is_variable_name(name)) {
      return fail(Code::kInvalid, "env",
                  in_quotes(name) +
                      " is not a variable's name: letters, digits and \"_\", not starting with a "
                      "digit");
    }
    for (const std::string_view prefix : {"SOCK_", "LD_", "PYTHON"}) {
      if (name.starts_with(prefix)) {
        return fail(
            Code::kInvalid, "env",
            in_quotes(name) + " is reserved: names must not start with " + std::string(prefix));
      }
    }
    if (value.find('\0') != std::string::npos) {
      return fail(Code::kInvalid, "env", "the value of " + in_quotes(name) + " holds a NUL");
    }
    total += name.size() + value.size() + 2;
  }
  if (total > kMaxEnvironmentBytes) {
    return fail(Code::kInvalid, "env",
                "all variables together take " + std::to_string(total) + " bytes; at most " +
                    std::to_string(kMaxEnvironmentBytes) + " are allowed");
  }
  return {};
}

Result<FunctionSpec> build_spec(const std::string& name, const boost::json::object& flags,
                                const std::optional<std::string>& sock_toml,
                                const std::optional<std::string>& requirements_txt,
                                const Config& config) {
  if (auto checked = check_function_name(name); !checked) return std::unexpected(checked.error());
  Draft draft;
  draft.limits = config.default_limits;
  if (sock_toml) {
    if (auto read = read_sock_toml(*sock_toml, draft); !read) return std::unexpected(read.error());
  }
  if (auto read = read_layer(
          flags, [](std::string_view) { return std::string(); }, draft);
      !read) {
    return std::unexpected(read.error());
  }
  if (!draft.requirements && requirements_txt) {
    if (const auto why = add_requirements(*requirements_txt, draft.requirements.emplace())) {
      return fail(Code::kInvalid, "options", "requirements.txt " + *why);
    }
  }
  if (auto capped = check_caps(draft, config); !capped) return std::unexpected(capped.error());
  auto egress = check_egress(draft, config.nat);
  if (!egress) return std::unexpected(egress.error());
  // Each layer is within bounds by itself; together they may not be.
  if (auto checked = check_environment(draft.environment); !checked) {
    return fail(Code::kInvalid, "options", "env: " + checked.error().message);
  }
  FunctionSpec spec;
  spec.name = name;
  spec.handler = std::move(draft.handler);
  spec.requirements = std::move(draft.requirements).value_or(std::vector<std::string>());
  spec.limits = draft.limits.sandbox;
  spec.timeout = draft.limits.timeout;
  spec.network = draft.network;
  spec.egress = std::move(*egress);
  spec.environment = std::move(draft.environment);
  spec.keep_ready = draft.keep_ready;
  return spec;
}

}  // namespace sock::manager
