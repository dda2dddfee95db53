#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/worker.h"
#include "manager/background.h"
#include "manager/calls/clone_stock.h"
#include "manager/calls/code_cache.h"
#include "manager/calls/heat.h"
#include "pkgcache/search_path.h"
#include "zygote/recorder.h"

namespace sock::manager {

struct FunctionZygoteOptions {
  bool automatic = true;                     ///< for hot functions; those with keep_ready get one
  std::uint32_t most = 32;                   ///< function zygotes at a time
  std::uint64_t image_bytes = 256ULL << 20;  ///< most memory one may add to its package zygote
  std::uint64_t all_bytes = 1ULL << 30;      ///< and all of them together
  CloneStockOptions stock;
};

/// Zygotes of single functions: their handler's module is loaded already.
///
/// Such a zygote is no process. The module is loaded once in a sandbox of the function's own, with
/// its limits and identity; what that process then has in memory beyond the package zygote it was
/// cloned from is kept as an image (zygote/image.h), and clones of the package zygote, confined as
/// always, restore it as their last step before they park. So a process that has run a tenant's
/// code never holds a privilege, none of the tenant's code runs in a clone before its call, and a
/// function that spoils its own image spoils its own calls only.
///
/// Not every function can have one: its import may leave threads, descriptors, signal handlers or
/// files behind, which an image does not hold. Its calls then load the module themselves, and
/// `error` says why. On the event loop; not thread safe.
class FunctionZygotes {
 public:
  /// What is known of one function's zygote.
  struct View {
    std::string function;
    std::string state;  ///< "starting", "ready", "failed"
    std::string error;
    std::uint64_t image_bytes = 0;
    std::size_t parked = 0;
    std::uint64_t clones = 0;
  };

  /// The package zygote that suits a function best, and its packages, "numpy,pandas".
  struct Base {
    CloneRecipe recipe;
    std::string packages;
  };
  using Chooser = std::function<Result<Base>(const Function&)>;

  FunctionZygotes(boost::asio::any_io_executor executor, Background& background,
                  FunctionZygoteOptions options, SlotStock& slots, Worker& worker, CodeCache& code,
                  const pkgcache::SearchPath& paths, Chooser choose);

  /// The functions deployed now; zygotes of others are retired.
  void adopt(const std::vector<std::shared_ptr<const Function>>& functions);

  /// A call of `function` arrives.
  void note_call(const std::shared_ptr<const Function>& function);

  /// A parked clone that has the function loaded; null when there is none.
  [[nodiscard]] std::unique_ptr<Clone> take(const Function& function);

  /// How to make one on demand; an error when the function has no zygote.
  [[nodiscard]] Result<CloneRecipe> recipe(const Function& function) const;

  /// The packages of the zygote that the function's clones come from; empty when it has none.
  [[nodiscard]] std::string packages(const Function& function) const;

  /// Starts what is wanted, follows package zygotes that were replaced, retires what has gone cold.
  /// To be called about once a second.
  void tick();

  /// Whether the function should have a zygote and cannot have one.
  [[nodiscard]] bool refused(const std::string& name) const;

  [[nodiscard]] std::vector<View> list() const;
  [[nodiscard]] std::size_t parked() const;

  /// Buries all parked clones, in the background. What is at work there ends soon, at the latest
  /// when the processes it works with are dead.
  void stop();

 private:
  struct Entry;
  struct Source;

  /// The entry with a zygote and a stock for just this generation; null when there is none.
  [[nodiscard]] Entry* ready(const Function& function) const;
  void start(const std::shared_ptr<const Function>& function);
  [[nodiscard]] boost::asio::awaitable<void> build(std::shared_ptr<Entry> entry);
  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<Source>>> snapshot(
      std::shared_ptr<const Function> function);
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> make(
      std::shared_ptr<Source> source);
  [[nodiscard]] boost::asio::awaitable<void> record(std::shared_ptr<Source> source,
                                                    const Clone& clone);
  void fail_entry(Entry& entry, const Error& error);
  void retire(const std::string& name);
  [[nodiscard]] bool wanted(const Function& function) const;
  /// What one more image may take.
  [[nodiscard]] std::uint64_t room(const Function& function) const;
  [[nodiscard]] std::size_t alive() const;

  boost::asio::any_io_executor executor_;
  Background& background_;
  FunctionZygoteOptions options_;
  SlotStock& slots_;
  Worker& worker_;
  CodeCache& code_;
  const pkgcache::SearchPath& paths_;
  Chooser choose_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
  std::map<std::string, std::shared_ptr<const Function>> deployed_;
  Heat heat_;
  bool stopping_ = false;
};

}  // namespace sock::manager
