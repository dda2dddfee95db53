/// Network namespaces between calls: handed on when nothing has happened in them, else destroyed.

#include <boost/json/serialize.hpp>
#include <string>

#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

/// One sandbox at a time, made when it is wanted: what one call leaves is what the next would get.
struct OneSandbox {
  static const char* text() {
    return "[zygotes]\nsets = []\nfunctions = false\n"
           "[parked]\nmin = 0\nmax = 0\nshells = 0\n[netns]\nlow = 1\n";
  }
};

class UntouchedNetwork : public Suite<OneSandbox> {
 protected:
  struct Counts {
    std::int64_t returned = 0;
    std::int64_t burned = 0;
  };
  Counts counts() {
    return {api().netns_count("none", "returned"), api().netns_count("none", "burned")};
  }

  /// Runs this text in a call and returns the number of the namespace it ran in. Its sandbox is
  /// gone by then.
  std::string namespace_of(const std::string& text) {
    const std::string event = boost::json::serialize(boost::json::value(text));
    const Reply reply = api().invoke("run", event);
    EXPECT_TRUE(succeeded(reply)) << text;
    EXPECT_EQ(api().record_of(reply).status, 200U);
    return reply.body;
  }

  /// One function for all: deploying has sandboxes made that are no call's.
  void SetUp() override {
    Suite::SetUp();
    if (IsSkipped() || HasFatalFailure() || deployed_) return;
    ASSERT_DEPLOYED(api().deploy("run",
                                 "import array, os, signal, socket, struct, subprocess, threading\n"
                                 "def handler(event):\n"
                                 "    exec(event, globals())\n"
                                 "    return os.stat('/proc/self/ns/net').st_ino\n"));
    deployed_ = true;
    // The first call has its module compiled, in one more sandbox of nobody's.
    EXPECT_NE(namespace_of(""), "");
    std::string last;
    int same = 0;
    for (int i = 0; i < 100 && same < 3; ++i) {
      const std::string now = namespace_of("");
      same = now == last ? same + 1 : 0;
      last = now;
    }
    ASSERT_EQ(same, 3) << api().get("/v1/netns").body;
  }

  bool handed_on_after(const std::string& body) {
    const Counts before = counts();
    const std::string used = namespace_of(body);
    const Counts after = counts();
    EXPECT_EQ(after.returned + after.burned, before.returned + before.burned + 1);
    const bool returned = after.returned > before.returned;
    EXPECT_EQ(namespace_of("") == used, returned);
    return returned;
  }

 private:
  inline static bool deployed_ = false;
};

TEST_F(UntouchedNetwork, IsHandedOn) {
  EXPECT_TRUE(handed_on_after(""));
  EXPECT_TRUE(handed_on_after("a, b = socket.socketpair()\na.send(b'x')\n"));
  EXPECT_TRUE(
      handed_on_after("s = socket.socket(socket.AF_UNIX)\n"
                      "s.bind('\\0name')\n"
                      "s.listen()\n"));
  EXPECT_TRUE(
      handed_on_after("assert b'lo' in subprocess.run(['cat', '/proc/self/net/dev'],"
                      " capture_output=True).stdout\n"));
}

TEST_F(UntouchedNetwork, WhatIsRefusedLeavesNothingBehind) {
  for (const char* attempt :
       {"socket.AF_NETLINK, socket.SOCK_RAW", "socket.AF_PACKET, socket.SOCK_RAW",
        "socket.AF_INET, socket.SOCK_RAW, 1", "socket.AF_INET6, socket.SOCK_RAW, 58"}) {
    EXPECT_TRUE(handed_on_after("try:\n    socket.socket(" + std::string(attempt) +
                                ")\n"
                                "    raise SystemError('made')\n"
                                "except OSError:\n    pass\n"))
        << attempt;
  }
}

TEST_F(UntouchedNetwork, IsBurnedByAnyInternetSocket) {
  for (const char* families : {"AF_INET", "AF_INET6"}) {
    for (const char* types : {"SOCK_STREAM", "SOCK_DGRAM"}) {
      EXPECT_FALSE(handed_on_after("socket.socket(socket." + std::string(families) + ", socket." +
                                   types + ").close()\n"))
          << families << " " << types;
    }
  }
}

TEST_F(UntouchedNetwork, IsBurnedByAConnectionThatFailed) {
  EXPECT_FALSE(
      handed_on_after("try:\n"
                      "    socket.create_connection(('192.0.2.1', 80))\n"
                      "    raise SystemError('connected')\n"
                      "except OSError:\n    pass\n"));
}

TEST_F(UntouchedNetwork, IsBurnedByConnectionsInTimeWait) {
  EXPECT_FALSE(
      handed_on_after("s = socket.create_server(('127.0.0.1', 0))\n"
                      "c = socket.create_connection(s.getsockname())\n"
                      "c.sendall(b'x')\n"
                      "p = s.accept()[0]\n"
                      "p.close()\nc.close()\n"));
}

TEST_F(UntouchedNetwork, IsBurnedByAFlowLabel) {
  // struct in6_flowlabel_req: get a label shared with nobody, for ::1.
  EXPECT_FALSE(
      handed_on_after("s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                      "request = socket.inet_pton(socket.AF_INET6, '::1')"
                      " + struct.pack('=IBBHHHI', 0x1000000, 0, 1, 1, 60, 60, 0)\n"
                      "try:\n    s.setsockopt(41, 32, request)\n"
                      "except OSError:\n    pass\n"));
}

TEST_F(UntouchedNetwork, IsBurnedByAChildProcessAndAThread) {
  EXPECT_FALSE(
      handed_on_after("if os.fork() == 0:\n"
                      "    socket.socket()\n    os._exit(0)\n"
                      "os.wait()\n"));
  EXPECT_FALSE(
      handed_on_after("t = threading.Thread(target=socket.socket)\n"
                      "t.start()\nt.join()\n"));
}

TEST_F(UntouchedNetwork, IsNotHandedOnWithALeftoverListener) {
  // Two sockets that hold each other in messages outlive the process until the kernel's collector
  // finds them, and with them a name in the namespace. Whichever comes first: no later call meets
  // the listener.
  const char* const cycle =
      "s = socket.socket(socket.AF_UNIX)\n"
      "s.bind('\\0leftover')\n"
      "s.listen()\n"
      "a, b = socket.socketpair()\n"
      "fds = array.array('i', [a.fileno(), b.fileno(), s.fileno()])\n"
      "for end in (a, b):\n"
      "    end.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n";
  const char* const look =
      "s = socket.socket(socket.AF_UNIX)\n"
      "try:\n    s.connect('\\0leftover')\n"
      "    raise SystemError('met the listener of another call')\n"
      "except ConnectionRefusedError:\n    pass\n";
  for (int round = 0; round < 20; ++round) {
    EXPECT_NE(namespace_of(cycle), "");
    EXPECT_NE(namespace_of(look), "");
  }
}

TEST_F(UntouchedNetwork, IsNotHandedOnFromASandboxThatWasKilled) {
  const Counts before = counts();
  const std::string text = "socket.socket()\nos.kill(os.getpid(), signal.SIGKILL)\n";
  const Reply reply = api().invoke("run", boost::json::serialize(boost::json::value(text)));
  EXPECT_TRUE(failed(reply, 502, "killed"));
  EXPECT_EQ(counts().burned, before.burned + 1);
}

struct UsedOnce {
  static const char* text() {
    return "[zygotes]\nsets = []\n[parked]\nmin = 0\nmax = 0\nshells = 0\n"
           "[netns]\nreuse = \"never\"\n";
  }
};

class NetworkUsedOnce : public Suite<UsedOnce> {};

TEST_F(NetworkUsedOnce, WhenConfigured) {
  for (int i = 0; i < 5; ++i) {
    const Reply reply = call("def handler(event):\n    return 1\n");
    ASSERT_TRUE(succeeded(reply));
    EXPECT_EQ(api().record_of(reply).status, 200U);
  }
  EXPECT_EQ(api().netns_count("none", "returned"), 0);
  EXPECT_GE(api().netns_count("none", "burned"), 5);
  EXPECT_GE(api().netns_count("none", "destroyed"), 5);
}

}  // namespace
}  // namespace sock::e2e
