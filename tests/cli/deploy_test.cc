#include "cli/deploy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>

#include "tests/cli/command_line.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

constexpr const char* kFunction =
    R"({"name":"f","generation":3,"handler":"handler.handler","requirements":["numpy"],)"
    R"("packages":["numpy==1.24.2"],"memory":"256M","timeout":"30s","cpu":1.0,"pids":64,)"
    R"("tmp":"64M","network":"none","env":{"A":"b"},"keep_ready":0,"code_bytes":2048,)"
    R"("sha256":"abc","deployed_at":1769860800})";

FakeResponse deployed(const FakeRequest&) {
  FakeResponse response;
  response.status = 201;
  response.body = kFunction;
  return response;
}

TEST(Deploy, SendsCodeAndOptions) {
  const TemporaryFolder folder;
  const std::string code = folder.write("f.py", "def handler(e): return e\n");
  const std::string requirements = folder.write("r.txt", "# all\nnumpy>=1.20\r\n\npandas");
  FakeServer server(deployed);
  const Ran ran =
      sockctl({"--socket", server.socket(),  "deploy",     "f",        code,    "--handler",
               "a.b",      "--requirements", requirements, "--memory", "128M",  "--timeout",
               "5s",       "--cpu",          "0.5",        "--pids",   "9",     "--tmp",
               "8M",       "--network",      "none",       "--env",    "A=b=c", "--env",
               "L=[1,2]",  "--env",          "E=",         "--env",    "U=é",   "--keep-ready",
               "2"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_NE(ran.out.find("Packages:      numpy==1.24.2\n"), std::string::npos) << ran.out;
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "PUT");
  EXPECT_EQ(requests[0].target, "/v1/functions/f");
  EXPECT_EQ(requests[0].headers.at("content-type"), "text/x-python");
  EXPECT_EQ(requests[0].body, "def handler(e): return e\n");
  const std::string options = requests[0].headers.at("x-sock-options");
  EXPECT_TRUE(std::all_of(options.begin(), options.end(), [](char c) { return c > 0x1f; }));
  EXPECT_EQ(boost::json::parse(options),
            boost::json::parse(
                R"({"handler":"a.b","memory":"128M","timeout":"5s","cpu":0.5,"pids":9,"tmp":"8M",)"
                R"("network":"none","keep_ready":2,)"
                R"("env":{"A":"b=c","L":"[1,2]","E":"","U":"é"},)"
                R"("requirements":["# all","numpy>=1.20","","pandas"]})"));
}

TEST(Deploy, SendsDestinationsAsWritten) {
  const TemporaryFolder folder;
  FakeServer server(deployed);
  // One value each time: what follows is not swallowed.
  const Ran ran = sockctl({"--socket", server.socket(), "deploy", "--network", "nat", "--allow",
                           "internet", "f", "--allow", "[fd00::1]:443", folder.write("f.py", "x"),
                           "--allow=10.1.2.0/24:8000-8080/tcp"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(boost::json::parse(requests[0].headers.at("x-sock-options")),
            boost::json::parse(R"({"network":"nat",)"
                               R"("allow":["internet","[fd00::1]:443",)"
                               R"("10.1.2.0/24:8000-8080/tcp"]})"));
}

TEST(Deploy, HelpTeachesDestinations) {
  const std::string help = sockctl({"deploy", "--help"}).out;
  for (const char* const part : {"--allow DESTINATION", "--network nat --allow 10.1.2.3:5432",
                                 "[fd00::/64]:53/udp", "none or nat"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part << "\n" << help;
  }
}

TEST(Deploy, SaysNothingOfWhatWasNotGiven) {
  DeployOptions options;
  EXPECT_EQ(options_header(options).value(), "{}");
}

TEST(Deploy, JsonIsOneDocument) {
  const TemporaryFolder folder;
  FakeServer server(deployed);
  const Ran ran = sockctl(
      {"deploy", "f", folder.write("f.py", "x"), "-o", "json", "--socket", server.socket()});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, std::string(kFunction) + "\n");
}

TEST(Deploy, PacksAFolder) {
  const TemporaryFolder folder;
  (void)folder.write("handler.py", "x");
  FakeServer server(deployed);
  EXPECT_EQ(sockctl({"--socket", server.socket(), "deploy", "f", folder.path().string()}).exit, 0);
  EXPECT_EQ(server.requests().at(0).headers.at("content-type"), "application/x-tar");
}

TEST(Deploy, RefusesBeforeSending) {
  const TemporaryFolder folder;
  const std::string code = folder.write("f.py", "x");
  FakeServer server(deployed);
  const auto exit = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"--socket", server.socket(), "deploy"});
    return sockctl(args).exit;
  };
  EXPECT_EQ(exit({"Bad", code}), 2);
  EXPECT_EQ(exit({"f", code + "x"}), 2);
  EXPECT_EQ(exit({"f"}), 2);
  EXPECT_EQ(exit({"f", code, "--env", "novalue"}), 2);
  EXPECT_EQ(exit({"f", code, "--env", "=x"}), 2);
  EXPECT_EQ(exit({"f", code, "--env", "A=\xff"}), 2);
  EXPECT_EQ(exit({"f", code, "--env", "A=" + std::string(kMaxOptionsBytes, 'x')}), 2);
  EXPECT_EQ(exit({"f", code, "--requirements", "/nonexistent"}), 2);
  EXPECT_EQ(exit({"f", code, "--cpu", "-1"}), 2);
  EXPECT_EQ(exit({"f", code, "--cpu", "many"}), 2);
  EXPECT_EQ(exit({"f", code, "--pids", "-1"}), 2);
  EXPECT_EQ(exit({"f", code, "--frob"}), 2);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Deploy, ShowsARefusal) {
  const TemporaryFolder folder;
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.status = 422;
    response.body =
        R"({"errorType":"Sock.Invalid","errorMessage":"requirements line 2: no package 'nunpy'",)"
        R"("stackTrace":[],"requestId":"","code":"invalid"})";
    return response;
  });
  const Ran ran = sockctl({"--socket", server.socket(), "deploy", "f", folder.write("f.py", "x")});
  EXPECT_EQ(ran.exit, 7);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "sockctl: invalid: requirements line 2: no package 'nunpy'\n");
}

}  // namespace
}  // namespace sock::cli
