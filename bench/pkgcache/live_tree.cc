#include "bench/pkgcache/live_tree.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <thread>

#include "bench/http.h"
#include "bench/proc_stat.h"

namespace sock::bench {
namespace {

namespace json = boost::json;

constexpr double kMb = 1024.0 * 1024.0;
constexpr Millis kLook{1000};
constexpr double kIdleShare = 0.05;  ///< of one processor
constexpr int kIdleLooks = 2;

std::string text_of(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

double number_of(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::vector<std::string> texts_of(const json::object& object, const char* key) {
  std::vector<std::string> out;
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return out;
  for (const json::value& text : value->get_array()) {
    if (text.is_string()) out.emplace_back(text.get_string());
  }
  return out;
}

void add(LiveTree& tree, const json::object& node) {
  const std::string state = text_of(node, "state");
  if (state == "ready") {
    ++tree.ready;
    tree.packages.push_back(texts_of(node, "packages"));
    tree.pids.push_back(static_cast<int>(number_of(node, "pid")));
    tree.memory_mb += number_of(node, "memory_bytes") / kMb;
    tree.creation_ms += number_of(node, "import_ms");
  } else if (state == "failed") {
    tree.failed.push_back(text_of(node, "id") + ": " + text_of(node, "error"));
  } else {
    ++tree.starting;
  }
}

std::string describe(const LiveTree& tree, std::size_t wanted) {
  std::string out = std::to_string(tree.ready) + " of " + std::to_string(wanted) +
                    " zygotes are ready, " + std::to_string(tree.starting) + " starting, " +
                    std::to_string(tree.failed.size()) + " failed";
  if (!tree.failed.empty()) out += " (" + tree.failed.front() + ")";
  return out;
}

}  // namespace

Result<LiveTree> parse_live_tree(const std::string& text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  const json::object* root = error ? nullptr : value.if_object();
  const json::value* nodes = root == nullptr ? nullptr : root->if_contains("zygotes");
  if (nodes == nullptr || !nodes->is_array()) {
    return fail(Code::kInternal, "GET /v1/zygotes", "it has no list of zygotes");
  }
  LiveTree tree;
  for (const json::value& node : nodes->get_array()) {
    if (node.is_object()) add(tree, node.get_object());
  }
  return tree;
}

Result<LiveTree> read_live_tree(const std::string& socket) {
  const auto reply = request(socket, "GET", "/v1/zygotes", "", {}, Millis(30'000));
  if (!reply) return std::unexpected(reply.error());
  return parse_live_tree(reply->body);
}

ZygoteMemory memory_of(const Instance& instance, const LiveTree& tree) {
  ZygoteMemory out;
  for (const ProcStat& process : all_processes()) {
    if (process.kernel_thread || !in_cgroup(process.pid, instance.cgroup()) ||
        program_name(process.pid) != "sock-zygote") {
      continue;
    }
    const auto bytes = [&](const char* key) {
      return proc_bytes(process.pid, "smaps_rollup", key).value_or(0);
    };
    const double pss = bytes("Pss") / kMb;
    out.all += pss;
    const bool is_zygote = std::ranges::find(tree.pids, process.pid) != tree.pids.end();
    const double own = is_zygote ? 0 : (bytes("Private_Clean") + bytes("Private_Dirty")) / kMb;
    out.without_own += pss - own;
  }
  return out;
}

Result<LiveTree> await_settled(const Instance& instance, std::size_t zygotes, Millis within,
                               const std::atomic<bool>& interrupted) {
  const auto deadline = Clock::now() + within;
  auto cpu_us = instance.cpu_us();
  int idle = 0;
  for (;;) {
    std::this_thread::sleep_for(kLook);
    auto tree = read_live_tree(instance.socket());
    if (!tree) return tree;
    const auto now_us = instance.cpu_us();
    const double spent = cpu_us && now_us ? *now_us - *cpu_us : 0;
    cpu_us = now_us;
    const bool quiet = spent < kIdleShare * static_cast<double>(Micros(kLook).count());
    idle = quiet ? idle + 1 : 0;
    const bool there = tree->starting == 0 && tree->ready + tree->failed.size() >= zygotes;
    if ((there && idle >= kIdleLooks) || interrupted) return tree;
    if (Clock::now() > deadline) {
      return fail(Code::kTimeout, "wait for the zygotes",
                  describe(*tree, zygotes) + (quiet ? "" : "; sockd is still busy"));
    }
  }
}

}  // namespace sock::bench
