/// Packages that the host does not have: from wheels, through the store.

#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <thread>

#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"
#include "tests/e2e/wheel_folder.h"

namespace sock::e2e {
namespace {

namespace fs = std::filesystem;
using test_support::WheelSpec;

/// What the tests below install from.
const WheelFolder& wheels() {
  static const WheelFolder folder([](WheelFolder& it) {
    for (const std::string version : {"1.0", "2.0"}) {
      const WheelSpec hello{.name = "hello",
                            .version = version,
                            .files = {{"hello.py", "VERSION = '" + version + "'\n"}}};
      it.add(hello);
    }
    it.add({.name = "greeter",
            .version = "1.0",
            .requirements = {"hello<2"},
            .files = {{"greeter.py", "import hello\nTEXT = 'hello ' + hello.VERSION\n"}}});
    it.add({.name = "modern", .version = "1.0", .requirements = {"hello>=2"}});
    it.add({.name = "lonely", .version = "1.0", .requirements = {"nowhere-to-be-found"}});
    // A name that the host has, at a version of its own.
    it.add({.name = "six", .version = "99.0", .files = {{"six.py", "__version__ = '99.0'\n"}}});
    it.add({.name = "markupsafe", .version = "99.0"});
    // A namespace package (PEP 420).
    it.add({.name = "left-half", .version = "1.0", .files = {{"shared/left.py", "X = 1\n"}}});
    it.add({.name = "right-half", .version = "1.0", .files = {{"shared/right.py", "X = 2\n"}}});
    it.add({.name = "threads",
            .version = "1.0",
            .files = {{"threads.py",
                       "import threading, time\n"
                       "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
                       "ANSWER = 42\n"}}});
    // Slow enough to notice that it is loaded already.
    it.add({.name = "slow",
            .version = "1.0",
            .files = {{"slow.py",
                       "import time\n"
                       "end = time.process_time() + 0.2\n"
                       "while time.process_time() < end: pass\n"}}});
  });
  return folder;
}

struct WithWheels {
  static std::string text() { return "[zygotes]\nsets = []\n" + wheels().setting(); }
};

class Store : public Suite<WithWheels> {
 protected:
  /// What GET /v1/packages says of a package of the store; empty when it is not there.
  [[nodiscard]] boost::json::object stored(const std::string& name, const std::string& version) {
    const Reply reply = api().get("/v1/packages");
    for (const auto& value : reply.json().at("packages").as_array()) {
      const auto& package = value.as_object();
      if (package.at("source") == "store" && package.at("name").as_string() == name &&
          package.at("version").as_string() == version) {
        return package;
      }
    }
    return {};
  }

  [[nodiscard]] boost::json::object profile_of(const std::string& name) {
    const auto package = stored(name, "1.0");
    const auto* const profile = package.if_contains("profile");
    return profile != nullptr && profile->is_object() ? profile->get_object()
                                                      : boost::json::object{};
  }

  [[nodiscard]] bool a_zygote_holds(const std::string& package) {
    const Reply reply = api().get("/v1/zygotes");
    for (const auto& node : reply.json().at("zygotes").as_array()) {
      for (const auto& held : node.at("packages").as_array()) {
        if (held.as_string() == package && node.at("state") == "ready") return true;
      }
    }
    return false;
  }
};

std::string requiring(const std::string& lines) {
  return boost::json::serialize(boost::json::object{{"requirements", lines}, {"timeout", "60s"}});
}

constexpr const char* kHello =
    "import hello\ndef handler(e):\n    return [hello.VERSION, hello.__file__]\n";

TEST_F(Store, VersionsLiveSideBySide) {
  ASSERT_DEPLOYED(api().deploy("one", kHello, requiring("hello==1.0")));
  ASSERT_DEPLOYED(api().deploy("two", kHello, requiring("hello")));
  for (int i = 0; i < 3; ++i) {
    const Reply one = api().invoke("one");
    const Reply two = api().invoke("two");
    ASSERT_TRUE(succeeded(one));
    ASSERT_TRUE(succeeded(two));
    EXPECT_EQ(one.json().at(0), "1.0");
    EXPECT_EQ(two.json().at(0), "2.0");
    EXPECT_TRUE(one.json().at(1).as_string().starts_with("/var/packages/hello-1.0-")) << one.body;
  }
}

TEST_F(Store, WhatAPackageRequiresComesWithIt) {
  const Reply reply = api().deploy(
      "greet", "import greeter\ndef handler(e):\n    return greeter.TEXT\n", requiring("greeter"));
  ASSERT_DEPLOYED(reply);
  EXPECT_EQ(reply.json().at("packages").as_array().size(), 2U) << reply.body;
  EXPECT_EQ(api().invoke("greet").body, R"("hello 1.0")");
}

TEST_F(Store, PinnedVersionsGoBeforeTheHosts) {
  const std::string source = "import six\ndef handler(e):\n    return six.__version__\n";
  ASSERT_DEPLOYED(api().deploy("pinned", source, requiring("six==99.0")));
  ASSERT_DEPLOYED(api().deploy("any", source, requiring("six")));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(api().invoke("pinned").body, R"("99.0")");
    EXPECT_NE(api().invoke("any").body, R"("99.0")");
  }
}

TEST_F(Store, WhatAFunctionPutsBeforePackagesGoesFirst) {
  // A package that no zygote ever holds: what is loaded already cannot be found elsewhere.
  ASSERT_DEPLOYED(api().deploy("t",
                               "import os, sys\n"
                               "os.makedirs('/tmp/own')\n"
                               "open('/tmp/own/threads.py', 'w').write('ANSWER = \"own\"')\n"
                               "sys.path.insert(0, '/tmp/own')\n"
                               "import threads\n"
                               "def handler(e):\n    return threads.ANSWER\n",
                               requiring("threads==1.0")));
  EXPECT_EQ(api().invoke("t").body, R"("own")");
}

TEST_F(Store, APackageMayLieInSeveralWheels) {
  ASSERT_DEPLOYED(api().deploy("t",
                               "import shared.left, shared.right\n"
                               "def handler(e):\n    return shared.left.X + shared.right.X\n",
                               requiring("left-half\nright-half")));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(api().invoke("t").body, "3");
}

TEST_F(Store, PackagesOfTheHostGoWithWheels) {
  const Reply reply = api().deploy("mixed",
                                   "import hello, jinja2\n"
                                   "def handler(e):\n"
                                   "    text = jinja2.Template('{{ x }}').render(x=hello.VERSION)\n"
                                   "    return [text, jinja2.__file__.split('/')[1]]\n",
                                   requiring("jinja2\nhello==1.0"));
  ASSERT_DEPLOYED(reply);
  EXPECT_EQ(api().invoke("mixed").body, R"(["1.0","usr"])");
  // The host's jinja2 was built for the host's markupsafe.
  const Reply torn = api().deploy("torn", kHello, requiring("jinja2\nmarkupsafe==99.0"));
  EXPECT_TRUE(failed(torn, 422, "invalid"));
  EXPECT_NE(torn.text("errorMessage").find("markupsafe"), std::string::npos) << torn.body;
}

TEST_F(Store, FilesCannotBeChangedBySandboxes) {
  ASSERT_DEPLOYED(api().deploy("t",
                               "import hello, os\n"
                               "def attempt(action):\n"
                               "    try:\n"
                               "        action()\n"
                               "        return 'done'\n"
                               "    except OSError as error:\n"
                               "        return error.strerror\n"
                               "def handler(e):\n"
                               "    folder = os.path.dirname(hello.__file__)\n"
                               "    return [attempt(lambda: open(hello.__file__, 'a')),\n"
                               "            attempt(lambda: open(folder + '/evil.py', 'w')),\n"
                               "            attempt(lambda: os.mkdir('/var/packages/evil')),\n"
                               "            attempt(lambda: os.remove(hello.__file__))]\n",
                               requiring("hello==1.0")));
  EXPECT_EQ(api().invoke("t").body,
            R"(["Permission denied","Read-only file system","Read-only file system",)"
            R"("Read-only file system"])");
}

TEST_F(Store, InterpretersOfHandlersFindThePackages) {
  ASSERT_DEPLOYED(api().deploy("t",
                               "import subprocess, sys\n"
                               "def handler(e):\n"
                               "    code = 'import hello; print(hello.VERSION)'\n"
                               "    return subprocess.check_output([sys.executable, '-c', code],\n"
                               "                                   text=True)\n",
                               requiring("hello==1.0")));
  EXPECT_EQ(api().invoke("t").body, R"("1.0\n")");
}

struct Wrong {
  const char* requirements;
  const char* message;
};

TEST_F(Store, WhatCannotBeHadIsRefusedByItsLine) {
  for (const Wrong& wrong : {
           Wrong{"hello==1.0\nhello==3.0", "line 2"},
           Wrong{"hello==1.0\nnowhere-to-be-found==1", "line 2"},
           Wrong{"greeter\nmodern", "line"},
           Wrong{"lonely", "nowhere-to-be-found"},
           Wrong{"hello==1.0\n-e .", "line 2"},
           Wrong{"hello @ https://example.org/hello-1.0-py3-none-any.whl", "line 1"},
           Wrong{"hello==1.0 --hash=sha256:"
                 "0000000000000000000000000000000000000000000000000000000000000000",
                 "line 1"},
       }) {
    const Reply reply = api().deploy("wrong", kHello, requiring(wrong.requirements));
    EXPECT_TRUE(failed(reply, 422, "invalid")) << wrong.requirements;
    EXPECT_NE(reply.text("errorMessage").find(wrong.message), std::string::npos)
        << wrong.requirements << ": " << reply.body;
  }
  EXPECT_EQ(api().get("/v1/functions/wrong").status, 404U);
}

TEST_F(Store, HashesAreHonoured) {
  const std::string line = "hello==1.0 --hash=sha256:" + wheels().digest_of("hello", "1.0");
  ASSERT_DEPLOYED(api().deploy("hashed", kHello, requiring(line)));
  EXPECT_EQ(api().invoke("hashed").json().at(0), "1.0");
}

TEST_F(Store, DeploysAtOnceInstallOnce) {
  std::vector<std::jthread> deployers;
  std::vector<unsigned> statuses(4);
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    deployers.emplace_back([&statuses, i, socket = daemon().socket()] {
      Api own(socket);
      statuses[i] =
          own.deploy("slow" + std::to_string(i), "import slow\ndef handler(e):\n    return 1\n",
                     requiring("slow==1.0"))
              .status;
    });
  }
  deployers.clear();
  for (const unsigned status : statuses) EXPECT_EQ(status, 201U);
  const auto package = stored("slow", "1.0");
  ASSERT_FALSE(package.empty());
  EXPECT_EQ(package.at("functions").to_number<int>(), 4);
  std::size_t installed = 0;
  const std::string log = daemon().log();
  for (auto at = log.find("installed slow==1.0 "); at != std::string::npos;
       at = log.find("installed slow==1.0 ", at + 1)) {
    ++installed;
  }
  EXPECT_EQ(installed, 1U) << log;
}

TEST_F(Store, ADeployThatTookLongDoesNotTakeThePlaceOfALaterOne) {
  std::atomic<bool> done = false;
  unsigned slow = 0;
  std::jthread deployer([&, socket = daemon().socket()] {
    Api own(socket);
    slow = own.deploy("t", kHello, requiring("hello==1.0")).status;
    done = true;
  });
  unsigned count = 0;
  while (!done) {
    ASSERT_DEPLOYED(api().deploy("t", "def handler(e):\n    return 'later'\n"));
    ++count;
  }
  deployer.join();
  ASSERT_GT(count, 1U);
  EXPECT_EQ(slow, 409U);
  EXPECT_EQ(api().invoke("t").body, R"("later")");
}

TEST_F(Store, PackagesAreMeasuredAndZygotesHoldThem) {
  ASSERT_DEPLOYED(
      api().deploy("slow", "import slow\ndef handler(e):\n    return 1\n", requiring("slow==1.0")));
  ASSERT_TRUE(eventually([&] { return !profile_of("slow").empty(); }, Millis(60'000)));
  const auto profile = profile_of("slow");
  EXPECT_EQ(profile.at("verdict"), "vetted");
  EXPECT_GT(profile.at("import_ms").to_number<double>(), 150);
  const auto is_served = [&] {
    const Reply reply = api().invoke("slow");
    return succeeded(reply) && reply.header("x-sock-start") != "cold";
  };
  EXPECT_TRUE(eventually(is_served, Millis(60'000))) << api().get("/v1/zygotes").body;
  EXPECT_TRUE(a_zygote_holds("slow==1.0"));
}

TEST_F(Store, WhatLeavesSomethingBehindIsQuarantinedAndStillRuns) {
  ASSERT_DEPLOYED(api().deploy("t", "import threads\ndef handler(e):\n    return threads.ANSWER\n",
                               requiring("threads==1.0")));
  ASSERT_TRUE(eventually([&] { return !profile_of("threads").empty(); }, Millis(60'000)));
  const auto profile = profile_of("threads");
  EXPECT_EQ(profile.at("verdict"), "quarantined");
  ASSERT_FALSE(profile.at("reasons").as_array().empty());
  EXPECT_NE(profile.at("reasons").at(0).as_string().find("thread"), std::string::npos);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(api().invoke("t").body, "42");
  EXPECT_FALSE(a_zygote_holds("threads==1.0"));
}

/// The store outlives its daemon.
class StoreLifecycle : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
  }

  static std::vector<std::string> visible(const Daemon& daemon) {
    std::vector<std::string> names;
    const fs::path folder = fs::path(daemon.state_dir()) / "store" / "packages";
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
};

TEST_F(StoreLifecycle, PackagesAndWarmSetsSurviveARestart) {
  Daemon daemon("[zygotes]\nsets = []\n" + wheels().setting());
  ASSERT_TRUE(daemon.start());
  {
    Api api(daemon.socket());
    ASSERT_DEPLOYED(api.deploy("one", kHello, requiring("hello==1.0")));
    cli::Client client(daemon.socket());
    cli::Request request;
    request.method = "POST";
    request.target = "/v1/packages/warm";
    request.body = R"({"packages":["hello==1.0"]})";
    const auto warmed = client.exchange(request);
    ASSERT_TRUE(warmed);
    ASSERT_EQ(warmed->status, 200U) << warmed->body;
  }
  EXPECT_EQ(daemon.stop(), 0);
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  EXPECT_EQ(api.invoke("one").json().at(0), "1.0");
  const auto is_warm = [&] {
    return api.get("/v1/zygotes").body.find("hello==1.0") != std::string::npos;
  };
  EXPECT_TRUE(eventually(is_warm, Millis(60'000))) << api.get("/v1/zygotes").body;
  EXPECT_EQ(daemon.stop(), 0);
}

TEST_F(StoreLifecycle, ADaemonKilledWhileInstallingLeavesNothingHalf) {
  Daemon daemon("[zygotes]\nsets = []\n" + wheels().setting());
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(daemon.start());
    std::jthread deployer([socket = daemon.socket()] {
      Api api(socket);
      const Reply ignored = api.deploy("greet", "import greeter\ndef handler(e):\n    return 1\n",
                                       requiring("greeter\nslow"));
      (void)ignored;
    });
    // A different stage of resolving, installing and admitting each time.
    std::this_thread::sleep_for(Millis(300 * (round + 1)));
    daemon.kill();
  }
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  const Reply packages = api.get("/v1/packages");
  for (const auto& value : packages.json().at("packages").as_array()) {
    if (value.at("source") != "store") continue;
    EXPECT_GT(value.at("modules").as_array().size(), 0U) << value;
  }
  EXPECT_TRUE(fs::is_empty(fs::path(daemon.state_dir()) / "store" / "staging"));
  ASSERT_DEPLOYED(api.deploy("greet", "import greeter\ndef handler(e):\n    return greeter.TEXT\n",
                             requiring("greeter\nslow")));
  EXPECT_EQ(api.invoke("greet").body, R"("hello 1.0")");
  EXPECT_EQ(daemon.stop(), 0);
}

TEST_F(StoreLifecycle, WhatNobodyNeedsIsRemoved) {
  Daemon daemon("[zygotes]\nsets = []\n" + wheels().setting() + "keep_unused = \"0s\"\n");
  ASSERT_TRUE(daemon.start());
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("one", kHello, requiring("hello==1.0")));
  ASSERT_DEPLOYED(api.deploy("two", kHello, requiring("hello==2.0")));
  ASSERT_EQ(visible(daemon).size(), 2U);
  ASSERT_EQ(api.remove("one").status, 200U);
  EXPECT_TRUE(eventually([&] { return visible(daemon).size() == 1; }, Millis(90'000)));
  EXPECT_EQ(api.invoke("two").json().at(0), "2.0");
  EXPECT_EQ(daemon.stop(), 0);
}

}  // namespace
}  // namespace sock::e2e
