#include "cli/program.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/cli/command_line.h"
#include "tests/cli/fake_server.h"

namespace sock::cli {
namespace {

TEST(Usage, MistakesExitWithTwo) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{},
                                             {"frobnicate"},
                                             {"--frob"},
                                             {"ls", "extra"},
                                             {"invoke"},
                                             {"describe"},
                                             {"rm"},
                                             {"logs"},
                                             {"-o", "xml", "ls"},
                                             {"ls", "--socket"},
                                             {"deploy", "f"},
                                             {"describe", "Bad/Name"},
                                             {"rm", ".."},
                                             {"logs", "UPPER"}}) {
    const Ran ran = sockctl(args);
    std::string shown;
    for (const auto& arg : args) shown += arg + " ";
    EXPECT_EQ(ran.exit, 2) << shown;
    EXPECT_EQ(ran.out, "") << shown;
    EXPECT_NE(ran.err, "") << shown;
  }
}

TEST(Usage, NamesTheUnknownCommand) {
  EXPECT_NE(sockctl({"frobnicate"}).err.find("'frobnicate'"), std::string::npos);
}

TEST(Help, EveryCommandTeaches) {
  for (const char* command : {"deploy", "invoke", "ls", "describe", "rm", "logs", "zygotes",
                              "netns", "packages", "doctor", "stats", "version"}) {
    const Ran ran = sockctl({command, "--help"});
    EXPECT_EQ(ran.exit, 0) << command;
    EXPECT_NE(ran.out.find("Example:\n  sockctl " + std::string(command)), std::string::npos)
        << ran.out;
    EXPECT_EQ(ran.err, "") << command;
    EXPECT_NE(sockctl({"--help"}).out.find(command), std::string::npos);
  }
}

TEST(Socket, FlagWinsOverEnvironment) {
  FakeServer server([](const FakeRequest&) {
    FakeResponse response;
    response.body = R"({"functions":[]})";
    return response;
  });
  ::setenv("SOCK_SOCKET", server.socket().c_str(), 1);
  EXPECT_EQ(sockctl({"ls"}).exit, 0);
  const Ran ran = sockctl({"ls", "--socket", "/nonexistent/s"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_NE(ran.err.find("/nonexistent/s"), std::string::npos);
  ::unsetenv("SOCK_SOCKET");
}

TEST(Socket, UnreachableIsAJsonDocumentToo) {
  const Ran ran = sockctl({"ls", "--socket", "/nonexistent/s", "-o", "json"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_EQ(ran.out.rfind(R"({"error":{"code":"unreachable","errorMessage":"cannot reach)", 0), 0U)
      << ran.out;
}

TEST(Names, OfCommandsAreFunctionNamesToo) {
  FakeServer server([](const FakeRequest&) { return FakeResponse{}; });
  EXPECT_EQ(sockctl({"--socket", server.socket(), "invoke", "ls", "-d", "1"}).exit, 0);
  EXPECT_EQ(server.requests().at(0).target, "/v1/functions/ls/invoke");
}

}  // namespace
}  // namespace sock::cli
