#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/worker.h"
#include "manager/calls/slot_stock.h"
#include "zygote/zygote.h"

namespace sock::manager {

/// Runs one trial call of nothing but the runtime's own work in a clone of `zygote`, complete with
/// its sandbox, and returns the pages it needed (zygote/image.h) for other clones to populate while
/// they park. An error means that this zygote's clones cannot serve calls. `worker` reads the page
/// tables, which takes milliseconds.
[[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<const Fd>>> rehearse(
    std::shared_ptr<zygote::Zygote> zygote, SlotStock& slots, Worker& worker);

}  // namespace sock::manager
