// Reads the protocol events of one node (ClusterService/WatchEvents).
#ifndef FILA_CLIENT_EVENT_READER_H_
#define FILA_CLIENT_EVENT_READER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/security.h"
#include "fila/v1/cluster.pb.h"

namespace fila::client {

// One call. For one thread, but for Cancel.
class EventReader {
 public:
  // Calls the node at `server` (host:port), and no other. `security` null: plain text. The call ends at `limit`.
  EventReader(const std::string& server, const std::shared_ptr<const Security>& security,
              const v1::WatchEventsRequest& request, absl::Duration limit = absl::InfiniteDuration());
  ~EventReader();
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;

  // Waits for the next response; false: there is none, and Finish says why.
  bool Read(v1::WatchEventsResponse* response);
  // After Read returned false. RESOURCE_EXHAUSTED: this reader was too slow, or too many watch.
  absl::Status Finish();
  // Ends the call; a Read that waits returns. Any thread.
  void Cancel();

 private:
  struct Call;
  std::unique_ptr<Call> call_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_EVENT_READER_H_
