#include "manager/functions/function_options.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/json/parse.hpp>
#include <utility>
#include <vector>

#include "netns-pool/egress_text.h"

namespace sock::manager {
namespace {

using Text = std::optional<std::string>;

boost::json::object options(std::string_view json) { return boost::json::parse(json).as_object(); }

Result<FunctionSpec> build(std::string_view flags, const Text& toml = {}, const Text& txt = {},
                           const Config& config = {}) {
  return build_spec("f", options(flags), toml, txt, config);
}

std::string flag_error(std::string_view flags) {
  const auto spec = build(flags);
  if (spec) return "(accepted)";
  EXPECT_EQ(spec.error().code, Code::kInvalid);
  return spec.error().message;
}

std::string toml_error(const std::string& toml) {
  const auto spec = build("{}", toml);
  if (spec) return "(accepted)";
  EXPECT_EQ(spec.error().code, Code::kInvalid);
  return spec.error().message;
}

TEST(FunctionOptions, DefaultsComeFromTheDaemon) {
  Config config;
  config.default_limits.sandbox.pids = 17;
  config.default_limits.sandbox.open_files = 99;
  config.default_limits.timeout = Millis(1234);
  const auto spec = build("{}", {}, {}, config);
  ASSERT_TRUE(spec) << spec.error().describe();
  EXPECT_EQ(spec->name, "f");
  EXPECT_EQ(spec->handler, "handler.handler");
  EXPECT_TRUE(spec->requirements.empty());
  EXPECT_TRUE(spec->packages.empty());
  EXPECT_EQ(spec->limits, config.default_limits.sandbox);
  EXPECT_EQ(spec->timeout, Millis(1234));
  EXPECT_EQ(spec->network, Network::kNone);
  EXPECT_TRUE(spec->environment.empty());
  EXPECT_EQ(spec->keep_ready, 0U);
}

TEST(FunctionOptions, ReadsEveryOption) {
  const char* const json = R"({"handler":"a.b.run","requirements":["numpy==1.24.2"," six "],
    "memory":"512M","timeout":"1m","cpu":1.5,"pids":8,"tmp":1048576,"network":"none",
    "env":{"A":"1","_b":""},"keep_ready":2})";
  const char* const toml = R"(
handler = "a.b.run"
requirements = """
numpy==1.24.2
  six
"""
memory = "512M"
timeout = "1m"
cpu = 1.5
pids = 8
tmp = "1M"
network = "none"
keep_ready = 2
[env]
A = "1"
_b = ""
)";
  for (const auto& spec : {build(json), build("{}", toml)}) {
    ASSERT_TRUE(spec) << spec.error().describe();
    EXPECT_EQ(spec->handler, "a.b.run");
    EXPECT_EQ(spec->requirements, (std::vector<std::string>{"numpy==1.24.2", "six"}));
    EXPECT_EQ(spec->limits.memory_bytes, 512ULL << 20);
    EXPECT_EQ(spec->timeout, Millis(60'000));
    EXPECT_EQ(spec->limits.cpu_millis, 1500U);
    EXPECT_EQ(spec->limits.pids, 8U);
    EXPECT_EQ(spec->limits.tmp_bytes, 1ULL << 20);
    EXPECT_EQ(spec->environment, (std::map<std::string, std::string>{{"A", "1"}, {"_b", ""}}));
    EXPECT_EQ(spec->keep_ready, 2U);
  }
}

TEST(FunctionOptions, FlagsWinOverTheFileWhichWinsOverDefaults) {
  const auto spec =
      build(R"({"memory":"64M","env":{"A":"flag"}})",
            "memory = \"2G\"\ntimeout = \"7s\"\nenv = {A = \"file\", B = \"file\"}\n", "six\n");
  ASSERT_TRUE(spec) << spec.error().describe();
  EXPECT_EQ(spec->limits.memory_bytes, 64ULL << 20);
  EXPECT_EQ(spec->timeout, Millis(7000));
  EXPECT_EQ(spec->limits.pids, 64U);
  EXPECT_EQ(spec->environment, (std::map<std::string, std::string>{{"A", "flag"}, {"B", "file"}}));
  EXPECT_EQ(spec->requirements, std::vector<std::string>{"six"});
}

TEST(FunctionOptions, OneSourceOfRequirementsWins) {
  const std::string toml = "requirements = [\"toml\"]";
  EXPECT_EQ(build(R"({"requirements":"flag"})", toml, "txt")->requirements,
            std::vector<std::string>{"flag"});
  EXPECT_EQ(build("{}", toml, "txt")->requirements, std::vector<std::string>{"toml"});
  EXPECT_EQ(build("{}", "", "txt")->requirements, std::vector<std::string>{"txt"});
  EXPECT_TRUE(build(R"({"requirements":[]})", toml, "txt")->requirements.empty());
}

TEST(FunctionOptions, RequirementsAreLines) {
  const auto spec =
      build("{}", {}, "\xef\xbb\xbf# comment\r\n\r\n numpy >= 1.20  # why\r\n\tsix\n\n#end");
  ASSERT_TRUE(spec) << spec.error().describe();
  EXPECT_EQ(spec->requirements, (std::vector<std::string>{"numpy >= 1.20  # why", "six"}));
}

TEST(FunctionOptions, HostileRequirementsAreRefused) {
  const auto error = [](const std::string& text) {
    const auto spec = build("{}", {}, text);
    return spec ? "(accepted)" : spec.error().message;
  };
  EXPECT_EQ(error("a\x1b[31m"), "requirements.txt holds control characters: \"a\\x1b[31m\"");
  EXPECT_EQ(error(std::string("a\0b", 3)),
            "requirements.txt holds control characters: \"a\\x00b\"");
  EXPECT_EQ(error("\xff"), "requirements.txt is not UTF-8 text");
  EXPECT_EQ(error(std::string((256 << 10) + 1, 'a')), "requirements.txt is longer than 256 KiB");
  std::string many;
  for (int i = 0; i < 1001; ++i) many += "a\n";
  EXPECT_EQ(error(many), "requirements.txt has more than 1000 lines");
}

TEST(FunctionOptions, CapsRefuseAndNeverClip) {
  const std::vector<std::pair<const char*, const char*>> table = {
      {R"({"memory":"2G"})", "memory 2G is above this daemon's cap of 1G ([limits.max] memory)"},
      {R"({"timeout":"6m"})", "timeout 6m is above this daemon's cap of 5m ([limits.max] timeout)"},
      {R"({"cpu":2.5})", "cpu 2.5 is above this daemon's cap of 2 ([limits.max] cpu)"},
      {R"({"pids":513})", "pids 513 is above this daemon's cap of 512 ([limits.max] pids)"},
      {R"({"tmp":"513M"})", "tmp 513M is above this daemon's cap of 512M ([limits.max] tmp)"},
      {R"({"keep_ready":65})", "keep_ready 65 is above this daemon's cap of 64 ([parked] max)"},
  };
  for (const auto& [flags, expected] : table) EXPECT_EQ(flag_error(flags), expected);
  const auto at_the_cap =
      build(R"({"memory":"1G","timeout":"5m","cpu":2,"pids":512,"tmp":"512M","keep_ready":8})");
  ASSERT_TRUE(at_the_cap) << at_the_cap.error().describe();
  EXPECT_EQ(at_the_cap->limits.memory_bytes, 1ULL << 30);
  EXPECT_EQ(toml_error("memory = \"2G\""),
            "memory 2G is above this daemon's cap of 1G ([limits.max] memory)");
}

TEST(FunctionOptions, RefusalsNameTheOption) {
  const std::vector<std::pair<const char*, const char*>> table = {
      {R"({"memroy":"1G"})",
       "memroy: unknown key; the known ones are allow, cpu, env, handler, keep_ready, memory, "
       "network, "
       "pids, requirements, timeout, tmp"},
      {R"({"open_files":5})",
       "open_files: unknown key; the known ones are allow, cpu, env, handler, keep_ready, memory, "
       "network, pids, requirements, timeout, tmp"},
      {R"({"\u001b[2J":1})",
       "\"\\x1b[2J\": unknown key; the known ones are allow, cpu, env, handler, keep_ready, "
       "memory, "
       "network, pids, requirements, timeout, tmp"},
      {R"({"memory":null})", "memory: must be a size such as \"256M\", not null"},
      {R"({"memory":[]})", "memory: must be a size such as \"256M\", not a list"},
      {R"({"timeout":"0s"})", "timeout: must be between 10ms and 24h, not 0s"},
      {R"({"cpu":-1})", "cpu: must be a number of cores between 0.01 and 1024, not -1"},
      {R"({"cpu":1e300})", "cpu: must be a number of cores between 0.01 and 1024, not 1E300"},
      {R"({"pids":0})", "pids: must be a whole number between 1 and 32768, not 0"},
      {R"({"pids":18446744073709551615})",
       "pids: must be a whole number between 1 and 32768, not 18446744073709551615"},
      {R"({"network":"host"})", "network: must be \"none\" or \"nat\", not \"host\""},
      {R"({"network":true})", "network: must be a text, not true"},
      {R"({"allow":7})", "allow: must be a list of texts, not 7"},
      {R"({"allow":[7]})", "allow: must be a list of texts, but one item is 7"},
      {R"({"allow":[]})", "allow: names no destination"},
      {R"({"allow":"10.1.2.3/24"})",
       "allow: \"10.1.2.3/24\" has host bits set; the network is 10.1.2.0/24"},
      {R"({"handler":"handler"})",
       "handler: must be module.function, such as \"handler.handler\", not \"handler\""},
      {R"({"requirements":{}})", "requirements: must be a list of texts, not a table"},
      {R"({"requirements":["a",1]})", "requirements: must be a list of texts, but one item is 1"},
      {R"({"env":["A=1"]})", "env: must be a table of texts, not a list"},
      {R"({"env":{"A":1}})", "env: the value of \"A\" must be a text"},
      {R"({"keep_ready":-1})", "keep_ready: must be a whole number between 0 and 1000, not -1"},
  };
  for (const auto& [flags, expected] : table) {
    EXPECT_EQ(flag_error(flags), expected) << flags;
  }
}

Config with_nat(const std::vector<std::string>& allow = {"internet", "10.0.0.0/8"}) {
  Config config;
  config.nat.ipv4 = boost::asio::ip::make_network_v4("10.107.0.0/16");
  config.nat.allow = netns::parse_egress(allow).value();
  return config;
}

/// "none", or what a function may reach.
std::string reach(const Result<FunctionSpec>& spec) {
  if (!spec) {
    EXPECT_EQ(spec.error().code, Code::kInvalid);
    return spec.error().message;
  }
  std::string out(to_string(spec->network));
  if (spec->network == Network::kNone) return out;
  for (const auto& text : netns::to_texts(spec->egress)) out += " " + text;
  return out;
}

TEST(FunctionOptions, NatReachesTheInternetUnlessToldOtherwise) {
  const Config config = with_nat();
  const auto reached = [&](std::string_view flags, const Text& toml = {}) {
    return reach(build(flags, toml, {}, config));
  };
  EXPECT_EQ(reached("{}"), "none");
  EXPECT_EQ(reached(R"({"network":"nat"})"), "nat internet");
  EXPECT_EQ(reached(R"({"network":"nat","allow":"10.1.2.3:5432/tcp"})"), "nat 10.1.2.3:5432");
  EXPECT_EQ(reached(R"({"network":"nat","allow":["10.1.2.0/24","internet","10.1.2.0/24"]})"),
            "nat internet 10.1.2.0/24");
  EXPECT_EQ(reached("{}", "network = \"nat\"\nallow = [\"10.1.2.3/32\"]\n"), "nat 10.1.2.3");
}

TEST(FunctionOptions, FlagsWinForTheNetworkToo) {
  const Config config = with_nat();
  const auto reached = [&](std::string_view flags, const std::string& toml) {
    return reach(build(flags, toml, {}, config));
  };
  const std::string file = "network = \"nat\"\nallow = \"10.1.2.3\"\n";
  EXPECT_EQ(reached(R"({"allow":["internet"]})", file), "nat internet");
  EXPECT_EQ(reached(R"({"network":"nat"})", file), "nat 10.1.2.3");
  EXPECT_EQ(reached(R"({"network":"nat"})", "allow = \"10.1.2.3\"\n"), "nat 10.1.2.3");
  // What the file allows is not in the way of a flag that wants no network.
  EXPECT_EQ(reached(R"({"network":"none"})", file), "none");
}

TEST(FunctionOptions, AllowNeedsNat) {
  const std::string expected = "allow needs network = \"nat\"; with \"none\" nothing is reached";
  for (const Config& config : {with_nat(), Config()}) {
    EXPECT_EQ(reach(build(R"({"allow":"internet"})", {}, {}, config)), expected);
    EXPECT_EQ(reach(build("{}", "allow = \"internet\"", {}, config)), expected);
    EXPECT_EQ(reach(build(R"({"network":"none","allow":"internet"})", {}, {}, config)), expected);
    EXPECT_EQ(reach(build(R"({"allow":"internet"})", "network = \"none\"", {}, config)), expected);
  }
}

TEST(FunctionOptions, NatIsTheDaemonsToOffer) {
  EXPECT_EQ(flag_error(R"({"network":"nat"})"),
            "network \"nat\" is not enabled on this daemon ([nat] ipv4)");
  const auto reached = [](const std::vector<std::string>& permitted, std::string_view flags) {
    return reach(build(flags, {}, {}, with_nat(permitted)));
  };
  EXPECT_EQ(reached({"internet"}, R"({"network":"nat","allow":["internet","10.1.2.3:443"]})"),
            "allow: \"10.1.2.3:443\" is not within what this daemon permits ([nat] allow)");
  EXPECT_EQ(reached({"10.0.0.0/8"}, R"({"network":"nat","allow":["10.1.2.3","internet"]})"),
            "allow: \"internet\" is not within what this daemon permits ([nat] allow)");
  EXPECT_EQ(reached({"10.0.0.0/8"}, R"({"network":"nat"})"),
            "allow: \"internet\" is not within what this daemon permits ([nat] allow); name what "
            "the function is to reach");
  EXPECT_EQ(reached({"10.0.0.0/8:443"}, R"({"network":"nat","allow":"10.1.2.3:443"})"),
            "nat 10.1.2.3:443");
}

TEST(FunctionOptions, WhatCannotBeReachedIsRefused) {
  const auto reached = [](const char* entry) {
    boost::json::object flags = options(R"({"network":"nat"})");
    flags["allow"] = entry;
    return reach(build_spec("f", flags, {}, {}, with_nat({"0.0.0.0/0", "::/0"})));
  };
  EXPECT_EQ(reached("127.0.0.1:80"),
            "allow: \"127.0.0.1:80\" can never be reached: 127.0.0.0/8 is loopback");
  EXPECT_TRUE(reached("169.254.169.254").starts_with("allow: \"169.254.169.254\" can never be"));
  EXPECT_TRUE(reached("10.107.5.5")
                  .starts_with("allow: \"10.107.5.5\" can never be reached: "
                               "10.107.0.0/16 is the sandboxes' own"));
  EXPECT_TRUE(reached("fd00::1").ends_with("sandboxes have no IPv6 here"));
}

TEST(FunctionOptions, RefusalsNameTheLineOfTheFile) {
  EXPECT_EQ(toml_error("handler = \"a.b\"\nmemory = \"1X\"\n"),
            "sock.toml:2: memory: \"1X\" is not a size; write whole bytes or a whole number with "
            "K, M or G, such as 256M");
  EXPECT_TRUE(toml_error("\nnope = 1").starts_with("sock.toml:2: nope: unknown key"));
  EXPECT_TRUE(toml_error("a = [").starts_with("sock.toml:1: "));
  EXPECT_EQ(toml_error(std::string((64 << 10) + 1, '#')), "sock.toml is longer than 64 KiB");
  EXPECT_EQ(
      toml_error("network = \"nat\"\nallow = [\n  \"10.0.0.1:0\",\n]\n"),
      "sock.toml:2: allow: \"10.0.0.1:0\" has a port that is not a number from 1 to 65535, or "
      "two as 8000-8080");
  // Also when a flag would win.
  EXPECT_FALSE(build(R"({"memory":"64M"})", "memory = 1.5"));
}

TEST(FunctionOptions, Environment) {
  const auto error = [](const std::string& name, const std::string& value) {
    boost::json::object env;
    env[name] = value;
    boost::json::object flags;
    flags["env"] = env;
    const auto spec = build_spec("f", flags, {}, {}, Config());
    return spec ? "(accepted)" : spec.error().message;
  };
  EXPECT_EQ(error("PATH", "x\ny\xc3\xa9"), "(accepted)");
  EXPECT_EQ(error("MY_PYTHON", "x"), "(accepted)");
  for (const std::string name : {"", "1A", "A=B", "A B", "A-B", "\xc3\x84"}) {
    EXPECT_NE(error(name, "x").find("is not a variable's name"), std::string::npos) << name;
  }
  EXPECT_NE(error(std::string("A\0B", 3), "x").find("is not a variable's name"), std::string::npos);
  for (const char* const name : {"SOCK_X", "LD_PRELOAD", "PYTHONPATH", "PYTHON"}) {
    EXPECT_NE(error(name, "x").find("is reserved"), std::string::npos) << name;
  }
  EXPECT_EQ(error("A", std::string("x\0y", 3)), "env: the value of \"A\" holds a NUL");
  EXPECT_EQ(error("A", std::string(32'768 - 3, 'x')), "(accepted)");
  EXPECT_EQ(error("A", std::string(32'768 - 2, 'x')),
            "env: all variables together take 32769 bytes; at most 32768 are allowed");
}

TEST(FunctionOptions, MergedEnvironmentIsBoundedToo) {
  const std::string big(20'000, 'x');
  const auto spec = build("{\"env\":{\"A\":\"" + big + "\"}}", "env = {B = \"" + big + "\"}");
  ASSERT_FALSE(spec);
  EXPECT_NE(spec.error().message.find("all variables together take 40006 bytes"),
            std::string::npos);
}

TEST(FunctionOptions, FunctionNames) {
  const std::string longest(64, 'a');
  for (const std::string& name :
       {std::string("a"), std::string("0"), std::string("a.b_c-d"), std::string("a..b"), longest}) {
    EXPECT_TRUE(is_function_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("A"), std::string("-a"), std::string(".a"), std::string("_a"),
        std::string(".."), std::string("a/b"), std::string("a b"), std::string("\xc3\xa9"),
        std::string("a\0b", 3), std::string("a\n"), longest + "a"}) {
    EXPECT_FALSE(is_function_name(name)) << name;
    EXPECT_EQ(build_spec(name, {}, {}, {}, Config()).error().code, Code::kInvalid);
  }
}

}  // namespace
}  // namespace sock::manager
