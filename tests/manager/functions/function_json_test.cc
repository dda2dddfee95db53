#include "manager/functions/function_json.h"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "netns-pool/egress_text.h"

namespace sock::manager {
namespace {

Function example() {
  Function function;
  function.spec.name = "thumbs";
  function.spec.handler = "pkg.app.run";
  function.spec.requirements = {"numpy>=1.20", "six ; \"quoted\""};
  function.spec.packages = {{"numpy", "1.24.2"}, {"six", "1.16.0"}};
  function.spec.limits = {.memory_bytes = 512ULL << 20,
                          .pids = 12,
                          .cpu_millis = 250,
                          .tmp_bytes = 65'537,
                          .open_files = 77};
  function.spec.timeout = Millis(1500);
  function.spec.environment = {{"A", "x\n\"\\\xc3\xa9"}, {"B", ""}};
  function.spec.keep_ready = 3;
  function.generation = 9;
  function.code = "/state/functions/thumbs/9/code";
  function.code_bytes = 1'234'567;
  function.sha256 = std::string(64, 'a');
  function.deployed_at = 1'700'000'000;
  return function;
}

Function with_nat() {
  Function function = example();
  function.spec.network = Network::kNat;
  function.spec.egress =
      netns::parse_egress(std::vector<std::string>{"internet", "10.1.2.0/24:443/tcp", "fd00::1"})
          .value();
  return function;
}

TEST(FunctionJson, ShowsOptionsAsWrittenAndAsNumbers) {
  const boost::json::object expected = boost::json::parse(R"({
    "name":"thumbs","generation":9,"handler":"pkg.app.run",
    "requirements":["numpy>=1.20","six ; \"quoted\""],
    "packages":[{"name":"numpy","version":"1.24.2"},{"name":"six","version":"1.16.0"}],
    "memory":"512M","memory_bytes":536870912,"timeout":"1500ms","timeout_ms":1500,
    "cpu":0.25,"pids":12,"tmp":"65537","tmp_bytes":65537,"open_files":77,"network":"none",
    "env":{"A":"x\n\"\\é","B":""},"keep_ready":3,"code_bytes":1234567,
    "sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "deployed_at":1700000000})")
                                           .as_object();
  EXPECT_EQ(boost::json::value(to_json(example())), boost::json::value(expected));
  Function whole = example();
  whole.spec.limits.cpu_millis = 2000;
  EXPECT_EQ(boost::json::serialize(to_json(whole).at("cpu")), "2");
}

void expect_same(const Function& a, const Function& b) {
  EXPECT_EQ(boost::json::serialize(to_json(a)), boost::json::serialize(to_json(b)));
  EXPECT_EQ(a.code, b.code);
  EXPECT_EQ(a.spec.limits, b.spec.limits);
  EXPECT_EQ(a.spec.packages, b.spec.packages);
  EXPECT_EQ(a.spec.environment, b.spec.environment);
  EXPECT_EQ(a.spec.network, b.spec.network);
  EXPECT_EQ(netns::to_texts(a.spec.egress), netns::to_texts(b.spec.egress));
}

TEST(FunctionJson, RoundTrips) {
  const Function function = example();
  const auto text = boost::json::serialize(to_json(function));
  const auto back = from_json(boost::json::parse(text).as_object(), function.code);
  ASSERT_TRUE(back) << back.error().describe();
  expect_same(*back, function);
  const auto record = to_record(function);
  ASSERT_TRUE(record);
  const auto loaded = from_record(*record, function.code);
  ASSERT_TRUE(loaded) << loaded.error().describe();
  expect_same(*loaded, function);

  const auto networked = from_record(to_record(with_nat()).value(), function.code);
  ASSERT_TRUE(networked) << networked.error().describe();
  expect_same(*networked, with_nat());

  Function smallest;
  smallest.spec.name = "a";
  smallest.generation = 1;
  smallest.sha256 = std::string(64, '0');
  EXPECT_TRUE(from_record(to_record(smallest).value(), {}));
  for (std::uint32_t millis = 10; millis <= 3000; ++millis) {
    Function cpu = example();
    cpu.spec.limits.cpu_millis = millis;
    const auto again =
        from_json(boost::json::parse(boost::json::serialize(to_json(cpu))).as_object(), {});
    ASSERT_TRUE(again) << millis << " " << again.error().describe();
    ASSERT_EQ(again->spec.limits.cpu_millis, millis);
  }
}

TEST(FunctionJson, ShowsWhereANetworkedFunctionMayGo) {
  const boost::json::object shown = to_json(with_nat());
  EXPECT_EQ(shown.at("network"), "nat");
  EXPECT_EQ(boost::json::serialize(shown.at("allow")),
            R"(["internet","10.1.2.0/24:443","fd00::1"])");
  EXPECT_FALSE(to_json(example()).contains("allow"));
}

// As it was written before functions could have a network.
TEST(FunctionJson, RecordsWithoutDestinationsStillLoad) {
  const auto loaded = from_record(
      R"({"format":1,"sha256":"8c05be467fd9ca66d7c5457cd5cfc11b5dd8737c0b4e89c5738221c3da2a3cdc",)"
      R"("function":{"name":"thumbs","generation":9,"handler":"pkg.app.run","requirements":[],)"
      R"("packages":[],"memory":"256M","memory_bytes":268435456,"timeout":"30s",)"
      R"("timeout_ms":30000,"cpu":1,"pids":64,"tmp":"64M","tmp_bytes":67108864,)"
      R"("open_files":1024,"network":"none","env":{},"keep_ready":0,"code_bytes":7,)"
      R"("sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",)"
      R"("deployed_at":1700000000}})",
      "/code");
  ASSERT_TRUE(loaded) << loaded.error().describe();
  EXPECT_EQ(loaded->spec.network, Network::kNone);
}

TEST(FunctionJson, EveryKeyIsNeededAndHasOneType) {
  const boost::json::object whole = to_json(with_nat());
  for (const auto& member : whole) {
    boost::json::object missing = whole;
    missing.erase(member.key());
    const auto without = from_json(missing, {});
    ASSERT_FALSE(without) << member.key();
    EXPECT_EQ(without.error().code, Code::kInvalid);
    for (const char* const wrong :
         {"null", "true", "-1", "1e99", "\"\"", "[null]", "{\"a\":1}", "18446744073709551615"}) {
      boost::json::object changed = whole;
      changed[member.key()] = boost::json::parse(wrong);
      EXPECT_FALSE(from_json(changed, {})) << member.key() << " = " << wrong;
    }
  }
  boost::json::object more = whole;
  more["extra"] = 1;
  EXPECT_FALSE(from_json(more, {}));
}

TEST(FunctionJson, ContradictionsAreRefused) {
  const auto changed = [](const char* key, const boost::json::value& value) {
    boost::json::object object = to_json(example());
    object[key] = value;
    return from_json(object, {});
  };
  EXPECT_FALSE(changed("memory_bytes", 1));
  EXPECT_FALSE(changed("memory", "513M"));
  EXPECT_FALSE(changed("memory", "524288K"));  // not the canonical form
  EXPECT_FALSE(changed("timeout_ms", 1501));
  EXPECT_FALSE(changed("name", "../x"));
  EXPECT_FALSE(changed("handler", "x"));
  EXPECT_FALSE(changed("network", "nat"));
  EXPECT_FALSE(changed("env", {{"LD_PRELOAD", "x"}}));
  EXPECT_FALSE(changed("packages", boost::json::parse(R"([{"name":"A_b","version":"1"}])")));
  EXPECT_FALSE(changed("packages", boost::json::parse(R"([{"name":"a","version":""}])")));
  EXPECT_FALSE(changed("packages", boost::json::parse(R"([{"name":"a","version":"1","x":1}])")));
  EXPECT_TRUE(changed("env", {{"A", "y"}}));
  EXPECT_FALSE(changed("allow", {"internet"}));  // without nat
  const auto allowed = [](const boost::json::value& value) {
    boost::json::object object = to_json(with_nat());
    object["allow"] = value;
    return from_json(object, {});
  };
  EXPECT_TRUE(allowed({"internet"}));
  EXPECT_TRUE(allowed({"10.0.0.1"}));
  EXPECT_FALSE(allowed(boost::json::array()));
  EXPECT_FALSE(allowed("internet"));       // a list, always
  EXPECT_FALSE(allowed({"10.0.0.1/32"}));  // not the canonical form
  EXPECT_FALSE(allowed({"10.0.0.1", "internet"}));
  EXPECT_FALSE(allowed({"example.com"}));
}

TEST(FunctionJson, TruncatedRecordsAreRefused) {
  const std::string record = to_record(example()).value();
  for (std::size_t size = 0; size < record.size(); ++size) {
    const auto loaded = from_record(std::string_view(record).substr(0, size), {});
    ASSERT_FALSE(loaded) << size;
    EXPECT_EQ(loaded.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(from_record(record + "x", {}));
  EXPECT_FALSE(from_record(record + record, {}));
}

TEST(FunctionJson, EveryFlippedBitIsNoticedOrHarmless) {
  const Function function = with_nat();
  const std::string record = to_record(function).value();
  for (std::size_t at = 0; at < record.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string changed = record;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ (1U << bit));
      const auto loaded = from_record(changed, function.code);
      if (loaded) expect_same(*loaded, function);
    }
  }
}

TEST(FunctionJson, GarbageIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
        std::string(100'000, '['), std::string(4096, '\0'), std::string("{\"format\":1}"),
        std::string(R"({"format":2,"sha256":"","function":{}})"),
        std::string(R"({"format":1,"sha256":"","function":{}})"),
        std::string(R"({"format":1,"sha256":"","function":[]})")}) {
    const auto loaded = from_record(text, {});
    ASSERT_FALSE(loaded) << text.substr(0, 60);
    EXPECT_EQ(loaded.error().code, Code::kInvalid);
  }
}

}  // namespace
}  // namespace sock::manager
