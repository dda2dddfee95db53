// What getaddrinfo() finds inside a sandbox, through both parts of the seccomp policy: a handler,
// its own /etc/resolv.conf, and a resolver on the loopback of the namespace it is in.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "sandbox/confine.h"
#include "tests/support/dns_server.h"
#include "tests/zygote/zygote_fixture.h"

namespace sock::zygote {
namespace {

using test_support::DnsQuery;
using test_support::DnsServer;

/// Not the one that an empty resolv.conf means.
constexpr const char* kResolver = "127.0.0.53";
constexpr const char* kResolvConf = "nameserver 127.0.0.53\noptions timeout:2 attempts:2\n";

/// Looks up each name of the event: its addresses, or the name of the error.
constexpr const char* kLookUp =
    "import socket, time\n"
    "def look_up(name):\n"
    "    try:\n"
    "        found = socket.getaddrinfo(name, 'https', type=socket.SOCK_STREAM)\n"
    "    except socket.gaierror as error:\n"
    "        names = {getattr(socket, n): n for n in dir(socket) if n.startswith('EAI_')}\n"
    "        return names.get(error.errno, error.errno)\n"
    "    assert all(place[1] == 443 for *_, place in found)\n"
    "    return ' '.join(sorted(place[0] for *_, place in found))\n"
    "def handler(names):\n"
    "    return [look_up(name) for name in names]\n";

bool raise_loopback() {
  const Fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return any && ::ioctl(any.get(), SIOCSIFFLAGS, &request) == 0;
}

class NameResolution : public ZygoteTest {
 protected:
  void SetUp() override {
    ZygoteTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto zygote = run(loop_, Zygote::start(options()));
    ASSERT_TRUE(zygote) << zygote.error().describe();
    zygote_ = std::move(*zygote);
    std::thread([&] {
      const auto path = "/proc/" + std::to_string(keeper_->pid()) + "/ns/net";
      const Fd net(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_EQ(::setns(net.get(), CLONE_NEWNET), 0);
      ASSERT_TRUE(raise_loopback());
      auto server = DnsServer::start(kResolver);
      ASSERT_TRUE(server) << server.error().describe();
      server_ = std::move(*server);
    }).join();
    ASSERT_TRUE(server_);
  }

  Confined parked(std::uint32_t uid) {
    Confined clone = make(*zygote_, uid);
    std::string payload;
    EXPECT_EQ(read_type(clone.connection.get(), payload), FrameType::kParked);
    return clone;
  }

  std::string call_with(std::string_view resolv_conf, const std::string& source,
                        const std::string& event) {
    Confined clone = parked(1001);
    return call(clone, source, event, resolv_conf);
  }

  std::unique_ptr<Zygote> zygote_;
  std::unique_ptr<DnsServer> server_;
};

TEST_F(NameResolution, FindsBothFamiliesAndSaysWhatDoesNotExist) {
  EXPECT_EQ(call_with(kResolvConf, kLookUp, R"(["server.test","four.test","nowhere.test"])"),
            R"(["2001:db8:2::9 203.0.113.9","203.0.113.9","EAI_NONAME"])");
  const auto queries = server_->stop();
  // All of it was asked here, and none of it twice.
  EXPECT_EQ(queries.size(), 6U);
  EXPECT_TRUE(std::ranges::none_of(queries, &DnsQuery::tcp));
  EXPECT_TRUE(std::ranges::none_of(queries, &DnsQuery::edns));
}

TEST_F(NameResolution, AsksAgainOverTcpWhenAnAnswerIsCut) {
  const std::string found = call_with(kResolvConf, kLookUp, R"(["big.test"])");
  EXPECT_EQ(std::ranges::count(found, ' '), 59) << found;
  const auto queries = server_->stop();
  EXPECT_TRUE(std::ranges::any_of(queries, &DnsQuery::tcp));
}

TEST_F(NameResolution, FollowsOptionsAndSearch) {
  const std::string text = std::string(kResolvConf) + "search none.test test\noptions edns0\n";
  EXPECT_EQ(call_with(text, kLookUp, R"(["four"])"), R"(["203.0.113.9"])");
  const auto queries = server_->stop();
  ASSERT_FALSE(queries.empty());
  EXPECT_EQ(queries.front().name, "four.none.test");
  EXPECT_TRUE(std::ranges::all_of(queries, &DnsQuery::edns));
}

TEST_F(NameResolution, FailsAtOnceWithoutResolvers) {
  const std::string source = std::string(kLookUp) +
                             "def timed(names):\n"
                             "    start = time.monotonic()\n"
                             "    found = [look_up(name) for name in names]\n"
                             "    took = time.monotonic() - start\n"
                             "    conf = open('/etc/resolv.conf').read()\n"
                             "    mounted = 'resolv' in open('/proc/self/mountinfo').read()\n"
                             "    return [found, took < 0.2 or took, conf, mounted]\n"
                             "handler = timed\n";
  EXPECT_EQ(call_with({}, source, R"(["server.test","example.com"])"),
            R"([["EAI_AGAIN","EAI_AGAIN"],true,"",false])");
  EXPECT_TRUE(server_->stop().empty());
}

TEST_F(NameResolution, HoldsForPackagesThatAskedBeforeThereWasAnybody) {
  std::ofstream(task_ / "asked.py") << "import socket\n"
                                       "try:\n"
                                       "    socket.getaddrinfo('server.test', 80)\n"
                                       "    found = True\n"
                                       "except socket.gaierror:\n"
                                       "    found = False\n";
  auto zygote = run(loop_, Zygote::start(options({"asked"})));
  ASSERT_TRUE(zygote) << zygote.error().describe();
  zygote_ = std::move(*zygote);
  const std::string source = std::string(kLookUp) +
                             "import asked\n"
                             "def both(names):\n"
                             "    return [asked.found, look_up(names[0])]\n"
                             "handler = both\n";
  EXPECT_EQ(call_with(kResolvConf, source, R"(["four.test"])"), R"([false,"203.0.113.9"])");
}

TEST_F(NameResolution, KnowsItselfWithoutAskingAnybody) {
  const char* const source =
      "import socket\n"
      "def handler(event):\n"
      "    own = socket.gethostbyname(socket.gethostname())\n"
      "    socket.create_server((own, 0)).close()\n"
      "    both = sorted({a[4][0] for a in socket.getaddrinfo('localhost', 80)})\n"
      "    return [own, socket.getfqdn(), both, socket.gethostbyname('ip6-localhost'),\n"
      "            socket.gethostbyaddr('127.0.0.1')[0], socket.getservbyname('http'),\n"
      "            socket.getprotobyname('udp')]\n";
  const char* const known =
      R"(["127.0.1.1","sandbox",["127.0.0.1","::1"],"127.0.0.1","localhost",80,17])";
  EXPECT_EQ(call_with(kResolvConf, source, "null"), known);
  EXPECT_EQ(call_with({}, source, "null"), known);
  EXPECT_TRUE(server_->stop().empty());
}

TEST_F(NameResolution, GivesEachSandboxAFileThatNobodyInItCanChange) {
  const char* const source =
      "import errno, os\n"
      "PATH = '/etc/resolv.conf'\n"
      "def attempt(function, *arguments):\n"
      "    try:\n"
      "        function(*arguments)\n"
      "    except OSError as error:\n"
      "        return errno.errorcode[error.errno]\n"
      "    return 'ok'\n"
      "def handler(event):\n"
      "    mine = [l.split() for l in open('/proc/self/mountinfo') if PATH in l]\n"
      "    with open(PATH) as file:\n"
      "        text = file.read()\n"
      "        again = f'/proc/self/fd/{file.fileno()}'\n"
      "        reopened = attempt(open, again, 'r+')\n"
      "        linked = attempt(lambda: os.link(again, '/dev/shm/x', follow_symlinks=True))\n"
      "    flags = sorted({'ro', 'nosuid', 'nodev', 'noexec'} & {*mine[0][5].split(',')})\n"
      "    return [text, len(mine), flags, os.stat(PATH).st_nlink,\n"
      "            os.listdir('/dev/shm'), attempt(open, PATH, 'r+'), reopened, linked,\n"
      "            attempt(os.chmod, PATH, 0o666), attempt(os.unlink, PATH),\n"
      "            attempt(os.rename, '/etc/hosts', PATH)]\n";
  Confined one = parked(1001), other = parked(1002);
  const auto expected = [](const std::string& text) {
    return "[\"" + text +
           R"(\n",1,["nodev","noexec","nosuid","ro"],0,[],"EACCES","EACCES","EXDEV","EROFS","EROFS",)"
           R"("EROFS"])";
  };
  EXPECT_EQ(call(one, source, "null", "nameserver 192.0.2.1\n"), expected("nameserver 192.0.2.1"));
  EXPECT_EQ(call(other, source, "null", "nameserver ::1\n"), expected("nameserver ::1"));
}

TEST_F(NameResolution, ASandboxThatCannotHaveItsFileIsNone) {
  Confined clone = parked(1001), other = parked(1002);
  const auto too_large = attach(clone, std::string(sandbox::Shell::kLargestResolvConf + 1, '#'));
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, Code::kInvalid);
  // Nothing was attached, so another may be.
  EXPECT_EQ(call(clone, "def handler(event):\n    return len(open('/etc/resolv.conf').read())\n",
                 "null", std::string(sandbox::Shell::kLargestResolvConf, '#')),
            std::to_string(sandbox::Shell::kLargestResolvConf));
  const pid_t filler = ::fork();
  if (filler == 0) {
    // Somebody the file system's user namespace knows.
    const auto id = keeper_->id_base();
    const bool joined = sandbox::join_shell(other.shell.pidfd()).error == 0 &&
                        ::setresgid(id, id, id) == 0 && ::setresuid(id, id, id) == 0;
    const int file = joined ? ::open("/dev/shm/full", O_CREAT | O_WRONLY, 0600) : -1;
    const std::string block(4096, 'x');
    while (file >= 0 && ::write(file, block.data(), block.size()) > 0) {
    }
    ::_exit(file >= 0 && errno == ENOSPC ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(filler, &status, 0), filler);
  ASSERT_EQ(status, 0);
  const auto full = attach(other, kResolvConf);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().step, "attach /etc/resolv.conf");
  EXPECT_EQ(full.error().sys_errno, ENOSPC);
}

}  // namespace
}  // namespace sock::zygote
