#include "client/ack_pipeline.h"

#include <algorithm>
#include <utility>

#include "client/calls.h"
#include "client/core.h"
#include "client/unary_call.h"

namespace fila::client {
namespace {

constexpr int kCallsMax = 2;          // per queue; more would only make them smaller
constexpr size_t kLeasesMax = 1000;   // of one call (queue.proto)
constexpr size_t kIdleLanesMax = 64;  // kept for reuse

}  // namespace

void AckPipeline::Ack(std::string_view queue, v1::LeaseRef lease, AckCallback done) {
  std::unique_lock lock(mutex_);
  auto lane = lanes_.find(queue);
  if (lane == lanes_.end()) {
    lane = lanes_.emplace(std::string(queue), std::make_unique<Lane>()).first;
    lane->second->queue = queue;
  }
  lane->second->waiting.push_back({std::move(lease), std::move(done)});
  Pump(*lane->second, lock);
}

void AckPipeline::Pump(Lane& lane, std::unique_lock<std::mutex>& lock) {
  while (!lane.waiting.empty() && lane.calls < kCallsMax) {
    ++lane.calls;
    const size_t count = std::min(lane.waiting.size(), kLeasesMax);
    v1::AckRequest request;
    request.set_queue(lane.queue);
    request.mutable_leases()->Reserve(static_cast<int>(count));
    std::vector<AckCallback> callbacks;
    callbacks.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      *request.add_leases() = std::move(lane.waiting.front().lease);
      callbacks.push_back(std::move(lane.waiting.front().done));
      lane.waiting.pop_front();
    }
    lock.unlock();
    UnaryCall<v1::AckRequest, v1::AckResponse>::Run(
        core_, {.timeout = core_.options.timeout}, StartAck, std::move(request),
        [this, &lane, callbacks = std::move(callbacks)](absl::StatusOr<v1::AckResponse> response, CallNotes) mutable {
          OnAnswer(lane, std::move(callbacks), std::move(response));
        });
    lock.lock();
  }
}

void AckPipeline::OnAnswer(Lane& lane, std::vector<AckCallback> callbacks, absl::StatusOr<v1::AckResponse> response) {
  for (size_t i = 0; i < callbacks.size(); ++i) {
    if (!response.ok()) {
      std::move(callbacks[i])(response.status());
    } else if (i < static_cast<size_t>(response->results_size())) {
      std::move(callbacks[i])(response->results(static_cast<int>(i)).status());
    } else {
      std::move(callbacks[i])(
          WithOutcome(absl::InternalError("the node answered fewer items than it was asked for"), /*maybe_done=*/true));
    }
  }
  std::unique_lock lock(mutex_);
  --lane.calls;
  Pump(lane, lock);
  if (lane.calls == 0 && lane.waiting.empty() && lanes_.size() > kIdleLanesMax) lanes_.erase(lanes_.find(lane.queue));
}

}  // namespace fila::client
