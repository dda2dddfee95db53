#include "cli/netns_view.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cli/fields.h"
#include "cli/table.h"
#include "cli/units.h"

namespace sock::cli {
namespace {

using boost::json::object;

/// "socket 9, time-wait 3"
std::string reasons_of(const object& stock) {
  std::string out;
  for (const auto& reason : object_of(stock, "burns")) {
    if (!out.empty()) out += ", ";
    out += std::string(reason.key().data(), reason.key().size()) + " " + text_of(reason.value());
  }
  return out;
}

std::string build_time_of(const object& stock) {
  const std::int64_t micros = integer_of(stock, "build_us_p50");
  return micros > 0 ? human_micros(micros) : "-";
}

}  // namespace

void print_netns_classes(std::ostream& out, const boost::json::array& classes) {
  Table table({{"CLASS"},
               {"READY", Align::kRight},
               {"KEPT", Align::kRight},
               {"LEASED", Align::kRight},
               {"TARGET", Align::kRight},
               {"LEASES", Align::kRight},
               {"BUILDS", Align::kRight},
               {"MISSES", Align::kRight},
               {"BUILD P50", Align::kRight},
               {"BURNED", Align::kRight},
               {"BECAUSE OF"}});
  std::vector<std::pair<std::string, std::string>> errors;
  for (const auto& value : classes) {
    const auto* const stock = value.if_object();
    if (stock == nullptr) continue;
    table.add({text_of(*stock, "class"), text_of(*stock, "ready"), text_of(*stock, "kept"),
               text_of(*stock, "leased"), text_of(*stock, "target"), text_of(*stock, "leases"),
               text_of(*stock, "builds"), text_of(*stock, "misses"), build_time_of(*stock),
               text_of(*stock, "burned"), or_dash(reasons_of(*stock))});
    std::string error = text_of(*stock, "last_error");
    if (!error.empty()) {
      errors.emplace_back("last error", text_of(*stock, "class") + ": " + std::move(error));
    }
  }
  table.print(out);
  if (errors.empty()) return;
  out << '\n';
  print_pairs(out, errors);
}

void print_netns(std::ostream& out, const boost::json::array& namespaces) {
  if (namespaces.empty()) return;
  Table table({{"ID"},
               {"CLASS"},
               {"STATE"},
               {"AGE", Align::kRight},
               {"LEASES", Align::kRight},
               {"FUNCTION"},
               {"ADDRESS"}});
  for (const auto& value : namespaces) {
    const auto* const one = value.if_object();
    if (one == nullptr) continue;
    table.add({text_of(*one, "id"), text_of(*one, "class"), text_of(*one, "state"),
               human_seconds(integer_of(*one, "age_s")), text_of(*one, "leases"),
               or_dash(text_of(*one, "function")), or_dash(text_of(*one, "address"))});
  }
  out << '\n';
  table.print(out);
}

}  // namespace sock::cli
