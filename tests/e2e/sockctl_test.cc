/// The whole way by the command line: sockctl's output and exit status against a real sockd.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <fstream>
#include <thread>

#include "base/fd.h"
#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

class Sockctl : public Suite<Bare> {
 protected:
  [[nodiscard]] static Finished sockctl(std::vector<std::string> args,
                                        const std::string& input = "") {
    args.insert(args.begin(), {"--socket", daemon().socket()});
    return run_program(program("sockctl"), args, input);
  }

  /// Writes a file into the daemon's folder and returns its path.
  [[nodiscard]] static std::string write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(daemon().folder()) / "files" / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }

  /// Deploys a handler with this body and calls it with `args`.
  [[nodiscard]] static Finished run_body(const std::string& body,
                                         std::vector<std::string> args = {},
                                         const std::string& timeout = "20s") {
    const std::string file = write(
        "body.py", "import ctypes, os, signal, sys, time\ndef handler(e):\n    " + body + "\n");
    const Finished deployed =
        sockctl({"deploy", "body", file, "--timeout", timeout, "--memory", "64M"});
    if (deployed.exit != 0) return deployed;
    args.insert(args.begin(), {"invoke", "body"});
    return sockctl(args);
  }
};

TEST_F(Sockctl, FromDeployToRemoval) {
  (void)write("app/handler.py",
              "import helper\ndef handler(e):\n    print('called')\n    return helper.double(e)\n");
  (void)write("app/helper.py", "def double(e):\n    return e['n'] * 2\n");
  (void)write("app/__pycache__/x.pyc", "x");
  const std::string folder = daemon().folder() + "/files/app";
  Finished ran = sockctl({"deploy", "app", folder, "--memory", "128M", "--env", "A=b"});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_NE(ran.out.find("128M"), std::string::npos);

  ran = sockctl({"invoke", "app", "-d", "{\"n\":21}"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "42\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(sockctl({"invoke", "app"}, "{\"n\":1}").out, "2\n");
  EXPECT_EQ(sockctl({"invoke", "app", "-f", write("event.json", "{\"n\":3}")}).out, "6\n");

  ran = sockctl({"invoke", "app", "-d", "{\"n\":5}", "-l"});
  EXPECT_EQ(ran.out, "10\n");
  EXPECT_EQ(ran.err.rfind("called\nREPORT RequestId: ", 0), 0U) << ran.err;

  ran = sockctl({"invoke", "app", "-d", "{\"n\":5}", "-o", "json"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.err, "");
  const auto record = boost::json::parse(ran.out);
  EXPECT_EQ(record.at("status").as_string(), "ok");
  EXPECT_EQ(record.at("result").as_int64(), 10);
  EXPECT_EQ(record.at("logs").as_string(), "called\n");

  EXPECT_EQ(sockctl({"logs", "app"}).out, "called\n");
  EXPECT_EQ(sockctl({"logs", std::string(record.at("id").as_string())}).out, "called\n");
  EXPECT_NE(sockctl({"ls"}).out.find("\napp "), std::string::npos);
  EXPECT_EQ(
      boost::json::parse(sockctl({"describe", "app", "-o", "json"}).out).at("name").as_string(),
      "app");
  EXPECT_EQ(sockctl({"rm", "app"}).exit, 0);
  EXPECT_EQ(sockctl({"describe", "app"}).exit, 4);
}

TEST_F(Sockctl, ViewsAreTablesOrOneJsonDocument) {
  for (const char* view : {"ls", "zygotes", "netns", "packages", "stats", "doctor", "version"}) {
    const Finished table = sockctl({view});
    EXPECT_EQ(table.exit, 0) << view << table.err;
    EXPECT_NE(table.out, "") << view;
    const Finished json = sockctl({view, "-o", "json"});
    boost::json::error_code error;
    EXPECT_TRUE(boost::json::parse(json.out, error).is_object()) << view << json.out;
    EXPECT_EQ(json.err, "") << view;
  }
}

TEST_F(Sockctl, ExitStatusTellsHowACallEnded) {
  EXPECT_EQ(run_body("return 1").exit, 0);
  EXPECT_EQ(run_body("raise ValueError('x')").exit, 1);
  EXPECT_EQ(run_body("return {1, 2}").exit, 1);
  EXPECT_EQ(run_body("return 1", {"-d", "{"}).exit, 2);
  EXPECT_EQ(sockctl({"invoke", "nobody"}).exit, 4);
  EXPECT_EQ(run_body("time.sleep(60)", {}, "500ms").exit, 124);
  EXPECT_EQ(run_body("a = [b'x' * (1 << 20) for _ in range(1000)]").exit, 137);
  EXPECT_EQ(run_body("os._exit(3)").exit, 137);
  EXPECT_EQ(run_body("os.kill(os.getpid(), signal.SIGSEGV)").exit, 139);
  EXPECT_EQ(run_body("os.kill(os.getpid(), signal.SIGTERM)").exit, 143);
  const Finished gone =
      run_program(program("sockctl"), {"--socket", daemon().folder() + "/none", "ls"});
  EXPECT_EQ(gone.exit, 3);
  EXPECT_NE(gone.err.find("sockd --socket"), std::string::npos);
  const std::string file = write("f.py", "def handler(e):\n    pass\n");
  EXPECT_EQ(sockctl({"deploy", "f", file, "--handler", "none.x"}).exit, 7);
  EXPECT_EQ(sockctl({"deploy", "f", file, "--memory", "900G"}).exit, 7);
  const std::string requirements = write("requirements.txt", "no-such-package-here\n");
  const Finished refused = sockctl({"deploy", "f", file, "--requirements", requirements});
  EXPECT_EQ(refused.exit, 7);
  EXPECT_NE(refused.err.find("no-such-package-here"), std::string::npos) << refused.err;
}

TEST_F(Sockctl, AFailedCallShowsPythonsTraceback) {
  const Finished ran = run_body("raise ValueError('bad value')");
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err.rfind("Traceback (most recent call last):\n"
                          "  File \"/var/task/handler.py\", line 3, in handler\n"
                          "    raise ValueError('bad value')\n"
                          "ValueError: bad value\n",
                          0),
            0U)
      << ran.err;
  const Finished json = run_body("raise ValueError('bad value')", {"-o", "json"});
  EXPECT_EQ(json.exit, 1);
  EXPECT_EQ(boost::json::parse(json.out).at("status").as_string(), "app_error");
}

TEST_F(Sockctl, InterruptingCancelsTheCall) {
  const std::string file =
      write("slow.py",
            "import time\ndef handler(e):\n"
            "    __import__('ctypes').CDLL(None).prctl(15, b'sock-ctrl-c', 0, 0, 0)\n"
            "    time.sleep(25)\n");
  ASSERT_EQ(sockctl({"deploy", "slow", file}).exit, 0);
  const Fd err(::memfd_create("stderr", MFD_CLOEXEC));
  auto client = launch(program("sockctl"), {"--socket", daemon().socket(), "invoke", "slow"},
                       {-1, -1, err.get()});
  ASSERT_TRUE(client) << client.error().describe();
  ASSERT_TRUE(eventually([] { return processes_named("sock-ctrl-c").size() == 1; }));
  client->signal(SIGINT);
  const auto exit = wait_exit(*client, Clock::now() + std::chrono::seconds(5));
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->signalled);
  EXPECT_EQ(shell_status(*exit), 130);
  EXPECT_TRUE(eventually([] { return processes_named("sock-ctrl-c").empty(); }, Millis(2'000)));
}

TEST(SockctlAlone, DoctorWorksWithoutSockd) {
  if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
  const Finished ran = run_program(program("sockctl"),
                                   {"--socket", "/nonexistent/sockd.sock", "doctor", "-o", "json"});
  EXPECT_EQ(ran.exit, 0) << ran.out << ran.err;
  boost::json::error_code error;
  const auto report = boost::json::parse(ran.out, error);
  ASSERT_FALSE(error) << ran.out;
  EXPECT_TRUE(report.at("healthy").as_bool());
  EXPECT_FALSE(report.at("checks").as_array().empty());
}

}  // namespace
}  // namespace sock::e2e
