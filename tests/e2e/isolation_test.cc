/// What a sandbox can see, reach and leave behind.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "base/fd.h"
#include "base/file.h"
#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

namespace fs = std::filesystem;

std::string handler_file(const std::string& name) {
  return read_file(AT_FDCWD, std::string(SOCK_HANDLERS_DIR) + "/" + name).value_or("");
}

/// A listener on the host's loopback: what no sandbox may reach.
class HostListener {
 public:
  HostListener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_.get(), generic, size) == 0 && ::listen(socket_.get(), 8) == 0 &&
        ::getsockname(socket_.get(), generic, &size) == 0) {
      port_ = ntohs(address.sin_port);
    }
  }

  /// The event for selfcheck.py.
  [[nodiscard]] std::string event() const {
    return R"({"listener":["127.0.0.1",)" + std::to_string(port_) + "]}";
  }

 private:
  Fd socket_;
  int port_ = 0;
};

class SelfCheck : public Suite<Bare> {
 protected:
  void SetUp() override {
    Suite::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // All tests look at one report.
    if (report_.is_null()) {
      const HostListener listener;
      const std::string source = handler_file("selfcheck.py");
      ASSERT_NE(source, "");
      const auto parked = [&] {
        return api().get("/v1/zygotes").json().at("zygotes").at(0).at("parked").as_int64() > 0;
      };
      ASSERT_TRUE(path() != Path::kParked || eventually(parked));
      const Reply reply = call(source, listener.event(), R"({"timeout":"60s"})");
      ASSERT_TRUE(succeeded(reply));
      report_ = reply.json();
      start_ = reply.header("x-sock-start");
    }
    ASSERT_TRUE(report_.is_object());
  }

  [[nodiscard]] static const boost::json::object& report() { return report_.get_object(); }
  [[nodiscard]] static std::string status(const char* field) {
    return std::string(report().at("status").at(field).as_string());
  }
  [[nodiscard]] static std::string attempt(const char* name) {
    return std::string(report().at("attempts").at(name).as_string());
  }

  inline static boost::json::value report_;
  inline static std::string start_;  ///< where the sandbox came from
};

TEST_F(SelfCheck, TheSandboxCameTheWayAskedFor) {
  const auto zygote = api().function_zygote("t");
  switch (path()) {
    case Path::kAny:
      break;
    case Path::kParked:
      EXPECT_EQ(start_, "parked");
      EXPECT_TRUE(zygote.empty());
      break;
    case Path::kOnDemand:
      EXPECT_EQ(start_, "clone");
      EXPECT_TRUE(zygote.empty());
      break;
    case Path::kFunction:
      EXPECT_EQ(start_, "parked");
      ASSERT_FALSE(zygote.empty());
      EXPECT_EQ(zygote.at("state").as_string(), "ready");
      EXPECT_EQ(zygote.at("clones").to_number<int>(), 1);
      break;
  }
}

TEST_F(SelfCheck, EveryLayerIsOn) {
  EXPECT_EQ(status("Seccomp"), "2");
  EXPECT_EQ(status("NoNewPrivs"), "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(status(set), "0000000000000000") << set;
  }
  for (const char* ids : {"uid", "gid"}) {
    const auto& three = report().at(ids).as_array();
    EXPECT_NE(three.at(0).as_int64(), 0) << ids;
    EXPECT_EQ(three.at(0), three.at(1));
    EXPECT_EQ(three.at(0), three.at(2));
  }
  for (const auto& group : report().at("groups").as_array()) EXPECT_NE(group.as_int64(), 0);
}

TEST_F(SelfCheck, EveryNamespaceIsItsOwn) {
  for (const auto& entry : report().at("namespaces").as_object()) {
    std::error_code error;
    const fs::path host = fs::read_symlink("/proc/self/ns/" + std::string(entry.key()), error);
    EXPECT_NE(std::string(entry.value().as_string()), host.string()) << entry.key();
  }
  EXPECT_EQ(report().at("namespaces").as_object().size(), 7U);
  std::array<char, 256> name{};
  ASSERT_EQ(::gethostname(name.data(), name.size()), 0);
  EXPECT_NE(std::string(report().at("hostname").as_string()), name.data());
}

TEST_F(SelfCheck, OnlyItsOwnPlacesAreWritable) {
  for (const auto& place : report().at("writable").as_array()) {
    const std::string path(place.as_string());
    EXPECT_TRUE(path == "/tmp" || path == "/dev/shm") << path;
  }
  EXPECT_GE(report().at("writable").as_array().size(), 1U);
  for (const char* name :
       {"write_task", "change_handler", "write_library", "write_etc", "kernel_setting", "sysrq"}) {
    EXPECT_NE(attempt(name), "ok") << name;
  }
}

TEST_F(SelfCheck, TheHostsFilesAreNotThere) {
  std::set<std::string> root;
  for (const auto& name : report().at("root").as_array()) root.emplace(name.as_string());
  for (const char* name : {"sys", "home", "root", "boot", "run", "mnt", "media", "srv", "work"}) {
    EXPECT_FALSE(root.contains(name)) << name;
  }
  EXPECT_NE(attempt("shadow"), "ok");
  const std::string mounts(report().at("mountinfo").as_string());
  EXPECT_EQ(mounts.find("cgroup"), std::string::npos) << mounts;
  EXPECT_EQ(mounts.find("sysfs"), std::string::npos) << mounts;
}

TEST_F(SelfCheck, MountsGiveNoPrivilege) {
  std::istringstream lines{std::string(report().at("mountinfo").as_string())};
  int mounts = 0;
  for (std::string line; std::getline(lines, line); ++mounts) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point, options;
    fields >> id >> parent >> device >> root >> point >> options;
    options = "," + options + ",";
    EXPECT_NE(options.find(",nosuid,"), std::string::npos) << line;
    const bool own = point == "/tmp" || point == "/dev/shm";
    const bool device_node = (point == "/dev" || point.starts_with("/dev/")) && !own;
    if (!device_node) {
      EXPECT_NE(options.find(",nodev,"), std::string::npos) << line;
    }
    if (!own && !point.starts_with("/dev/") && !point.starts_with("/proc")) {
      EXPECT_NE(options.find(",ro,"), std::string::npos) << line;
    }
  }
  EXPECT_GE(mounts, 4);
}

TEST_F(SelfCheck, OtherProcessesAreNotThere) {
  // The sandbox's own init, the handler, and nobody else.
  EXPECT_LE(report().at("processes").as_array().size(), 3U)
      << boost::json::serialize(report().at("processes"));
}

TEST_F(SelfCheck, ThereIsNoNetwork) {
  EXPECT_EQ(report().at("routes").as_array().size(), 0U);
  for (const auto& name : report().at("interfaces").as_array()) EXPECT_EQ(name.as_string(), "lo");
  EXPECT_NE(attempt("connect_host"), "ok");
  EXPECT_EQ(attempt("connect_internet"), "ENETUNREACH");
}

TEST_F(SelfCheck, PrivilegeIsOutOfReach) {
  // Refused for what they are, not for their arguments: those would give EINVAL or EFAULT.
  const std::set<std::string> refusals = {"EPERM", "EACCES", "ENOSYS", "EAFNOSUPPORT", "killed"};
  for (const char* name :
       {"raw_socket", "packet_socket", "vsock", "chroot", "sethostname", "nice_up", "device_node",
        "unshare_user", "setns", "bpf", "userfaultfd", "io_uring_setup", "perf_event_open",
        "keyctl", "ptrace", "mount", "open_tree", "kexec_load", "init_module"}) {
    EXPECT_TRUE(refusals.contains(attempt(name))) << name << ": " << attempt(name);
  }
  // EINVAL here: the user namespace does not even know the id 0.
  EXPECT_TRUE(attempt("setuid_0") == "EPERM" || attempt("setuid_0") == "EINVAL");
}

TEST_F(SelfCheck, NoDescriptorLeadsToTheHost) {
  for (const auto& entry : report().at("descriptors").as_object()) {
    const std::string target(entry.value().as_string());
    const bool harmless = target.starts_with("socket:") || target.starts_with("pipe:") ||
                          target == "/dev/null" || target.starts_with("/proc/");
    EXPECT_TRUE(harmless) << entry.key() << " -> " << target;
  }
  EXPECT_LE(report().at("descriptors").as_object().size(), 6U);
}

TEST_F(SelfCheck, NoSecretOfTheHostIsThere) {
  EXPECT_FALSE(report().at("environ").as_object().contains("HOST_SECRET"));
  EXPECT_EQ(report().at("environ_file").as_string().find("HOST_SECRET"),
            boost::json::string_view::npos);
}

/// The same probes by plain Python on the host: what is refused above must be the sandbox's doing.
TEST_F(SelfCheck, TheHostItselfAllowsWhatIsRefused) {
  const HostListener listener;
  const Finished ran = run_program(
      "/usr/bin/python3",
      {"-c",
       "import json, sys\nsys.path.insert(0, '" SOCK_HANDLERS_DIR "')\n"
       "import selfcheck as s\n"
       "e = json.loads(sys.argv[1])\n"
       "print(json.dumps([s.attempt(s.connect, e['listener']), s.attempt(open, '/etc/shadow'),\n"
       "    s.in_child(s.raw, 'unshare', s.CLONE_NEWUSER), s.attempt(s.os.chroot, '/tmp'),\n"
       "    s.attempt(s.socket.socket, s.socket.AF_INET, s.socket.SOCK_RAW, 1)]))\n",
       listener.event()});
  ASSERT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "[\"ok\", \"ok\", \"ok\", \"ok\", \"ok\"]\n");
}

class Neighbours : public Suite<Bare> {};

TEST_F(Neighbours, GlobalsBeginAnew) {
  ASSERT_DEPLOYED(api().deploy("count",
                               "import json, os\nn = 0\n"
                               "def handler(e):\n"
                               "    global n\n"
                               "    n += 1\n"
                               "    json.seen = getattr(json, 'seen', 0) + 1\n"
                               "    os.environ['SEEN'] = os.environ.get('SEEN', '') + 'x'\n"
                               "    return [n, json.seen, os.environ['SEEN']]\n"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(api().invoke("count").body, R"([1,1,"x"])");
}

TEST_F(Neighbours, FilesAreGoneForTheNextCallOfAnyFunction) {
  const char* const source =
      "import os\n"
      "def handler(e):\n"
      "    seen = os.listdir('/tmp') + os.listdir('/dev/shm')\n"
      "    for folder in ('/tmp', '/dev/shm'):\n"
      "        with open(folder + '/secret', 'w') as f:\n"
      "            f.write('secret')\n"
      "    return seen\n";
  ASSERT_DEPLOYED(api().deploy("one", source));
  ASSERT_DEPLOYED(api().deploy("two", source));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(api().invoke("one").body, "[]");
    EXPECT_EQ(api().invoke("two").body, "[]");
  }
}

TEST_F(Neighbours, SystemVMemoryIsNotShared) {
  // A segment made by one call, looked for by the next: IPC_CREAT is 01000.
  ASSERT_DEPLOYED(
      api().deploy("shm",
                   "import ctypes\n"
                   "libc = ctypes.CDLL(None)\n"
                   "def handler(create):\n"
                   "    return libc.shmget(0x50434b, 4096, 0o1600 if create else 0o600)\n"));
  ASSERT_TRUE(succeeded(api().invoke("shm", "true")));
  EXPECT_EQ(api().invoke("shm", "false").body, "-1");
}

TEST_F(Neighbours, RunningCallsDoNotMeet) {
  ASSERT_DEPLOYED(api().deploy(
      "holder",
      "import os, socket, time\n"
      "def handler(e):\n"
      "    open('/tmp/held', 'w').write('held')\n"
      "    open('/dev/shm/held', 'w').write('held')\n"
      "    s = socket.socket(socket.AF_UNIX)\n"
      "    s.bind('\\0held')\n"
      "    s.listen()\n"
      "    t = socket.socket()\n"
      "    t.bind(('127.0.0.1', 4711))\n"
      "    t.listen()\n"
      "    time.sleep(2)\n"
      "    return {n: os.readlink('/proc/self/ns/' + n) for n in os.listdir('/proc/self/ns')}\n"));
  ASSERT_DEPLOYED(api().deploy(
      "seeker",
      "import os, socket\n"
      "def reach(kind, address):\n"
      "    try:\n"
      "        socket.socket(kind).connect(address)\n"
      "        return True\n"
      "    except OSError:\n"
      "        return False\n"
      "def handler(e):\n"
      "    found = [os.path.exists('/tmp/held'), os.path.exists('/dev/shm/held'),\n"
      "             reach(socket.AF_UNIX, '\\0held'), reach(socket.AF_INET, ('127.0.0.1', 4711)),\n"
      "             len([n for n in os.listdir('/proc') if n.isdigit()]) > 3]\n"
      "    return [found, {n: os.readlink('/proc/self/ns/' + n)\n"
      "                    for n in os.listdir('/proc/self/ns')}]\n"));
  Reply held;
  std::thread holder([&] { held = Api(daemon().socket()).invoke("holder"); });
  const bool running = eventually([&] { return api().get("/v1/health").number("running") == 1; });
  // The holder has started; a few looks while it sleeps.
  std::vector<Reply> looks;
  for (int i = 0; i < 10; ++i) {
    looks.push_back(api().invoke("seeker"));
    std::this_thread::sleep_for(Millis(100));
  }
  holder.join();
  ASSERT_TRUE(running);
  ASSERT_TRUE(succeeded(held));
  for (const Reply& look : looks) {
    ASSERT_TRUE(succeeded(look));
    EXPECT_EQ(boost::json::serialize(look.json().at(0)), "[false,false,false,false,false]");
    for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "uts"}) {
      EXPECT_NE(look.json().at(1).at(name), held.json().at(name)) << name;
    }
  }
}

TEST_F(Neighbours, NothingOutlivesItsCall) {
  const Reply reply = call(
      "import os, signal, time\n"
      "def handler(e):\n"
      "    for _ in range(3):\n"
      "        if os.fork() == 0:\n"
      "            os.setsid()\n"
      "            if os.fork() == 0:\n"
      "                for n in (1, 2, 3, 15):\n"
      "                    signal.signal(n, signal.SIG_IGN)\n"
      "                __import__('ctypes').CDLL(None).prctl(15, b'sock-outlive', 0, 0, 0)\n"
      "                while True:\n"
      "                    time.sleep(1)\n"
      "            os._exit(0)\n"
      "        os.wait()\n"
      "    time.sleep(0.2)\n"
      "    return [open(f'/proc/{n}/comm').read().strip()\n"
      "            for n in os.listdir('/proc') if n.isdigit()].count('sock-outlive')\n");
  ASSERT_TRUE(succeeded(reply));
  EXPECT_EQ(reply.body, "3") << "the daemons did not start: the test proves nothing";
  // A settled record means that the sandbox is gone.
  ASSERT_EQ(api().record_of(reply).status, 200U);
  EXPECT_TRUE(processes_named("sock-outlive").empty());
}

TEST_F(Neighbours, TheHostSeesAConfinedProcess) {
  ASSERT_DEPLOYED(
      api().deploy("visible",
                   "import time\n"
                   "def handler(e):\n"
                   "    __import__('ctypes').CDLL(None).prctl(15, b'sock-visible', 0, 0, 0)\n"
                   "    time.sleep(30)\n"));
  std::thread caller([] { (void)Api(daemon().socket()).invoke("visible"); });
  const bool appeared = eventually([] { return processes_named("sock-visible").size() == 1; });
  const auto pids = processes_named("sock-visible");
  if (appeared && pids.size() == 1) {
    EXPECT_EQ(status_field(pids[0], "Seccomp"), "2");
    EXPECT_EQ(status_field(pids[0], "NoNewPrivs"), "1");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      EXPECT_EQ(status_field(pids[0], set), "0000000000000000") << set;
    }
    for (const char* ids : {"Uid", "Gid"}) {
      EXPECT_EQ(status_field(pids[0], ids).find("0\t"), std::string::npos)
          << ids << ": " << status_field(pids[0], ids);
    }
    const auto ours = processes_of(daemon().cgroup_parent(), daemon().folder());
    EXPECT_TRUE(std::any_of(ours.begin(), ours.end(), [&](const Seen& seen) {
      return seen.pid == pids[0];
    })) << "not in a cgroup of this instance";
    // That ends the call.
    EXPECT_EQ(::kill(pids[0], SIGKILL), 0);
  }
  caller.join();
  EXPECT_TRUE(appeared);
}

TEST_F(Neighbours, NothingRandomRepeats) {
  ASSERT_DEPLOYED(api().deploy("dice",
                               "import os, random, secrets, ssl, tempfile, uuid\n"
                               "import multiprocessing as m\n"
                               "def handler(e):\n"
                               "    return [random.random(), random.Random().random(),\n"
                               "            secrets.token_hex(8), ssl.RAND_bytes(8).hex(),\n"
                               "            str(uuid.uuid4()), str(uuid.uuid1()),\n"
                               "            tempfile.mktemp(), os.urandom(8).hex(),\n"
                               "            m.current_process().authkey.hex()]\n"));
  constexpr int kCalls = 60;
  std::vector<std::set<std::string>> seen(9);
  for (int i = 0; i < kCalls; ++i) {
    const Reply reply = api().invoke("dice");
    ASSERT_TRUE(succeeded(reply));
    const auto values = reply.json();
    for (std::size_t k = 0; k < seen.size(); ++k) {
      seen[k].insert(boost::json::serialize(values.at(k)));
    }
  }
  for (std::size_t k = 0; k < seen.size(); ++k) EXPECT_EQ(seen[k].size(), kCalls) << k;
}

}  // namespace
}  // namespace sock::e2e
