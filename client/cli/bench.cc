// `fila bench`: runs a mode and reports its figures.
#include <atomic>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/bench_modes.h"
#include "client/cli/stop_signals.h"
#include "common/uuid.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

using Mode = BenchSettings::Mode;

const char* NameOf(Mode mode) {
  switch (mode) {
    case Mode::kLibrary:
      return "library";
    case Mode::kUnary:
      return "unary";
    case Mode::kStream:
      return "stream";
    case Mode::kBatch:
      return "batch";
    case Mode::kCycle:
      return "cycle";
  }
  return "";
}

void RunMode(BenchRun& run) {
  switch (run.settings.mode) {
    case Mode::kLibrary:
      return BenchLibrary(run);
    case Mode::kUnary:
      return BenchUnary(run);
    case Mode::kStream:
      return BenchStream(run);
    case Mode::kBatch:
      return BenchBatch(run);
    case Mode::kCycle:
      return BenchCycle(run);
  }
}

std::string QueueOf(const BenchSettings& settings) {
  if (!settings.queue.empty()) return settings.queue;
  // What others left behind would be measured too.
  if (settings.mode == Mode::kCycle) return absl::StrCat("bench-", MakeUuid().substr(24));
  return "bench";
}

std::string ForPeople(const BenchSettings& settings, const BenchFigures& figures) {
  return absl::StrFormat(
      "mode %s, %d messages of %d bytes, %d outstanding\n"
      "throughput   %.0f messages/s\n"
      "average      %.3f ms\n"
      "p50          %.3f ms\n"
      "p90          %.3f ms\n"
      "p95          %.3f ms\n"
      "p99          %.3f ms\n"
      "p99.9        %.3f ms\n"
      "max          %.3f ms\n"
      "longest gap  %.3f ms\n"
      "errors       %d\n",
      NameOf(settings.mode), figures.messages, settings.payload_bytes, settings.concurrency, figures.throughput_per_s,
      figures.avg_ms, figures.p50_ms, figures.p90_ms, figures.p95_ms, figures.p99_ms, figures.p999_ms, figures.max_ms,
      figures.longest_gap_ms, figures.errors);
}

std::string ForScripts(const BenchSettings& settings, const BenchFigures& figures) {
  const nlohmann::ordered_json json = {{"mode", NameOf(settings.mode)}, {"messages", figures.messages},
                                       {"errors", figures.errors},      {"throughput_per_s", figures.throughput_per_s},
                                       {"avg_ms", figures.avg_ms},      {"p50_ms", figures.p50_ms},
                                       {"p90_ms", figures.p90_ms},      {"p95_ms", figures.p95_ms},
                                       {"p99_ms", figures.p99_ms},      {"p999_ms", figures.p999_ms},
                                       {"max_ms", figures.max_ms},      {"longest_gap_ms", figures.longest_gap_ms}};
  return json.dump() + "\n";
}

}  // namespace

int RunBench(const Common& common, const BenchSettings& settings, Console& console) {
  BenchRecorder recorder(settings.messages);
  std::atomic<bool> stopped{false};
  StopSignals signals;
  signals.OnStop([&] {
    stopped = true;
    recorder.Stop();
  });
  {
    Progress progress(console, "bench", settings.messages);
    BenchRun run{
        .common = common, .settings = settings, .queue = QueueOf(settings), .recorder = recorder, .progress = progress};
    RunMode(run);
  }
  const BenchFigures figures = recorder.Figures();
  console.out << (common.format == Format::kJson ? ForScripts(settings, figures) : ForPeople(settings, figures))
              << std::flush;
  if (figures.errors > 0) {
    console.err << "fila: " << figures.errors << " of " << settings.messages
                << " messages failed; the first: " << figures.first_error << std::endl;
  }
  if (stopped) {
    console.err << "fila: bench: stopped by a signal: the figures are of " << figures.messages << " of "
                << settings.messages << " messages" << std::endl;
    return kExitStopped;
  }
  return figures.errors == 0 ? kExitDone : kExitFailed;
}

}  // namespace fila::cli
