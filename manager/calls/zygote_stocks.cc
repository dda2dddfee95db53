#include "manager/calls/zygote_stocks.h"

namespace sock::manager {

namespace asio = boost::asio;

void ZygoteStocks::set_min(const PerNetwork<std::uint32_t>& min) {
  for (const Network network : kNetworks) stocks_[network]->set_min(min[network]);
}

void ZygoteStocks::tick() {
  for (const auto& stock : stocks_) stock->tick();
}

std::size_t ZygoteStocks::parked() const {
  std::size_t sum = 0;
  for (const auto& stock : stocks_) sum += stock->parked();
  return sum;
}

asio::awaitable<bool> ZygoteStocks::wait_filled(Clock::time_point deadline) {
  bool all = true;
  for (const auto& stock : stocks_) {
    const bool filled = co_await stock->wait_filled(deadline);
    all = all && filled;
  }
  co_return all;
}

void ZygoteStocks::inherit(ZygoteStocks& other) {
  for (const Network network : kNetworks) stocks_[network]->inherit(*other.stocks_[network]);
}

void ZygoteStocks::stop(Background& background) {
  for (const auto& stock : stocks_) background.run(stop_stock(stock));
}

}  // namespace sock::manager
