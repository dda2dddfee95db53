#include "manager/api/api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <cstdio>
#include <set>
#include <vector>

#include "manager/api/api_json.h"
#include "manager/api/http_server.h"
#include "tests/manager/api/http_client.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using testing::Answer;
using testing::Client;
using testing::eventually;
using testing::LoopThread;
using testing::TemporaryFolder;

/// "echo" returns its event, "endless" ends when cancelled; the rest the tests set. Used on the
/// loop's thread, and by the test only while no request is under way.
class FakeService final : public Service {
 public:
  asio::awaitable<CallRecord> invoke(std::string id, std::string function,
                                     std::string event) override {
    ++invocations;
    last_event = event;
    CallRecord call = prepared;
    call.id = id;
    call.function = function;
    if (function == "endless") {
      const auto executor = co_await asio::this_coro::executor;
      asio::steady_timer timer(executor);
      while (cancelled != id) {
        timer.expires_after(Millis(1));
        auto [ignored] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        (void)ignored;
      }
      ++ended;
    }
    if (!call.error && call.result.empty()) call.result = std::move(event);
    co_return call;
  }

  void cancel(const std::string& id) override {
    cancelled = id;
    ++cancels;
  }

  asio::awaitable<Result<CallRecord>> call(std::string id) override {
    if (failure) co_return std::unexpected(*failure);
    CallRecord record = prepared;
    record.id = std::move(id);
    co_return record;
  }

  Result<std::vector<std::string>> recent_calls(const std::string&) override {
    if (failure) return std::unexpected(*failure);
    return std::vector<std::string>{"newer", "older"};
  }

  asio::awaitable<Result<Function>> deploy(DeployRequest request) override {
    last_deploy = std::move(request);
    if (failure) co_return std::unexpected(*failure);
    co_return named(last_deploy.name);
  }

  asio::awaitable<Result<>> remove(std::string) override {
    if (failure) co_return std::unexpected(*failure);
    co_return Result<>{};
  }

  Result<Function> describe(const std::string& name) override {
    if (failure) return std::unexpected(*failure);
    return named(name);
  }

  std::vector<Function> list() override { return {named("a"), named("b")}; }
  json::object zygotes() override { return {{"zygotes", json::array()}}; }
  json::object netns() override { return {{"ready", 3}}; }
  json::object packages() override { return {{"packages", json::array()}}; }
  asio::awaitable<Result<>> warm(std::vector<std::string> set) override {
    warmed = std::move(set);
    if (failure) co_return std::unexpected(*failure);
    co_return Result<>{};
  }
  asio::awaitable<Result<>> cool(std::vector<std::string> set) override {
    cooled = std::move(set);
    if (failure) co_return std::unexpected(*failure);
    co_return Result<>{};
  }
  json::object doctor() override { return {{"healthy", true}}; }
  json::object health() override { return {{"status", "ok"}}; }
  std::string metrics() override { return "sock_up 1\n"; }

  Function named(const std::string& name) const {
    Function function;
    function.spec.name = name;
    function.generation = generation;
    return function;
  }

  CallRecord prepared;
  std::optional<Error> failure;
  std::uint64_t generation = 1;
  std::string last_event;
  DeployRequest last_deploy;
  std::vector<std::string> warmed;
  std::vector<std::string> cooled;
  std::atomic<int> invocations = 0;
  std::atomic<int> cancels = 0;
  std::atomic<int> ended = 0;
  std::string cancelled;
};

class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpServerOptions options;
    options.socket = folder_.file("s");
    auto server =
        loop_.run([&] { return HttpServer::listen(loop_.io().get_executor(), options, api_); });
    ASSERT_TRUE(server.has_value()) << server.error().describe();
    server_ = std::move(*server);
    client_.emplace(options.socket);
  }

  void TearDown() override {
    client_.reset();
    if (server_) loop_.run([this] { server_.reset(); });
  }

  Answer request(std::string_view method, std::string_view target, std::string_view body = {},
                 std::string_view headers = {}) {
    synchronise();
    Answer answer = client_->request(method, target, body, headers);
    synchronise();
    if (answer.header("connection") == "close") client_.emplace(folder_.file("s"));
    return answer;
  }

  /// Makes what this thread and the loop did to the service known to each other.
  void synchronise() {
    loop_.run([] {});
  }

  /// The error object of an answer, checked for its form.
  static json::object error_of(const Answer& answer) {
    boost::system::error_code failed;
    const json::value value = json::parse(answer.body, failed);
    EXPECT_FALSE(failed) << answer.body;
    if (failed || !value.is_object()) return {};
    const json::object& error = value.get_object();
    EXPECT_EQ(error.size(), 5U) << answer.body;
    for (const char* key : {"errorType", "errorMessage", "requestId", "code"}) {
      EXPECT_TRUE(error.contains(key) && error.at(key).is_string()) << answer.body;
    }
    EXPECT_TRUE(error.contains("stackTrace") && error.at("stackTrace").is_array());
    return error;
  }

  void expect_error(const Answer& answer, int status, std::string_view code) {
    EXPECT_EQ(answer.status, status) << answer.body;
    const json::object error = error_of(answer);
    if (error.contains("code")) {
      EXPECT_EQ(std::string_view(error.at("code").as_string()), code) << answer.body;
    }
  }

  TemporaryFolder folder_;
  FakeService service_;
  Api api_{service_};
  std::unique_ptr<HttpServer> server_;
  std::optional<Client> client_;
  LoopThread loop_;
};

TEST_F(ApiTest, InvokeReturnsTheResultAsItIs) {
  service_.prepared.start = Start::kClone;
  service_.prepared.total_us = 1234;
  service_.prepared.result = "{\"big\": 123456789012345678901234567890.5e400 }";
  const Answer answer = request("POST", "/v1/functions/echo/invoke", "{\"n\":1}");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, service_.prepared.result);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.header("x-sock-start"), "clone");
  EXPECT_EQ(answer.header("x-sock-duration-us"), "1234");
  EXPECT_TRUE(is_request_id(answer.header("x-sock-request-id")));
  EXPECT_EQ(service_.last_event, "{\"n\":1}");
}

TEST_F(ApiTest, AnEmptyEventIsAnEmptyObject) {
  EXPECT_EQ(request("POST", "/v1/functions/echo/invoke").body, "{}");
  EXPECT_EQ(client_->exchange("POST /v1/functions/echo/invoke HTTP/1.1\r\n\r\n").body, "{}");
}

TEST_F(ApiTest, EveryCallHasAnIdOfItsOwn) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    ids.insert(request("POST", "/v1/functions/echo/invoke").header("x-sock-request-id"));
  }
  EXPECT_EQ(ids.size(), 100U);
}

TEST_F(ApiTest, TakesEveryValidEventUnchanged) {
  const std::string deep = std::string(512, '[') + std::string(512, ']');
  for (const std::string& event : std::vector<std::string>{
           "null", " [1, 2]\n", "\"text\"", "-0.0e-10", "1e400", std::string(5000, '9'),
           "-" + std::string(400, '1') + "." + std::string(400, '2') + "e+300", deep,
           "\"\\u0000\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"",
           "{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]}}", "{\"\":0,\"a\":1,\"b\":2}"}) {
    const Answer answer = request("POST", "/v1/functions/echo/invoke", event);
    EXPECT_EQ(answer.status, 200) << event.substr(0, 60) << answer.body;
    EXPECT_EQ(answer.body, event);
  }
}

TEST_F(ApiTest, RefusesWhatIsNotJson) {
  const std::string deep = std::string(513, '[') + std::string(513, ']');
  for (const std::string& event : std::vector<std::string>{"{",
                                                           "}",
                                                           " ",
                                                           "nul",
                                                           "NaN",
                                                           "-NaN",
                                                           "Infinity",
                                                           "[1,]",
                                                           "{'a':1}",
                                                           "{\"a\":1,}",
                                                           "{\"a\" 1}",
                                                           "[1] [2]",
                                                           "1 2",
                                                           "01",
                                                           "+1",
                                                           "1.",
                                                           ".5",
                                                           "0x10",
                                                           "1e",
                                                           "--1",
                                                           "// c\n1",
                                                           "/* c */1",
                                                           "\"\n\"",
                                                           "\"\\x\"",
                                                           "\"\\u12\"",
                                                           "\"\\ud800\"",
                                                           "\"\xFF\"",
                                                           "\"\xC0\x80\"",
                                                           "\"\xED\xA0\x80\"",
                                                           "\"\xF4\x90\x80\x80\"",
                                                           "\xEF\xBB\xBF{}",
                                                           std::string("{}\0", 3),
                                                           deep,
                                                           std::string(1'000'000, '['),
                                                           std::string(200'000, '[') + "{\"a\":",
                                                           "{\"a\":1,\"a\":2}",
                                                           "[{\"a\":1,\"b\":2,\"\\u0061\":3}]",
                                                           "{\"x\":{\"k\":1,\"j\":{},\"k\":1}}"}) {
    const Answer answer = request("POST", "/v1/functions/echo/invoke", event);
    expect_error(answer, 400, "invalid");
  }
  EXPECT_EQ(service_.invocations, 0);
  EXPECT_EQ(request("POST", "/v1/functions/echo/invoke", "[1]").body, "[1]")
      << "a refused text leaves nothing behind";
}

TEST_F(ApiTest, EveryFailureOfACallHasItsStatus) {
  const std::vector<std::tuple<Code, int, std::string>> cases = {
      {Code::kAppError, 502, "app_error"}, {Code::kOom, 502, "oom"},
      {Code::kKilled, 502, "killed"},      {Code::kTimeout, 504, "timeout"},
      {Code::kRejected, 429, "rejected"},  {Code::kInvalid, 422, "invalid"},
      {Code::kNotFound, 404, "not_found"}, {Code::kConflict, 409, "conflict"},
      {Code::kDraining, 503, "draining"},  {Code::kInternal, 500, "internal"}};
  for (const auto& [code, status, word] : cases) {
    service_.prepared.error = CallError{code, "ValueError", "no \"luck\"", "[\"line 1\",\"2\"]"};
    const Answer answer = request("POST", "/v1/functions/echo/invoke");
    expect_error(answer, status, word);
    const json::object error = error_of(answer);
    EXPECT_EQ(error.at("errorType"), "ValueError");
    EXPECT_EQ(error.at("errorMessage"), "no \"luck\"");
    EXPECT_EQ(error.at("stackTrace"), (json::array{"line 1", "2"}));
    EXPECT_EQ(error.at("requestId").as_string(), answer.header("x-sock-request-id"));
    EXPECT_EQ(answer.header("retry-after"), status == 429 ? "1" : "");
    EXPECT_EQ(answer.header("x-sock-start"), "none");
  }
}

TEST_F(ApiTest, HostileErrorTextsStayInsideTheirJson) {
  for (const std::string trace :
       {"", "{}", "[1]", "[[\"a\"]]", "[\"a\"", "[\"\xFF\"]", "\"a\"", "[]} , {\"x\":[]"}) {
    service_.prepared.error =
        CallError{Code::kAppError, "E\"\\", std::string("\xFF\0\x1B[31m\n\x7F\xE2\x82", 11), trace};
    const Answer answer = request("POST", "/v1/functions/echo/invoke");
    expect_error(answer, 502, "app_error");
    EXPECT_TRUE(error_of(answer).at("stackTrace").get_array().empty()) << trace;
    EXPECT_NE(answer.body.find("\\u0000\\u001b[31m\\n\\u007f\xEF\xBF\xBD\""), std::string::npos)
        << answer.body;
    EXPECT_EQ(answer.body.find('\x1B'), std::string::npos);
  }
}

TEST_F(ApiTest, AVanishedClientsCallIsCancelledWithin100Ms) {
  Client client(folder_.file("s"));
  ASSERT_TRUE(client.send("POST /v1/functions/endless/invoke HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return service_.invocations == 1; }));
  const auto since = Clock::now();
  client.close();
  ASSERT_TRUE(eventually([&] { return service_.cancels == 1; }));
  EXPECT_LT(Clock::now() - since, Millis(100));
  EXPECT_TRUE(eventually([&] { return service_.ended == 1; })) << "by the call's own id";
  EXPECT_EQ(request("GET", "/v1/health").status, 200);
}

TEST_F(ApiTest, TwoPipelinedInvocationsBothRun) {
  const std::string_view head =
      "POST /v1/functions/echo/invoke HTTP/1.1\r\nContent-Length: 1\r\n\r\n";
  ASSERT_TRUE(client_->send(std::string(head) + "1" + std::string(head) + "2"));
  EXPECT_EQ(client_->receive().body, "1");
  EXPECT_EQ(client_->receive().body, "2");
  EXPECT_EQ(service_.cancels, 0);
}

TEST_F(ApiTest, BodiesHaveTheirRoutesLimits) {
  expect_error(request("POST", "/v1/functions/echo/invoke", std::string((6U << 20) + 1, ' ')), 413,
               "invalid");
  EXPECT_EQ(
      request("POST", "/v1/functions/echo/invoke", "1" + std::string((6U << 20) - 1, ' ')).status,
      200);
  expect_error(
      client_->exchange("PUT /v1/functions/echo HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n"), 413,
      "invalid");
  client_.emplace(folder_.file("s"));
  EXPECT_EQ(request("PUT", "/v1/functions/echo", std::string(7U << 20, 'z')).status, 201);
  expect_error(request("GET", "/v1/health", std::string(65537, 'a')), 413, "invalid");
  expect_error(request("PUT", "/v1/nothing", std::string(65537, 'a')), 413, "invalid");
  expect_error(request("GET", "/v1/health", "", "A: " + std::string(70'000, 'a') + "\r\n"), 413,
               "invalid");
}

TEST_F(ApiTest, DeployPassesEverythingOn) {
  const std::string bundle("PK\0\xFF bytes", 10);
  Answer answer = request("PUT", "/v1/functions/my-fn_1.0", bundle,
                          "Content-Type: application/zip\r\n"
                          "X-Sock-Options: {\"memory\":\"64M\",\"keep_ready\":2}\r\n");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(json::parse(answer.body).at("name"), "my-fn_1.0");
  EXPECT_EQ(service_.last_deploy.name, "my-fn_1.0");
  EXPECT_EQ(service_.last_deploy.bundle, bundle);
  EXPECT_EQ(service_.last_deploy.content_type, "application/zip");
  EXPECT_EQ(service_.last_deploy.options, (json::object{{"memory", "64M"}, {"keep_ready", 2}}));
  service_.generation = 2;
  answer = request("PUT", "/v1/functions/my-fn_1.0", bundle);
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(service_.last_deploy.options.empty());
  EXPECT_TRUE(service_.last_deploy.content_type.empty());
}

TEST_F(ApiTest, DeployRefusesOptionsThatAreNoObject) {
  for (const std::string_view options : {"{", "[]", "1", "{\"a\":NaN}", "{} {}", "\xFF"}) {
    const Answer answer =
        request("PUT", "/v1/functions/f", "x", "X-Sock-Options: " + std::string(options) + "\r\n");
    expect_error(answer, 400, "invalid");
  }
  EXPECT_EQ(service_.last_deploy.name, "");
}

TEST_F(ApiTest, FailuresOfTheServiceHaveTheirStatus) {
  for (const auto& [code, status] : {std::pair{Code::kInvalid, 422},
                                     {Code::kConflict, 409},
                                     {Code::kNotFound, 404},
                                     {Code::kDraining, 503},
                                     {Code::kRejected, 429},
                                     {Code::kInternal, 500}}) {
    service_.failure = Error{code, "test", 0, "as told"};
    const std::string id = "/v1/calls/01234567-89ab-4cde-8f01-23456789abcd";
    for (const Answer& answer :
         {request("PUT", "/v1/functions/f", "x"), request("DELETE", "/v1/functions/f"),
          request("GET", "/v1/functions/f"), request("GET", "/v1/functions/f/calls"),
          request("GET", id), request("GET", id + "/logs")}) {
      expect_error(answer, status, to_string(code));
      EXPECT_EQ(error_of(answer).at("errorMessage"), "test: as told");
      EXPECT_EQ(answer.header("retry-after"), status == 429 ? "1" : "");
    }
  }
}

TEST_F(ApiTest, TheOtherRoutesAnswer) {
  const auto body = [&](std::string_view target) {
    const Answer answer = request("GET", target);
    EXPECT_EQ(answer.status, 200) << target;
    return answer.body;
  };
  EXPECT_EQ(body("/v1/health"), R"({"status":"ok"})");
  EXPECT_EQ(body("/v1/health?verbose=1"), R"({"status":"ok"})");
  EXPECT_EQ(body("http://localhost/v1/health"), R"({"status":"ok"})");
  EXPECT_EQ(body("/v1/zygotes"), R"({"zygotes":[]})");
  EXPECT_EQ(body("/v1/netns"), R"({"ready":3})");
  EXPECT_EQ(body("/v1/packages"), R"({"packages":[]})");
  EXPECT_EQ(body("/v1/doctor"), R"({"healthy":true})");
  EXPECT_EQ(body("/v1/functions/f/calls"), R"({"calls":["newer","older"]})");
  EXPECT_EQ(json::parse(body("/v1/functions")).at("functions").as_array().size(), 2U);
  EXPECT_EQ(json::parse(body("/v1/functions/f")).at("name"), "f");
  EXPECT_EQ(request("DELETE", "/v1/functions/f").body, R"({"removed":"f"})");
  const Answer metrics = request("GET", "/metrics");
  EXPECT_EQ(metrics.body, "sock_up 1\n");
  EXPECT_EQ(metrics.header("content-type"), "text/plain; version=0.0.4");
}

TEST_F(ApiTest, UnknownPathsAre404AndWrongMethods405) {
  for (const std::string_view target :
       {"/", "/v1", "/v1/", "/v2/health", "/v1/health/", "/v1/health/x", "/V1/health",
        "//v1/health", "/v1/functions/", "/v1/functions//invoke", "/v1/functions/f/",
        "/v1/functions/f/invoke/", "/v1/functions/f/other", "/v1/functions/f/invoke/x/y/z",
        "/v1/calls", "/metrics/", "*", "http://localhost", "/v1/%68ealth"}) {
    expect_error(request("GET", target), 404, "not_found");
  }
  const std::vector<std::tuple<std::string, std::string, std::string>> wrong = {
      {"POST", "/v1/health", "GET"},
      {"HEAD", "/v1/health", "GET"},
      {"PUT", "/v1/functions", "GET"},
      {"POST", "/v1/functions/f", "GET, PUT, DELETE"},
      {"ET", "/v1/functions/f", "GET, PUT, DELETE"},
      {"GET,", "/v1/health", ""},
      {"GET", "/v1/functions/f/invoke", "POST"},
      {"DELETE", "/v1/functions/f/calls", "GET"},
      {"POST", "/metrics", "GET"},
      {"get", "/v1/health", "GET"}};
  for (const auto& [method, target, allow] : wrong) {
    if (allow.empty()) {
      expect_error(request(method, target), 400, "invalid");  // no HTTP token
      continue;
    }
    Client client(folder_.file("s"));
    ASSERT_TRUE(client.send(method + " " + target + " HTTP/1.1\r\n\r\n"));
    const Answer answer = client.receive(method != "HEAD");
    EXPECT_EQ(answer.status, 405) << method << " " << target;
    EXPECT_EQ(answer.header("allow"), allow);
    if (method != "HEAD") expect_error(answer, 405, "invalid");
  }
}

TEST_F(ApiTest, NamesAreDecodedAndThenChecked) {
  EXPECT_EQ(request("POST", "/v1/functions/%65cho/invoke", "1").status, 200);
  EXPECT_EQ(request("GET", "/v1/functions/a%2Eb").status, 200);
  for (const std::string& name :
       std::vector<std::string>{"..",       ".",      "%2e%2e",   "a%2Fb",  "..%2f..%2fetc",
                                "a%00b",    "A",      "-a",       "_a",     "a%20b",
                                "a%0d%0aX", "%",      "%6",       "%zz",    "a%",
                                "%25",      "a%252e", "\xC3\xA9", "%C3%A9", std::string(65, 'a'),
                                "a+b"}) {
    expect_error(request("POST", "/v1/functions/" + name + "/invoke", "{}"), 404, "not_found");
    expect_error(request("GET", "/v1/functions/" + name), 404, "not_found");
    expect_error(request("DELETE", "/v1/functions/" + name), 404, "not_found");
  }
  for (const std::string& name :
       std::vector<std::string>{"..", "%2e%2e", "a%2Fb", "A", "-a", std::string(65, 'a')}) {
    expect_error(request("PUT", "/v1/functions/" + name, "x"), 422, "invalid");
  }
  expect_error(request("PUT", "/v1/functions/%zz", "x"), 404, "not_found");
  EXPECT_EQ(service_.invocations, 1);
  EXPECT_EQ(service_.last_deploy.name, "");
  EXPECT_EQ(request("PUT", "/v1/functions/" + std::string(64, 'a'), "x").status, 201);
}

TEST_F(ApiTest, IdsOfCallsAreChecked) {
  for (const std::string_view id : {"x", "..", "01234567-89AB-4cde-8f01-23456789abcd",
                                    "01234567-89ab-4cde-8f01-23456789abcd0", "%00"}) {
    expect_error(request("GET", "/v1/calls/" + std::string(id)), 404, "not_found");
    expect_error(request("GET", "/v1/calls/" + std::string(id) + "/logs"), 404, "not_found");
  }
}

TEST_F(ApiTest, ShowsACallWithAllItsFields) {
  CallRecord& call = service_.prepared;
  call.function = "f";
  call.generation = 7;
  call.start = Start::kParked;
  call.zygote = "numpy,pandas";
  call.queue_us = 1;
  call.create_us = 2;
  call.init_us = 3;
  call.run_us = 4;
  call.total_us = 10;
  call.max_rss_bytes = 4096;
  call.cpu_us = 5;
  call.exit_code = 0;
  call.result = "{\"a\": [1, 2]}";
  call.logs = std::string("ok\n\xFF\x1B[0m\0", 9);
  call.logs_truncated = true;
  const std::string id = "01234567-89ab-4cde-8f01-23456789abcd";
  const Answer answer = request("GET", "/v1/calls/" + id);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            "{\"id\":\"" + id +
                "\",\"function\":\"f\",\"generation\":7,\"status\":\"ok\",\"start\":\"parked\","
                "\"zygote\":\"numpy,pandas\",\"queue_us\":1,\"create_us\":2,\"init_us\":3,"
                "\"run_us\":4,\"total_us\":10,\"max_rss\":4096,\"cpu_us\":5,\"exit\":0,"
                "\"result\":{\"a\": [1, 2]},\"error\":null,"
                "\"logs\":\"ok\\n\xEF\xBF\xBD\\u001b[0m\\u0000\",\"logs_truncated\":true}");
  const Answer logs = request("GET", "/v1/calls/" + id + "/logs");
  EXPECT_EQ(logs.header("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(logs.body, std::string("ok\n\xEF\xBF\xBD\x1B[0m\0", 11));
}

TEST_F(ApiTest, ShowsAFailedCallAndNeverEmbedsWhatIsNotJson) {
  CallRecord& call = service_.prepared;
  const std::string target = "/v1/calls/01234567-89ab-4cde-8f01-23456789abcd";
  call.error = CallError{Code::kOom, "Sandbox.OutOfMemory", "256M used", ""};
  call.exit_code = 137;
  call.result = "left over";
  json::object shown = json::parse(request("GET", target).body).as_object();
  EXPECT_EQ(shown.at("status"), "oom");
  EXPECT_TRUE(shown.at("result").is_null());
  EXPECT_EQ(shown.at("error").at("code"), "oom");
  EXPECT_EQ(shown.at("exit"), 137);
  call.error.reset();
  call.result = "1,\"status\":\"forged\"";
  shown = json::parse(request("GET", target).body).as_object();
  EXPECT_TRUE(shown.at("result").is_null());
  EXPECT_EQ(shown.at("status"), "ok");
  call.result = "{\"1\":0,\"1\":0}";
  EXPECT_NE(request("GET", target).body.find("\"result\":{\"1\":0,\"1\":0},"), std::string::npos);
}

TEST_F(ApiTest, AnswersOfTheHttpLayerAreErrorObjectsToo) {
  Client client(folder_.file("s"));
  expect_error(client.exchange("nonsense\r\n\r\n"), 400, "invalid");
  EXPECT_TRUE(client.at_end());
}

TEST_F(ApiTest, AnInvocationIsCheap) {
  std::string event = "{\"text\":\"";
  event.append(230, 'x').append("\",\"n\":12}");
  const std::string text =
      "POST /v1/functions/echo/invoke HTTP/1.1\r\nHost: sock\r\nContent-Type: "
      "application/json\r\nContent-Length: " +
      std::to_string(event.size()) + "\r\n\r\n" + event;
  for (int i = 0; i < 1000; ++i) (void)client_->exchange(text);
  constexpr int kRequests = 20'000;
  std::vector<double> micros;
  micros.reserve(kRequests);
  const double cpu_before = loop_.cpu_micros();
  for (int i = 0; i < kRequests; ++i) {
    const auto from = Clock::now();
    const Answer answer = client_->exchange(text);
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - from).count());
    ASSERT_EQ(answer.status, 200);
  }
  const double cpu = (loop_.cpu_micros() - cpu_before) / kRequests;
  std::sort(micros.begin(), micros.end());
  const double p50 = micros[kRequests / 2];
  std::printf("invoke over a kept connection: p50 %.1f us, p99 %.1f us, server CPU %.1f us/call\n",
              p50, micros[kRequests * 99 / 100], cpu);
  EXPECT_TRUE(testing::kSanitized || p50 < 200.0);
}

TEST(ApiJson, RepairsUtf8ByMaximalSubparts) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(repair_utf8(""), "");
  EXPECT_EQ(repair_utf8("plain \xC3\xA9 \xF0\x9F\x98\x80"), "plain \xC3\xA9 \xF0\x9F\x98\x80");
  // The Unicode standard's own example (3.9, table 3-8 and its neighbours).
  EXPECT_EQ(repair_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            "a" + bad + bad + bad + "b" + bad + "c" + bad + bad + "d");
  EXPECT_EQ(repair_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), bad + bad + bad);
  EXPECT_EQ(repair_utf8("\xF4\x91\x92\x93\xFF\x41"), bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repair_utf8("\xE2\x82"), bad);
  EXPECT_EQ(repair_utf8("\xF0\x9F\x98"), bad);
}

TEST(RequestId, IsAVersion4Uuid) {
  RequestIds ids;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = ids.next();
    EXPECT_TRUE(is_request_id(id)) << id;
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string_view("89ab").find(id[19]), std::string_view::npos);
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST_F(ApiTest, SetsAreKeptWarm) {
  const Answer warm =
      request("POST", "/v1/packages/warm", R"({"packages":["numpy","pandas==1.5.3"]})");
  EXPECT_EQ(warm.status, 200U);
  EXPECT_EQ(warm.body, R"({"warm":["numpy","pandas==1.5.3"]})");
  EXPECT_EQ(service_.warmed, (std::vector<std::string>{"numpy", "pandas==1.5.3"}));
  EXPECT_EQ(request("POST", "/v1/packages/cool", R"({"packages":["numpy"]})").status, 200U);
  EXPECT_EQ(service_.cooled, std::vector<std::string>{"numpy"});
  EXPECT_EQ(request("GET", "/v1/packages/warm").status, 405U);
  EXPECT_EQ(request("POST", "/v1/packages/hot", "{}").status, 404U);
}

TEST_F(ApiTest, WhatIsNoSetIsRefused) {
  for (const char* body : {"", "[]", "{}", R"({"packages":[]})", R"({"packages":[1]})",
                           R"({"packages":"numpy"})", R"({"packages":["a")"}) {
    const Answer answer = request("POST", "/v1/packages/warm", body);
    EXPECT_EQ(answer.status, 400U) << body;
    EXPECT_EQ(error_of(answer).at("code"), "invalid");
  }
  EXPECT_TRUE(service_.warmed.empty());
}

}  // namespace
}  // namespace sock::manager
