#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <vector>

#include "manager/calls/function_zygotes.h"
#include "manager/calls/zygote_tree.h"
#include "pkgcache/adapt/tree_view.h"

namespace sock::manager {

/// The body of GET /v1/zygotes but for what concerns parked clones as a whole. `uses`: what each
/// node is there for, by id. Reads the zygotes' sizes, which takes milliseconds each.
[[nodiscard]] boost::json::object view_zygotes(const ZygoteTree& zygotes,
                                               const FunctionZygotes& functions,
                                               std::span<const pkgcache::NodeView> uses);

/// The node's zygote and its replicas.
[[nodiscard]] std::vector<std::shared_ptr<zygote::Zygote>> processes_of(const ZygoteNode& node);

/// Proportional: replicas share nearly all of it, and proportional sizes add up.
[[nodiscard]] std::uint64_t memory_of(const ZygoteNode& node);

}  // namespace sock::manager
