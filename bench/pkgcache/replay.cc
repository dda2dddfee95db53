#include "bench/pkgcache/replay.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "bench/http.h"
#include "bench/kept_connection.h"
#include "bench/load.h"

namespace sock::bench {
namespace {

namespace json = boost::json;

/// Names between commas.
std::set<std::string, std::less<>> names_in(std::string_view list) {
  std::set<std::string, std::less<>> names;
  while (!list.empty()) {
    const auto comma = list.find(',');
    names.emplace(list.substr(0, comma));
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return names;
}

/// What a client keeps of one call.
struct Sent {
  std::string id = {};
  double latency_ms = 0;
  std::string error = {};
};

/// "HTTP 502, ImportError: …": the same for all calls that fail in the same way.
std::string problem_of(const Answer& answer) {
  if (answer.status != 200) {
    std::string out = "HTTP " + std::to_string(answer.status);
    json::error_code error;
    const json::value body = json::parse(answer.body, error);
    if (error || !body.is_object()) return out;
    for (const auto& [key, before] : {std::pair("errorType", ", "), {"errorMessage", ": "}}) {
      const json::value* text = body.get_object().if_contains(key);
      if (text != nullptr && text->is_string()) out.append(before).append(text->get_string());
    }
    return out;
  }
  if (answer.body != kFreshAnswer) return "not a fresh sandbox";
  return {};
}

/// Calls it on the connection, which is made where there is none and closed when it broke.
Sent send(const std::string& socket, std::optional<KeptConnection>& connection,
          const std::string& function) {
  if (!connection) {
    auto opened = KeptConnection::open(socket);
    if (!opened) return {.error = opened.error().describe()};
    connection.emplace(std::move(*opened));
  }
  auto answer = connection->invoke(function, "{}");
  if (!answer) {
    connection.reset();
    return {.error = answer.error().describe()};
  }
  return {.id = answer->id,
          .latency_ms = static_cast<double>(answer->micros) / 1000,
          .error = problem_of(*answer)};
}

class Clients {
 public:
  explicit Clients(const ReplaySpec& spec) : spec_(spec), sent_(spec.calls.size()) {}

  std::vector<std::optional<Sent>> run() {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < spec_.clients; ++i) threads.emplace_back([this] { client(); });
    threads.clear();
    return std::move(sent_);
  }

 private:
  void client() {
    std::optional<KeptConnection> connection;
    for (;;) {
      const std::size_t i = next_++;
      if (i >= sent_.size() || (spec_.stop != nullptr && *spec_.stop)) return;
      sent_[i] = send(spec_.socket, connection, spec_.functions[spec_.calls[i]].name);
    }
  }

  const ReplaySpec& spec_;
  std::vector<std::optional<Sent>> sent_;  ///< each written by one client
  std::atomic<std::size_t> next_ = 0;
};

Result<ServedCall> ask(const std::string& socket, const Sent& sent) {
  const auto reply = request(socket, "GET", "/v1/calls/" + sent.id, "", {}, Millis(10'000));
  if (!reply) return std::unexpected(reply.error());
  if (reply->status != 200) {
    return fail(Code::kInternal, "record", "HTTP " + std::to_string(reply->status));
  }
  auto served = parse_record(reply->body);
  if (served) served->latency_ms = sent.latency_ms;
  return served;
}

}  // namespace

Result<ServedCall> parse_record(const std::string& text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  const auto broken = [] { return fail(Code::kInternal, "record", "not the record of a call"); };
  if (error || !value.is_object()) return broken();
  const json::object& record = value.get_object();
  ServedCall call;
  const auto add_ms = [&](const char* key, double& sum) {
    const json::value* field = record.if_contains(key);
    if (field == nullptr || !field->is_number()) return false;
    sum += field->to_number<double>() / 1000;
    return true;
  };
  if (!add_ms("create_us", call.service_ms) || !add_ms("init_us", call.service_ms) ||
      !add_ms("cpu_us", call.cpu_ms)) {
    return broken();
  }
  const json::value* start = record.if_contains("start");
  const json::value* zygote = record.if_contains("zygote");
  if (start == nullptr || !start->is_string() || zygote == nullptr || !zygote->is_string()) {
    return broken();
  }
  call.start = start->get_string();
  call.zygote = zygote->get_string();
  return call;
}

std::vector<pkgcache::Package> held_of(const pkgcache::Function& function,
                                       std::string_view zygote) {
  const auto names = names_in(zygote);
  std::vector<pkgcache::Package> held;
  for (const auto& package : function.packages) {
    if (names.contains(package.name)) held.push_back(package);
  }
  return held;
}

Result<ServedCall> call_once(const std::string& socket, const std::string& function) {
  std::optional<KeptConnection> connection;
  const Sent sent = send(socket, connection, function);
  if (!sent.error.empty()) return fail(Code::kInternal, "call " + function, sent.error);
  return ask(socket, sent);
}

Replayed replay(const ReplaySpec& spec) {
  const auto sent = Clients(spec).run();
  Replayed out;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (!sent[i]) continue;  // left early
    if (!sent[i]->error.empty()) {
      ++out.errors[sent[i]->error];
      continue;
    }
    auto served = ask(spec.socket, *sent[i]);
    if (served) {
      served->function = spec.calls[i];
      out.calls.push_back(std::move(*served));
    } else {
      ++out.errors[served.error().describe()];
    }
  }
  return out;
}

}  // namespace sock::bench
