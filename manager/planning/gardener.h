#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/array.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/worker.h"
#include "manager/background.h"
#include "manager/calls/call.h"
#include "manager/calls/function_zygotes.h"
#include "manager/calls/slot_stock.h"
#include "manager/calls/zygote_tree.h"
#include "manager/functions/function.h"
#include "manager/packages/packages.h"
#include "manager/settings/config.h"
#include "pkgcache/adapt/tree_controller.h"
#include "pkgcache/adapt/tree_view.h"

namespace sock::manager {

/// Keeps the live tree of zygotes what the calls need: tells TreeController what is called, what
/// packages cost and how much memory there is, and has ZygoteTree do what it decides. With
/// `plan = "configured"` the tree is the configured and the warm sets, whatever is called. On the
/// event loop; not thread safe. What it is given must outlive its work.
class Gardener {
 public:
  struct Parts {
    ZygoteTree& zygotes;
    FunctionZygotes& functions;
    SlotStock& slots;
    Packages& packages;
    Worker& worker;  ///< for planning: up to 0.2 s at a time
    Background& background;
  };

  Gardener(const Config& config, Parts parts);

  /// These functions are deployed, and no others.
  void adopt(std::vector<std::shared_ptr<const Function>> functions);

  /// Zygotes may hold other packages than before, or other sets are to be kept warm.
  void packages_changed();

  void note_call(const CallRecord& record);

  /// To be called about once a second.
  void tick();

  /// What each zygote of the present plan is there for.
  [[nodiscard]] std::vector<pkgcache::NodeView> view() const;

  void stop() { stopping_ = true; }

 private:
  struct Deployed {
    std::uint64_t generation = 0;
    pkgcache::SetId set = 0;
  };

  [[nodiscard]] bool adapts() const { return controller_ != nullptr; }
  void make_controller();
  void plant_configured();
  void apply(pkgcache::Decision decision);
  void plant(const pkgcache::ZygotePlan& plan);
  [[nodiscard]] FewestParked fewest_parked(const pkgcache::ZygotePlan& plan);
  [[nodiscard]] boost::asio::awaitable<void> replan();
  void note_nodes();
  void mind_pressure();

  const Config& config_;
  Parts parts_;
  std::unique_ptr<pkgcache::TreeController> controller_;  ///< null: plan = "configured"
  std::shared_ptr<const pkgcache::MeasuredPackages> measured_;
  std::vector<std::vector<pkgcache::Package>> pinned_;
  std::vector<std::shared_ptr<const Function>> functions_;
  std::map<std::string, Deployed> deployed_;
  pkgcache::ZygotePlan plan_;                    ///< in force
  std::map<std::string, std::uint32_t> parked_;  ///< fewest, as decided, by node
  std::uint64_t budget_;
  unsigned ticks_ = 0;
  bool planning_ = false;
  bool stopping_ = false;
};

}  // namespace sock::manager
