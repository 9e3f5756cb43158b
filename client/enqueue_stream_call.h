// One EnqueueStream of the enqueue pipeline, as gRPC's reactor: it translates and hands on.
#ifndef FILA_CLIENT_ENQUEUE_STREAM_CALL_H_
#define FILA_CLIENT_ENQUEUE_STREAM_CALL_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <memory>

#include "client/node.h"

namespace fila::client {

class Core;
class EnqueuePipeline;

// Owns itself from Start until gRPC is done with it.
class EnqueueStreamCall final : public grpc::ClientBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse> {
 public:
  EnqueueStreamCall(Core& core, EnqueuePipeline& pipeline, Node::Ptr node);

  void Start(std::shared_ptr<EnqueueStreamCall> self);
  // One at a time: the next only after OnWriteDone. `request` stays as it is until then. The caller took a hold (Hold)
  // under the pipeline's lock, while the stream was its current one; Write gives it back.
  void Hold() { AddHold(); }
  void Write(const v1::EnqueueStreamRequest* request);
  // Cancels; once or more.
  void Close();

  const Node::Ptr& node() const { return node_; }

  // Guarded by the pipeline's mutex.
  bool writing = false;
  bool closed = false;  // by this client
  bool ended = false;   // by the node: nothing more may be written, and the hold is gone

  void OnWriteDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  // The hold that keeps writes from other threads legal; given back once, when nothing will be written any more.
  void ReleaseHold();

  Core& core_;
  EnqueuePipeline& pipeline_;
  const Node::Ptr node_;
  grpc::ClientContext context_;
  v1::EnqueueStreamResponse response_;
  bool metadata_read_ = false;
  std::atomic<bool> held_{true};
  std::shared_ptr<EnqueueStreamCall> self_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_ENQUEUE_STREAM_CALL_H_
