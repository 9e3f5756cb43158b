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

void EnqueueStreamCall::OnReadInitialMetadataDone(bool ok) {
  if (ok) core_.ReadMetadata(node_, context_);
}

void EnqueueStreamCall::OnWriteDone(bool ok) {
  if (ok) pipeline_.OnWritten(this);
}

void EnqueueStreamCall::OnReadDone(bool ok) {
  if (!ok) return ReleaseHold();
  node_->NoteAnswer();
  pipeline_.OnResponse(this, response_);
  StartRead(&response_);
}

void EnqueueStreamCall::OnDone(const grpc::Status& status) {
  const std::shared_ptr<EnqueueStreamCall> self = std::move(self_);
  node_->Remove(&context_);
  pipeline_.OnClosed(this, status);
  core_.gate.Leave();
}

}  // namespace fila::client
