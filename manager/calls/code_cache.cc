#include "manager/calls/code_cache.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "manager/calls/errand.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// A larger handler is compiled by each call: it has better uses for sockd's memory.
constexpr std::uint64_t kLargestCode = 1 << 20;
constexpr std::uint64_t kMostBytes = 64 << 20;
constexpr Millis kCompileTimeout{10'000};

}  // namespace

CodeCache::CodeCache(asio::any_io_executor executor, Background& background, SlotStock& slots,
                     std::function<Result<CloneRecipe>()> recipe)
    : executor_(std::move(executor)),
      background_(background),
      slots_(slots),
      recipe_(std::move(recipe)) {}

std::string_view CodeCache::get(const std::shared_ptr<const Function>& function) {
  const std::string& name = function->spec.name;
  const auto found = entries_.find(name);
  if (found != entries_.end() && found->second.generation == function->generation) {
    return found->second.code;
  }
  if (compiling_.insert(name).second) background_.run(compile(function));
  return {};
}

void CodeCache::forget(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  bytes_ -= found->second.code.size();
  entries_.erase(found);
}

asio::awaitable<Result<CallReply>> CodeCache::compile_in_sandbox(
    std::shared_ptr<const Function> function) {
  auto recipe = recipe_();
  if (!recipe) co_return std::unexpected(recipe.error());
  // Without the function's network: nothing of the function runs.
  recipe->function = function;
  recipe->discard_output = true;
  auto clone = co_await make_clone(std::move(*recipe), slots_);
  if (!clone) co_return std::unexpected(clone.error());
  auto reply = co_await run_errand(**clone, zygote::FrameType::kCompile, function.get(), {},
                                   kLargestCode, kCompileTimeout);
  co_await bury_clone(std::move(*clone), slots_);
  co_return reply;
}

asio::awaitable<void> CodeCache::compile(std::shared_ptr<const Function> function) {
  // On a later turn of the loop: the call that asked goes first.
  co_await asio::post(executor_, asio::use_awaitable);
  const std::string name = function->spec.name;
  auto reply = co_await compile_in_sandbox(function);
  compiling_.erase(name);
  // An empty entry is an answer too: such a module is loaded from its file, and nothing asks again.
  std::string code = reply ? std::move(reply->json) : std::string();
  if (!reply) spdlog::debug("{} is not precompiled: {}", name, reply.error().describe());
  if (bytes_ + code.size() > kMostBytes) code.clear();
  forget(name);
  bytes_ += code.size();
  entries_[name] = {function->generation, std::move(code)};
}

}  // namespace sock::manager
