#include "netns-pool/caretaker.h"

#include <utility>
#include <vector>

namespace sock::netns {

namespace asio = boost::asio;

namespace {

Result<std::shared_ptr<Inspected>> begin_inspection(int netns, const std::vector<int>& known) {
  auto inspector = Inspector::open(netns, known);
  if (!inspector) return std::unexpected(inspector.error());
  auto as_built = inspector->take();
  if (!as_built) return std::unexpected(as_built.error());
  return std::make_shared<Inspected>(std::move(*inspector), std::move(*as_built));
}

Result<std::optional<Difference>> inspect(Inspected& inspected) {
  if (auto forgot = inspected.inspector.forget_peers(); !forgot) {
    return std::unexpected(forgot.error());
  }
  auto now = inspected.inspector.take();
  if (!now) return std::unexpected(now.error());
  return difference(inspected.as_built, *now);
}

}  // namespace

Caretaker::Caretaker(std::shared_ptr<Linker> linker, bool inspects) : linker_(std::move(linker)) {
  if (inspects) inspector_.emplace();
}

asio::awaitable<Result<std::shared_ptr<Inspected>>> Caretaker::furnish(Netns& netns) {
  if (linker_) {
    auto plugged = co_await linker_->plug(netns);
    if (!plugged) co_return std::unexpected(plugged.error());
  }
  if (!inspector_ || stopping_) co_return nullptr;
  auto look = [fd = netns.fd(), known = netns.sockets()] { return begin_inspection(fd, known); };
  co_return co_await inspector_->run(look);
}

asio::awaitable<Judgement> Caretaker::judge(Netns& netns, std::shared_ptr<Inspected> inspected) {
  using Kind = Judgement::Kind;
  Judgement judgement;
  if (linker_) {
    auto dismissed = co_await linker_->dismiss(netns);
    if (!dismissed) {
      judgement.stain = "link";
      judgement.error = std::move(dismissed.error());
      co_return judgement;
    }
  }
  judgement.stain = "used";
  if (netns.as_built()) {
    judgement.kind = Kind::kUntouched;
    co_return judgement;
  }
  if (!inspector_ || !inspected || stopping_) co_return judgement;
  auto look = [&inspected] { return inspect(*inspected); };
  auto differs = co_await inspector_->run(look);
  if (!differs) {
    judgement.stain = "uninspected";
    judgement.error = std::move(differs.error());
  } else if (const auto& difference = *differs) {
    judgement.stain = to_string(difference->stain);
  } else {
    judgement.kind = Kind::kClean;
  }
  co_return judgement;
}

void Caretaker::stop() {
  stopping_ = true;
  if (inspector_) inspector_->join();
}

}  // namespace sock::netns
