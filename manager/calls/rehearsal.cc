#include "manager/calls/rehearsal.h"

#include "manager/calls/errand.h"
#include "zygote/recorder.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t kTrialAnswer = 4096;
constexpr Millis kTrialTimeout{10'000};
constexpr std::string_view kTrialEvent = R"({"n": 1})";

asio::awaitable<Result<zygote::Touched>> try_out(Clone& clone, Worker& worker) {
  auto look = [&clone] { return zygote::touched_pages(clone.process.pid()); };
  const auto parked = co_await worker.run(look);
  if (!parked) co_return parked;
  auto reply = co_await run_errand(clone, zygote::FrameType::kCall, nullptr,
                                   {.id = "trial", .event = kTrialEvent, .code = {}}, kTrialAnswer,
                                   kTrialTimeout);
  if (!reply) co_return std::unexpected(reply.error());
  if (!reply->succeeded) co_return fail(Code::kInternal, "trial call", reply->json);
  const auto answered = co_await worker.run(look);
  if (!answered) co_return answered;
  co_return zygote::touches_of_call(*parked, *answered);
}

}  // namespace

asio::awaitable<Result<std::shared_ptr<const Fd>>> rehearse(std::shared_ptr<zygote::Zygote> zygote,
                                                            SlotStock& slots, Worker& worker) {
  CloneRecipe recipe;
  recipe.zygote = std::move(zygote);
  recipe.discard_output = true;
  auto clone = co_await make_clone(std::move(recipe), slots);
  if (!clone) co_return std::unexpected(clone.error());
  auto touched = co_await try_out(**clone, worker);
  co_await bury_clone(std::move(*clone), slots);
  if (!touched) co_return std::unexpected(touched.error());
  auto list = zygote::write_touches(*touched);
  if (!list) co_return std::unexpected(list.error());
  co_return std::make_shared<const Fd>(std::move(*list));
}

}  // namespace sock::manager
