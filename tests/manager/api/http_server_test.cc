#include "manager/api/http_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "tests/manager/api/http_client.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
using testing::Answer;
using testing::Client;
using testing::eventually;
using testing::LoopThread;
using testing::TemporaryFolder;

/// Echoes, except: /slow waits to be released, /throw throws, /large answers with much, and
/// /small takes 100 bytes only.
class EchoHandler final : public HttpHandler {
 public:
  std::size_t body_limit(const HttpRequest& head) const override {
    return head.target == "/small" ? 100 : 6U << 20;
  }

  asio::awaitable<HttpResponse> handle(HttpRequest& request) override {
    ++handled;
    HttpResponse response;
    if (request.target == "/throw") throw std::runtime_error("thrown by the test");
    if (request.target == "/slow") {
      request.on_gone = [this] {
        ++gone;
        released = true;
      };
      const auto executor = co_await asio::this_coro::executor;
      asio::steady_timer timer(executor);
      while (!released) {
        timer.expires_after(Millis(1));
        auto [ignored] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        (void)ignored;
      }
      released = false;
    }
    if (request.target == "/large") {
      response.body.assign(4U << 20, 'x');
      co_return response;
    }
    response.content_type = "text/plain";
    response.body = request.method + " " + request.target + " " + request.content_type + " " +
                    request.options + " " + request.body;
    co_return response;
  }

  HttpResponse refuse(unsigned status, std::string_view message) const override {
    HttpResponse response;
    response.status = status;
    response.body = "{\"errorMessage\":\"" + std::string(message) + "\"}";
    return response;
  }

  std::atomic<int> handled = 0;
  std::atomic<int> gone = 0;
  std::atomic<bool> released = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override { options_.socket = folder_.file("s"); }

  void TearDown() override {
    if (server_) loop_.run([this] { server_.reset(); });
  }

  void start() {
    auto server = loop_.run(
        [this] { return HttpServer::listen(loop_.io().get_executor(), options_, handler_); });
    ASSERT_TRUE(server.has_value()) << server.error().describe();
    server_ = std::move(*server);
  }

  HttpServerCounts counts() {
    return loop_.run([this] { return server_->counts(); });
  }
  bool eventually_open(std::size_t count) {
    return eventually([&] { return counts().open == count; });
  }
  Client connect() { return Client(options_.socket); }

  TemporaryFolder folder_;
  EchoHandler handler_;
  HttpServerOptions options_;
  std::unique_ptr<HttpServer> server_;
  LoopThread loop_;  // ends first: nothing runs while the rest is destroyed
};

TEST_F(HttpServerTest, AnswersManyRequestsOnOneConnection) {
  start();
  Client client = connect();
  for (int i = 0; i < 100; ++i) {
    const std::string body = "body " + std::to_string(i);
    const Answer answer =
        client.request("POST", "/echo", body, "Content-Type: a/b\r\nx-sock-options: {}\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "POST /echo a/b {} " + body);
  }
  EXPECT_EQ(counts().accepted, 1U);
}

TEST_F(HttpServerTest, NothingOfOneRequestLeaksIntoTheNext) {
  start();
  Client client = connect();
  (void)client.request("POST", "/echo", "body", "Content-Type: a/b\r\nX-Sock-Options: {}\r\n");
  EXPECT_EQ(client.exchange("GET /next HTTP/1.1\r\n\r\n").body, "GET /next   ");
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
  start();
  Client client = connect();
  for (const char c : std::string("POST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")) {
    ASSERT_TRUE(client.send(std::string_view(&c, 1)));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(client.receive().body, "POST /echo   body");
  for (const char c :
       std::string("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n"
                   "2\r\nde\r\n0\r\nContent-Type: trailer\r\n\r\n")) {
    ASSERT_TRUE(client.send(std::string_view(&c, 1)));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(client.receive().body, "POST /c   abcde");
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  Client client = connect();
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += "POST /" + std::to_string(i) + " HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    requests += "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n";
  }
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.receive().body, "POST /" + std::to_string(i) + "   abc");
    EXPECT_EQ(client.receive().body, "POST /c   xy");
  }
}

TEST_F(HttpServerTest, APipelinedRequestIsNeitherLostNorTakenForAVanishedClient) {
  start();
  Client client = connect();
  ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return handler_.handled == 1; }));
  ASSERT_TRUE(client.send("GET /second HTTP/1.1\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_EQ(handler_.gone, 0);
  EXPECT_EQ(handler_.handled, 1) << "one request of a connection at a time";
  handler_.released = true;
  EXPECT_EQ(client.receive().body, "GET /slow   ");
  EXPECT_EQ(client.receive().body, "GET /second   ");
}

TEST_F(HttpServerTest, NoticesAVanishedClientWithin100Ms) {
  start();
  for (const std::string_view unread : {"", "GET /second HTTP/1.1\r\n\r\n"}) {
    handler_.handled = 0;
    handler_.gone = 0;
    Client client = connect();
    ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\n\r\n"));
    ASSERT_TRUE(eventually([&] { return handler_.handled == 1; }));
    ASSERT_TRUE(client.send(unread));
    const auto start_time = Clock::now();
    client.close();
    ASSERT_TRUE(eventually([&] { return handler_.gone == 1; }));
    EXPECT_LT(Clock::now() - start_time, Millis(100));
    EXPECT_TRUE(eventually_open(0));
    EXPECT_EQ(handler_.handled, 1) << "nobody is left to answer the second request to";
    EXPECT_EQ(handler_.gone, 1);
  }
}

TEST_F(HttpServerTest, AClientThatOnlyHalfClosesGetsItsAnswer) {
  start();
  Client client = connect();
  ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\n\r\n"));
  client.half_close();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(handler_.gone, 0);
  handler_.released = true;
  EXPECT_EQ(client.receive().status, 200);
  EXPECT_TRUE(client.at_end());
}

TEST_F(HttpServerTest, OutOfBandDataEndsTheRequest) {
  start();
  Client client = connect();
  ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return handler_.handled == 1; }));
  if (::send(client.fd(), "!", 1, MSG_OOB | MSG_NOSIGNAL) != 1) {
    handler_.released = true;
    GTEST_SKIP() << "Unix sockets have no out-of-band data here";
  }
  EXPECT_TRUE(eventually([&] { return handler_.gone == 1; }));
  EXPECT_TRUE(eventually_open(0));
}

TEST_F(HttpServerTest, AHalfRequestIsDroppedWithItsConnection) {
  start();
  for (const std::string_view half :
       {"", "G", "POST /x HTTP/1.1\r\nContent-Le",
        "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"}) {
    Client client = connect();
    ASSERT_TRUE(client.send(half));
    ASSERT_TRUE(eventually_open(1));
    client.close();
    EXPECT_TRUE(eventually_open(0)) << half;
  }
  EXPECT_EQ(handler_.handled, 0);
}

TEST_F(HttpServerTest, EveryStageOfARequestHasItsDeadline) {
  options_.header_timeout = Millis(60);
  options_.body_timeout = Millis(60);
  options_.idle_timeout = Millis(150);
  start();
  Client header = connect();
  EXPECT_EQ(header.exchange("GET / HTTP/1.1\r\nA: b").status, 408);
  EXPECT_TRUE(header.at_end());
  Client body = connect();
  EXPECT_EQ(body.exchange("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc").status, 408);
  EXPECT_TRUE(body.at_end());
  Client idle = connect();
  EXPECT_EQ(idle.request("GET", "/").status, 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(idle.request("GET", "/").status, 200) << "each request starts the idle time anew";
  const auto since = Clock::now();
  EXPECT_TRUE(idle.at_end()) << "closed without a word";
  EXPECT_GT(Clock::now() - since, Millis(100));
  header.close();
  body.close();
  EXPECT_TRUE(eventually_open(0));
}

TEST_F(HttpServerTest, ADripOfBytesDoesNotProlongADeadline) {
  options_.header_timeout = Millis(100);
  start();
  Client client = connect();
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\n"));
  const auto since = Clock::now();
  while (!client.readable(std::chrono::milliseconds(10)) && Clock::now() - since < Millis(5000)) {
    (void)client.send("A: b\r\n");
  }
  EXPECT_EQ(client.receive().status, 408);
  EXPECT_LT(Clock::now() - since, Millis(1000));
}

TEST_F(HttpServerTest, TheHandlerIsNotUnderTheIdleDeadline) {
  options_.idle_timeout = Millis(30);
  start();
  Client client = connect();
  ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  handler_.released = true;
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(HttpServerTest, AHeaderOverItsLimitIs413) {
  start();
  const std::string long_line(70U << 10, 'a');
  std::string many_lines;
  while (many_lines.size() < (70U << 10)) many_lines += "Name: value\r\n";
  for (const std::string& text :
       {"GET /" + long_line, "GET / HTTP/1.1\r\nA: " + long_line, "GET / HTTP/1.1\r\n" + many_lines,
        "GET / HTTP/1.1\r\n" + many_lines + "\r\n"}) {
    Client client = connect();
    EXPECT_EQ(client.exchange(text).status, 413) << text.substr(0, 40);
    EXPECT_TRUE(client.at_end());
  }
  Client slowly = connect();
  ASSERT_TRUE(slowly.send("GET / HTTP/1.1\r\n"));
  for (int i = 0; i < 200 && !slowly.readable(std::chrono::milliseconds(1)); ++i) {
    (void)slowly.send("A: " + std::string(1000, 'a') + "\r\n");
  }
  EXPECT_EQ(slowly.receive().status, 413);
  Client client = connect();
  EXPECT_EQ(client.request("GET", "/", "", "A: " + std::string(60U << 10, 'a') + "\r\n").status,
            200);
  EXPECT_EQ(handler_.handled, 1);
}

TEST_F(HttpServerTest, ABodyOverItsLimitIs413) {
  start();
  Client announced = connect();
  EXPECT_EQ(announced.exchange("POST /small HTTP/1.1\r\nContent-Length: 101\r\n\r\n").status, 413);
  EXPECT_TRUE(announced.at_end());
  Client huge = connect();
  EXPECT_EQ(huge.exchange("POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n").status,
            413);
  Client chunked = connect();
  const std::string_view head = "POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(chunked.exchange(std::string(head) + "65\r\n").status, 413);
  Client chunks = connect();
  std::string text(head);
  for (int i = 0; i < 101; ++i) text += "1\r\na\r\n";
  EXPECT_EQ(chunks.exchange(text + "0\r\n\r\n").status, 413);
  EXPECT_EQ(handler_.handled, 0);
  Client fits = connect();
  EXPECT_EQ(fits.request("POST", "/small", std::string(100, 'a')).status, 200);
}

TEST_F(HttpServerTest, AClientThatUploadsTooMuchStillSeesWhy) {
  start();
  Client client = connect();
  const std::string body(8U << 20, 'a');
  EXPECT_TRUE(client.send("POST / HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) +
                          "\r\n\r\n" + body));
  EXPECT_EQ(client.receive().status, 413);
}

TEST_F(HttpServerTest, ChunkHeadersAndTrailersAreBounded) {
  start();
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  Client extension = connect();
  EXPECT_EQ(extension.exchange(head + "1;" + std::string(1U << 20, 'a')).status, 413);
  Client trailer = connect();
  std::string lines;
  while (lines.size() < (1U << 20)) lines += "Name: value\r\n";
  EXPECT_EQ(trailer.exchange(head + "0\r\n" + lines).status, 413);
}

TEST_F(HttpServerTest, BodiesOfAllConnectionsShareOneBudget) {
  options_.body_memory = 5U << 20;
  start();
  Client first = connect();
  ASSERT_TRUE(first.send("POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n" +
                         std::string(3'000'000, 'a')));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  Client second = connect();
  EXPECT_EQ(second.request("POST", "/", std::string(4'000'000, 'b')).status, 429);
  EXPECT_EQ(first.exchange(std::string(1'000'000, 'a')).status, 200);
  Client third = connect();
  EXPECT_EQ(third.request("POST", "/", std::string(4'000'000, 'c')).status, 200);
}

TEST_F(HttpServerTest, LargeBodiesArriveWhole) {
  start();
  Client client = connect();
  std::string body(6U << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
  const Answer answer = client.request("POST", "/", body);
  ASSERT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body == "POST /   " + body);
}

TEST_F(HttpServerTest, SaysContinueOnlyToThoseWhoMayContinue) {
  start();
  Client client = connect();
  const std::string head = "POST /small HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: ";
  EXPECT_EQ(client.exchange(head + "4\r\n\r\n").status, 100);
  EXPECT_EQ(client.exchange("body").body, "POST /small   body");
  EXPECT_EQ(client.exchange(head + "4\r\n\r\nbody").status, 200) << "the body is there already";
  EXPECT_EQ(client.exchange(head + "101\r\n\r\n").status, 413);
  Client other = connect();
  EXPECT_EQ(other.exchange("POST / HTTP/1.1\r\nExpect: money\r\nContent-Length: 1\r\n\r\n").status,
            417);
}

TEST_F(HttpServerTest, WhatIsNotHttpIsRefusedAndClosed) {
  start();
  const std::string post = "POST / HTTP/1.1\r\n";
  const std::string next = "GET /smuggled HTTP/1.1\r\n\r\n";
  for (const std::string& text : std::vector<std::string>{
           "\x16\x03\x01\x02garbage\r\n\r\n",
           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
           "GET / HTTP/3.1\r\n\r\n",
           "GET /\r\n\r\n",
           "GET  / HTTP/1.1\r\n\r\n",
           "GET /a b HTTP/1.1\r\n\r\n",
           std::string("GET /\0 HTTP/1.1\r\n\r\n", 19),
           "GET / HTTP/1.1\nHost: x\n\n",
           post + "Name : value\r\n\r\n",
           post + "Content-Length: -1\r\n\r\n" + next,
           post + "Content-Length: 1x\r\n\r\n" + next,
           post + "Content-Length: 99999999999999999999999\r\n\r\n" + next,
           post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\na" + next,
           post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next,
           post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + next,
           post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + next,
           post + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + next,
           post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + next,
       }) {
    Client client = connect();
    EXPECT_EQ(client.exchange(text).status, 400) << text;
    EXPECT_TRUE(client.at_end()) << text;
  }
  for (const std::string& text : std::vector<std::string>{
           post + "Transfer-Encoding: gzip\r\n\r\n" + next,
           post + "Transfer-Encoding: chunked, gzip\r\n\r\n" + next,
           post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + next,
           post + "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc" + next,
           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next,
       }) {
    Client client = connect();
    EXPECT_EQ(client.exchange(text).status, 501) << text;
    EXPECT_TRUE(client.at_end()) << text;
  }
  EXPECT_EQ(handler_.handled, 0);
}

TEST_F(HttpServerTest, ClosesWhenTheClientWantsItTo) {
  start();
  Client modern = connect();
  const Answer answer = modern.request("GET", "/", "", "Connection: close\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(modern.at_end());
  Client old = connect();
  EXPECT_EQ(old.exchange("GET / HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(old.at_end());
}

TEST_F(HttpServerTest, TheAnswerToHeadHasNoBody) {
  start();
  Client client = connect();
  ASSERT_TRUE(client.send("HEAD /h HTTP/1.1\r\n\r\n"));
  const Answer head = client.receive(false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "10");
  EXPECT_EQ(client.request("GET", "/g").body, "GET /g   ");
}

TEST_F(HttpServerTest, AnExceptionIsA500AndTheConnectionLives) {
  start();
  Client client = connect();
  EXPECT_EQ(client.request("GET", "/throw").status, 500);
  EXPECT_EQ(client.request("GET", "/").status, 200);
}

TEST_F(HttpServerTest, ASlowReaderGetsAllAndOneWhoNeverReadsIsCut) {
  options_.write_timeout = Millis(1000);
  start();
  Client slow = connect();
  ASSERT_TRUE(slow.send("GET /large HTTP/1.1\r\n\r\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(slow.receive().body.size(), 4U << 20);
  Client never = connect();
  ASSERT_TRUE(never.send("GET /large HTTP/1.1\r\n\r\n"));
  slow.close();
  EXPECT_TRUE(eventually_open(0));
}

TEST_F(HttpServerTest, TenThousandConnectionsAreBoundedAndHarmless) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  options_.max_connections = std::min<std::size_t>(200, files.rlim_cur / 4);
  options_.max_connections_per_uid = options_.max_connections;
  start();
  std::vector<Client> kept;
  for (std::size_t i = 0; i < options_.max_connections; ++i) kept.push_back(connect());
  ASSERT_TRUE(eventually_open(options_.max_connections));
  int refused = 0;
  for (int i = 0; i < 10'000; ++i) {
    Client client = connect();
    ASSERT_TRUE(client.connected());
    if (i % 100 != 0) continue;
    const Answer answer = client.receive();
    EXPECT_EQ(answer.status, 429);
    EXPECT_TRUE(client.at_end());
    ++refused;
  }
  EXPECT_EQ(refused, 100);
  ASSERT_TRUE(eventually([&] { return counts().refused == 10'000; }));
  EXPECT_EQ(counts().open, options_.max_connections);
  EXPECT_EQ(kept.front().request("GET", "/").status, 200) << "those who were in stay in";
  kept.clear();
  ASSERT_TRUE(eventually_open(0));
  Client after = connect();
  EXPECT_EQ(after.request("GET", "/").status, 200);
}

TEST_F(HttpServerTest, OneUserCannotTakeAllConnections) {
  options_.max_connections_per_uid = 3;
  start();
  std::vector<Client> kept;
  for (int i = 0; i < 3; ++i) kept.push_back(connect());
  ASSERT_TRUE(eventually_open(3));
  Client fourth = connect();
  EXPECT_EQ(fourth.receive().status, 429);
  kept.pop_back();
  ASSERT_TRUE(eventually_open(2));
  Client fifth = connect();
  EXPECT_EQ(fifth.request("GET", "/").status, 200);
}

TEST_F(HttpServerTest, RunningOutOfDescriptorsDelaysConnectionsOnly) {
  start();
  Client client = connect();
  ASSERT_EQ(client.request("GET", "/").status, 200);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  Client late = connect();  // accepted, or waiting in the queue
  ASSERT_TRUE(eventually_open(2));
  Fd socket_made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(socket_made.get()) + 1;
  setrlimit(RLIMIT_NOFILE, &none);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
  const int connected =
      ::connect(socket_made.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  const std::size_t open_meanwhile = counts().open;
  const Answer meanwhile = client.request("GET", "/");
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(connected, 0);
  EXPECT_EQ(open_meanwhile, 2U);
  EXPECT_EQ(meanwhile.status, 200);
  EXPECT_TRUE(eventually_open(3));
}

TEST_F(HttpServerTest, TheSocketIsReadyAndPrivateWhenItAppears) {
  start();
  struct stat status {};
  ASSERT_EQ(stat(options_.socket.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 0660U);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.file(""))) {
    (void)entry;
    ++files;
  }
  EXPECT_EQ(files, 1U) << "no temporary name is left";
  loop_.run([this] { server_.reset(); });
  EXPECT_NE(stat(options_.socket.c_str(), &status), 0) << "the file goes with the server";
}

TEST_F(HttpServerTest, TakesOverADeadSocketButNothingElse) {
  start();
  const auto again = [&] {
    return loop_.run(
        [&] { return HttpServer::listen(loop_.io().get_executor(), options_, handler_); });
  };
  auto second = again();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_EQ(connect().request("GET", "/").status, 200) << "the first is undisturbed";
  loop_.run([this] { server_.reset(); });

  {
    Fd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, options_.socket.data(), options_.socket.size());
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  start();
  EXPECT_EQ(connect().request("GET", "/").status, 200);
  loop_.run([this] { server_.reset(); });

  std::ofstream(options_.socket) << "precious";
  auto refused = again();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_TRUE(std::filesystem::is_regular_file(options_.socket));
}

TEST_F(HttpServerTest, LeavesAFileThatIsNoLongerItsOwn) {
  start();
  std::filesystem::remove(options_.socket);
  std::ofstream(options_.socket) << "somebody else's";
  loop_.run([this] { server_.reset(); });
  EXPECT_TRUE(std::filesystem::exists(options_.socket));
}

TEST_F(HttpServerTest, RefusesPathsAndGroupsThatCannotBe) {
  options_.group = "no-such-group-here";
  auto server = HttpServer::listen(loop_.io().get_executor(), options_, handler_);
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code, Code::kInvalid);
  options_.group.clear();
  options_.socket = folder_.file(std::string(120, 'a'));
  server = HttpServer::listen(loop_.io().get_executor(), options_, handler_);
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code, Code::kInvalid);
  options_.socket = folder_.file("no/such/folder");
  server = HttpServer::listen(loop_.io().get_executor(), options_, handler_);
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code, Code::kInternal);
}

TEST_F(HttpServerTest, SmuggledDescriptorsDoNotArrive) {
  start();
  Client client = connect();
  ASSERT_EQ(client.request("GET", "/").status, 200);
  Fd pipe_read;
  Fd pipe_write;
  {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pipe_read.reset(ends[0]);
    pipe_write.reset(ends[1]);
  }
  std::string text = "GET /fd HTTP/1.1\r\n\r\n";
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int smuggled = pipe_write.get();
  std::memcpy(CMSG_DATA(header), &smuggled, sizeof(smuggled));
  const ssize_t sent = sendmsg(client.fd(), &message, MSG_NOSIGNAL);
  const int error = errno;
  if (sent < 0) {
    EXPECT_EQ(error, EPERM) << "SO_PASSRIGHTS refuses them at the sender";
    EXPECT_EQ(client.request("GET", "/fd").status, 200);
  } else {
    EXPECT_EQ(client.receive().status, 200);
  }
  // Either way no copy of the writing end survives: the reader sees the end of the pipe.
  pipe_write.reset();
  pollfd entry{pipe_read.get(), POLLIN, 0};
  ASSERT_EQ(poll(&entry, 1, 5000), 1);
  EXPECT_TRUE((entry.revents & POLLHUP) != 0);
}

TEST_F(HttpServerTest, ShutdownClosesIdleConnectionsAndLetsRequestsFinish) {
  start();
  Client idle = connect();
  ASSERT_EQ(idle.request("GET", "/").status, 200);
  Client fresh = connect();
  Client busy = connect();
  ASSERT_TRUE(busy.send("GET /slow HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return handler_.handled == 2; }));
  ASSERT_TRUE(eventually_open(3));
  auto clean = asio::co_spawn(loop_.io(), server_->shutdown(Clock::now() + Millis(10'000)),
                              asio::use_future);
  EXPECT_TRUE(idle.at_end());
  EXPECT_TRUE(fresh.at_end());
  EXPECT_FALSE(connect().connected());
  EXPECT_EQ(clean.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  handler_.released = true;
  const Answer answer = busy.receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(busy.at_end());
  EXPECT_TRUE(clean.get());
}

TEST_F(HttpServerTest, ShutdownCutsWhatOutlivesTheDeadline) {
  start();
  Client busy = connect();
  ASSERT_TRUE(busy.send("GET /slow HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return handler_.handled == 1; }));
  auto clean =
      asio::co_spawn(loop_.io(), server_->shutdown(Clock::now() + Millis(50)), asio::use_future);
  EXPECT_FALSE(clean.get());
  EXPECT_EQ(handler_.gone, 1);
  EXPECT_TRUE(busy.at_end());
}

TEST_F(HttpServerTest, StoppingToAcceptLeavesOpenConnectionsAlone) {
  start();
  Client open = connect();
  ASSERT_EQ(open.request("GET", "/").status, 200);
  loop_.run([this] { server_->stop_accepting(); });
  EXPECT_FALSE(connect().connected());
  EXPECT_EQ(open.request("GET", "/").status, 200);
}

TEST_F(HttpServerTest, DestructionInTheMiddleOfThingsIsClean) {
  start();
  Client idle = connect();
  Client half = connect();
  ASSERT_TRUE(half.send("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"));
  Client busy = connect();
  ASSERT_TRUE(busy.send("GET /slow HTTP/1.1\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return handler_.handled == 1; }));
  ASSERT_TRUE(eventually_open(3));
  loop_.run([this] { server_.reset(); });
  EXPECT_TRUE(idle.at_end());
  EXPECT_TRUE(half.at_end());
  EXPECT_TRUE(busy.at_end());
  EXPECT_EQ(handler_.gone, 1);
}

TEST_F(HttpServerTest, ASmallRequestIsCheap) {
  start();
  Client client = connect();
  std::string text =
      "POST /v1/functions/echo/invoke HTTP/1.1\r\nHost: sock\r\nContent-Type: "
      "application/json\r\nContent-Length: 250\r\n\r\n";
  text.append(250, 'x');
  for (int i = 0; i < 1000; ++i) (void)client.exchange(text);
  constexpr int kRequests = 20'000;
  std::vector<double> micros;
  micros.reserve(kRequests);
  const double cpu_before = loop_.cpu_micros();
  for (int i = 0; i < kRequests; ++i) {
    const auto from = Clock::now();
    const Answer answer = client.exchange(text);
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - from).count());
    ASSERT_EQ(answer.status, 200);
  }
  const double cpu = (loop_.cpu_micros() - cpu_before) / kRequests;
  std::sort(micros.begin(), micros.end());
  const double p50 = micros[kRequests / 2];
  std::printf("echo over a kept connection: p50 %.1f us, p99 %.1f us, server CPU %.1f us/request\n",
              p50, micros[kRequests * 99 / 100], cpu);
  EXPECT_TRUE(testing::kSanitized || p50 < 200.0);
}

}  // namespace
}  // namespace sock::manager
