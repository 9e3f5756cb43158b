// The five ways in which `fila bench` puts load on a cluster. Each returns when every task of `recorder` has a result.
#ifndef FILA_CLIENT_CLI_BENCH_MODES_H_
#define FILA_CLIENT_CLI_BENCH_MODES_H_

#include <string>

#include "client/cli/bench_recorder.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"

namespace fila::cli {

struct BenchRun {
  const Common& common;
  const BenchSettings& settings;
  const std::string queue;
  BenchRecorder& recorder;
  Progress& progress;
};

// Calls of the library, which coalesces them.
void BenchLibrary(BenchRun& run);
// EnqueueBatch calls of the library.
void BenchBatch(BenchRun& run);
// Enqueue, lease and ack of each task, through the library; its latency is that of all three.
void BenchCycle(BenchRun& run);
// Generated stubs without the library: one Enqueue a task. What breaks counts as an error and is not repeated.
void BenchUnary(BenchRun& run);
// Generated stubs without the library: one task a message of one EnqueueStream. Likewise.
void BenchStream(BenchRun& run);

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_BENCH_MODES_H_
