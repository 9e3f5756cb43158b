#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fila/peer/v1/state.grpc.pb.h"
#include "server/transport/peer_channel.h"
#include "server/transport/state_copy.h"

namespace fila::transport {

using peer::v1::CopyStateRequest;
using peer::v1::CopyStateResponse;

namespace {

class GrpcStateClient final : public StateClient {
 public:
  explicit GrpcStateClient(MeshOptions options) : options_(std::move(options)) {}

  absl::Status Copy(NodeId source, const std::string& cluster_id,
                    const std::function<absl::Status(const CopyStateResponse&)>& take) override;

  void Stop() override {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (grpc::ClientContext* context : calls_) context->TryCancel();
  }

 private:
  const MeshOptions options_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::set<grpc::ClientContext*> calls_;
};

absl::Status GrpcStateClient::Copy(NodeId source, const std::string& cluster_id,
                                   const std::function<absl::Status(const CopyStateResponse&)>& take) {
  const auto peer = std::find_if(options_.peers.begin(), options_.peers.end(),
                                 [source](const PeerAddress& address) { return address.id == source; });
  if (peer == options_.peers.end()) return absl::NotFoundError(absl::StrCat("no peer ", ToInt(source)));
  CopyStateRequest request;
  request.set_cluster_id(cluster_id);
  request.set_node_id(ToInt(options_.self));
  request.set_target_id(ToInt(source));
  const auto stub = peer::v1::StateService::NewStub(MakePeerChannel(*peer, options_.security));
  grpc::ClientContext context;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return absl::CancelledError("stopping");
    calls_.insert(&context);
  }
  const std::unique_ptr<grpc::ClientReader<CopyStateResponse>> reader = stub->CopyState(&context, request);
  absl::Status taken;
  CopyStateResponse part;
  while (taken.ok() && reader->Read(&part)) taken = take(part);
  if (!taken.ok()) context.TryCancel();
  const grpc::Status ended = reader->Finish();
  {
    const std::lock_guard lock(mutex_);
    calls_.erase(&context);
  }
  if (!taken.ok()) return taken;
  return absl::Status(static_cast<absl::StatusCode>(ended.error_code()), ended.error_message());
}

}  // namespace

std::unique_ptr<StateClient> StateClient::Make(const MeshOptions& options) {
  return std::make_unique<GrpcStateClient>(options);
}

}  // namespace fila::transport
