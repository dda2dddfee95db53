#include "tests/e2e/package_index.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "base/fd.h"
#include "tests/e2e/process.h"

namespace sock::e2e {

namespace fs = std::filesystem;

namespace {

bool answers(int netns) {
  bool connected = false;
  netns::testing::inside(netns, [&] {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(PackageIndex::kPort);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  });
  return connected;
}

}  // namespace

PackageIndex::PackageIndex(const netns::testing::World& world,
                           const std::vector<test_support::WheelSpec>& specs) {
  char name[] = "/tmp/sock-e2e-index-XXXXXX";
  EXPECT_NE(::mkdtemp(name), nullptr);
  folder_ = name;
  fs::create_directories(folder_ / "wheels");
  std::map<std::string, std::string> pages;
  for (const auto& spec : specs) {
    const auto wheel = test_support::write_wheel(folder_ / "wheels", spec);
    pages[spec.name] += "<a href=\"../../wheels/" + wheel.file_name + "#sha256=" + wheel.sha256 +
                        "\">" + wheel.file_name + "</a>\n";
  }
  for (const auto& [project, links] : pages) {
    fs::create_directories(folder_ / "simple" / project);
    std::ofstream(folder_ / "simple" / project / "index.html") << "<!DOCTYPE html><html><body>\n"
                                                               << links << "</body></html>\n";
  }
  server_ = ::fork();
  if (server_ == 0) serve(world.outside());
  EXPECT_TRUE(eventually([&] { return answers(world.outside()); })) << log();
}

/// The child: Python's own server, in the outside.
void PackageIndex::serve(int netns) const {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const int out = ::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (out < 0 || ::setns(netns, CLONE_NEWNET) < 0) ::_exit(1);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  const std::string port = std::to_string(kPort);
  ::execl("/usr/bin/python3.11", "python3", "-I", "-u", "-m", "http.server", port.c_str(),
          "--directory", folder_.c_str(), nullptr);
  ::_exit(127);
}

PackageIndex::~PackageIndex() {
  if (server_ > 0) {
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string PackageIndex::log() const {
  std::ifstream file(folder_ / "log");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace sock::e2e
