#include "client/enqueue_stream_call.h"

#include <utility>

#include "client/core.h"

namespace fila::client {

EnqueueStreamCall::EnqueueStreamCall(Core& core, EnqueuePipeline& pipeline, Node::Ptr node)
    : core_(core), pipeline_(pipeline), node_(std::move(node)) {}

void EnqueueStreamCall::Start(std::shared_ptr<EnqueueStreamCall> self) {
  self_ = std::move(self);
  core_.gate.Enter();
  core_.Stamp(&context_);
  node_->Add(&context_);
  node_->queue().async()->EnqueueStream(&context_, this);
  AddHold();
  StartRead(&response_);
  StartCall();
}

void EnqueueStreamCall::Write(const v1::EnqueueStreamRequest* request) {
  StartWrite(request);
  RemoveHold();
}

void EnqueueStreamCall::Close() {
  context_.TryCancel();
  ReleaseHold();
}

void EnqueueStreamCall::ReleaseHold() {
  if (held_.exchange(false)) RemoveHold();
}

void EnqueueStreamCall::OnWriteDone(bool ok) {
  if (ok) pipeline_.OnWritten(this);
}

void EnqueueStreamCall::OnReadDone(bool ok) {
  if (!ok) {
    pipeline_.OnEnded(this);  // first, so that nobody takes a hold on what may be gone the next moment
    return ReleaseHold();
  }
  if (!std::exchange(metadata_read_, true)) core_.ReadMetadata(node_, context_);
  node_->NoteAnswer();
  pipeline_.OnResponse(this, response_);
  StartRead(&response_);
}

void EnqueueStreamCall::OnDone(const grpc::Status& status) {
  node_->Remove(&context_);
  pipeline_.OnClosed(this, status);
  // Ends on the loop: the connection that it holds must not end on a thread of gRPC's.
  core_.loop.Post([&core = core_, self = std::move(self_)] { core.gate.Leave(); });
}

}  // namespace fila::client
