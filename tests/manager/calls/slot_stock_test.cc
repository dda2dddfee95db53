// Slots of both network classes, real ones: a keeper's shells in namespaces of two pools.

#include "manager/calls/slot_stock.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/message.h"
#include "base/spawn.h"
#include "manager/calls/clone.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

constexpr Millis kPatience{20'000};
constexpr std::size_t kStock = 2;

class SlotStockTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto cgroups = sandbox::CgroupPool::create(
        {.parent = "sock-test-slots-" + std::to_string(::getpid()), .mount_root = kCgroups});
    if (!cgroups) GTEST_SKIP() << cgroups.error().describe();
    cgroups_ = std::move(*cgroups);
    helpers_ = program_folder().value() + "/";
    sandbox::KeeperOptions options;
    options.program = helpers_ + "sock-init";
    auto keeper = run(sandbox::Keeper::start(std::move(options)));
    ASSERT_TRUE(keeper) << keeper.error().describe();
    keeper_ = std::move(*keeper);
    auto ledger = Ledger::open(folder_.path() / "ledger", 64);
    ASSERT_TRUE(ledger) << ledger.error().describe();
    ledger_ = std::make_unique<Ledger>(std::move(ledger->ledger));
    plain_ = start_pool(netns::Furnish::kLoopback);
    routable_ = start_pool(netns::Furnish::kRoutable);
    code_ = (folder_.path() / "code").string();
    write_text(fs::path(code_) / "handler.py", "def handler(event): pass\n");
  }

  void TearDown() override {
    if (slots_) run(slots_->stop());
    for (auto* pool : {&plain_, &routable_}) {
      if (*pool) run((*pool)->stop());
    }
    if (keeper_) {
      EXPECT_TRUE(run(keeper_->stop(Clock::now() + kPatience)));
    }
  }

  template <class T>
  T run(asio::awaitable<T> coroutine) {
    std::optional<T> value;
    auto keep = [](asio::awaitable<T> inner, std::optional<T>& out) -> asio::awaitable<void> {
      out.emplace(co_await std::move(inner));
    };
    asio::co_spawn(loop_, keep(std::move(coroutine), value), asio::detached);
    EXPECT_TRUE(until([&] { return value.has_value(); }));
    return std::move(*value);
  }

  void run(asio::awaitable<void> coroutine) {
    auto keep = [](asio::awaitable<void> inner) -> asio::awaitable<bool> {
      co_await std::move(inner);
      co_return true;
    };
    EXPECT_TRUE(run(keep(std::move(coroutine))));
  }

  bool until(const std::function<bool()>& done) {
    const auto deadline = Clock::now() + kPatience;
    while (!done() && Clock::now() < deadline) {
      loop_.restart();
      loop_.run_one_for(Millis(20));
    }
    return done();
  }

  std::unique_ptr<netns::NetnsPool> start_pool(netns::Furnish furnish) {
    netns::PoolOptions options;
    options.low = 2;
    options.high = 8;
    options.helper = helpers_ + "sock-netns";
    options.user_namespace = keeper_->pidfd();
    options.watch = watch();
    options.furnish = furnish;
    auto pool = run(netns::NetnsPool::start(std::move(options)));
    EXPECT_TRUE(pool) << pool.error().describe();
    return pool ? std::move(*pool) : nullptr;
  }

  /// Null where a namespace in which nothing happened cannot be told from others.
  std::shared_ptr<const netns::UseWatch> watch() {
    const auto folder = cgroups_->slots_dir();
    if (!folder) return nullptr;
    auto watch = netns::UseWatch::start(folder->get());
    return watch ? std::move(*watch) : nullptr;
  }

  enum class Nat { kOffered, kNotOffered };

  void start(Nat nat) {
    SlotStockOptions options{.stock = kStock, .limits = {}, .nat = {}};
    auto open = [this](netns::Netns& netns, const netns::Egress& egress) {
      return open_gate(netns, egress);
    };
    if (nat == Nat::kOffered) options.nat.emplace(*routable_, open);
    slots_ = std::make_unique<SlotStock>(loop_.get_executor(), std::move(options), *plain_,
                                         *keeper_, *cgroups_, worker_, uids_, *ledger_);
    EXPECT_TRUE(until([this] { return slots_->ready() == kStock; }));
  }

  asio::awaitable<Result<>> open_gate(netns::Netns& netns, const netns::Egress& egress) {
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

  std::unique_ptr<Slot> take(Network network) {
    auto slot = run(slots_->take(network));
    EXPECT_TRUE(slot) << slot.error().describe();
    return slot ? std::move(*slot) : nullptr;
  }

  void bury(std::unique_ptr<Slot> slot) {
    auto bury = [](SlotStock& slots, std::unique_ptr<Slot> its) -> asio::awaitable<void> {
      (void)co_await slots.bury(std::move(its), Process(), Haste::kCallerWaits);
    };
    run(bury(*slots_, std::move(slot)));
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

  [[nodiscard]] std::shared_ptr<const Function> function(Network network) const {
    Function function;
    function.spec.name = "f";
    function.spec.network = network;
    function.spec.egress.internet = false;
    function.generation = 3;
    function.code = code_;
    return std::make_shared<const Function>(std::move(function));
  }

  Result<> dedicate_to(Clone& clone, Network network) {
    return run(dedicate(clone, function(network), *slots_, Clock::now() + kPatience));
  }

  static constexpr const char* kCgroups = "/sys/fs/cgroup";

  TemporaryFolder folder_;
  std::string helpers_;
  std::string code_;
  asio::io_context loop_;
  Worker worker_;
  UidPool uids_{1000, 2000};
  std::unique_ptr<sandbox::CgroupPool> cgroups_;
  std::unique_ptr<sandbox::Keeper> keeper_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<netns::NetnsPool> plain_;
  std::unique_ptr<netns::NetnsPool> routable_;
  std::unique_ptr<SlotStock> slots_;
  bool broken_ = false;                ///< the gate fails
  std::vector<std::uint64_t> opened_;  ///< namespaces, in turn
  bool internet_ = true;               ///< of the latest
  bool had_code_ = true;               ///< when it was opened
  pid_t looked_at_ = -1;
};

TEST_F(SlotStockTest, EachClassIsOfItsOwnPoolAndGoesBackThere) {
  start(Nat::kOffered);
  for (const Network network : {Network::kNone, Network::kNat}) {
    const bool nat = network == Network::kNat;
    netns::NetnsPool& own = nat ? *routable_ : *plain_;
    netns::NetnsPool& other = nat ? *plain_ : *routable_;
    const auto before = other.stats();
    auto slot = take(network);
    ASSERT_NE(slot, nullptr);
    EXPECT_EQ(slot->network, network);
    EXPECT_EQ(slot->home, &own);
    EXPECT_EQ(slot->netns.route() != nullptr, nat) << "of the other pool";
    const auto returned = own.stats().returned;
    bury(std::move(slot));
    if (watch()) {
      EXPECT_EQ(own.stats().returned, returned + 1);
    }
    EXPECT_EQ(other.stats().returned, before.returned);
    EXPECT_EQ(other.stats().destroyed, before.destroyed);
  }
}

TEST_F(SlotStockTest, AClassThatIsNotOfferedIsNotReplacedByAnother) {
  start(Nat::kNotOffered);
  EXPECT_FALSE(slots_->offers(Network::kNat));
  slots_->set_stock(Network::kNat, 2);
  const auto leases = plain_->stats().leases;
  const auto slot = run(slots_->take(Network::kNat));
  ASSERT_FALSE(slot);
  EXPECT_EQ(slot.error().code, Code::kInternal);
  EXPECT_NE(slot.error().message.find("nat is not enabled"), std::string::npos);
  EXPECT_EQ(plain_->stats().leases, leases);
  EXPECT_EQ(slots_->ready(), kStock);
}

TEST_F(SlotStockTest, NatSlotsAreKeptOnlyWhileTheyAreWanted) {
  start(Nat::kOffered);
  EXPECT_EQ(routable_->stats().leases, 0U);
  slots_->set_stock(Network::kNat, 3);
  EXPECT_TRUE(until([this] { return slots_->ready() == kStock + 3; }));
  EXPECT_EQ(routable_->stats().leases, 3U);
  auto slot = take(Network::kNat);
  ASSERT_NE(slot, nullptr);
  EXPECT_EQ(slot->network, Network::kNat);
  slots_->set_stock(Network::kNat, 0);
  // One more may be in the making for the one that was taken.
  EXPECT_TRUE(until([this] { return slots_->ready() == kStock && slots_->dying() == 0; }));
  const auto leases = routable_->stats().leases;
  bury(std::move(slot));
  EXPECT_EQ(slots_->ready(), kStock);
  EXPECT_EQ(routable_->stats().leases, leases);
}

TEST_F(SlotStockTest, TheNetworkIsOpenedBeforeAnythingOfTheFunctionIsThere) {
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
  // Nobody else gets it.
  const auto before = routable_->stats();
  bury(std::move(parked->slot));
  EXPECT_EQ(routable_->stats().returned, before.returned);
  EXPECT_EQ(routable_->stats().destroyed, before.destroyed + 1);
}

TEST_F(SlotStockTest, WithoutItsNetworkAFunctionDoesNotRun) {
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

TEST_F(SlotStockTest, NoFunctionGetsANetworkThatIsNotItsOwn) {
  start(Nat::kOffered);
  auto parked = clone(Network::kNat);
  ASSERT_NE(parked, nullptr);
  EXPECT_FALSE(dedicate_to(*parked, Network::kNone));
  EXPECT_TRUE(opened_.empty());
  EXPECT_FALSE(has_code());
  bury(std::move(parked->slot));
}

TEST_F(SlotStockTest, WithoutANetworkNothingIsOpened) {
  start(Nat::kOffered);
  auto parked = clone(Network::kNone);
  ASSERT_NE(parked, nullptr);
  const auto dedicated = dedicate_to(*parked, Network::kNone);
  ASSERT_TRUE(dedicated) << dedicated.error().describe();
  EXPECT_TRUE(opened_.empty());
  EXPECT_TRUE(has_code());
  EXPECT_TRUE(parked->slot->owner.empty());
  bury(std::move(parked->slot));
}

}  // namespace
}  // namespace sock::manager
