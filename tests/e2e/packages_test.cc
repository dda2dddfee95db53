/// Functions with packages, and where their sandboxes come from.

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

bool has_package(Api& api, const std::string& name) {
  const Reply reply = api.get("/v1/packages");
  const auto document = reply.json();
  if (!document.is_object()) return false;
  const auto& packages = document.at("packages").as_array();
  return std::any_of(packages.begin(), packages.end(),
                     [&](const auto& package) { return package.at("name").as_string() == name; });
}

#define REQUIRE_PACKAGE(name) \
  if (!has_package(api(), name)) GTEST_SKIP() << "this host has no package " << (name)

/// Calls `function` until its sandbox comes from `start`; false when that does not happen in time.
bool comes_to_start(Api& api, const std::string& function, const std::string& event,
                    const std::string& start) {
  return eventually(
      [&] {
        const Reply reply = api.invoke(function, event);
        return reply.status == 200 && reply.header("x-sock-start") == start;
      },
      Millis(60'000));
}

/// Without function zygotes: a function that is called often would leave its package zygote.
struct WithNumpy {
  static const char* text() { return "[zygotes]\nfunctions = false\nsets = [[\"numpy\"]]\n"; }
};

class Packages : public Suite<WithNumpy> {};

constexpr const char* kSum =
    "import numpy\ndef handler(n):\n    return int(numpy.arange(n).sum())\n";

TEST_F(Packages, RequirementsBecomeAnExactClosure) {
  REQUIRE_PACKAGE("numpy");
  const Reply reply = api().deploy("sum", kSum, R"({"requirements":["NumPy >= 1.0  # any"]})");
  ASSERT_DEPLOYED(reply);
  EXPECT_NE(reply.body.find("numpy"), std::string::npos);
  EXPECT_EQ(reply.json().at("packages").as_array().size(), 1U) << reply.body;
  EXPECT_EQ(api().invoke("sum", "10").body, "45");
}

TEST_F(Packages, AnUnsatisfiedVersionIsRefused) {
  REQUIRE_PACKAGE("numpy");
  const Reply reply = api().deploy("old", kSum, R"({"requirements":["numpy==0.0.1"]})");
  EXPECT_TRUE(failed(reply, 422, "invalid"));
  EXPECT_NE(reply.body.find("numpy"), std::string::npos) << reply.body;
}

TEST_F(Packages, AZygoteThatHasThemServesThem) {
  REQUIRE_PACKAGE("numpy");
  ASSERT_DEPLOYED(api().deploy("sum", kSum, R"({"requirements":["numpy"]})"));
  ASSERT_TRUE(comes_to_start(api(), "sum", "10", "parked")) << api().get("/v1/zygotes").body;
  const Reply reply = api().invoke("sum", "100");
  ASSERT_TRUE(succeeded(reply));
  const Reply record = api().record_of(reply);
  EXPECT_NE(record.text("zygote").find("numpy"), std::string::npos) << record.body;
  // Importing numpy takes far longer than finding it imported.
  EXPECT_LT(record.number("init_us"), 20'000);
  EXPECT_NE(api().get("/v1/zygotes").body.find("numpy"), std::string::npos);
}

TEST_F(Packages, NumpysRandomNumbersDoNotRepeat) {
  REQUIRE_PACKAGE("numpy");
  ASSERT_DEPLOYED(api().deploy("dice",
                               "import numpy\ndef handler(e):\n"
                               "    return [numpy.random.random(),\n"
                               "            numpy.random.default_rng().random()]\n",
                               R"({"requirements":["numpy"]})"));
  std::vector<std::string> seen;
  for (int i = 0; i < 30; ++i) seen.push_back(api().invoke("dice").body);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

struct NeverParked {
  static const char* text() { return "[zygotes]\nsets = []\n[parked]\nmin = 0\nmax = 0\n"; }
};

class WithoutParking : public Suite<NeverParked> {};

TEST_F(WithoutParking, EveryCallIsCloned) {
  ASSERT_DEPLOYED(api().deploy("t", "def handler(e):\n    return e\n"));
  for (int i = 0; i < 5; ++i) {
    const Reply reply = api().invoke("t");
    ASSERT_TRUE(succeeded(reply));
    EXPECT_EQ(reply.header("x-sock-start"), "clone");
  }
}

struct OneZygote {
  static const char* text() { return "[zygotes]\nsets = []\nmax = 1\n"; }
};

class WithOneZygote : public Suite<OneZygote> {};

TEST_F(WithOneZygote, PackagesAreImportedInTheSandbox) {
  REQUIRE_PACKAGE("numpy");
  ASSERT_DEPLOYED(api().deploy("sum", kSum, R"({"requirements":["numpy"],"timeout":"60s"})"));
  for (int i = 0; i < 2; ++i) {
    const Reply reply = api().invoke("sum", "10");
    ASSERT_TRUE(succeeded(reply));
    EXPECT_EQ(reply.body, "45");
    EXPECT_EQ(reply.header("x-sock-start"), "cold");
  }
}

TEST_F(WithOneZygote, PlainFunctionsComeFromParkedClones) {
  ASSERT_DEPLOYED(api().deploy("t", "def handler(e):\n    return e\n"));
  EXPECT_TRUE(comes_to_start(api(), "t", "1", "parked")) << api().get("/v1/zygotes").body;
}

}  // namespace
}  // namespace sock::e2e
