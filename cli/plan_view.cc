#include "cli/plan_view.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <cstdio>
#include <ostream>
#include <utility>
#include <vector>

#include "cli/table.h"
#include "pkgcache/plan.h"

namespace sock::cli {
namespace {

/// Packages named on a line; the dearest to import first.
constexpr std::size_t kMostNamed = 5;

std::string number(const char* format, double value) {
  std::array<char, 64> buffer{};
  const int n = std::snprintf(buffer.data(), buffer.size(), format, value);
  return n > 0 ? std::string(buffer.data()) : std::string();
}

double own_mb(const PlanView& view, std::size_t node) {
  if (node == 0) return view.costs.parameters().root_mb;
  return view.costs.parameters().node_mb +
         view.costs.memory_mb(added_packages(view.result.tree, node));
}

class Drawing {
 public:
  Drawing(const PlanView& view, Table& table) : view_(view), table_(table) {
    const auto& tree = view.result.tree;
    children_.resize(tree.size());
    for (std::size_t i = 1; i < tree.size(); ++i) children_[tree[i].parent].push_back(i);
    for (auto& brothers : children_) {
      std::ranges::stable_sort(brothers, std::ranges::greater{}, [&](std::size_t i) {
        return view_.result.use[i].share * view_.result.use[i].saved_ms;
      });
    }
  }

  /// Without recursion: some algorithms make deep trees.
  void draw() {
    struct Line {
      std::size_t node;
      std::string branch;
      std::string indent;
    };
    std::vector<Line> stack = {{0, "", ""}};
    while (!stack.empty()) {
      const Line line = std::move(stack.back());
      stack.pop_back();
      const auto& use = view_.result.use[line.node];
      table_.add({line.branch + label(line.node), number("%.1f MB", own_mb(view_, line.node)),
                  number("%.1f %%", 100 * use.share),
                  use.share > 0 && line.node != 0 ? number("%.1f ms", use.saved_ms) : "-"});
      const auto& brothers = children_[line.node];
      for (std::size_t i = brothers.size(); i-- > 0;) {
        const bool last = i + 1 == brothers.size();
        stack.push_back({brothers[i], line.indent + (last ? "└── " : "├── "),
                         line.indent + (last ? "    " : "│   ")});
      }
    }
  }

 private:
  [[nodiscard]] std::string label(std::size_t node) const {
    if (node == 0) return "python";
    auto members = added_packages(view_.result.tree, node).members();
    std::ranges::stable_sort(members, std::ranges::greater{},
                             [&](std::size_t i) { return view_.costs.package_ms(i); });
    std::string text;
    for (std::size_t i = 0; i < members.size() && i < kMostNamed; ++i) {
      text += (i > 0 ? " " : "") + view_.universe.package(members[i]).to_string();
    }
    if (members.size() > kMostNamed) text += " +" + std::to_string(members.size() - kMostNamed);
    return text;
  }

  const PlanView& view_;
  Table& table_;
  std::vector<std::vector<std::size_t>> children_;
};

}  // namespace

void print_plan(std::ostream& out, const PlanView& view) {
  Table table({{"ZYGOTE ADDS"},
               {"MEMORY", Align::kRight},
               {"CALLS", Align::kRight},
               {"SAVED A CALL", Align::kRight}});
  Drawing(view, table).draw();
  table.print(out);
  out << '\n';
  const auto& judged = view.result.judgement;
  print_pairs(
      out,
      {{"algorithm", view.algorithm},
       {"budget", number("%g MB", view.budget_mb)},
       {"zygotes", std::to_string(judged.nodes)},
       {"memory", number("%.1f MB beside the root", judged.mb)},
       {"a call, mean", number("%.2f ms", judged.mean_ms)},
       {"a call, p99", number("%.2f ms", judged.p99_ms)},
       {"without zygotes", number("%.2f ms", judged.uncached_ms)},
       {"saved per MB", number("%.3f ms a call", judged.saved_ms_per_mb())},
       {"packages loaded", number("%.1f %% of those that calls need", 100 * judged.hit_ratio)},
       {"creation", number("%.2f ms a call", judged.creation_ms_per_call)},
       {"making the tree", number("%.0f ms, once", creation_ms(view.result.tree, view.costs))}});
}

boost::json::object plan_document(const PlanView& view) {
  const auto& tree = view.result.tree;
  const auto names = [&](const pkgcache::PackageSet& set) {
    boost::json::array out;
    set.for_each([&](std::size_t i) { out.emplace_back(view.universe.package(i).to_string()); });
    return out;
  };
  std::vector<std::string> ids;
  boost::json::array zygotes;
  for (std::size_t i = 0; i < tree.size(); ++i) {
    ids.push_back(pkgcache::zygote_id(view.universe.packages_of(tree[i].packages)));
    zygotes.push_back(boost::json::object{{"id", ids[i]},
                                          {"parent", i == 0 ? "" : ids[tree[i].parent]},
                                          {"packages", names(tree[i].packages)},
                                          {"added", names(added_packages(tree, i))},
                                          {"mb", own_mb(view, i)},
                                          {"calls", view.result.use[i].share},
                                          {"saved_ms", view.result.use[i].saved_ms}});
  }
  const auto& judged = view.result.judgement;
  return {{"algorithm", view.algorithm},
          {"budget_mb", view.budget_mb},
          {"zygotes", std::move(zygotes)},
          {"judgement", boost::json::object{{"mean_ms", judged.mean_ms},
                                            {"p99_ms", judged.p99_ms},
                                            {"uncached_ms", judged.uncached_ms},
                                            {"mb", judged.mb},
                                            {"zygotes", judged.nodes},
                                            {"saved_ms_per_mb", judged.saved_ms_per_mb()},
                                            {"hit_ratio", judged.hit_ratio},
                                            {"creation_ms_per_call", judged.creation_ms_per_call},
                                            {"tree_creation_ms", creation_ms(tree, view.costs)}}}};
}

}  // namespace sock::cli
