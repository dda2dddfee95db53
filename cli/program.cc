#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <ostream>

#include "cli/daemon_views.h"
#include "cli/deploy.h"
#include "cli/doctor.h"
#include "cli/functions.h"
#include "cli/invoke.h"
#include "cli/logs.h"
#include "cli/packages.h"
#include "cli/packages_plan.h"
#include "cli/terminal.h"

namespace sock::cli {
namespace {

constexpr const char* kDefaultSocket = "/run/sock/sockd.sock";

using Command = std::function<Outcome<int>(Context&)>;

/// The command line, and what parsing it leaves behind. Not movable: CLI11 holds pointers into it.
class CommandLine {
 public:
  CommandLine() : app_("Runs Python functions, each call in a fresh sandbox.", "sockctl") {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_version_flag("--version", "sockctl " SOCK_VERSION);
    app_.add_option("--socket", socket_, "sockd's socket")
        ->envname("SOCK_SOCKET")
        ->capture_default_str();
    app_.add_option("-o,--output", format_, "How to print the result: table or json")
        ->check(CLI::IsMember({"table", "json"}))
        ->capture_default_str();
    app_.footer(
        "Example:\n"
        "  sockctl deploy hello ./hello.py\n"
        "  sockctl invoke hello -d '{\"name\": \"you\"}'\n"
        "\n"
        "The result goes to stdout, everything else to stderr.\n"
        "Exit status: 0 ok, 1 the handler raised, 2 usage, 3 sockd unreachable, 4 not found,\n"
        "  5 conflict, 6 rejected (busy), 7 invalid function or dependency, 124 timeout,\n"
        "  125 sockd's own error, 130 interrupted, 137 out of memory or killed, 128+N signal N.");
    add_deploy();
    add_invoke();
    add_functions();
    add_views();
    add_packages();
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App& app() { return app_; }
  [[nodiscard]] const Command& command() const { return command_; }
  [[nodiscard]] std::string socket() const { return socket_.empty() ? kDefaultSocket : socket_; }
  [[nodiscard]] Format format() const { return format_ == "json" ? Format::kJson : Format::kTable; }

 private:
  CLI::App* add(const char* name, const char* description, const char* example, Command command) {
    CLI::App* const sub = app_.add_subcommand(name, description);
    sub->footer(std::string("Example:\n  ") + example);
    sub->callback([this, chosen = std::move(command)] { command_ = chosen; });
    return sub;
  }

  void add_deploy() {
    CLI::App* const sub = add(
        "deploy", "Deploy a function: a .py file, a folder, a .zip or a .tar[.gz]",
        "sockctl deploy thumb ./thumb --memory 512M --timeout 10s --env MODE=fast\n"
        "  sockctl deploy fetch ./fetch.py --network nat\n"
        "  sockctl deploy report ./report --network nat --allow 10.1.2.3:5432\n"
        "  sockctl deploy sync ./sync --network nat --allow internet --allow 10.1.0.0/16:443\n\n"
        "A folder may hold requirements.txt (its packages) and sock.toml (the options below);\n"
        "an option given here wins over sock.toml. Deploying a name again replaces it at once.\n\n"
        "DESTINATION is internet (every public address), or an address or network, with a port or\n"
        "range of ports (tcp unless /udp is added): 10.1.2.0/24, 10.1.2.3:5432,\n"
        "10.0.0.0/8:8000-8080, 203.0.113.9/udp, [fd00::/64]:53/udp. Names are not taken. Without\n"
        "--allow it is internet; with it, nothing that is not named. The host, other sandboxes "
        "and\n"
        "metadata services are out of reach whatever is allowed.",
        [this](Context& context) { return cli::deploy(context, deploy_); });
    sub->add_option("NAME", deploy_.name, "The function's name")->required();
    sub->add_option("PATH", deploy_.path, "Its code")->required();
    sub->add_option("--handler", deploy_.handler, "module.function to call [handler.handler]");
    sub->add_option("--requirements", deploy_.requirements_file, "File that lists its packages");
    sub->add_option("--memory", deploy_.memory, "Memory of one call, as 256M");
    sub->add_option("--timeout", deploy_.timeout, "Longest time of one call, as 30s");
    sub->add_option("--cpu", deploy_.cpu, "CPU cores of one call, as 0.5")
        ->check(CLI::PositiveNumber);
    sub->add_option("--pids", deploy_.pids, "Most processes and threads of one call");
    sub->add_option("--tmp", deploy_.tmp, "Size of its /tmp, as 64M");
    sub->add_option("--network", deploy_.network, "Network of its sandboxes: none or nat [none]");
    sub->add_option("--allow", deploy_.allow,
                    "With nat, what it may reach; may be repeated [internet]")
        ->type_name("DESTINATION")
        ->allow_extra_args(false)
        ->take_all();
    // One value each time, or it would swallow what follows.
    sub->add_option("--env", deploy_.environment,
                    "Environment variable NAME=VALUE; may be repeated")
        ->allow_extra_args(false)
        ->take_all();
    sub->add_option("--keep-ready", deploy_.keep_ready, "Sandboxes kept waiting for its calls");
  }

  void add_invoke() {
    CLI::App* const sub =
        add("invoke", "Call a function and print its result",
            "sockctl invoke hello -d '{\"name\": \"you\"}' -l\n"
            "  sockctl invoke hello -f event.json\n"
            "  echo '{}' | sockctl invoke hello -o json\n\n"
            "Without -d and -f the event is read from stdin unless that is a terminal; no event is "
            "{}.\n"
            "With -o json the whole record of the call is printed, whether it went well or not.",
            [this](Context& context) { return cli::invoke(context, invoke_); });
    sub->add_option("NAME", invoke_.name, "The function's name")->required();
    CLI::Option* const data = sub->add_option("-d,--data", invoke_.data, "The event, JSON");
    sub->add_option("-f,--file", invoke_.file, "File with the event; - is stdin")->excludes(data);
    sub->add_flag("-l,--log", invoke_.log, "Print the call's output and a REPORT line on stderr");
  }

  void add_functions() {
    add("ls", "List the functions", "sockctl ls", list_functions);
    CLI::App* const describe =
        add("describe", "Show everything about a function", "sockctl describe hello -o json",
            [this](Context& context) { return describe_function(context, name_); });
    describe->add_option("NAME", name_, "The function's name")->required();
    CLI::App* const rm = add("rm", "Remove a function; calls under way finish", "sockctl rm hello",
                             [this](Context& context) { return remove_function(context, name_); });
    rm->add_option("NAME", name_, "The function's name")->required();
    CLI::App* const logs =
        add("logs", "Print what a call wrote to stdout and stderr",
            "sockctl logs hello\n"
            "  sockctl logs 0b5f8c1e-3c55-4f0c-9a52-0e6f0d7b1c11\n\n"
            "For a function's name, its newest call. With -o json the call's whole record.",
            [this](Context& context) { return show_logs(context, name_); });
    logs->add_option("NAME|CALL-ID", name_, "A function's name or a call's request id")->required();
  }

  void add_views() {
    add("zygotes", "Draw the tree of zygotes: interpreters with packages imported",
        "sockctl zygotes", show_zygotes);
    add("netns", "Show the network namespaces: the stock of each class, and each one",
        "sockctl netns\n"
        "  sockctl netns -o json\n\n"
        "A namespace is ready, leased to a sandbox, or kept for its function's next one. BURNED "
        "are\n"
        "those destroyed after a call because they could not be proven clean, with what was found.",
        show_netns);
    add("stats", "Show what sockd is doing", "sockctl stats -o json", show_stats);
    add("doctor", "Check what this machine offers and what is missing",
        "sockctl doctor\n\n"
        "Works without a running sockd too. Exit status 0 when healthy, 1 otherwise.",
        cli::doctor);
    add("version", "Print the versions of sockctl and sockd", "sockctl version", show_version);
  }

  void add_packages() {
    CLI::App* const packages =
        add("packages", "List the packages that functions may require, or plan zygotes for them",
            "sockctl packages\n"
            "  sockctl packages warm numpy pandas\n"
            "  sockctl packages plan --functions functions.csv --costs costs.json --budget 200M\n\n"
            "IMPORT and MEMORY are measured in a sandbox, with what the package requires loaded.\n"
            "Zygotes hold vetted packages only; functions that need others import them themselves.",
            nullptr);
    CLI::App* const warm =
        packages->add_subcommand("warm", "Keep a zygote with these packages, whoever calls");
    CLI::App* const cool = packages->add_subcommand("cool", "Let go of a set that was kept warm");
    for (CLI::App* const each : {warm, cool}) {
      each->add_option("packages", set_, "NAME or NAME==VERSION; with all they require")
          ->required()
          ->type_name("NAME…");
      each->footer("Example:\n  sockctl packages " + each->get_name() + " numpy pandas");
    }
    CLI::App* const plan = packages->add_subcommand(
        "plan", "Plan a tree of zygotes from files and judge it; needs no sockd");
    // The command above is called after the one below it.
    packages->callback([this, plan, warm, cool] {
      if (plan->parsed()) {
        command_ = [this](Context& context) { return plan_packages(context, plan_); };
      } else if (warm->parsed()) {
        command_ = [this](Context& context) { return warm_packages(context, set_); };
      } else if (cool->parsed()) {
        command_ = [this](Context& context) { return cool_packages(context, set_); };
      } else {
        command_ = show_packages;
      }
    });
    plan->footer(
        "Example:\n"
        "  sockctl packages plan --functions functions.csv --costs costs.json --budget 200M\n"
        "  sockctl packages plan --functions seen.csv --evaluate unseen.csv --costs costs.json \\\n"
        "      --zipf 1.1 --algorithm sock -o json\n\n"
        "Functions are lines of CSV, with a column rate if they are not called equally often:\n"
        "  fn,direct,closure\n"
        "  1,requests==2.31.0,certifi==2023.7.22 idna==3.4 requests==2.31.0 urllib3==2.0.4\n"
        "Costs are JSON, each version's import with its dependencies loaded already:\n"
        "  {\"idna\": {\"versions\": {\"3.4\": {\"cost\": {\"ms\": 1.9, \"mb\": 0.4}}}}}\n\n"
        "Each line of the tree shows the packages that a zygote has on top of its parent's, the\n"
        "dearest first; its memory; the calls it serves; and what such a call saves. The "
        "judgement\n"
        "is of the functions planned for, or of those given with --evaluate.");
    plan->add_option("--functions", plan_.functions, "The functions to plan for, CSV")->required();
    plan->add_option("--costs", plan_.costs, "What packages cost, JSON")->required();
    plan->add_option("--budget", plan_.budget, "Memory of all zygotes beside the root, as 200M")
        ->capture_default_str();
    plan->add_option("--algorithm", plan_.algorithm,
                     "ours; or to compare: sock (SOCK's online cache), forklift, none")
        ->check(CLI::IsMember({"ours", "sock", "forklift", "none"}))
        ->capture_default_str();
    plan->add_option("--evaluate", plan_.evaluate, "Functions to judge by, CSV");
    plan->add_option("--zipf", plan_.zipf,
                     "Give the functions rates 1/rank^EXPONENT in a shuffled order")
        ->check(CLI::Range(0.0, 10.0))
        ->type_name("EXPONENT");
  }

  CLI::App app_;
  std::string socket_ = kDefaultSocket;
  std::string format_ = "table";
  DeployOptions deploy_;
  InvokeOptions invoke_;
  PlanOptions plan_;
  std::vector<std::string> set_;
  std::string name_;
  Command command_;
};

}  // namespace

int run(std::vector<std::string> args, Console& console, const std::string& program_folder) {
  CommandLine line;
  try {
    // CLI11 takes them last first.
    std::reverse(args.begin(), args.end());
    line.app().parse(std::move(args));
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> unknown = line.app().remaining();
    if (line.app().get_subcommands().empty() && !unknown.empty() && error.get_exit_code() != 0) {
      console.err << "sockctl: no such command or option: '"
                  << printable(unknown.front(), Lines::kOne) << "'; see: sockctl --help\n";
      return static_cast<int>(ExitCode::kUsage);
    }
    // Help and version are "errors" with status 0, and are the result asked for.
    const int status = line.app().exit(error, console.out, console.err);
    console.out.flush();
    return status == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  Client client(line.socket());
  Context context{console, client, line.format(), program_folder};
  const Outcome<int> outcome = line.command()(context);
  int status = 0;
  if (outcome) {
    status = *outcome;
  } else {
    status = outcome.error().exit;
    print_failure(console, outcome.error());
    if (context.format == Format::kJson) print_failure_document(context, outcome.error());
  }
  console.out.flush();
  if (!console.out) {
    console.err << "sockctl: the result could not be written to stdout\n";
    return static_cast<int>(ExitCode::kInternal);
  }
  return status;
}

}  // namespace sock::cli
