#include "manager/calls/clone.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/message.h"
#include "manager/calls/zygote_group.h"
#include "sandbox/seccomp_policy.h"
#include "tests/manager/calls/slot_fixture.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

class CloneTest : public SlotFixture {
 protected:
  asio::awaitable<Result<>> open_network(netns::Netns& netns,
                                         const netns::Egress& egress) override {
    opened_.push_back(netns.inode());
    internet_ = egress.internet;
    had_code_ = has_code();
    if (broken_) co_return fail(Code::kRejected, "test", "no address is free");
    co_return Result<>{};
  }

  /// Whether the sandbox looked at has the function's folder.
  [[nodiscard]] bool has_code() const {
    return fs::exists("/proc/" + std::to_string(looked_at_) + "/root/var/task/handler.py");
  }

  /// A clone without a process, in a slot of that class.
  std::unique_ptr<Clone> clone(Network network) {
    auto slot = take(network);
    if (!slot) return nullptr;
    looked_at_ = slot->shell_pid;
    auto connection = socket_pair(SOCK_STREAM).value();
    auto log = socket_pair(SOCK_STREAM).value();
    return std::make_unique<Clone>(loop_.get_executor(), std::move(slot), Process(),
                                   std::move(connection[0]), std::move(log[0]));
  }

  /// Of a bare zygote, which it starts.
  CloneRecipe recipe() {
    zygote::ZygoteOptions options;
    options.program = helpers_ + "sock-zygote";
    options.keeper = keeper_->pidfd();
    options.config.search_path = {"/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload"};
    options.config.filter = sandbox::compile_seccomp_policy().value();
    options.place = [this](pid_t pid) { return cgroups_->attach_service(pid); };
    auto zygote = run(zygote::Zygote::start(std::move(options)));
    EXPECT_TRUE(zygote) << zygote.error().describe();
    CloneRecipe recipe;
    recipe.zygote = std::move(*zygote);
    recipe.discard_output = true;
    return recipe;
  }

  [[nodiscard]] std::shared_ptr<const Function> function(Network network) const {
    const fs::path code = folder_.path() / "code";
    write_text(code / "handler.py", "def handler(event): pass\n");
    Function function;
    function.spec.name = "f";
    function.spec.network = network;
    function.spec.egress.internet = false;
    function.generation = 3;
    function.code = code;
    return std::make_shared<const Function>(std::move(function));
  }

  /// Why there is no clone.
  Error refused(Result<std::unique_ptr<Clone>> made) {
    if (!made) return made.error();
    ADD_FAILURE() << "there is a clone";
    run(bury_clone(std::move(*made), *slots_));
    return {};
  }

  Result<> dedicate_to(Clone& clone, Network network) {
    return run(dedicate(clone, function(network), *slots_, Clock::now() + kPatience));
  }

  bool broken_ = false;                ///< no network is opened
  std::vector<std::uint64_t> opened_;  ///< namespaces, in turn
  bool internet_ = true;               ///< of the latest
  bool had_code_ = true;               ///< when it was opened
  pid_t looked_at_ = -1;
};

TEST_F(CloneTest, TheNetworkIsOpenedBeforeAnythingOfTheFunctionIsThere) {
  start(Nat::kOffered);
  auto parked = clone(Network::kNat);
  ASSERT_NE(parked, nullptr);
  const auto dedicated = dedicate_to(*parked, Network::kNat);
  ASSERT_TRUE(dedicated) << dedicated.error().describe();
  EXPECT_EQ(opened_, std::vector{parked->slot->netns.inode()});
  EXPECT_FALSE(internet_) << "not the function's own";
  EXPECT_FALSE(had_code_);
  EXPECT_TRUE(has_code());
  EXPECT_EQ(parked->slot->owner, "f@3");
  const auto owners = routable_->list();
  EXPECT_TRUE(std::ranges::any_of(owners, [](const auto& view) { return view.owner == "f@3"; }));
  bury(std::move(parked->slot));
}

TEST_F(CloneTest, WithoutItsNetworkAFunctionDoesNotRun) {
  start(Nat::kOffered);
  broken_ = true;
  auto parked = clone(Network::kNat);
  ASSERT_NE(parked, nullptr);
  const auto dedicated = dedicate_to(*parked, Network::kNat);
  ASSERT_FALSE(dedicated);
  EXPECT_EQ(dedicated.error().code, Code::kRejected);
  EXPECT_EQ(opened_.size(), 1U);
  EXPECT_FALSE(has_code());
  EXPECT_EQ(parked->function, nullptr);
  const auto before = routable_->stats();
  bury(std::move(parked->slot));
  EXPECT_EQ(routable_->stats().returned, before.returned);
  EXPECT_EQ(routable_->stats().destroyed, before.destroyed + 1);
}

TEST_F(CloneTest, NoFunctionGetsANetworkThatIsNotItsOwn) {
  start(Nat::kOffered);
  auto parked = clone(Network::kNat);
  ASSERT_NE(parked, nullptr);
  EXPECT_FALSE(dedicate_to(*parked, Network::kNone));
  EXPECT_TRUE(opened_.empty());
  EXPECT_FALSE(has_code());
  bury(std::move(parked->slot));
}

TEST_F(CloneTest, WithoutANetworkNothingIsOpened) {
  start(Nat::kOffered);
  auto parked = clone(Network::kNone);
  ASSERT_NE(parked, nullptr);
  const auto dedicated = dedicate_to(*parked, Network::kNone);
  ASSERT_TRUE(dedicated) << dedicated.error().describe();
  EXPECT_TRUE(opened_.empty());
  EXPECT_TRUE(has_code());
  EXPECT_EQ(parked->slot->owner, "f@3");
  bury(std::move(parked->slot));
}

TEST_F(CloneTest, ACloneOfAFunctionParksWithItsNetworkOpen) {
  start(Nat::kOffered);
  CloneRecipe recipe = this->recipe();
  recipe.network = Network::kNat;
  recipe.function = function(Network::kNat);
  auto made = run(make_clone(std::move(recipe), *slots_));
  // Only one that is seen to be in its slot's namespace gets as far.
  ASSERT_TRUE(made) << made.error().describe();
  Clone& clone = **made;
  EXPECT_EQ(clone.slot->network, Network::kNat);
  EXPECT_EQ(opened_, std::vector{clone.slot->netns.inode()});
  EXPECT_TRUE(clone.alive());
  run(bury_clone(std::move(*made), *slots_));
}

TEST_F(CloneTest, ACloneWhoseNetworkIsNotOpenedDoesNotPark) {
  start(Nat::kOffered);
  broken_ = true;
  CloneRecipe recipe = this->recipe();
  recipe.network = Network::kNat;
  recipe.function = function(Network::kNat);
  const auto before = routable_->stats();
  EXPECT_EQ(refused(run(make_clone(std::move(recipe), *slots_))).code, Code::kRejected);
  EXPECT_EQ(slots_->dying(), 0U);
  EXPECT_EQ(routable_->stats().returned, before.returned);
  EXPECT_EQ(routable_->stats().destroyed, before.destroyed + 1);
}

TEST_F(CloneTest, TheClassOfAGroupsCloneIsTheAskersAndItsZygoteSurvivesWantOfASlot) {
  start(Nat::kNotOffered);
  unsigned dead = 0;
  auto on_dead = [&dead](const ZygoteGroup&, const Error&) { ++dead; };
  const ZygoteGroupParts parts{*slots_, *ledger_, std::make_shared<ReplicaLimit>()};
  const auto group = std::make_shared<ZygoteGroup>(loop_.get_executor(), parts, "test", on_dead);
  group->start(recipe());
  EXPECT_EQ(refused(run(group->make(Network::kNat))).step, "network");
  EXPECT_EQ(dead, 0U);
  EXPECT_NE(group->zygote(), nullptr);
  auto made = run(group->make(Network::kNone));
  ASSERT_TRUE(made) << made.error().describe();
  EXPECT_EQ((*made)->slot->network, Network::kNone);
  run(bury_clone(std::move(*made), *slots_));
  group->close();
}

}  // namespace
}  // namespace sock::manager
