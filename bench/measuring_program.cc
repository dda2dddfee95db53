#include "bench/measuring_program.h"

#include <fcntl.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/await_exit.h"

namespace sock::bench {

namespace json = boost::json;

namespace {

Result<Round> parse(const std::string& program, const std::string& text) {
  json::error_code error;
  const auto value = json::parse(text, error);
  const auto* object = value.if_object();
  const auto broken = [&program] {
    return fail(Code::kInternal, program, "its result is not what was expected");
  };
  if (error || object == nullptr) return broken();
  const auto* latencies = object->if_contains("latencies_us");
  const auto* seconds = object->if_contains("seconds");
  const auto* machine = object->if_contains("machine_cpu_us");
  const auto* own = object->if_contains("own_cpu_us");
  if (latencies == nullptr || !latencies->is_array() || seconds == nullptr ||
      !seconds->is_double() || machine == nullptr || !machine->is_double() || own == nullptr ||
      !own->is_double()) {
    return broken();
  }
  Round round;
  for (const auto& latency : latencies->get_array()) {
    if (!latency.is_int64()) return broken();
    round.latencies_us.push_back(latency.get_int64());
  }
  round.seconds = seconds->get_double();
  round.machine_cpu_us = machine->get_double();
  round.own_cpu_us = own->get_double();
  return round;
}

}  // namespace

std::vector<std::string> baseline_environment() {
  return {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "OPENBLAS_NUM_THREADS=1",
          "OMP_NUM_THREADS=1"};
}

Result<Round> drive_program(const MeasuringProgram& program) {
  const auto output = program.home / "measured.json";
  SpawnSpec command;
  command.program = program.program;
  command.env = baseline_environment();
  command.args = program.args;
  command.args.insert(
      command.args.end(),
      {"--seconds", std::to_string(static_cast<double>(program.window.count()) / 1000.0),
       "--workers", std::to_string(program.workers), "--output", output.string()});
  auto process = spawn(command);
  if (!process) return std::unexpected(process.error());
  const auto exit = await_exit(*process, program.window + Millis(60'000));
  const auto& name = program.args.size() > 1 ? program.args[1] : program.program;
  if (!exit) return fail(Code::kTimeout, name, "it does not end");
  if (exit->signalled || exit->status != 0) {
    return fail(Code::kInternal, name, "it failed; its message is above");
  }
  const auto text = read_file(AT_FDCWD, output, 64U << 20);
  if (!text) return std::unexpected(text.error());
  return parse(name, *text);
}

}  // namespace sock::bench
