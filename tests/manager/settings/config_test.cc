#include "manager/settings/config.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "netns-pool/egress_text.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

/// Sets or clears a variable for the test's duration.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* const old = std::getenv(name)) before_ = old;
    if (value == nullptr) {
      ::unsetenv(name);
    } else {
      ::setenv(name, value, 1);
    }
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;
  ~ScopedVariable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

class ConfigTest : public testing::Test {
 protected:
  Result<Config> load(std::string_view text) const {
    write_text(file_, text);
    return load_config(file_);
  }
  /// The error of a file that must not load, without the file's path.
  std::string error(std::string_view text) const {
    const auto config = load(text);
    if (config) return "(loaded)";
    EXPECT_EQ(config.error().code, Code::kInvalid);
    const std::string& message = config.error().message;
    const std::string& path = file_.native();
    return message.starts_with(path) ? message.substr(path.size()) : message;
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "sockd.toml";
};

TEST_F(ConfigTest, EmptyFileGivesTheDefaults) {
  const auto config = load("");
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->socket, "/run/sock/sockd.sock");
  EXPECT_EQ(config->socket_group, "sock");
  EXPECT_EQ(config->state_dir, "/var/lib/sock");
  EXPECT_EQ(config->default_limits.sandbox.memory_bytes, 256ULL << 20);
  EXPECT_EQ(config->default_limits.timeout, Millis(30'000));
  EXPECT_EQ(config->max_limits.sandbox.memory_bytes, 1ULL << 30);
  EXPECT_EQ(config->calls.max_running, 128U);
  EXPECT_EQ(config->deploy.entries, 10'000U);
  EXPECT_EQ(config->netns.memory_bytes, 256ULL << 20);
  EXPECT_GE(config->netns.builders, 1U);
  EXPECT_LE(config->netns.builders, 2U);
  EXPECT_EQ(config->netns.reuse, Config::Netns::Reuse::kUntouched);
  EXPECT_FALSE(config->nat.ipv4);
  EXPECT_FALSE(config->nat.ipv6);
  EXPECT_TRUE(config->nat.resolvers.empty());
  EXPECT_EQ(netns::to_texts(config->nat.allow), std::vector<std::string>{"internet"});
  EXPECT_EQ(config->nat.connections, 512U);
  EXPECT_EQ(config->zygotes.sets.size(), 2U);
  EXPECT_TRUE(config->zygotes.seal);
}

TEST_F(ConfigTest, ReadsEveryKey) {
  const auto config = load(R"(
socket = "/tmp/a.sock"
socket_group = "staff"
state_dir = "/tmp/state"
log_level = "debug"
[cgroup]
parent = "sock/test-1"
[ids]
base = 200000
count = 4096
[limits.default]
memory = "128M"
timeout = "5s"
cpu = 0.5
pids = 32
tmp = "16M"
open_files = 256
[limits.max]
memory = 2147483648
timeout = "10m"
cpu = 4
pids = 128
tmp = "1G"
open_files = 512
[calls]
max_running = 3
max_queued = 4
queue_timeout = "500ms"
request_bytes = "1M"
result_bytes = "2M"
log_bytes = "64K"
history = 5
[deploy]
bundle_bytes = "8M"
unpacked_bytes = "32M"
entries = 100
depth = 7
[netns]
low = 1
high = 2
memory = "64M"
builders = 3
reuse = "function"
[nat]
ipv4 = "10.107.0.0/16"
ipv6 = "fd53:1::/64"
resolvers = ["9.9.9.9", "2620:fe::fe"]
allow = ["internet", "10.1.0.0/16:443/tcp", "192.168.0.0/16"]
low = 3
high = 4
connections = 100
[parked]
min = 2
max = 3
shells = 5
memory = "7M"
[zygotes]
max = 6
import_timeout = "7s"
replicas = 3
rotate_clones = 0
rotate_minutes = 5
seal = false
sets = [["NumPy"], ["numpy", "python_dateutil"]]
[packages]
folders = ["/opt/a", "/opt/b"]
[packages.preload]
Pillow = ["PIL.Image", "PIL"]
)");
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->socket, "/tmp/a.sock");
  EXPECT_EQ(config->socket_group, "staff");
  EXPECT_EQ(config->state_dir, "/tmp/state");
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->cgroup_parent, "sock/test-1");
  EXPECT_EQ(config->ids.base, 200'000U);
  EXPECT_EQ(config->ids.count, 4096U);
  const FunctionLimits expected_default{.sandbox = {.memory_bytes = 128ULL << 20,
                                                    .pids = 32,
                                                    .cpu_millis = 500,
                                                    .tmp_bytes = 16ULL << 20,
                                                    .open_files = 256},
                                        .timeout = Millis(5000)};
  EXPECT_EQ(config->default_limits, expected_default);
  const FunctionLimits expected_max{.sandbox = {.memory_bytes = 2ULL << 30,
                                                .pids = 128,
                                                .cpu_millis = 4000,
                                                .tmp_bytes = 1ULL << 30,
                                                .open_files = 512},
                                    .timeout = Millis(600'000)};
  EXPECT_EQ(config->max_limits, expected_max);
  EXPECT_EQ(config->calls.max_running, 3U);
  EXPECT_EQ(config->calls.max_queued, 4U);
  EXPECT_EQ(config->calls.queue_timeout, Millis(500));
  EXPECT_EQ(config->calls.request_bytes, 1ULL << 20);
  EXPECT_EQ(config->calls.result_bytes, 2ULL << 20);
  EXPECT_EQ(config->calls.log_bytes, 64ULL << 10);
  EXPECT_EQ(config->calls.history, 5U);
  EXPECT_EQ(config->deploy, (BundleLimits{8ULL << 20, 32ULL << 20, 100, 7}));
  EXPECT_EQ(config->netns.low, 1U);
  EXPECT_EQ(config->netns.high, 2U);
  EXPECT_EQ(config->netns.memory_bytes, 64ULL << 20);
  EXPECT_EQ(config->netns.builders, 3U);
  EXPECT_EQ(config->netns.reuse, Config::Netns::Reuse::kFunction);
  EXPECT_EQ(config->nat.ipv4, boost::asio::ip::make_network_v4("10.107.0.0/16"));
  EXPECT_EQ(config->nat.ipv6, boost::asio::ip::make_network_v6("fd53:1::/64"));
  const std::vector<boost::asio::ip::address> resolvers = {
      boost::asio::ip::make_address("9.9.9.9"), boost::asio::ip::make_address("2620:fe::fe")};
  EXPECT_EQ(config->nat.resolvers, resolvers);
  EXPECT_EQ(netns::to_texts(config->nat.allow),
            (std::vector<std::string>{"internet", "10.1.0.0/16:443", "192.168.0.0/16"}));
  EXPECT_EQ(config->nat.low, 3U);
  EXPECT_EQ(config->nat.high, 4U);
  EXPECT_EQ(config->nat.connections, 100U);
  EXPECT_EQ(config->parked.min, 2U);
  EXPECT_EQ(config->parked.max, 3U);
  EXPECT_EQ(config->parked.shells, 5U);
  EXPECT_EQ(config->parked.memory_bytes, 7ULL << 20);
  EXPECT_EQ(config->zygotes.max, 6U);
  EXPECT_EQ(config->zygotes.import_timeout, Millis(7000));
  EXPECT_EQ(config->zygotes.replicas, 3U);
  EXPECT_EQ(config->zygotes.rotate_clones, 0U);
  EXPECT_EQ(config->zygotes.rotate_minutes, 5U);
  EXPECT_FALSE(config->zygotes.seal);
  const std::vector<std::vector<std::string>> sets = {{"NumPy"}, {"numpy", "python_dateutil"}};
  EXPECT_EQ(config->zygotes.sets, sets);
  EXPECT_EQ(config->packages.folders, (std::vector<std::filesystem::path>{"/opt/a", "/opt/b"}));
  const std::map<std::string, std::vector<std::string>> preload = {
      {"pillow", {"PIL.Image", "PIL"}}};
  EXPECT_EQ(config->packages.preload, preload);
}

TEST_F(ConfigTest, ErrorsNameFileLineAndKey) {
  const std::vector<std::pair<const char*, const char*>> table = {
      {"\nsockt = 1",
       ":2: sockt: unknown key; the known ones are calls, cgroup, deploy, ids, limits, log_level, "
       "nat, netns, packages, parked, socket, socket_group, state_dir, zygotes"},
      {"[netns]\nlow = 1\nmiddle = 2",
       ":3: [netns] middle: unknown key; the known ones are builders, high, low, memory, reuse"},
      {"[limits.max]\nmemory = \"2X\"",
       ":2: [limits.max] memory: \"2X\" is not a size; write whole bytes or a whole number with K, "
       "M or G, such as 256M"},
      {"[limits.default]\nmemory = \"4K\"",
       ":2: [limits.default] memory: must be between 8M and 1024G, not 4K"},
      {"[limits.default]\ntmp = 0",
       ":2: [limits.default] tmp: must be between 64K and 1024G, not 0"},
      {"[limits.default]\nmemory = true",
       ":2: [limits.default] memory: must be a size such as \"256M\", not true"},
      {"[limits.default]\ntimeout = 30",
       ":2: [limits.default] timeout: must be a duration such as \"30s\", not 30"},
      {"[limits.default]\npids = -1",
       ":2: [limits.default] pids: must be a whole number between 1 and 32768, not -1"},
      {"[limits.default]\npids = 2.5",
       ":2: [limits.default] pids: must be a whole number between 1 and 32768, not 2.5E0"},
      {"[limits.default]\ncpu = 0",
       ":2: [limits.default] cpu: must be a number of cores between 0.01 and 1024, not 0"},
      {"[limits.default]\ncpu = \"1\"",
       ":2: [limits.default] cpu: must be a number of cores between 0.01 and 1024, not \"1\""},
      {"[limits.default]\ncpu = nan", ":2: limits.default.cpu: must be a finite number"},
      {"[limits.default]\ncpu = 1.00001",
       ":2: [limits.default] cpu: must have at most three decimals, not 1.00001E0"},
      {"[limits.max]\nmemory = \"128M\"",
       ":2: [limits.default] memory 256M is above [limits.max] memory 128M; lower the one or raise "
       "the other"},
      {"[limits.default]\npids = 1000",
       ":2: [limits.default] pids 1000 is above [limits.max] pids 512; lower the one or raise the "
       "other"},
      {"socket = \"relative.sock\"", ":1: socket: must be an absolute path, not \"relative.sock\""},
      {"socket = 5", ":1: socket: must be a text, not 5"},
      {"state_dir = \"\"", ":1: state_dir: must be an absolute path, not \"\""},
      {"log_level = \"loud\"",
       ":1: log_level: must be trace, debug, info, warn, error, critical or off, not \"loud\""},
      {"[cgroup]\nparent = \"../x\"",
       ":2: [cgroup] parent: must be a relative path of plain names, such as \"sock\", not "
       "\"../x\""},
      {"netns = 5", ":1: netns: must be a table, not 5"},
      {"[ids]\nbase = 0",
       ":2: [ids] base: must be a whole number between 65536 and 4294000000, not 0"},
      {"[ids]\nbase = 4294000000\ncount = 16777216",
       ":3: [ids] count: base + count must stay below 4294967295"},
      {"[netns]\nlow = 5\nhigh = 4", ":2: [netns] low: must not be above high (4), not 5"},
      {"[parked]\nmin = 65", ":2: [parked] min: must not be above max (64), not 65"},
      {"[zygotes]\nsets = [\"numpy\"]",
       ":2: [zygotes] sets: must be a list of texts, not \"numpy\""},
      {"[zygotes]\nsets = [[]]", ":2: [zygotes] sets: a set must name at least one package"},
      {"[zygotes]\nsets = [[\"a b\"]]",
       ":2: [zygotes] sets: \"a b\" is not a package's name, nor NAME==VERSION: 'b' is not a "
       "version "
       "specifier such as '>=1.20' (use ==, !=, >=, <=, >, <, ~= or ===)"},
      {"[zygotes]\nplan = \"best\"",
       ":2: [zygotes] plan: must be measured or configured, not \"best\""},
      {"[packages]\nfind_links = [\"wheels\"]",
       ":2: [packages] find_links: must be folders of this host, by absolute paths, not "
       "\"wheels\""},
      {"[packages]\nfind_links = [\"/1\", \"/2\", \"/3\", \"/4\", \"/5\"]",
       ":2: [packages] find_links: must be at most 4 folders, not 5"},
      {"[packages]\nindex_url = \"ftp://x\"",
       ":2: [packages] index_url: must be an http:// or https:// address, not \"ftp://x\""},
      {"[packages]\nindex_url = \"https://x\"",
       ":2: [packages] index_url: pip reaches it from a sandbox, whose network [nat] gives it: set "
       "[nat] ipv4"},
      {"[packages]\nextra_index_urls = [\"https://x\"]",
       ":2: [packages] extra_index_urls: needs index_url, too"},
      {"[packages]\npip_options = [\"x\"]",
       ":2: [packages] pip_options: must be options of pip such as \"--pre\", not \"x\""},
      {"[zygotes]\nsets = [[1]]", ":2: [zygotes] sets: must be a list of texts, but one item is 1"},
      {"[packages]\nfolders = [\"lib\"]",
       ":2: [packages] folders: must be an absolute path, not \"lib\""},
      {"[packages.preload]\nnumpy = [\"os; import x\"]",
       ":2: [packages.preload] numpy: \"os; import x\" is not a module's name"},
      {"[calls]\nhistory = 1979-05-27", ":2: calls.history: dates and times have no meaning here"},
  };
  for (const auto& [text, expected] : table) EXPECT_EQ(error(text), expected) << text;
}

TEST_F(ConfigTest, ReuseIsAWord) {
  using Reuse = Config::Netns::Reuse;
  for (const auto& [word, reuse] :
       std::vector<std::pair<std::string, Reuse>>{{"never", Reuse::kNever},
                                                  {"untouched", Reuse::kUntouched},
                                                  {"function", Reuse::kFunction}}) {
    const auto config = load("[netns]\nreuse = \"" + word + "\"");
    ASSERT_TRUE(config) << config.error().describe();
    EXPECT_EQ(config->netns.reuse, reuse) << word;
  }
  EXPECT_EQ(error("[netns]\nreuse = \"always\""),
            ":2: [netns] reuse: must be never, untouched or function, not \"always\"");
  EXPECT_EQ(error("[netns]\nreuse = true"), ":2: [netns] reuse: must be a text, not true");
  EXPECT_TRUE(error("[netns]\nreuse_untouched = true")
                  .starts_with(":2: [netns] reuse_untouched: unknown key"));
}

TEST_F(ConfigTest, StocksOfNamespacesFitTheirMemory) {
  EXPECT_EQ(
      error("[netns]\nhigh = 4\nlow = 1\nmemory = \"4M\""),
      ":4: [netns] memory: 4M has room for 19 namespaces; a stock of 4 and those at work need "
      "20");
  EXPECT_EQ(error("[netns]\nhigh = 3\nlow = 1\nmemory = \"4M\""), "(loaded)");
  EXPECT_EQ(error("[netns]\nlow = 1\nhigh = 5000"),
            ":3: [netns] memory: 256M has room for 1278 namespaces; a stock of 5000 and those at "
            "work need 5016");
  // Those with a link count where there are any.
  const std::string small = "[netns]\nhigh = 3\nlow = 1\nmemory = \"4M\"\n[nat]\nhigh = 2\n";
  EXPECT_EQ(error(small), "(loaded)");
  EXPECT_TRUE(error(small + "ipv4 = \"10.107.0.0/16\"").starts_with(":4: [netns] memory: 4M has"));
}

TEST_F(ConfigTest, NatErrorsNameFileLineAndKey) {
  const std::vector<std::pair<const char*, const char*>> table = {
      {"ipv4 = \"10.0.0.0/8\"", "ipv4: 10.0.0.0/8 is not a prefix of 16 to 29 bits"},
      {"ipv4 = \"10.107.0.1/16\"",
       "ipv4: \"10.107.0.1/16\" has host bits set; the network is 10.107.0.0/16"},
      {"ipv4 = \"10.107.0.0\"", "ipv4: 10.107.0.0/32 is not a prefix of 16 to 29 bits"},
      {"ipv4 = \"fd00::/64\"", "ipv4: \"fd00::/64\" is not a network of IPv4"},
      {"ipv4 = \"224.0.0.0/16\"", "ipv4: 224.0.0.0/16 is not unicast"},
      {"ipv4 = \"here\"", "ipv4: \"here\" is not an IP address or network"},
      {"ipv4 = 10", "ipv4: must be a text, not 10"},
      {"ipv6 = \"fd53:1::/64\"", "ipv6: needs ipv4, too"},
      {"ipv6 = \"fd53:1::/48\"\nipv4 = \"10.107.0.0/16\"",
       "ipv6: fd53:1::/48 is not a prefix of 64 to 112 bits"},
      {"resolvers = [\"9.9.9.9:53\"]", "resolvers: \"9.9.9.9:53\" is not an IP address"},
      {"resolvers = [\"9.9.9.9/32\"]", "resolvers: \"9.9.9.9/32\" is not an IP address"},
      {"resolvers = [\"1.1.1.1\", \"1.1.1.2\", \"1.1.1.3\", \"1.1.1.4\"]",
       "resolvers: must be at most 3, as resolv.conf(5) takes, not 4"},
      {"resolvers = \"127.0.0.53\"",
       "resolvers: \"127.0.0.53\" can never be reached: 127.0.0.0/8 is loopback"},
      {"resolvers = \"fd00::1\"\nipv4 = \"10.107.0.0/16\"",
       "resolvers: \"fd00::1\" can never be reached: sandboxes have no IPv6 here"},
      {"allow = []", "allow: names no destination"},
      {"allow = [\"internet\", \"10.0.0.1/8\"]",
       "allow: \"10.0.0.1/8\" has host bits set; the network is 10.0.0.0/8"},
      {"allow = \"10.107.1.0/24\"\nipv4 = \"10.107.0.0/16\"",
       "allow: \"10.107.1.0/24\" can never be reached: 10.107.0.0/16 is the sandboxes' own, who "
       "cannot reach each other or the host"},
      {"low = 17", "low: must not be above high (16), not 17"},
      {"high = 0", "high: must be a whole number between 1 and 4096, not 0"},
      {"high = 6\nipv4 = \"10.107.0.0/29\"",
       "high: must not be above the 5 addresses of 10.107.0.0/29, not 6"},
      {"connections = 0", "connections: must be a whole number between 1 and 65535, not 0"},
      {"ipv5 = 1",
       "ipv5: unknown key; the known ones are allow, connections, high, ipv4, ipv6, low, "
       "resolvers"},
  };
  for (const auto& [text, expected] : table) {
    EXPECT_EQ(error("[nat]\n" + std::string(text)), ":2: [nat] " + std::string(expected)) << text;
  }
  // What nat would use does no harm while it is off.
  EXPECT_EQ(error("[nat]\nallow = \"10.0.0.0/8\"\nhigh = 3"), "(loaded)");
}

TEST_F(ConfigTest, SyntaxErrorsNameTheLine) {
  EXPECT_TRUE(error("socket = \"/a\"\n[netns\nlow = 1").starts_with(":2: "));
  EXPECT_TRUE(error("socket = \"/a\"\nsocket = \"/b\"").starts_with(":2: "));
  EXPECT_TRUE(error("\xff\xfe").starts_with(":1: "));
  EXPECT_NE(error("a = " + std::string(100'000, '[')), "(loaded)");
}

TEST_F(ConfigTest, SocketPathMustFitItsAddress) {
  const std::string longest = "/" + std::string(106, 'a');
  EXPECT_TRUE(load("socket = \"" + longest + "\""));
  EXPECT_NE(error("socket = \"" + longest + "a\"").find("must be at most 107 bytes"),
            std::string::npos);
}

TEST_F(ConfigTest, NamedFileMustExist) {
  const auto config = load_config(folder_.path() / "missing.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Code::kInvalid);
  EXPECT_NE(config.error().describe().find("missing.toml"), std::string::npos);
  EXPECT_FALSE(load_config(folder_.path()));
}

TEST_F(ConfigTest, MissingDefaultFileIsFine) {
  if (std::filesystem::exists(kDefaultConfigFile)) GTEST_SKIP() << kDefaultConfigFile << " exists";
  const ScopedVariable none("SOCK_CONFIG", nullptr);
  const auto config = load_config(std::nullopt);
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->log_level, "info");
}

TEST_F(ConfigTest, EnvironmentNamesTheFileAndOverridesPaths) {
  write_text(file_, "log_level = \"warn\"\n");
  const ScopedVariable named("SOCK_CONFIG", file_.c_str());
  const ScopedVariable socket("SOCK_SOCKET", "/tmp/other.sock");
  const ScopedVariable state("SOCK_STATE_DIR", "");
  auto config = load_config(std::nullopt);
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->log_level, "warn");
  ASSERT_TRUE(apply_environment(*config));
  EXPECT_EQ(config->socket, "/tmp/other.sock");
  EXPECT_EQ(config->state_dir, "/var/lib/sock");

  std::filesystem::remove(file_);
  EXPECT_FALSE(load_config(std::nullopt));
}

TEST_F(ConfigTest, EnvironmentIsCheckedToo) {
  Config config;
  {
    const ScopedVariable socket("SOCK_SOCKET", "here.sock");
    const auto applied = apply_environment(config);
    ASSERT_FALSE(applied);
    EXPECT_EQ(applied.error().message, "SOCK_SOCKET: must be an absolute path, not \"here.sock\"");
  }
  {
    const ScopedVariable state("SOCK_STATE_DIR", "here");
    EXPECT_FALSE(apply_environment(config));
  }
  EXPECT_TRUE(check_paths(config));
  config.state_dir = "x";
  EXPECT_FALSE(check_paths(config));
  config.state_dir = "/x";
  for (const char* const parent : {"", "/sock", "a//b", "a/", "..", "a/../b", "a b", ".hidden"}) {
    config.cgroup_parent = parent;
    EXPECT_FALSE(check_paths(config)) << parent;
  }
  config.cgroup_parent = "user@1.slice/sock-test_1";
  EXPECT_TRUE(check_paths(config));
}

}  // namespace
}  // namespace sock::manager
