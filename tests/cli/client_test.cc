#include "cli/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "base/fd.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

Request get(const std::string& target) {
  Request request;
  request.method = "GET";
  request.target = target;
  return request;
}

int exit_of(const Outcome<Response>& response) { return response ? 0 : response.error().exit; }

TEST(Client, KeepsOneConnection) {
  FakeServer server([](const FakeRequest& request) {
    FakeResponse response;
    response.status = request.method == "POST" ? 201 : 200;
    response.body = request.body + "!";
    response.headers["X-Sock-Start"] = "parked";
    return response;
  });
  Client client(server.socket());
  for (int i = 0; i < 3; ++i) {
    Request request = get("/v1/x");
    request.method = "POST";
    request.body = std::to_string(i);
    request.content_type = "application/json";
    request.headers = {{"X-Sock-Options", "{}"}};
    const auto response = client.exchange(request);
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->status, 201U);
    EXPECT_EQ(response->body, std::to_string(i) + "!");
    EXPECT_EQ(response->header("x-sock-start"), "parked");
    EXPECT_EQ(response->header("absent"), "");
  }
  EXPECT_EQ(server.connections(), 1);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].headers.at("content-type"), "application/json");
  EXPECT_EQ(requests[0].headers.at("x-sock-options"), "{}");
}

TEST(Client, ConnectsAgainAfterClose) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    return response;
  });
  Client client(server.socket());
  EXPECT_EQ(client.exchange(get("/")).value().body, "hi");
  EXPECT_EQ(client.exchange(get("/")).value().body, "hi");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, CarriesLargeBodies) {
  FakeServer server([](const FakeRequest& request) {
    FakeResponse response;
    response.body = request.body;
    return response;
  });
  Client client(server.socket());
  Request request = get("/");
  request.method = "PUT";
  request.body = std::string(6U << 20U, 'x');
  const auto response = client.exchange(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, request.body);
}

TEST(Client, HearsARefusalBeforeTheBodyIsSent) {
  FakeServer server(
      [](const FakeRequest&) {
        FakeResponse response;
        response.status = 413;
        response.body = "too large";
        return response;
      },
      false);
  Client client(server.socket());
  Request request = get("/");
  request.method = "PUT";
  request.body = std::string(32U << 20U, 'x');
  const auto response = client.exchange(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 413U);
  EXPECT_EQ(response->body, "too large");
}

TEST(Client, NobodyThere) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "s").string();
  auto response = Client(path).exchange(get("/"));
  EXPECT_EQ(exit_of(response), 3);
  EXPECT_NE(response.error().message.find("start it with: sockd --socket " + path),
            std::string::npos)
      << response.error().message;
  // A socket left behind.
  const Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  response = Client(path).exchange(get("/"));
  EXPECT_EQ(exit_of(response), 3);
  EXPECT_NE(response.error().message.find("refused"), std::string::npos)
      << response.error().message;
}

TEST(Client, ImpossiblePath) {
  EXPECT_EQ(exit_of(Client("").exchange(get("/"))), 2);
  EXPECT_EQ(exit_of(Client("/" + std::string(200, 'x')).exchange(get("/"))), 2);
}

TEST(Client, ConnectionLost) {
  FakeServer server([](const FakeRequest& request) {
    FakeResponse response;
    response.raw = request.target == "/half" ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
                                             : "HTTP/1.1 200";
    return response;
  });
  Client client(server.socket());
  EXPECT_EQ(exit_of(client.exchange(get("/half"))), 3);
  EXPECT_EQ(exit_of(client.exchange(get("/line"))), 3);
}

TEST(Client, NotHttp) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.raw = "220 mail.example ESMTP\r\n\r\n";
    return response;
  });
  EXPECT_EQ(exit_of(Client(server.socket()).exchange(get("/"))), 125);
}

TEST(Client, BoundsWhatComesBack) {
  FakeServer server([](const FakeRequest& request) {
    FakeResponse response;
    response.raw = "HTTP/1.1 200 OK\r\n";
    if (request.target == "/body") {
      response.raw += "Content-Length: 99999999999\r\n\r\n";
    } else {
      response.raw += "X-Filler: " + std::string(200'000, 'x') + "\r\n\r\n";
    }
    return response;
  });
  Client client(server.socket());
  EXPECT_EQ(exit_of(client.exchange(get("/body"))), 125);
  EXPECT_EQ(exit_of(client.exchange(get("/header"))), 125);
}

TEST(Client, GivesUpInTime) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.hang = true;
    return response;
  });
  Client client(server.socket());
  Request request = get("/v1/health");
  request.timeout = Millis(100);
  const auto start = Clock::now();
  const auto response = client.exchange(request);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(exit_of(response), 3);
  EXPECT_NE(response.error().message.find("/v1/health"), std::string::npos);
}

TEST(Client, InterruptClosesTheConnection) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.hang = true;
    return response;
  });
  Client client(server.socket());
  std::thread person([&] {
    while (server.requests().empty()) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  const auto response = client.exchange(get("/"));
  person.join();
  EXPECT_EQ(exit_of(response), 130);
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (server.abandoned() == 0 && Clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(server.abandoned(), 1);
}

TEST(EncodeSegment, LeavesNothingThatMeansSomething) {
  EXPECT_EQ(encode_segment("a-b_c.d~9"), "a-b_c.d~9");
  EXPECT_EQ(encode_segment("../x?y#z%\r\n é"), "..%2Fx%3Fy%23z%25%0D%0A%20%C3%A9");
}

}  // namespace
}  // namespace sock::cli
