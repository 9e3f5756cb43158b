// Coalesces acknowledgements: what is acked while a call is on its way goes together in the next one, per queue.
#ifndef FILA_CLIENT_ACK_PIPELINE_H_
#define FILA_CLIENT_ACK_PIPELINE_H_

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"

namespace fila::client {

// Thread-safe. What waits is bounded by the leases that the caller holds.
class AckPipeline {
 public:
  explicit AckPipeline(Core& core) : core_(core) {}

  void Ack(std::string_view queue, v1::LeaseRef lease, AckCallback done);

 private:
  struct Item {
    v1::LeaseRef lease;
    AckCallback done;
  };
  struct Lane {
    std::string queue;
    std::deque<Item> waiting;
    int calls = 0;
  };

  // Sends calls for what waits in `lane`, as far as the window allows.
  void Pump(Lane& lane, std::unique_lock<std::mutex>& lock);
  void OnAnswer(Lane& lane, std::vector<AckCallback> callbacks, absl::StatusOr<v1::AckResponse> response);

  Core& core_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Lane>, std::less<>> lanes_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_ACK_PIPELINE_H_
