#include "cli/daemon_views.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <ostream>

#include "cli/answer.h"
#include "cli/fields.h"
#include "cli/netns_view.h"
#include "cli/stats_view.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/zygote_tree.h"

namespace sock::cli {
namespace {

/// Every field by its own name: nothing sockd says is hidden for being new.
void print_fields(std::ostream& out, const boost::json::object& fields) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& field : fields) {
    pairs.emplace_back(
        printable(std::string_view(field.key().data(), field.key().size()), Lines::kOne),
        text_of(field.value()));
  }
  print_pairs(out, pairs);
}

}  // namespace

Outcome<int> show_zygotes(Context& context) {
  auto answer = get(context, "/v1/zygotes", "the list of zygotes");
  if (!answer) return std::unexpected(answer.error());
  if (context.format == Format::kJson) {
    print_document(context, answer->text);
  } else {
    print_zygotes(context.console.out, array_of(answer->fields, "zygotes"));
    print_function_zygotes(context.console.out, array_of(answer->fields, "functions"));
  }
  return 0;
}

Outcome<int> show_netns(Context& context) {
  auto answer = get(context, "/v1/netns", "the network namespaces");
  if (!answer) return std::unexpected(answer.error());
  if (context.format == Format::kJson) {
    print_document(context, answer->text);
  } else {
    print_netns_classes(context.console.out, array_of(answer->fields, "classes"));
    print_netns(context.console.out, array_of(answer->fields, "namespaces"));
  }
  return 0;
}

Outcome<int> show_stats(Context& context) {
  auto answer = get(context, "/v1/health", "the state of sockd");
  if (!answer) return std::unexpected(answer.error());
  // The counters come from the segment that sockd shares, without asking it; where that cannot be
  // read (another host's socket, no permission) its health is still worth showing.
  const auto reader = manager::StatsReader::open(text_of(answer->fields, "stats_segment"));
  const auto stats = reader ? reader->read() : std::unexpected(reader.error());
  if (stats) {
    for (const auto& field : stats_fields(*stats)) answer->fields[field.key()] = field.value();
  }
  if (context.format == Format::kJson) {
    print_document(context, boost::json::serialize(answer->fields));
  } else {
    print_fields(context.console.out, answer->fields);
  }
  return 0;
}

Outcome<int> show_version(Context& context) {
  auto answer = get(context, "/v1/health", "the state of sockd");
  if (!answer && answer.error().exit != static_cast<int>(ExitCode::kUnreachable)) {
    return std::unexpected(answer.error());
  }
  if (context.format == Format::kJson) {
    boost::json::object document{{"sockctl", SOCK_VERSION}, {"sockd", nullptr}};
    if (answer) document["sockd"] = text_of(answer->fields, "version");
    print_document(context, boost::json::serialize(document));
    return 0;
  }
  context.console.out << "sockctl " SOCK_VERSION "\n";
  if (answer) {
    context.console.out << "sockd " << printable(text_of(answer->fields, "version"), Lines::kOne)
                        << '\n';
  } else {
    context.console.err << "sockctl: " << answer.error().message << '\n';
  }
  return 0;
}

}  // namespace sock::cli
