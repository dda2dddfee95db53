#include "cli/zygote_tree.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/fields.h"
#include "cli/table.h"
#include "cli/units.h"

namespace sock::cli {
namespace {

using boost::json::object;

/// Deepest level drawn as a child; the answer is not trusted to be a sane tree.
constexpr std::size_t kMaxDepth = 64;

class Forest {
 public:
  explicit Forest(const boost::json::array& zygotes) {
    for (const auto& value : zygotes) {
      const auto* const zygote = value.if_object();
      if (zygote == nullptr) continue;
      nodes_.push_back(zygote);
      ids_.insert(text_of(*zygote, "id"));
    }
    for (const object* node : nodes_) {
      const std::string parent = text_of(*node, "parent");
      if (parent != text_of(*node, "id") && ids_.contains(parent)) {
        children_[parent].push_back(node);
      } else {
        roots_.push_back(node);
      }
    }
  }

  void fill(Table& table) {
    for (const object* root : roots_) add(table, *root, nullptr, "", "", 0);
    // What no root leads to: rings.
    for (const object* node : nodes_) add(table, *node, nullptr, "", "", 0);
  }

 private:
  void add(Table& table, const object& node, const object* parent, const std::string& branch,
           const std::string& indent, std::size_t depth) {
    if (depth > kMaxDepth || !drawn_.insert(&node).second) return;
    const std::int64_t memory = integer_of(node, "memory_bytes");
    table.add({branch + label_of(node, parent), text_of(node, "id"), text_of(node, "state"),
               text_of(node, "generation"), pids_of(node), human_bytes(memory),
               truth_of(node, "sealed") ? "yes" : "no", text_of(node, "parked"),
               text_of(node, "clones"), saving_of(node), human_seconds(integer_of(node, "age_s")),
               error_of(node)});
    const auto found = children_.find(text_of(node, "id"));
    if (found == children_.end()) return;
    for (std::size_t i = 0; i < found->second.size(); ++i) {
      const bool last = i + 1 == found->second.size();
      add(table, *found->second[i], &node, indent + (last ? "└── " : "├── "),
          indent + (last ? "    " : "│   "), depth + 1);
    }
  }

  /// What each of its calls saves against the root, as predicted.
  static std::string saving_of(const object& node) {
    const auto* const ms = node.if_contains("saved_ms");
    if (ms == nullptr || !ms->is_number()) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f ms", ms->to_number<double>());
    return text;
  }

  /// The zygote's and those of its replicas: "12,15,16".
  static std::string pids_of(const object& node) {
    std::string pids = text_of(node, "pid");
    for (const auto& replica : array_of(node, "replicas")) {
      if (const auto* const pid = replica.if_int64()) pids += "," + std::to_string(*pid);
    }
    return pids;
  }

  /// Why it does not serve, or else why it serves at a higher price.
  static std::string error_of(const object& node) {
    const std::string error = text_of(node, "error");
    const std::string unsealed = text_of(node, "seal_error");
    return error.empty() && !unsealed.empty() ? "not sealed: " + unsealed : error;
  }

  /// The packages this zygote has on top of its parent's.
  static std::string label_of(const object& node, const object* parent) {
    std::set<std::string> inherited;
    if (parent != nullptr) {
      for (const auto& package : array_of(*parent, "packages"))
        inherited.insert(package_of(package));
    }
    std::string label;
    for (const auto& package : array_of(node, "packages")) {
      const std::string name = package_of(package);
      if (inherited.contains(name)) continue;
      label += (label.empty() ? "" : " ") + name;
    }
    if (!label.empty()) return label;
    return parent == nullptr ? "python" : "(nothing more)";
  }

  std::vector<const object*> nodes_;
  std::vector<const object*> roots_;
  std::set<std::string> ids_;
  std::map<std::string, std::vector<const object*>> children_;
  std::set<const object*> drawn_;
};

}  // namespace

void print_zygotes(std::ostream& out, const boost::json::array& zygotes) {
  Table table({{"ZYGOTE"},
               {"ID"},
               {"STATE"},
               {"GEN", Align::kRight},
               {"PID"},
               {"MEMORY", Align::kRight},
               {"SEALED"},
               {"PARKED", Align::kRight},
               {"CLONES", Align::kRight},
               {"SAVES", Align::kRight},
               {"AGE", Align::kRight},
               {"ERROR"}});
  Forest(zygotes).fill(table);
  table.print(out);
}

void print_function_zygotes(std::ostream& out, const boost::json::array& functions) {
  if (functions.empty()) return;
  Table table({{"FUNCTION"},
               {"STATE"},
               {"IMAGE", Align::kRight},
               {"PARKED", Align::kRight},
               {"CLONES", Align::kRight},
               {"ERROR"}});
  for (const auto& value : functions) {
    const auto* const view = value.if_object();
    if (view == nullptr) continue;
    table.add({text_of(*view, "function"), text_of(*view, "state"),
               human_bytes(integer_of(*view, "image_bytes")), text_of(*view, "parked"),
               text_of(*view, "clones"), text_of(*view, "error")});
  }
  out << '\n';
  table.print(out);
}

}  // namespace sock::cli
