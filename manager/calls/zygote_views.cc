#include "manager/calls/zygote_views.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <string>
#include <string_view>

namespace sock::manager {

namespace json = boost::json;

namespace {

std::string_view state_name(ZygoteNode::State state) {
  switch (state) {
    case ZygoteNode::State::kStarting:
      return "starting";
    case ZygoteNode::State::kReady:
      return "ready";
    case ZygoteNode::State::kFailed:
      return "failed";
  }
  return "failed";
}

json::array names_of(std::span<const pkgcache::Package> packages) {
  json::array names;
  for (const auto& package : packages) names.push_back(json::string(package.to_string()));
  return names;
}

json::object view_node(const ZygoteNode& node) {
  const bool ready = node.ready();
  const auto age = ready ? micros_between(node.ready_at, Clock::now()) / 1'000'000 : 0;
  const auto zygote = node.zygote();
  json::array replicas;
  for (const auto& each : processes_of(node)) {
    if (each != zygote) replicas.push_back(each->process().pid());
  }
  return {{"id", node.spec.id},
          {"parent", node.spec.parent},
          {"packages", names_of(node.spec.packages)},
          {"state", state_name(node.state)},
          {"generation", node.generation},
          {"pid", zygote ? zygote->process().pid() : 0},
          {"replicas", std::move(replicas)},
          {"memory_bytes", memory_of(node)},
          {"import_ms", zygote ? zygote->import_us() / 1000 : 0},
          {"parked", node.stocks ? node.stocks->parked() : 0},
          {"clones", node.clones},
          {"age_s", age},
          {"sealed", zygote && zygote->sealing().sealed},
          {"seal_ms", zygote ? zygote->sealing().took_us / 1000 : 0},
          {"seal_error", node.seal_error},
          {"error", node.error}};
}

}  // namespace

std::vector<std::shared_ptr<zygote::Zygote>> processes_of(const ZygoteNode& node) {
  if (!node.zygotes) return {};
  return node.zygotes->all();
}

std::uint64_t memory_of(const ZygoteNode& node) {
  std::uint64_t sum = 0;
  for (const auto& zygote : processes_of(node)) sum += zygote->memory_bytes().value_or(0);
  return sum;
}

json::object view_zygotes(const ZygoteTree& zygotes, const FunctionZygotes& functions,
                          std::span<const pkgcache::NodeView> uses) {
  json::array nodes;
  for (const auto& [id, node] : zygotes.nodes()) {
    json::object view = view_node(*node);
    const auto use = std::ranges::find(uses, id, &pkgcache::NodeView::id);
    if (use != uses.end()) {
      view["share"] = use->share;
      view["saved_ms"] = use->saved_ms_per_call;
      view["saved_ms_per_s"] = use->saved_ms_per_s;
    }
    nodes.push_back(std::move(view));
  }
  json::array own;
  for (const auto& view : functions.list()) {
    own.push_back(json::object{{"function", view.function},
                               {"state", view.state},
                               {"image_bytes", view.image_bytes},
                               {"parked", view.parked},
                               {"clones", view.clones},
                               {"error", view.error}});
  }
  return {{"zygotes", std::move(nodes)}, {"functions", std::move(own)}};
}

}  // namespace sock::manager
