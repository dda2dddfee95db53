#include "manager/settings/config.h"

#include <fcntl.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <limits>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "manager/functions/handler.h"
#include "manager/settings/nat_settings.h"
#include "manager/settings/package_settings.h"
#include "manager/settings/toml_document.h"
#include "manager/settings/units.h"
#include "pkgcache/package.h"

namespace sock::manager {
namespace {

constexpr Range<std::uint64_t> kBodyRange{1 << 10, 1ULL << 30};
constexpr Range<Millis> kWaitRange{Millis(1), Millis(3'600'000)};

bool is_package_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool is_cgroup_path(std::string_view path) {
  if (path.size() > 200) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    const bool plain = std::ranges::all_of(part, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.' || c == '@';
    });
    // A leading dot would allow ".." and hide the group from a plain ls.
    if (part.empty() || part.front() == '.' || !plain) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::optional<std::string> path_problem(const std::filesystem::path& path) {
  const std::string& text = path.native();
  if (text.empty() || text.front() != '/') {
    return "must be an absolute path, not " + in_quotes(text);
  }
  if (!is_utf8(text) || has_controls(text)) {
    return "must not hold control characters: " + in_quotes(text);
  }
  return std::nullopt;
}

std::optional<std::string> socket_problem(const std::filesystem::path& path) {
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (auto problem = path_problem(path)) return problem;
  if (path.native().size() <= kMost) return std::nullopt;
  return "must be at most " + std::to_string(kMost) +
         " bytes long, as sockets' paths are: " + in_quotes(path.native());
}

std::optional<std::string> cgroup_problem(std::string_view path) {
  if (is_cgroup_path(path)) return std::nullopt;
  return "must be a relative path of plain names, such as \"sock\", not " + in_quotes(path);
}

/// Fills a Config from one document, section by section.
class Loader {
 public:
  Loader(const TomlDocument& document, Config& config) : document_(document), config_(config) {}

  Result<> load() {
    OptionReader root = reader(document_.root, "");
    path(root, "socket", config_.socket, socket_problem);
    root.text("socket_group", config_.socket_group);
    path(root, "state_dir", config_.state_dir, path_problem);
    log_level(root);
    section(root, "cgroup", &Loader::cgroup);
    section(root, "ids", &Loader::ids);
    section(root, "limits", &Loader::limits);
    section(root, "calls", &Loader::calls);
    section(root, "deploy", &Loader::deploy);
    section(root, "netns", &Loader::netns);
    section(root, "nat", &Loader::nat);
    check_memory_of_namespaces();
    section(root, "parked", &Loader::parked);
    section(root, "zygotes", &Loader::zygotes);
    section(root, "packages", &Loader::packages);
    check_network_of_packages();
    if (error_) return std::unexpected(*error_);
    return root.finish();
  }

 private:
  using Part = void (Loader::*)(OptionReader&);

  /// `section` is "" or "limits.max".
  OptionReader reader(const boost::json::object& object, const std::string& section) const {
    return OptionReader(object, [this, section](std::string_view key) {
      const std::string path =
          section.empty() ? std::string(key) : section + "." + std::string(key);
      return document_.where(path) + ": " + (section.empty() ? "" : "[" + section + "] ");
    });
  }

  /// Reads table `key` of `outer`; the part may add sections of its own beneath `name`.
  void section(OptionReader& outer, const std::string& key, Part part,
               const std::string& prefix = "") {
    const boost::json::object* object = outer.table(key, "a table");
    if (object == nullptr || error_) return;
    const std::string name = prefix + key;
    OptionReader inner = reader(*object, name);
    (this->*part)(inner);
    if (auto done = inner.finish(); !done && !error_) error_ = done.error();
  }

  template <class Problem>
  static void path(OptionReader& in, std::string_view key, std::filesystem::path& out,
                   Problem problem) {
    std::string text = out.native();
    in.text(key, text);
    if (const auto why = problem(text)) return in.refuse(key, *why);
    out = text;
  }

  void log_level(OptionReader& in) {
    constexpr std::array<std::string_view, 7> kLevels = {"trace", "debug",    "info", "warn",
                                                         "error", "critical", "off"};
    in.text("log_level", config_.log_level);
    if (std::ranges::find(kLevels, config_.log_level) == kLevels.end()) {
      in.refuse("log_level", "must be trace, debug, info, warn, error, critical or off, not " +
                                 in_quotes(config_.log_level));
    }
  }

  void cgroup(OptionReader& in) {
    in.text("parent", config_.cgroup_parent);
    if (const auto why = cgroup_problem(config_.cgroup_parent)) in.refuse("parent", *why);
  }

  void ids(OptionReader& in) {
    // Below 65536 live the host's own users; 4294967295 is "no id" (setresuid(2)).
    in.number("base", config_.ids.base, {65'536, 4'294'000'000});
    in.number("count", config_.ids.count, {256, 16'777'216});
    constexpr std::uint64_t kLast = std::numeric_limits<std::uint32_t>::max() - 1;
    if (std::uint64_t{config_.ids.base} + config_.ids.count - 1 > kLast) {
      in.refuse("count", "base + count must stay below 4294967295");
    }
  }

  void limits(OptionReader& in) {
    section(in, "default", &Loader::default_limits, "limits.");
    section(in, "max", &Loader::max_limits, "limits.");
    if (error_ || in.failed()) return;
    if (const auto excess = first_excess(config_.default_limits, config_.max_limits)) {
      const std::string key(excess->key);
      const bool named = document_.lines.contains("limits.max." + key);
      const std::string where = document_.where((named ? "limits.max." : "limits.default.") + key);
      error_ = fail(Code::kInvalid, "options",
                    where + ": [limits.default] " + key + " " + excess->value +
                        " is above [limits.max] " + key + " " + excess->cap +
                        "; lower the one or raise the other")
                   .error();
    }
  }

  void default_limits(OptionReader& in) { all_limits(in, config_.default_limits); }
  void max_limits(OptionReader& in) { all_limits(in, config_.max_limits); }
  static void all_limits(OptionReader& in, FunctionLimits& out) {
    read_limits(in, out);
    in.number("open_files", out.sandbox.open_files, kOpenFilesRange);
  }

  void calls(OptionReader& in) {
    Config::Calls& calls = config_.calls;
    in.number("max_running", calls.max_running, {1, 100'000});
    in.number("max_queued", calls.max_queued, {0, 1'000'000});
    in.duration("queue_timeout", calls.queue_timeout, kWaitRange);
    in.size("request_bytes", calls.request_bytes, kBodyRange);
    in.size("result_bytes", calls.result_bytes, kBodyRange);
    in.size("log_bytes", calls.log_bytes, kBodyRange);
    in.number("history", calls.history, {0, 1'000'000});
  }

  void deploy(OptionReader& in) {
    BundleLimits& deploy = config_.deploy;
    in.size("bundle_bytes", deploy.bundle_bytes, kBodyRange);
    in.size("unpacked_bytes", deploy.unpacked_bytes, {1 << 10, 1ULL << 40});
    in.number("entries", deploy.entries, {1, 1'000'000});
    in.number("depth", deploy.depth, {1, 256});
  }

  void netns(OptionReader& in) {
    in.number("low", config_.netns.low, {0, 10'000});
    in.number("high", config_.netns.high, {1, 10'000});
    in.size("memory", config_.netns.memory_bytes, {1 << 20, 1ULL << 40});
    in.number("builders", config_.netns.builders, {1, 8});
    reuse(in);
    if (config_.netns.low > config_.netns.high) {
      in.refuse("low", "must not be above high (" + std::to_string(config_.netns.high) + "), not " +
                           std::to_string(config_.netns.low));
    }
  }

  void reuse(OptionReader& in) {
    using Reuse = Config::Netns::Reuse;
    constexpr std::array<std::pair<std::string_view, Reuse>, 3> kWords = {
        {{"never", Reuse::kNever},
         {"untouched", Reuse::kUntouched},
         {"function", Reuse::kFunction}}};
    const auto text = in.text("reuse");
    if (!text) return;
    const auto* const word =
        std::ranges::find(kWords, *text, &std::pair<std::string_view, Reuse>::first);
    if (word != kWords.end()) {
      config_.netns.reuse = word->second;
    } else {
      in.refuse("reuse", "must be never, untouched or function, not " + in_quotes(*text));
    }
  }

  void nat(OptionReader& in) { read_nat(in, config_.nat); }

  /// The stocks at their fullest must leave room for sandboxes at work.
  void check_memory_of_namespaces() {
    const Config::Netns& netns = config_.netns;
    const std::uint64_t stock = netns.high + (config_.nat.ipv4 ? config_.nat.high : 0);
    const std::uint64_t wanted = stock + Config::Netns::kFewestBeside;
    const std::uint64_t room = netns.memory_bytes / Config::Netns::kBytesEach;
    if (error_ || room >= wanted) return;
    const bool named = document_.lines.contains("netns.memory");
    error_ = fail(Code::kInvalid, "options",
                  document_.where(named ? "netns.memory" : "netns.high") +
                      ": [netns] memory: " + format_size(netns.memory_bytes) + " has room for " +
                      std::to_string(room) + " namespaces; a stock of " + std::to_string(stock) +
                      " and those at work need " + std::to_string(wanted))
                 .error();
  }

  void parked(OptionReader& in) {
    in.number("min", config_.parked.min, {0, 1000});
    in.number("max", config_.parked.max, {0, 1000});
    in.number("shells", config_.parked.shells, {0, 1000});
    in.size("memory", config_.parked.memory_bytes, {0, 1ULL << 50});
    if (config_.parked.min > config_.parked.max) {
      in.refuse("min", "must not be above max (" + std::to_string(config_.parked.max) + "), not " +
                           std::to_string(config_.parked.min));
    }
  }

  void zygotes(OptionReader& in) {
    in.number("max", config_.zygotes.max, {1, 1000});
    in.duration("import_timeout", config_.zygotes.import_timeout, kWaitRange);
    in.flag("seal", config_.zygotes.seal);
    in.flag("functions", config_.zygotes.functions);
    in.number("max_functions", config_.zygotes.max_functions, {0, 1000});
    in.size("function_memory", config_.zygotes.function_memory, {0, 1ULL << 40});
    in.number("replicas", config_.zygotes.replicas, {0, 1000});
    in.number("rotate_clones", config_.zygotes.rotate_clones, {0, 1'000'000'000});
    in.number("rotate_minutes", config_.zygotes.rotate_minutes, {0, 1'000'000});
    in.size("memory", config_.zygotes.memory_bytes, {0, 1ULL << 40});
    plan(in);
    read_sets(in, config_.zygotes.sets);
  }

  void plan(OptionReader& in) {
    using Plan = Config::Zygotes::Plan;
    const auto text = in.text("plan");
    if (!text) return;
    if (*text == "measured") {
      config_.zygotes.plan = Plan::kMeasured;
    } else if (*text == "configured") {
      config_.zygotes.plan = Plan::kConfigured;
    } else {
      in.refuse("plan", "must be measured or configured, not " + in_quotes(*text));
    }
  }

  void packages(OptionReader& in) {
    if (const boost::json::value* value = in.take("folders")) {
      const auto folders = in.string_list("folders", *value);
      if (!folders) return;
      config_.packages.folders.clear();
      for (const std::string& folder : *folders) {
        if (const auto why = path_problem(folder)) return in.refuse("folders", *why);
        config_.packages.folders.emplace_back(folder);
      }
    }
    read_package_sources(in, config_.packages);
    section(in, "preload", &Loader::preload, "packages.");
  }

  void check_network_of_packages() {
    if (error_ || config_.packages.index_url.empty() || config_.nat.ipv4) return;
    error_ = fail(Code::kInvalid, "options",
                  document_.where("packages.index_url") +
                      ": [packages] index_url: pip reaches it from a sandbox, whose network [nat] "
                      "gives it: set [nat] ipv4")
                 .error();
  }

  void preload(OptionReader& in) {
    for (const auto& member : in.object()) {
      const std::string_view name = member.key();
      std::vector<std::string> modules;
      in.strings(name, modules);
      if (in.failed()) return;
      if (!is_package_name(name)) return in.refuse(name, "is not a package's name");
      for (const std::string& module : modules) {
        if (!is_module_name(module)) {
          return in.refuse(name, in_quotes(module) + " is not a module's name");
        }
      }
      config_.packages.preload[pkgcache::normalise_name(name)] = std::move(modules);
    }
  }

  const TomlDocument& document_;
  Config& config_;
  std::optional<Error> error_;
};

std::optional<std::string> environment(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace

Result<Config> load_config(const std::optional<std::filesystem::path>& file) {
  std::optional<std::filesystem::path> named = file;
  if (!named) {
    if (const auto variable = environment("SOCK_CONFIG")) named = *variable;
  }
  const std::filesystem::path path = named.value_or(kDefaultConfigFile);
  Config config;
  const auto text = read_file(AT_FDCWD, path.native());
  if (!text) {
    if (!named && text.error().sys_errno == ENOENT) return config;
    Error error = text.error();
    error.code = Code::kInvalid;
    error.step = "read configuration";
    return std::unexpected(error);
  }
  const auto document = parse_toml(*text, path.native());
  if (!document) return std::unexpected(document.error());
  if (auto loaded = Loader(*document, config).load(); !loaded) {
    return std::unexpected(loaded.error());
  }
  return config;
}

Result<> check_paths(const Config& config) {
  if (const auto why = socket_problem(config.socket)) {
    return fail(Code::kInvalid, "options", "socket: " + *why);
  }
  if (const auto why = path_problem(config.state_dir)) {
    return fail(Code::kInvalid, "options", "state_dir: " + *why);
  }
  if (const auto why = cgroup_problem(config.cgroup_parent)) {
    return fail(Code::kInvalid, "options", "cgroup parent: " + *why);
  }
  return {};
}

Result<> apply_environment(Config& config) {
  if (const auto socket = environment("SOCK_SOCKET")) {
    if (const auto why = socket_problem(*socket)) {
      return fail(Code::kInvalid, "options", "SOCK_SOCKET: " + *why);
    }
    config.socket = *socket;
  }
  if (const auto state = environment("SOCK_STATE_DIR")) {
    if (const auto why = path_problem(*state)) {
      return fail(Code::kInvalid, "options", "SOCK_STATE_DIR: " + *why);
    }
    config.state_dir = *state;
  }
  return {};
}

}  // namespace sock::manager
