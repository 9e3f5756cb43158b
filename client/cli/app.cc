// The command line of `fila`. The only file that includes CLI11, which is slow to compile.
#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <optional>
#include <ostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "client/cli/command.h"
#include "client/cli/output.h"

namespace fila::cli {
namespace {

constexpr char kVersion[] = "fila 0.1.0";
constexpr char kDefaultServer[] = "127.0.0.1:50051";
constexpr char kCommandFooter[] =
    "--server, --json, --timeout, --direct, --tls-ca, --tls-cert, --tls-key and --token-file, which every command has: "
    "fila --help";
constexpr uint64_t kAny = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kCountMax = 1'000'000'000;
constexpr uint32_t kNodeIdMax = 1'000'000;
constexpr uint64_t kConcurrencyMax = 100'000;
constexpr uint64_t kPayloadMax = 1 << 20;

using Trouble = std::string (*)(const std::string&);

CLI::Option* AddChecked(CLI::App* app, const std::string& name, std::string& to, const std::string& help,
                        Trouble trouble) {
  return app->add_option(name, to, help)->check(trouble);
}

// "5s", "1m30s", "100ms" into `to`.
CLI::Option* AddDuration(CLI::App* app, const std::string& name, absl::Duration& to, const std::string& help,
                         absl::Duration least, absl::Duration most) {
  return app
      ->add_option_function<std::string>(
          name,
          [&to](const std::string& text) {
            absl::ParseDuration(text, &to);  // checked below
          },
          absl::StrCat(help, " [", absl::FormatDuration(to), "]"))
      ->type_name("DURATION")
      ->check([least, most](const std::string& text) { return DurationTrouble(text, least, most); });
}

// A whole number into `to`, whose type holds `most`.
template <typename Number>
CLI::Option* AddNumber(CLI::App* app, const std::string& name, Number& to, const std::string& help, uint64_t least,
                       uint64_t most) {
  return app
      ->add_option_function<std::string>(
          name,
          [&to](const std::string& text) {
            uint64_t number = 0;
            if (absl::SimpleAtoi(text, &number)) to = static_cast<Number>(number);  // checked below
          },
          help)
      ->type_name(most == kAny ? std::string("NUMBER") : absl::StrCat(least, "-", most))
      ->check([least, most](const std::string& text) { return NumberTrouble(text, least, most); });
}

// Everything that the command line says.
class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_version_flag("--version", kVersion);
    app_.add_option("--server", common_.servers,
                    "host:port of any node, or several with commas; without it FILA_SERVERS")
        ->delimiter(',')
        ->allow_extra_args(false)  // what follows the value is the command
        ->default_str(kDefaultServer)
        ->check(ServerTrouble);
    app_.add_flag_callback(
        "--json", [this] { common_.format = Format::kJson; }, "one JSON object a line");
    app_.add_flag_callback(
        "--direct", [this] { common_.via = client::Via::kServers; },
        "through the nodes of --server alone, whoever leads; they pass on what only the leader can do");
    app_.add_option("--tls-ca", security_.tls_ca,
                    "speak TLS, and believe servers whose certificate this PEM file's authorities signed; without it "
                    "FILA_CLIENT_TLS_CA");
    app_.add_option("--tls-cert", security_.tls_cert,
                    "PEM certificate to show to servers that ask for one; without it FILA_CLIENT_TLS_CERT");
    app_.add_option("--tls-key", security_.tls_key, "its PEM key; without it FILA_CLIENT_TLS_KEY");
    app_.add_option("--token-file", security_.token_file,
                    "show the token that this file holds; without it FILA_CLIENT_TOKEN_FILE");
    AddDuration(&app_, "--timeout", common_.timeout, "for one request, retries included", absl::Milliseconds(1),
                absl::Hours(24));
    app_.footer(kCommandFooter);  // of the commands, which take it from here
    AddEnqueue();
    AddWork();
    AddStatus();
    AddHealth();
    AddQueue();
    AddTask();
    AddDlq();
    AddCluster();
    AddBench();
    AddInspect();
    app_.footer("");
  }

  // Throws CLI::ParseError.
  void Parse(int argc, const char* const* argv) {
    app_.parse(argc, const_cast<char**>(argv));  // CLI11 2.1 does not change them
    if (common_.servers.empty()) ReadEnvironment();
    if (command_ != &inspect_) OpenSecurity();
    if (command_ == &bench_) CheckBench();
    if (command_ == &enqueue_) CheckEnqueue();
  }

  int Execute(Console& console) { return execute_(console); }
  CLI::App& app() { return app_; }

  // After a Parse that threw: what is wrong, and where help is found.
  std::string Describe(const CLI::ParseError& error) const {
    std::string path = "fila";
    const CLI::App* command = &app_;
    while (!command->get_subcommands().empty()) {
      command = command->get_subcommands().front();
      absl::StrAppend(&path, " ", command->get_name());
    }
    std::string what = error.what();
    const std::vector<std::string> unknown = command->remaining(/*recurse=*/true);
    const std::vector<std::string> strays = unknown.empty() ? app_.remaining(/*recurse=*/true) : unknown;
    if (command->get_require_subcommand_min() > 0) {
      what = strays.empty()
                 ? "a command is needed"
                 : absl::StrCat("there is no ", strays[0][0] == '-' ? "option" : "command", " \"", strays[0], "\"");
    }
    return absl::StrCat(what, " (", path, " --help)");
  }

 private:
  using Execution = std::function<int(Console&)>;

  void ReadEnvironment() {
    common_.servers = ServersOfEnvironment();
    for (const std::string& server : common_.servers) {
      if (const std::string trouble = ServerTrouble(server); !trouble.empty()) {
        throw CLI::ValidationError("FILA_SERVERS", trouble);
      }
    }
    if (common_.servers.empty()) common_.servers = {kDefaultServer};
  }

  void OpenSecurity() {
    const std::pair<std::string*, const char*> files[] = {{&security_.tls_ca, "FILA_CLIENT_TLS_CA"},
                                                          {&security_.tls_cert, "FILA_CLIENT_TLS_CERT"},
                                                          {&security_.tls_key, "FILA_CLIENT_TLS_KEY"},
                                                          {&security_.token_file, "FILA_CLIENT_TOKEN_FILE"}};
    for (const auto& [file, variable] : files) {
      if (file->empty()) *file = OfEnvironment(variable);
    }
    if (security_.tls_cert.empty() != security_.tls_key.empty()) {
      throw CLI::ValidationError("--tls-cert", "and --tls-key are given together");
    }
    if (security_.tls_ca.empty() && !security_.tls_cert.empty()) {
      throw CLI::ValidationError("--tls-cert", "needs --tls-ca: it says which servers to believe");
    }
    if (security_.tls_ca.empty() && security_.token_file.empty()) return;
    auto security = client::Security::Open(security_);
    if (!security.ok()) throw CLI::ValidationError(std::string(security.status().message()));
    common_.security = *std::move(security);
  }

  CLI::App* Add(CLI::App* parent, const std::string& name, const std::string& help, const void* settings,
                Execution execution) {
    CLI::App* command = parent->add_subcommand(name, help);
    command->callback([this, settings, execution = std::move(execution)] {
      command_ = settings;
      execute_ = execution;
    });
    return command;
  }

  void AddEnqueue() {
    CLI::App* command = Add(&app_, "enqueue", "puts tasks in", &enqueue_,
                            [this](Console& console) { return RunEnqueue(common_, enqueue_, console); });
    AddChecked(command, "--queue", enqueue_.queue, "the queue [default]", QueueTrouble);
    AddNumber(command, "--id", enqueue_.source_id, "who puts it in, kept as the header \"source\"", 0, kAny);
    auto* payload = command->add_option("--payload", enqueue_.payload,
                                        "the payload; - for a task a line of stdin, which the first Ctrl-C ends: what "
                                        "was sent is waited for, and the exit code is 130");
    auto* file = command->add_option("--file", enqueue_.file, "one task: the whole file")->check(CLI::ExistingFile);
    payload->excludes(file);
    has_payload_ = payload;
    AddChecked(command, "--task-id", enqueue_.task_id, "the task's id: a repeat is the same task", TaskIdTrouble);
    AddDuration(command, "--delay", enqueue_.delay, "not handed out for so long", absl::ZeroDuration(),
                absl::Hours(24 * 7));
    AddNumber(command, "--count", enqueue_.count, "so many copies [1]", 1, kCountMax);
  }

  void CheckEnqueue() {
    using Source = EnqueueSettings::Source;
    if (!enqueue_.file.empty()) {
      enqueue_.source = Source::kFile;
    } else if (has_payload_->count() == 0) {
      throw CLI::ValidationError("enqueue", "--payload or --file is required");
    } else if (enqueue_.payload == "-") {
      enqueue_.source = Source::kLines;
    }
    if (!enqueue_.task_id.empty() && (enqueue_.source == Source::kLines || enqueue_.count != 1)) {
      throw CLI::ValidationError("--task-id", "names one task: it can't be used with --payload - or --count");
    }
    if (enqueue_.source == Source::kLines && enqueue_.count != 1) {
      throw CLI::ValidationError("--count", "can't be used with --payload -");
    }
  }

  void AddWork() {
    CLI::App* command = Add(&app_, "work", "takes tasks and acknowledges them", &work_,
                            [this](Console& console) { return RunWork(common_, work_, console); });
    AddChecked(command, "--queue", work_.queue, "the queue [default]", QueueTrouble);
    AddChecked(command, "--id", work_.worker_id, "the worker's id, for people", WorkerIdTrouble);
    AddNumber(command, "--count", work_.count,
              "handle tasks so many times, whatever becomes of them: one that was given back and comes again counts "
              "again; stopped before, the exit code is 130; 0: until stopped, whatever --wait says, and that is 0 [1]",
              0, kCountMax);
    AddDuration(command, "--wait", work_.wait, "for a task; exit 3 if not one was handled", absl::ZeroDuration(),
                absl::Hours(24));
    AddDuration(command, "--lease", work_.lease, "the lease, kept as long as the work takes", absl::Seconds(1),
                absl::Hours(12));
    AddNumber(command, "--parallel", work_.parallel, "so many tasks at a time; one at a time keeps their order [1]", 1,
              1000);
    auto* leave = command->add_flag_callback(
        "--no-ack", [this] { work_.after = WorkSettings::After::kLeave; }, "leave the tasks to the next worker");
    AddChecked(
        command, "--exec", work_.command,
        "a shell command that gets the payload on its stdin, and FILA_TASK_ID, FILA_QUEUE and FILA_ATTEMPT; exit 0 "
        "acknowledges, anything else gives the task back, to come again after 100ms (twice as long for each "
        "further attempt, 10s at most), and makes this exit with 1, unless --count is 0; its stdout is all that "
        "stands on this one, and goes to stderr with --json",
        CommandTrouble)
        ->excludes(leave);
  }

  void AddStatus() {
    CLI::App* command = Add(&app_, "status", "shows the nodes and the queues", &status_,
                            [this](Console& console) { return RunStatus(common_, status_, console); });
    command->add_flag_callback(
        "--watch", [this] { status_.repeat = StatusSettings::Repeat::kWatch; }, "again every second");
  }

  void AddHealth() {
    CLI::App* command = Add(&app_, "health", "exit 0 if a node is ready, else 1", &health_,
                            [this](Console& console) { return RunHealth(common_, health_, console); });
    auto* live = command->add_flag_callback(
        "--live", [this] { health_.ask = HealthSettings::Ask::kLive; }, "is it enough that it answers");
    command
        ->add_flag_callback(
            "--ready", [this] { health_.ask = HealthSettings::Ask::kReady; }, "can it serve (the default)")
        ->excludes(live);
  }

  void AddQueue() {
    CLI::App* queue = app_.add_subcommand("queue", "looks at queues");
    queue->require_subcommand(1);
    queue->fallthrough();
    Add(queue, "list", "all queues", &queue_, [this](Console& console) { return RunQueueList(common_, console); });
    CLI::App* stats = Add(queue, "stats", "one queue", &queue_,
                          [this](Console& console) { return RunQueueStats(common_, queue_, console); });
    AddChecked(stats, "--queue", queue_.queue, "the queue [default]", QueueTrouble);
  }

  void AddTask() {
    CLI::App* task = app_.add_subcommand("task", "looks at tasks");
    task->require_subcommand(1);
    task->fallthrough();
    CLI::App* get = Add(task, "get", "one task, with its attempts", &task_,
                        [this](Console& console) { return RunTaskGet(common_, task_, console); });
    AddChecked(get, "--queue", task_.queue, "the queue [default]", QueueTrouble);
    AddChecked(get, "--task-id", task_.task_id, "the task's id", TaskIdTrouble)->required();
  }

  void AddDlq() {
    CLI::App* dlq = app_.add_subcommand("dlq", "the dead letters: tasks that used up their attempts");
    dlq->require_subcommand(1);
    dlq->fallthrough();
    CLI::App* list = Add(dlq, "list", "a queue's dead tasks, those enqueued first first", &dlq_,
                         [this](Console& console) { return RunDlqList(common_, dlq_, console); });
    AddChecked(list, "--queue", dlq_.queue, "the queue [default]", QueueTrouble);
    CLI::App* redrive = Add(dlq, "redrive", "brings dead tasks back, all of the queue or those named", &dlq_,
                            [this](Console& console) { return RunDlqRedrive(common_, dlq_, console); });
    AddChecked(redrive, "--queue", dlq_.queue, "the queue [default]", QueueTrouble);
    redrive->add_option("--task-id", dlq_.task_ids, "a task's id; may be given again")
        ->allow_extra_args(false)
        ->check(TaskIdTrouble);
  }

  void AddCluster() {
    CLI::App* cluster = app_.add_subcommand("cluster", "shows what happens in the cluster, and changes it");
    cluster->require_subcommand(1);
    cluster->fallthrough();
    CLI::App* replace =
        Add(cluster, "replace-member", "admits the new disk of a node whose old one was lost", &replace_member_,
            [this](Console& console) { return RunReplaceMember(common_, replace_member_, console); });
    AddNumber(replace, "--node", replace_member_.node_id, "the node's id", 1, kNodeIdMax)->required();
    CLI::App* transfer = Add(cluster, "transfer", "hands the lead to another node; no call fails over it", &transfer_,
                             [this](Console& console) { return RunTransfer(common_, transfer_, console); });
    AddNumber(transfer, "--to", transfer_.to, "the node that is to lead [the highest that is ready]", 1, kNodeIdMax);
    AddEvents(cluster);
  }

  void AddEvents(CLI::App* cluster) {
    CLI::App* command =
        Add(cluster, "events", "what happened in the protocol, at all nodes, in the order of Lamport's time", &events_,
            [this](Console& console) { return RunEvents(common_, events_, console); });
    auto* follow = command->add_flag_callback(
        "--follow", [this] { events_.until = EventsSettings::Until::kStopped; }, "and what happens from now on");
    command
        ->add_flag_callback(
            "--all", [this] { events_.scope = EventsSettings::Scope::kAll; },
            "every message between nodes and every commit, too")
        ->needs(follow);
  }

  void AddBench() {
    CLI::App* command =
        Add(&app_, "bench", "measures throughput and latency; Ctrl-C ends it with what was measured, and 130", &bench_,
            [this](Console& console) { return RunBench(common_, bench_, console); });
    using Mode = BenchSettings::Mode;
    static const std::map<std::string, Mode> kModes = {{"library", Mode::kLibrary},
                                                       {"unary", Mode::kUnary},
                                                       {"stream", Mode::kStream},
                                                       {"batch", Mode::kBatch},
                                                       {"cycle", Mode::kCycle}};
    command
        ->add_option_function<std::string>(
            "--mode", [this](const std::string& text) { bench_.mode = kModes.at(text); },
            "library, unary, stream, batch or cycle [library]")
        ->check([](const std::string& text) -> std::string {
          return kModes.count(text) > 0 ? "" : "must be library, unary, stream, batch or cycle";
        });
    AddChecked(command, "--queue", bench_.queue,
               "the queue, in which the tasks stay [bench]; of cycle, which empties it: one of its own", QueueTrouble);
    AddNumber(command, "--messages", bench_.messages, "tasks [60]", 1, kCountMax);
    AddNumber(command, "--concurrency", bench_.concurrency, "calls outstanding [15]", 1, kConcurrencyMax);
    AddNumber(command, "--payload-bytes", bench_.payload_bytes, "of each task [256]", 0, kPayloadMax);
    batch_ = AddNumber(command, "--batch", bench_.batch, "tasks of a call, in mode batch [100]", 1, 1000);
  }

  void CheckBench() {
    if (batch_->count() > 0 && bench_.mode != BenchSettings::Mode::kBatch) {
      throw CLI::ValidationError("--batch", "has an effect with --mode batch only");
    }
  }

  void AddInspect() {
    CLI::App* command = Add(&app_, "inspect", "shows what a stopped node's disk holds, as JSON", &inspect_,
                            [this](Console& console) { return RunInspect(inspect_, console); });
    command->add_option("--data-dir", inspect_.data_dir, "the node's data directory")->required();
  }

  CLI::App app_{"Puts tasks into Fila's queues, takes them out, and looks at the cluster.", "fila"};
  Common common_;
  client::SecurityFiles security_;
  EnqueueSettings enqueue_;
  WorkSettings work_;
  StatusSettings status_;
  HealthSettings health_;
  QueueSettings queue_;
  TaskSettings task_;
  DlqSettings dlq_;
  ReplaceMemberSettings replace_member_;
  TransferSettings transfer_;
  EventsSettings events_;
  BenchSettings bench_;
  InspectSettings inspect_;
  CLI::Option* has_payload_ = nullptr;
  CLI::Option* batch_ = nullptr;
  const void* command_ = nullptr;
  Execution execute_;
};

}  // namespace

int Run(int argc, const char* const* argv, Console& console) {
  CommandLine line;
  try {
    line.Parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return line.app().exit(asked, console.out, console.err);
  } catch (const CLI::ParseError& error) {
    console.err << "fila: " << line.Describe(error) << std::endl;
    return kExitWrongUse;
  }
  const int code = line.Execute(console);
  if (code != kExitDone) return code;
  const absl::Status written = Write(console.out, "");
  if (written.ok()) return code;
  console.err << "fila: " << written.message() << std::endl;
  return kExitFailed;
}

}  // namespace fila::cli
