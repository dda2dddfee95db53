#include "manager/calls/zygote_nursery.h"

#include <spdlog/spdlog.h>

#include "manager/calls/rehearsal.h"

namespace sock::manager {

namespace asio = boost::asio;

ZygoteNursery::ZygoteNursery(asio::any_io_executor executor, ZygoteNurseryOptions options,
                             const pkgcache::Library& library, SlotStock& slots, Worker& worker,
                             Ledger& ledger)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      library_(library),
      slots_(slots),
      worker_(worker),
      ledger_(ledger),
      replicas_(std::make_shared<ReplicaLimit>(options_.replicas)) {}

asio::awaitable<Result<std::unique_ptr<zygote::Zygote>>> ZygoteNursery::bring_up(
    const pkgcache::ZygoteSpec& spec, std::shared_ptr<zygote::Zygote> origin, bool seal) {
  for (const auto& package : spec.packages) {
    if (library_.find(package)) continue;
    co_return fail(Code::kNotFound, "zygote", package.to_string() + " is not here any more");
  }
  zygote::ZygoteOptions options = options_.root;
  options.config.modules = library_.modules_of(spec.packages);
  options.config.search_path = library_.paths().of(spec.packages);
  options.config.seal = seal;
  if (origin) {
    co_return co_await origin->fork_child(std::move(options.config), options_.import_timeout);
  }
  options.import_timeout = options_.import_timeout;
  co_return co_await zygote::Zygote::start(std::move(options));
}

asio::awaitable<Result<YoungZygote>> ZygoteNursery::start(pkgcache::ZygoteSpec spec,
                                                          std::shared_ptr<const ZygoteNode> parent,
                                                          OnDead on_dead) {
  const auto origin = parent ? parent->zygote() : nullptr;
  YoungZygote young;
  // Before the fork: the parent may be replaced meanwhile.
  young.generation = origin ? parent->generation : ++generations_;
  const bool seal = options_.root.config.seal && !unsealable_.contains(spec.id);
  auto started = co_await bring_up(spec, origin, seal);
  if (!started && seal && zygote::may_do_unsealed(started.error())) {
    unsealable_[spec.id] = started.error().describe();
    spdlog::warn("zygote {} is started anew, unsealed: {}", spec.id, unsealable_[spec.id]);
    started = co_await bring_up(spec, origin, false);
  }
  if (!started) co_return std::unexpected(started.error());
  young.seal_error = (*started)->sealing().error;
  if (const auto why = unsealable_.find(spec.id); why != unsealable_.end()) {
    young.seal_error = why->second;
  }
  CloneRecipe recipe;
  recipe.zygote = std::move(*started);
  auto touches = co_await rehearse(recipe.zygote, slots_, worker_);
  if (!touches) co_return std::unexpected(touches.error());
  recipe.touches = std::move(*touches);

  ZygoteGroupParts parts{slots_, ledger_, replicas_, options_.import_timeout};
  const std::string name = spec.id;
  auto group = std::make_shared<ZygoteGroup>(executor_, parts, name, std::move(on_dead));
  group->start(std::move(recipe));
  auto bury = [this](std::unique_ptr<Clone> clone) { return bury_clone(std::move(clone), slots_); };
  // The group itself gives up a zygote that cannot clone.
  auto on_failure = [name](const Error& error) {
    spdlog::debug("zygote {}: no clone to park: {}", name, error.describe());
  };
  CloneStockOptions options = options_.stock;
  options.min = 0;
  auto make_stock = [&](Network network) {
    auto make = [group, network] { return group->make(network); };
    return std::make_shared<CloneStock>(executor_, options, make, bury, on_failure);
  };
  young.stocks = std::make_shared<ZygoteStocks>(make_stock);
  young.zygotes = std::move(group);
  co_return young;
}

}  // namespace sock::manager
