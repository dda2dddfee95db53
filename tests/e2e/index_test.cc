/// Packages from an index, over the network of a sandbox: real HTTP, by address translation.

#include "tests/e2e/nat_suite.h"
#include "tests/e2e/package_index.h"

namespace sock::e2e {
namespace {

struct WithIndex {
  static std::string text() {
    const std::string address = "203.0.113.9:" + std::to_string(PackageIndex::kPort);
    return BareNat::text() + "[packages]\nindex_url = \"http://" + address +
           "/simple\"\nallow = [\"" + address +
           "\"]\npip_options = [\"--trusted-host=203.0.113.9\"]\n";
  }
};

class Index : public NatSuite<WithIndex> {
 protected:
  void SetUp() override {
    NatSuite<WithIndex>::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    index_ = std::make_unique<PackageIndex>(
        world().world(),
        std::vector<test_support::WheelSpec>{
            {.name = "hello", .version = "1.0", .files = {{"hello.py", "VERSION = '1.0'\n"}}},
            {.name = "hello", .version = "2.0", .files = {{"hello.py", "VERSION = '2.0'\n"}}},
            {.name = "greeter",
             .version = "1.0",
             .requirements = {"hello<2"},
             .files = {{"greeter.py", "import hello\nTEXT = 'hello ' + hello.VERSION\n"}}}});
  }

  std::unique_ptr<PackageIndex> index_;
};

constexpr const char* kGreet = "import greeter\ndef handler(e):\n    return greeter.TEXT\n";

TEST_F(Index, GivesAFunctionItsPackages) {
  ASSERT_DEPLOYED(api().deploy("greet", kGreet, R"({"requirements":["greeter"]})"));
  EXPECT_EQ(api().invoke("greet").body, R"("hello 1.0")");
  EXPECT_NE(index_->log().find("GET /wheels/greeter-1.0"), std::string::npos) << index_->log();
  // The function itself has no network for it.
  const Reply alone = call(
      "import socket\ndef handler(e):\n    socket.create_connection(('203.0.113.9', 8010), 1)\n");
  EXPECT_EQ(alone.status, 502U) << alone.body;
}

TEST_F(Index, WhatItLacksIsRefusedByItsLine) {
  const Reply reply = api().deploy("t", kGreet, R"({"requirements":["greeter","absent==1"]})");
  EXPECT_TRUE(failed(reply, 422, "invalid"));
  EXPECT_NE(reply.text("errorMessage").find("line 2"), std::string::npos) << reply.body;
}

TEST_F(Index, OneThatIsGoneIsTold) {
  index_.reset();
  const Reply reply = api().deploy("gone", kGreet, R"({"requirements":["hello==2.0"]})");
  EXPECT_GE(reply.status, 400U) << reply.body;
  EXPECT_EQ(api().get("/v1/functions/gone").status, 404U);
  EXPECT_NE(reply.text("errorMessage").find("cannot be reached"), std::string::npos) << reply.body;
}

}  // namespace
}  // namespace sock::e2e
