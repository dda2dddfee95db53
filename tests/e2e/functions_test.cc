/// Deploying, describing, listing, removing; and everything that is refused.

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdio>
#include <cstring>

#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Functions : public Suite<Bare> {};

constexpr const char* kConstant = "def handler(e):\n    return 1\n";

/// One entry of a tar as pax(1) lays it out (POSIX ustar).
std::string tar_entry(const std::string& name, char type, const std::string& link,
                      const std::string& text) {
  std::array<char, 512> header{};
  std::snprintf(header.data(), 100, "%s", name.c_str());
  std::memcpy(&header[100], "0000644", 7);
  std::memcpy(&header[108], "0000000", 7);
  std::memcpy(&header[116], "0000000", 7);
  std::snprintf(&header[124], 12, "%011zo", text.size());
  std::memcpy(&header[136], "00000000000", 11);
  header[156] = type;
  std::snprintf(&header[157], 100, "%s", link.c_str());
  std::memcpy(&header[257], "ustar\00000", 8);
  std::memset(&header[148], ' ', 8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(&header[148], 8, "%06o", sum);
  std::string padded = text;
  padded.resize((text.size() + 511) / 512 * 512, '\0');
  return std::string(header.data(), header.size()) + padded;
}

std::string tar_of(const std::string& entries) { return entries + std::string(1024, '\0'); }

TEST_F(Functions, AreDeployedDescribedListedAndRemoved) {
  const Reply first = api().deploy("life", kConstant,
                                   R"({"memory":"128M","timeout":"5s",)"
                                   R"("cpu":0.5,"pids":20,"tmp":"16M",)"
                                   R"("env":{"A":"b"}})");
  ASSERT_EQ(first.status, 201U) << first.body;
  const Reply shown = api().get("/v1/functions/life");
  EXPECT_EQ(shown.body, first.body);
  EXPECT_EQ(shown.text("name"), "life");
  EXPECT_EQ(shown.text("handler"), "handler.handler");
  EXPECT_EQ(shown.text("memory"), "128M");
  EXPECT_EQ(shown.text("timeout"), "5s");
  EXPECT_EQ(shown.number("pids"), 20);
  EXPECT_EQ(shown.text("tmp"), "16M");
  EXPECT_EQ(shown.text("network"), "none");
  EXPECT_EQ(shown.json().at("env").at("A").as_string(), "b");
  EXPECT_EQ(shown.number("code_bytes"), static_cast<std::int64_t>(std::strlen(kConstant)));
  EXPECT_EQ(shown.text("sha256").size(), 64U);
  EXPECT_NE(api().get("/v1/functions").body.find("\"life\""), std::string::npos);
  EXPECT_EQ(api().invoke("life").body, "1");

  const Reply second = api().deploy("life", "def handler(e):\n    return 2\n");
  ASSERT_EQ(second.status, 200U) << second.body;
  EXPECT_GT(second.number("generation"), first.number("generation"));
  EXPECT_NE(second.text("sha256"), first.text("sha256"));
  EXPECT_EQ(api().invoke("life").body, "2");

  EXPECT_LT(api().remove("life").status, 300U);
  EXPECT_EQ(api().get("/v1/functions/life").status, 404U);
  EXPECT_TRUE(failed(api().invoke("life"), 404, "not_found"));
  EXPECT_TRUE(failed(api().remove("life"), 404, "not_found"));
  EXPECT_EQ(api().get("/v1/functions").body.find("\"life\""), std::string::npos);
}

TEST_F(Functions, ATarIsAFunctionToo) {
  const std::string tar = tar_of(
      tar_entry("app/__init__.py", '0', "", "") +
      tar_entry("app/main.py", '0', "", "from app.data import N\ndef run(e):\n    return N\n") +
      tar_entry("app/data.py", '0', "", "N = 42\n"));
  ASSERT_DEPLOYED(
      api().deploy_bundle("tarred", tar, "application/x-tar", R"({"handler":"app.main.run"})"));
  EXPECT_EQ(api().invoke("tarred").body, "42");
}

TEST_F(Functions, SockTomlHoldsOptionsAndFlagsWin) {
  const std::string tar =
      tar_of(tar_entry("main.py", '0', "", "def go(e, c):\n    return c.memory_limit_in_mb\n") +
             tar_entry("sock.toml", '0', "", "handler = \"main.go\"\nmemory = \"96M\"\n"));
  ASSERT_DEPLOYED(api().deploy_bundle("toml", tar, "application/x-tar"));
  EXPECT_EQ(api().invoke("toml").body, "96");
  ASSERT_DEPLOYED(api().deploy_bundle("toml", tar, "application/x-tar", R"({"memory":"128M"})"));
  EXPECT_EQ(api().invoke("toml").body, "128");
}

TEST_F(Functions, UnknownOnesAreNotFound) {
  EXPECT_TRUE(failed(api().invoke("nobody"), 404, "not_found"));
  EXPECT_NE(api().invoke("nobody").body.find("nobody"), std::string::npos);
  EXPECT_TRUE(failed(api().get("/v1/functions/nobody/calls"), 404, "not_found"));
  EXPECT_TRUE(
      failed(api().get("/v1/calls/0b5f8c1e-3c55-4f0c-9a52-0e6f0d7b1c11"), 404, "not_found"));
  EXPECT_EQ(api().get("/v1/calls/..%2f..%2fetc").status, 404U);
  EXPECT_EQ(api().get("/nothing").status, 404U);
}

TEST_F(Functions, BadEventsAreRefused) {
  ASSERT_DEPLOYED(api().deploy("t", "def handler(e):\n    return e\n"));
  for (const std::string& event :
       {std::string("{"), std::string("nul"), std::string("{} {}"), std::string("NaN"),
        std::string("{'a':1}"), std::string("\"\xff\""), std::string("[1,]"),
        std::string(1'000'000, '['), std::string("\0", 1)}) {
    const Reply reply = api().invoke("t", event);
    EXPECT_EQ(reply.status, 400U) << event.substr(0, 20) << ": " << reply.body;
    EXPECT_NE(reply.text("errorMessage"), "");
  }
  EXPECT_EQ(api().invoke("t", '"' + std::string(7U << 20U, 'x') + '"').status, 413U);
  EXPECT_EQ(api().invoke("t", "7").body, "7");
}

TEST_F(Functions, AMissingHandlerFileIsRefused) {
  const Reply reply = api().deploy("t2", kConstant, R"({"handler":"nowhere.run"})");
  EXPECT_TRUE(failed(reply, 422, "invalid"));
  EXPECT_NE(reply.body.find("nowhere.py"), std::string::npos) << reply.body;
  EXPECT_EQ(api().get("/v1/functions/t2").status, 404U);
}

TEST_F(Functions, BadRequirementsAreRefusedByLine) {
  Reply reply =
      api().deploy("t3", kConstant, R"({"requirements":["# ours","no-such-package-here>=1"]})");
  EXPECT_TRUE(failed(reply, 422, "invalid"));
  EXPECT_NE(reply.body.find("no-such-package-here"), std::string::npos) << reply.body;
  reply = api().deploy("t3", kConstant, R"({"requirements":["!!! not a requirement"]})");
  EXPECT_TRUE(failed(reply, 422, "invalid"));
  EXPECT_NE(reply.body.find("!!! not a requirement"), std::string::npos) << reply.body;
  reply = api().deploy("t3", kConstant, R"({"requirements":["-e git+https://x/y"]})");
  EXPECT_TRUE(failed(reply, 422, "invalid"));
  EXPECT_EQ(api().get("/v1/functions/t3").status, 404U);
}

TEST_F(Functions, BadOptionsAreRefused) {
  for (const char* options :
       {R"({"memory":"lots"})", R"({"memory":"100G"})", R"({"memory":-1})", R"({"timeout":"0s"})",
        R"({"timeout":"900h"})", R"({"pids":0})", R"({"pids":1000000})", R"({"cpu":0})",
        R"({"cpu":"many"})", R"({"network":"host"})", R"({"env":{"A=B":"c"}})",
        R"({"env":{"A":1}})", R"({"unknown":1})", R"({"handler":"no_dot"})",
        R"({"handler":"../x.y"})", R"({"keep_ready":-1})"}) {
    const Reply reply = api().deploy("t4", kConstant, options);
    EXPECT_EQ(reply.status, 422U) << options << ": " << reply.body;
  }
  EXPECT_EQ(api().deploy("t4", kConstant, "{not json").status, 400U);
  EXPECT_EQ(api().deploy("t4", kConstant, "[]").status, 400U);
  EXPECT_EQ(api().get("/v1/functions/t4").status, 404U);
}

TEST_F(Functions, BadNamesAreRefused) {
  for (const std::string& name :
       {std::string("A"), std::string("-a"), std::string(".."), std::string("a%2fb"),
        std::string("a%00"), std::string(65, 'a')}) {
    const Reply reply = api().deploy(name, kConstant);
    EXPECT_TRUE(reply.status == 422 || reply.status == 404) << name << ' ' << reply.status;
  }
}

TEST_F(Functions, BundlesThatReachOutAreRefusedWhole) {
  const std::string good = tar_entry("handler.py", '0', "", kConstant);
  for (const std::string& bad :
       {tar_entry("../escape.py", '0', "", "x"), tar_entry("/tmp/escape.py", '0', "", "x"),
        tar_entry("a/../../escape.py", '0', "", "x"), tar_entry("link", '2', "/etc/passwd", ""),
        tar_entry("hard", '1', "handler.py", ""), tar_entry("fifo", '6', "", ""),
        tar_entry("device", '4', "", ""), good}) {
    const Reply reply = api().deploy_bundle("t5", tar_of(good + bad), "application/x-tar");
    EXPECT_TRUE(failed(reply, 422, "invalid")) << bad.substr(0, 40).c_str();
  }
  EXPECT_TRUE(
      failed(api().deploy_bundle("t5", "PK\x03\x04 broken", "application/zip"), 422, "invalid"));
  EXPECT_TRUE(failed(api().deploy_bundle("t5", "", "application/zip"), 422, "invalid"));
  EXPECT_EQ(api().get("/v1/functions/t5").status, 404U);
}

TEST_F(Functions, TheDaemonTellsAboutItself) {
  const Reply health = api().get("/v1/health");
  EXPECT_EQ(health.text("status"), "ok");
  EXPECT_NE(health.text("version"), "");
  EXPECT_EQ(health.number("running"), 0);
  EXPECT_TRUE(api().get("/v1/zygotes").json().at("zygotes").is_array());
  EXPECT_GE(api().netns_count("none", "ready"), 0);
  EXPECT_TRUE(api().get("/v1/packages").json().at("packages").is_array());
  EXPECT_TRUE(api().get("/v1/doctor").json().at("healthy").as_bool());
  ASSERT_DEPLOYED(api().deploy("t", kConstant));
  ASSERT_TRUE(succeeded(api().invoke("t")));
  const Reply metrics = api().get("/metrics");
  EXPECT_EQ(metrics.header("content-type").rfind("text/plain", 0), 0U);
  EXPECT_NE(metrics.body.find("sock_invocations_total{"), std::string::npos) << metrics.body;
  for (const char* name : {"sock_invocation_duration_seconds", "sock_sandboxes", "sock_zygotes",
                           "sock_netns_pool", "sock_queue_depth"}) {
    EXPECT_NE(metrics.body.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace sock::e2e
