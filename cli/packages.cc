#include "cli/packages.h"

#include <boost/json/serialize.hpp>
#include <cstdio>
#include <ostream>

#include "cli/answer.h"
#include "cli/api_error.h"
#include "cli/fields.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

namespace sock::cli {
namespace {

using boost::json::object;

std::string milliseconds_of(const object& profile) {
  const auto* const ms = profile.if_contains("import_ms");
  if (ms == nullptr || !ms->is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", ms->to_number<double>());
  return text;
}

/// "vetted", "quarantined: leaves 3 threads running", or "-" while it was not measured.
std::string verdict_of(const object& profile) {
  std::string verdict = text_of(profile, "verdict");
  const std::string reasons = joined(array_of(profile, "reasons"), ", ");
  if (!reasons.empty()) verdict += ": " + reasons;
  return or_dash(std::move(verdict));
}

void add_package(Table& table, const object& package) {
  const object& profile = object_of(package, "profile");
  const bool measured = !profile.empty();
  table.add({text_of(package, "name"), text_of(package, "version"), text_of(package, "source"),
             measured ? milliseconds_of(profile) : "-",
             measured ? human_bytes(integer_of(profile, "memory_bytes")) : "-",
             text_of(package, "functions"), verdict_of(profile),
             joined(array_of(package, "requires"), ", ")});
}

Outcome<int> change(Context& context, const char* target, const std::vector<std::string>& set,
                    const char* done) {
  boost::json::array packages(set.begin(), set.end());
  Request request;
  request.method = "POST";
  request.target = target;
  request.content_type = "application/json";
  request.body = boost::json::serialize(object{{"packages", std::move(packages)}});
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  auto fields = object_of_answer(*response, "what became of the set");
  if (!fields) return std::unexpected(fields.error());
  if (context.format == Format::kJson) {
    print_document(context, response->body);
    return 0;
  }
  std::string names;
  for (const std::string& name : set) names += (names.empty() ? "" : " ") + name;
  context.console.err << "sockctl: " << printable(names, Lines::kOne) << ' ' << done << '\n';
  return 0;
}

}  // namespace

Outcome<int> show_packages(Context& context) {
  auto answer = get(context, "/v1/packages", "the list of packages");
  if (!answer) return std::unexpected(answer.error());
  if (context.format == Format::kJson) {
    print_document(context, answer->text);
    return 0;
  }
  Table table({{"PACKAGE"},
               {"VERSION"},
               {"FROM"},
               {"IMPORT", Align::kRight},
               {"MEMORY", Align::kRight},
               {"FUNCTIONS", Align::kRight},
               {"VERDICT"},
               {"REQUIRES"}});
  for (const auto& value : array_of(answer->fields, "packages")) {
    if (const auto* const package = value.if_object()) add_package(table, *package);
  }
  table.print(context.console.out);
  for (const auto& set : array_of(answer->fields, "warm")) {
    if (!set.is_array()) continue;
    context.console.out << "warm: " << printable(joined(set.get_array(), " "), Lines::kOne) << '\n';
  }
  return 0;
}

Outcome<int> warm_packages(Context& context, const std::vector<std::string>& set) {
  return change(context, "/v1/packages/warm", set, "is kept warm from now on");
}

Outcome<int> cool_packages(Context& context, const std::vector<std::string>& set) {
  return change(context, "/v1/packages/cool", set, "is kept warm no longer");
}

}  // namespace sock::cli
