// Prepares the next segment ahead, on a thread of its own: writing its zeros takes long enough to be felt, and a full
// disk is found out before the space is needed. Thread-safe.
#ifndef FILA_SERVER_JOURNAL_SEGMENT_SUPPLY_H_
#define FILA_SERVER_JOURNAL_SEGMENT_SUPPLY_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/journal/disk.h"
#include "server/journal/format.h"

namespace fila::journal {

// A segment to write frames into.
struct OpenSegment {
  SegmentKey key;
  File file;
  uint64_t bytes = 0;
};

// Makes a segment of `bytes`: header and zeros, synced under a provisional name, then renamed. CANCELLED: `abandoned`
// became true on the way.
absl::StatusOr<OpenSegment> MakeSegment(Disk& disk, const std::string& directory, SegmentKey key, uint64_t bytes,
                                        const std::atomic<bool>* abandoned = nullptr);

class SegmentSupply {
 public:
  SegmentSupply(Disk& disk, std::string directory, Incarnation incarnation, uint64_t segment_bytes);
  ~SegmentSupply();

  // A segment without frames that was found at start. Before Start.
  void Offer(OpenSegment spare);

  void Start();

  // Has segment `id` prepared, unless it is there already or on its way. A failure is forgotten: the next call, or
  // Take, tries again with a new file.
  void Prepare(uint32_t id);

  // Segment `id` with room for a frame of `frame_bytes`; waits for it if it is on its way, makes it if it is not.
  absl::StatusOr<OpenSegment> Take(uint32_t id, uint64_t frame_bytes);

  void Stop();

 private:
  enum class State : uint8_t { kIdle, kWanted, kMaking, kReady };

  void Run();

  Disk& disk_;
  const std::string directory_;
  const Incarnation incarnation_;
  const uint64_t segment_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kIdle;
  uint32_t wanted_ = 0;
  std::optional<OpenSegment> ready_;
  std::atomic<bool> stopping_ = false;  // changed under the mutex
  std::thread thread_;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_SEGMENT_SUPPLY_H_
