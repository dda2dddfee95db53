#pragma once

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "manager/functions/bundle.h"
#include "manager/functions/limit_rules.h"
#include "netns-pool/egress.h"
#include "netns-pool/firewall.h"

namespace sock::manager {

inline constexpr const char* kDefaultConfigFile = "/etc/sock/sockd.toml";

/// All of sockd's settings. The initial values are the defaults; the comments name the keys of
/// sockd.toml. Sizes are in bytes here and written as units.h says in the file.
struct Config {
  std::filesystem::path socket = "/run/sock/sockd.sock";  ///< socket; absolute, under 108 bytes
  std::string socket_group = "sock";  ///< socket_group; a group the host lacks is no error
  std::filesystem::path state_dir = "/var/lib/sock";  ///< state_dir; absolute
  std::string log_level = "info";  ///< log_level: trace, debug, info, warn, error, critical or off
  std::string cgroup_parent = "sock";  ///< [cgroup] parent; relative to each hierarchy's root

  /// [ids]: the host user and group ids that sandboxes are mapped to.
  struct Ids {
    std::uint32_t base = 100'000;
    std::uint32_t count = 65'536;
  } ids;

  FunctionLimits default_limits;  ///< [limits.default]
  FunctionLimits max_limits{.sandbox = {.memory_bytes = 1ULL << 30,
                                        .pids = 512,
                                        .cpu_millis = 2000,
                                        .tmp_bytes = 512ULL << 20,
                                        .open_files = 4096},
                            .timeout = Millis(300'000)};  ///< [limits.max]: what a deploy may ask

  /// [calls]: admission, and the bounds of one call's data.
  struct Calls {
    std::uint32_t max_running = 128;
    std::uint32_t max_queued = 1024;
    Millis queue_timeout{10'000};
    std::uint64_t request_bytes = 6ULL << 20;
    std::uint64_t result_bytes = 6ULL << 20;
    std::uint64_t log_bytes = 256ULL << 10;  ///< stdout and stderr together
    std::uint32_t history = 1000;            ///< finished calls remembered
  } calls;

  BundleLimits deploy;  ///< [deploy]

  /// [netns]: the pool refills up to `high` once it falls below `low`.
  struct Netns {
    std::uint32_t low = 8;
    std::uint32_t high = 32;
    std::uint64_t memory_bytes = 256ULL << 20;  ///< memory; of all of them, living and dying
    /// Helpers that build them at a time.
    std::uint32_t builders = std::clamp(std::thread::hardware_concurrency(), 1U, 2U);
    /// To whom one is handed on after a call, given the proof that it is clean.
    enum class Reuse {
      kNever,
      kUntouched,  ///< "untouched": to any sandbox, if nothing at all has happened in it
      kFunction,   ///< "function": as well to its own function, if nothing is left in it
    } reuse = Reuse::kUntouched;

    static constexpr std::uint64_t kBytesEach = 210'000;  ///< of kernel memory

    /// Besides those of the stocks at their fullest, `memory` must have room for so many: sandboxes
    /// at work, and the dead that the kernel has yet to take apart.
    static constexpr std::uint32_t kFewestBeside = 16;
  } netns;

  /// [nat]: the network class "nat".
  struct Nat {
    std::optional<boost::asio::ip::network_v4>
        ipv4;  ///< ipv4: sandboxes' addresses; absent: no nat
    std::optional<boost::asio::ip::network_v6> ipv6;  ///< ipv6: likewise; only with ipv4
    std::vector<boost::asio::ip::address> resolvers;  ///< resolvers; at most 3; none: the host's
    netns::Egress allow;                              ///< allow: what a deploy may ask
    std::uint32_t low = 2;                            ///< stock of namespaces with a link
    std::uint32_t high = 16;
    std::uint32_t connections = netns::Firewall::kMostConnections;  ///< of a sandbox, at a time
  } nat;

  /// [parked]: sandboxes made ahead of demand.
  struct Parked {
    std::uint32_t min = 1;   ///< clones kept per zygote
    std::uint32_t max = 64;  ///< most clones kept per zygote, keep_ready included
    std::uint64_t memory_bytes = 512ULL << 20;  ///< memory; of all parked clones together
    std::uint32_t shells = 4;                   ///< empty sandboxes without a zygote's clone
  } parked;

  /// [zygotes]
  struct Zygotes {
    std::uint32_t max = 64;
    std::uint64_t memory_bytes = 512ULL << 20;  ///< memory; of all of them beside the root
    /// plan: which sets of packages have a zygote.
    enum class Plan {
      kMeasured,    ///< "measured": `sets`, and those that by measured costs save the calls most
      kConfigured,  ///< "configured": `sets` and no others
    } plan = Plan::kMeasured;
    Millis import_timeout{60'000};
    bool seal = true;                  ///< zygote/seal.h
    bool functions = true;             ///< hot functions get zygotes of their own
    std::uint32_t max_functions = 32;  ///< such zygotes at a time, keep_ready included
    std::uint64_t function_memory = 1ULL
                                    << 30;  ///< that all of them add to their packages' zygotes
    /// Copies of zygotes that cannot clone fast enough, of all zygotes together.
    std::uint32_t replicas = std::max(1U, std::thread::hardware_concurrency());
    std::uint32_t rotate_clones = 100'000;  ///< clones until all zygotes are replaced; 0 = never
    std::uint32_t rotate_minutes = 60;      ///< time until then; 0 = never
    /// Requirements, one zygote a set, whatever the demand.
    std::vector<std::vector<std::string>> sets = {{"numpy"}, {"numpy", "pandas"}};
  } zygotes;

  /// [packages]
  struct Packages {
    std::vector<std::filesystem::path> folders = {"/usr/lib/python3/dist-packages"};
    /// [packages.preload]: normalised package name → modules its zygote imports, where they are not
    /// the ones its metadata names.
    std::map<std::string, std::vector<std::string>> preload;

    /// Where wheels come from for what the host does not have; neither: nowhere.
    std::vector<std::filesystem::path> find_links;  ///< find_links: folders; at most 4
    std::string index_url;                          ///< only with [nat]
    std::vector<std::string> extra_index_urls;
    netns::Egress allow;                      ///< allow: what pip may reach
    std::vector<std::string> pip_options;     ///< handed to pip as they are
    bool sdists = false;                      ///< whether packages may be built from source
    std::uint64_t memory_bytes = 2ULL << 30;  ///< memory; that installing may take, files included
    Millis timeout{300'000};                  ///< of one installation
    Millis keep_unused{3'600'000};            ///< how long the store keeps what nobody needs
  } packages;
};

/// Reads sockd.toml. Without `file`, $SOCK_CONFIG is read when it is set and not empty, else
/// kDefaultConfigFile, which alone may be missing (all defaults). Unknown keys, wrong types, values
/// out of range and values that contradict each other are kInvalid with file, line and key.
[[nodiscard]] Result<Config> load_config(const std::optional<std::filesystem::path>& file);

/// $SOCK_SOCKET and $SOCK_STATE_DIR, where set and not empty, replace the file's values. Call it
/// after load_config and before flags are applied. kInvalid as for check_paths.
[[nodiscard]] Result<> apply_environment(Config& config);

/// `socket` and `state_dir` must be absolute, the socket's path must fit sockaddr_un (unix(7)), and
/// `cgroup_parent` must be relative and without "..". For callers that have set them from
/// elsewhere, such as flags.
[[nodiscard]] Result<> check_paths(const Config& config);

}  // namespace sock::manager
