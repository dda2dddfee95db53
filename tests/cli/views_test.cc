#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "tests/cli/command_line.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

/// Answers GETs by path; anything else is a 404.
FakeServer::Handler pages(std::map<std::string, std::string> bodies) {
  return [bodies = std::move(bodies)](const FakeRequest& request) {
    FakeResponse response;
    const auto found = bodies.find(request.method + " " + request.target);
    if (found != bodies.end()) {
      response.body = found->second;
    } else {
      response.status = 404;
      response.body = R"({"errorType":"Sock.NotFound","errorMessage":"no function 'x'",)"
                      R"("stackTrace":[],"requestId":"","code":"not_found"})";
    }
    return response;
  };
}

Ran ask(const FakeServer& server, std::vector<std::string> args) {
  args.insert(args.begin(), {"--socket", server.socket()});
  return sockctl(args);
}

TEST(List, ShowsATable) {
  const std::string body =
      R"({"functions":[{"name":"a","generation":2,"handler":"h.f","packages":["x==1","y==2"],)"
      R"("memory":"256M","timeout":"30s","code_bytes":10,"deployed_at":1769860800},)"
      R"({"name":"b"},"nonsense"]})";
  FakeServer server(pages({{"GET /v1/functions", body}}));
  const Ran ran = ask(server, {"ls"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out,
            "NAME  GEN  HANDLER  PACKAGES   MEMORY  TIMEOUT  CODE  DEPLOYED\n"
            "a       2  h.f      x==1 y==2    256M      30s  10 B  2026-01-31 12:00:00Z\n"
            "b                   -                            0 B  -\n");
  EXPECT_EQ(ask(server, {"ls", "-o", "json"}).out, body + "\n");
}

TEST(Views, NotFound) {
  FakeServer server(pages({}));
  for (const char* command : {"describe", "rm", "logs"}) {
    const Ran ran = ask(server, {command, "x"});
    EXPECT_EQ(ran.exit, 4) << command;
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err, "sockctl: not_found: no function 'x'\n");
  }
}

TEST(Views, RefuseAnswersOfAnotherKind) {
  FakeServer server(pages({{"GET /v1/functions", "[1]"},
                           {"GET /v1/netns", "{"},
                           {"GET /v1/zygotes", std::string(100'000, '[')}}));
  for (const char* command : {"ls", "netns", "zygotes"}) {
    const Ran ran = ask(server, {command});
    EXPECT_EQ(ran.exit, 125) << command;
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Remove, SaysSo) {
  FakeServer server(pages({{"DELETE /v1/functions/f", ""}}));
  EXPECT_EQ(ask(server, {"rm", "f"}).out, "");
  EXPECT_EQ(ask(server, {"rm", "f"}).err, "removed f\n");
  EXPECT_EQ(ask(server, {"rm", "f", "-o", "json"}).out, "{\"removed\":\"f\"}\n");
}

TEST(Logs, OfTheNewestCallOrById) {
  const std::string id = "0b5f8c1e-3c55-4f0c-9a52-0e6f0d7b1c11";
  FakeServer server(pages({{"GET /v1/functions/f/calls", R"({"calls":[")" + id + R"(","old"]})"},
                           {"GET /v1/functions/g/calls", R"({"calls":[]})"},
                           {"GET /v1/calls/" + id + "/logs", "out\nerr"},
                           {"GET /v1/calls/" + id, R"({"id":"x"})"}}));
  EXPECT_EQ(ask(server, {"logs", "f"}).out, "out\nerr\n");
  EXPECT_EQ(ask(server, {"logs", id}).out, "out\nerr\n");
  EXPECT_EQ(ask(server, {"logs", id, "-o", "json"}).out, "{\"id\":\"x\"}\n");
  const Ran never = ask(server, {"logs", "g"});
  EXPECT_EQ(never.exit, 4);
  EXPECT_NE(never.err.find("sockctl invoke g"), std::string::npos);
}

TEST(Describe, ShowsWhereAFunctionMayGo) {
  FakeServer server(pages({{"GET /v1/functions/f",
                            R"({"name":"f","network":"nat","allow":["internet","10.0.0.1:443"]})"},
                           {"GET /v1/functions/g", R"({"name":"g","network":"none"})"}}));
  const std::string f = ask(server, {"describe", "f"}).out;
  EXPECT_NE(f.find("\nNetwork:       nat\nAllow:         internet, 10.0.0.1:443\n"),
            std::string::npos)
      << f;
  const std::string g = ask(server, {"describe", "g"}).out;
  EXPECT_NE(g.find("\nNetwork:       none\nAllow:         -\n"), std::string::npos) << g;
}

TEST(Packages, ShowATable) {
  FakeServer server(
      pages({{"GET /v1/packages", R"({"packages":[{"name":"numpy","version":"1.24.2",)"
                                  R"("requires":["a>1","b"],"modules":["numpy"]}]})"}}));
  EXPECT_EQ(ask(server, {"packages"}).out,
            "PACKAGE  VERSION  FROM  IMPORT  MEMORY  FUNCTIONS  VERDICT  REQUIRES\n"
            "numpy    1.24.2              -       -             -        a>1, b\n");
}

TEST(Packages, ShowWhatWasMeasured) {
  FakeServer server(
      pages({{"GET /v1/packages",
              R"({"packages":[{"name":"a","version":"1","source":"store","functions":2,)"
              R"("profile":{"verdict":"quarantined","reasons":["leaves 3 threads running"],)"
              R"("import_ms":12.34,"memory_bytes":2097152}}],"warm":[["a","b==1"]]})"}}));
  EXPECT_EQ(ask(server, {"packages"}).out,
            "PACKAGE  VERSION  FROM    IMPORT  MEMORY  FUNCTIONS  VERDICT"
            "                                REQUIRES\n"
            "a        1        store  12.3 ms  2.0 MB          2  quarantined: leaves 3 threads "
            "running\n"
            "warm: a b==1\n");
}

TEST(Packages, AreKeptWarmAndLetGo) {
  FakeServer server(pages({{"POST /v1/packages/warm", R"({"warm":["numpy","pandas"]})"},
                           {"POST /v1/packages/cool", R"({"cooled":["numpy","pandas"]})"}}));
  const auto warm = ask(server, {"packages", "warm", "numpy", "pandas"});
  EXPECT_EQ(warm.out, "");
  EXPECT_NE(warm.err.find("numpy pandas is kept warm from now on"), std::string::npos) << warm.err;
  EXPECT_EQ(ask(server, {"-o", "json", "packages", "cool", "numpy", "pandas"}).out,
            "{\"cooled\":[\"numpy\",\"pandas\"]}\n");
}

TEST(Stats, ShowHealth) {
  FakeServer server(pages({{"GET /v1/health", R"({"status":"ok","running":2})"}}));
  EXPECT_EQ(ask(server, {"stats"}).out, "status:   ok\nrunning:  2\n");
}

TEST(Version, ShowsBoth) {
  FakeServer server(pages({{"GET /v1/health", R"({"version":"9.9"})"}}));
  EXPECT_EQ(ask(server, {"version"}).out, "sockctl " SOCK_VERSION "\nsockd 9.9\n");
  EXPECT_EQ(ask(server, {"version", "-o", "json"}).out,
            "{\"sockctl\":\"" SOCK_VERSION "\",\"sockd\":\"9.9\"}\n");
  const Ran alone = sockctl({"--socket", "/nonexistent/s", "version", "-o", "json"});
  EXPECT_EQ(alone.exit, 0);
  EXPECT_EQ(alone.out, "{\"sockctl\":\"" SOCK_VERSION "\",\"sockd\":null}\n");
}

constexpr const char* kIll =
    R"({"healthy":false,"checks":[{"name":"cgroup","status":"ok","detail":"hybrid","advice":""},)"
    R"({"name":"user namespaces","status":"fail","detail":"off","advice":"turn on"}]})";

TEST(Doctor, AsksSockd) {
  FakeServer ill(pages({{"GET /v1/doctor", kIll}}));
  const Ran ran = ask(ill, {"doctor"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.out,
            "ok    cgroup           hybrid\n"
            "fail  user namespaces  off\n"
            "                       → turn on\n"
            "not healthy: sockd cannot run sandboxes here\n");
  EXPECT_EQ(ask(ill, {"doctor", "-o", "json"}).out, std::string(kIll) + "\n");
  FakeServer well(pages({{"GET /v1/doctor", R"({"healthy":true,"checks":[]})"}}));
  EXPECT_EQ(ask(well, {"doctor"}).exit, 0);
  EXPECT_EQ(ask(well, {"doctor"}).out, "healthy\n");
}

class DoctorAlone : public testing::Test {
 protected:
  /// A sockd beside sockctl that is this script.
  Ran with_sockd(const std::string& script) {
    ::chmod(folder_.write("sockd", "#!/bin/sh\n" + script).c_str(), 0755);
    return sockctl({"--socket", "/nonexistent/s", "doctor", "-o", "json"}, "", false,
                   folder_.path().string());
  }

  TemporaryFolder folder_;
};

TEST_F(DoctorAlone, RunsSockdWhenNobodyAnswers) {
  const Ran ran = with_sockd(std::string("[ \"$*\" = --doctor ] || exit 9\nprintf '%s\\n' '") +
                             kIll + "'\nexit 1\n");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.out, std::string(kIll) + "\n");
  EXPECT_NE(ran.err.find("not running"), std::string::npos);
}

TEST_F(DoctorAlone, NothingToRun) {
  const Ran ran = sockctl({"--socket", "/nonexistent/s", "doctor"}, "", false, "/nonexistent");
  EXPECT_EQ(ran.exit, 3);
  EXPECT_NE(ran.err.find("/nonexistent/sockd"), std::string::npos) << ran.err;
}

TEST_F(DoctorAlone, SilentOrWildSockd) {
  EXPECT_EQ(with_sockd("exit 0\n").exit, 3);
  EXPECT_EQ(with_sockd("echo no json\n").exit, 125);
  EXPECT_EQ(with_sockd("exec cat /dev/zero\n").exit, 3);
}

}  // namespace
}  // namespace sock::cli
