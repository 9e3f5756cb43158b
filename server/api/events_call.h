// ClusterService/WatchEvents: one stream of the node's events.
#ifndef FILA_SERVER_API_EVENTS_CALL_H_
#define FILA_SERVER_API_EVENTS_CALL_H_

#include <memory>
#include <mutex>
#include <optional>

#include "fila/v1/cluster.grpc.pb.h"
#include "server/api/call.h"

namespace fila::api {

// Writes what the watch has, a response at a time: while one is on its way, events wait in the watch, which is bounded
// and gives up on a caller that reads too slowly.
//
// Threads: the node's post a wake-up to the replier; gRPC's go on after a write. Keeps itself until gRPC is done with
// it.
class EventsCall final : public grpc::ServerWriteReactor<v1::WatchEventsResponse>,
                         public Drainable,
                         public std::enable_shared_from_this<EventsCall> {
 public:
  static EventsCall* Start(ApiEnv* env, grpc::CallbackServerContext* context, const v1::WatchEventsRequest& request);

  EventsCall(ApiEnv* env, grpc::CallbackServerContext* context) : env_(env), context_(context) {}

 private:
  void Begin(const v1::WatchEventsRequest& request);
  // These three with the lock.
  void Look(const v1::WatchEventsRequest& request);
  void Advance();
  void WriteNext();

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Drain() override;
  void Recheck() override;

  ApiEnv* const env_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<EventsCall> self_;

  std::mutex mutex_;
  security::Caller caller_;
  std::unique_ptr<EventWatch> watch_;
  v1::WatchEventsResponse response_;
  std::optional<grpc::Status> end_;
  bool first_ready_ = false;  // `response_` has the recent events, and was not written
  bool writing_ = false;
  bool finished_ = false;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_EVENTS_CALL_H_
