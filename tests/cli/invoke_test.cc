#include "cli/invoke.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <csignal>
#include <thread>

#include "tests/cli/command_line.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

constexpr const char* kId = "0b5f8c1e-3c55-4f0c-9a52-0e6f0d7b1c11";

std::string error_json(const std::string& code, const std::string& type = "T",
                       const std::string& message = "m", const std::string& trace = "[]") {
  return R"({"errorType":")" + type + R"(","errorMessage":")" + message + R"(","stackTrace":)" +
         trace + R"(,"requestId":")" + kId + R"(","code":")" + code + R"("})";
}

std::string record_json(const std::string& status, int exit, const std::string& logs = "") {
  return std::string(R"({"id":")") + kId + R"(","function":"f","status":")" + status +
         R"(","start":"parked","zygote":"","queue_us":10,"create_us":200,"init_us":300,)"
         R"("run_us":1500,"total_us":2500,"max_rss":12582912,"cpu_us":900,"exit":)" +
         std::to_string(exit) + R"(,"result":1e400000,"error":null,"logs":")" + logs +
         R"(","logs_truncated":false})";
}

/// Answers the invocation, and the request for its record if `record` is given.
FakeServer::Handler call(unsigned status, std::string body, std::string record = "") {
  return [=](const FakeRequest& request) {
    FakeResponse response;
    if (request.method == "POST") {
      response.status = status;
      response.body = body;
      response.headers = {{"X-Sock-Request-Id", kId}};
      if (status == 429) response.headers["Retry-After"] = "2";
    } else if (!record.empty()) {
      response.body = record;
    } else {
      response.status = 404;
      response.body = error_json("not_found");
    }
    return response;
  };
}

Ran invoke_with(const FakeServer& server, std::vector<std::string> args,
                const std::string& input = "") {
  args.insert(args.begin(), {"--socket", server.socket(), "invoke", "f"});
  return sockctl(args, input);
}

TEST(Invoke, PrintsTheResultAndNothingElse) {
  FakeServer server(call(200, R"({"n":1})"));
  const Ran ran = invoke_with(server, {"-d", R"([1,{"a":2}])"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "{\"n\":1}\n");
  EXPECT_EQ(ran.err, "");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].target, "/v1/functions/f/invoke");
  EXPECT_EQ(requests[0].body, R"([1,{"a":2}])");
  EXPECT_EQ(requests[0].headers.at("content-type"), "application/json");
}

TEST(Invoke, TakesTheEventFromWhereItIs) {
  const TemporaryFolder folder;
  FakeServer server(call(200, "null"));
  EXPECT_EQ(invoke_with(server, {"-d", "-5"}).exit, 0);
  EXPECT_EQ(invoke_with(server, {"-f", folder.write("e", "\"file\"")}).exit, 0);
  EXPECT_EQ(invoke_with(server, {"-f", "-"}, "[\"dash\"]").exit, 0);
  EXPECT_EQ(invoke_with(server, {}, "\"piped\"").exit, 0);
  EXPECT_EQ(invoke_with(server, {}).exit, 0);
  std::string bodies;
  for (const auto& request : server.requests()) bodies += request.body + "\n";
  EXPECT_EQ(bodies, "-5\n\"file\"\n[\"dash\"]\n\"piped\"\n{}\n");
}

TEST(Invoke, RefusesBadEventsWithoutAsking) {
  FakeServer server(call(200, "null"));
  for (const char* event : {"{n:1}", "NaN", "", "{} {}", "'x'"}) {
    const Ran ran = invoke_with(server, {"-d", event});
    EXPECT_EQ(ran.exit, 2) << event;
    EXPECT_EQ(ran.out, "") << event;
    EXPECT_NE(ran.err.find("not JSON"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(invoke_with(server, {"-d", "1", "-f", "x"}).exit, 2);
  EXPECT_TRUE(server.requests().empty());
}

struct Ending {
  unsigned status;
  const char* code;
  int record_exit;
  int exit;
};

class InvokeEndings : public testing::TestWithParam<Ending> {};

TEST_P(InvokeEndings, GiveTheirExitStatus) {
  const Ending& ending = GetParam();
  FakeServer server(
      call(ending.status, error_json(ending.code), record_json(ending.code, ending.record_exit)));
  const Ran plain = invoke_with(server, {"-d", "1"});
  EXPECT_EQ(plain.exit, ending.exit);
  EXPECT_EQ(plain.out, "");
  EXPECT_NE(plain.err.find("m"), std::string::npos);
  const Ran json = invoke_with(server, {"-d", "1", "-o", "json"});
  EXPECT_EQ(json.exit, ending.exit);
  EXPECT_EQ(json.out, record_json(ending.code, ending.record_exit) + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    All, InvokeEndings,
    testing::Values(Ending{502, "app_error", 1, 1}, Ending{504, "timeout", 137, 124},
                    Ending{502, "oom", 137, 137}, Ending{502, "killed", 139, 139},
                    Ending{502, "killed", 137, 137}, Ending{502, "killed", 3, 137},  // os._exit(3)
                    Ending{502, "killed", 500, 137},                                 // nonsense
                    Ending{429, "rejected", 0, 6}, Ending{503, "draining", 0, 6},
                    Ending{422, "invalid", 0, 7}, Ending{404, "not_found", 0, 4},
                    Ending{409, "conflict", 0, 5}, Ending{400, "invalid", 0, 2},
                    Ending{413, "invalid", 0, 2}, Ending{500, "internal", 0, 125}));

TEST(Invoke, ShowsTheTracebackAsPythonDoes) {
  FakeServer server(
      call(502, error_json("app_error", "ValueError", "bad \\u001b[2J value",
                           R"(["File \"/var/task/handler.py\", line 2, in handler\n    raise X\n",)"
                           R"("  File \"/var/task/b.py\", line 9, in g"])")));
  const Ran ran = invoke_with(server, {"-d", "1"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.err,
            "Traceback (most recent call last):\n"
            "  File \"/var/task/handler.py\", line 2, in handler\n"
            "    raise X\n"
            "  File \"/var/task/b.py\", line 9, in g\n"
            "ValueError: bad \\x1b[2J value\n"
            "sockctl: f: the handler raised ValueError (its output: sockctl logs " +
                std::string(kId) + ")\n");
}

TEST(Invoke, TellsWhenToTryAgain) {
  FakeServer server(call(429, error_json("rejected", "Sock.Rejected", "the queue is full")));
  EXPECT_NE(invoke_with(server, {"-d", "1"}).err.find("the queue is full; try again in 2 s"),
            std::string::npos);
}

TEST(Invoke, LogGoesToStandardError) {
  FakeServer server(call(200, "42", record_json("ok", 0, "one\\ntwo")));
  const Ran ran = invoke_with(server, {"-d", "1", "-l"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "42\n");
  EXPECT_EQ(ran.err,
            "one\ntwo\n"
            "REPORT RequestId: " +
                std::string(kId) +
                "  Status: ok  Start: parked  Duration: 1.50 ms  Init: 0.30 ms  Create: 0.20 ms  "
                "Queue: 0.01 ms  Total: 2.50 ms  CPU: 0.90 ms  Max Memory Used: 12.0 MB\n");
}

TEST(Invoke, LogIsHarmlessOnATerminal) {
  FakeServer server(call(200, "\"\x7f\"", record_json("ok", 0, "\\u001b[2Jx\\r")));
  const Ran ran = sockctl({"--socket", server.socket(), "invoke", "f", "-d", "1", "-l"}, "", true);
  EXPECT_EQ(ran.out, "\"\\u007f\"\n");
  EXPECT_NE(ran.err.find("\\x1b[2Jx\\x0d\n"), std::string::npos) << ran.err;
}

TEST(Invoke, KeepsTheResultWhenTheRecordIsGone) {
  FakeServer server(call(200, "42"));
  const Ran log = invoke_with(server, {"-d", "1", "-l"});
  EXPECT_EQ(log.exit, 0);
  EXPECT_EQ(log.out, "42\n");
  EXPECT_NE(log.err.find("no record of call"), std::string::npos);
}

TEST(Invoke, JsonWithoutARecordIsTheError) {
  FakeServer server(call(429, error_json("rejected")));
  const Ran ran = invoke_with(server, {"-d", "1", "-o", "json"});
  EXPECT_EQ(ran.exit, 6);
  EXPECT_EQ(ran.out, "{\"error\":" + error_json("rejected") + "}\n");
}

TEST(Invoke, JsonPassesEveryErrorThatIsNotJson) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.status = 500;
    response.body = "<html>\x1b[2J";
    return response;
  });
  const Ran ran = invoke_with(server, {"-d", "1", "-o", "json"});
  EXPECT_EQ(ran.exit, 125);
  boost::json::error_code error;
  const auto document = boost::json::parse(ran.out, error);
  ASSERT_FALSE(error) << ran.out;
  EXPECT_EQ(document.at("error").at("code").as_string(), "internal");
  EXPECT_EQ(ran.err.find('\x1b'), std::string::npos);
}

TEST(Invoke, InterruptCancels) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.hang = true;
    return response;
  });
  std::thread person([&] {
    while (server.requests().empty()) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  const Ran ran = invoke_with(server, {"-d", "1"});
  person.join();
  EXPECT_EQ(ran.exit, 130);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "sockctl: interrupted; the call is cancelled\n");
}

TEST(Report, SurvivesAnEmptyRecord) {
  EXPECT_NE(report_line({}).find("Max Memory Used: 0 B"), std::string::npos);
}

}  // namespace
}  // namespace sock::cli
