/// What a sandbox can see and reach.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <set>
#include <sstream>

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
    case Path::kReplica:
      EXPECT_EQ(start_, "clone");
      EXPECT_TRUE(only_replicas_left());
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

}  // namespace
}  // namespace sock::e2e
