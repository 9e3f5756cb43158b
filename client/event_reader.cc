#include "client/event_reader.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include "client/failure.h"
#include "client/node.h"
#include "fila/v1/cluster.grpc.pb.h"

namespace fila::client {

struct EventReader::Call {
  std::string server;
  std::unique_ptr<v1::ClusterService::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>> reader;
  bool finished = false;
};

EventReader::EventReader(const std::string& server, const std::shared_ptr<const Security>& security,
                         const v1::WatchEventsRequest& request, absl::Duration limit)
    : call_(std::make_unique<Call>()) {
  call_->server = server;
  call_->stub = v1::ClusterService::NewStub(Connect(server, security));
  if (limit != absl::InfiniteDuration()) {
    call_->context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(limit));
  }
  if (security != nullptr) security->ShowToken(&call_->context);
  call_->reader = call_->stub->WatchEvents(&call_->context, request);
}

EventReader::~EventReader() {
  if (call_->finished) return;
  Cancel();
  v1::WatchEventsResponse unread;
  while (Read(&unread)) {
  }
  Finish().IgnoreError();
}

bool EventReader::Read(v1::WatchEventsResponse* response) { return call_->reader->Read(response); }

absl::Status EventReader::Finish() {
  call_->finished = true;
  const grpc::Status status = call_->reader->Finish();
  Failure failure = Classify(status);
  if (!failure.connection) return std::move(failure.status);
  return absl::UnavailableError(WhyUnreached(call_->server, status.error_message()));
}

void EventReader::Cancel() { call_->context.TryCancel(); }

}  // namespace fila::client
