#include "server/api/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/support/time.h"

namespace fila::api {

absl::Duration UntilDeadline(const grpc::CallbackServerContext& context) {
  const gpr_timespec deadline = context.raw_deadline();
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return absl::InfiniteDuration();
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  const absl::Duration told = absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
  return told < absl::Seconds(1) ? told : told - told / 100;
}

Refusal ReadLamport(const grpc::CallbackServerContext& context, Backend* backend, uint64_t* lamport) {
  *lamport = 0;
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("fila-lamport");
  if (found == metadata.end()) return std::nullopt;
  const std::string_view text(found->second.data(), found->second.size());
  uint64_t told = 0;
  if (Refusal refusal = ParseLamport(text, backend->Lamport(0), &told)) return refusal;
  *lamport = told;
  return std::nullopt;
}

Refusal ReadArrival(const grpc::CallbackServerContext& context, const ApiEnv& env, Arrival* arrival) {
  if (Refusal refusal = ReadLamport(context, env.backend, &arrival->lamport)) return refusal;
  if (Refusal refusal = FindCaller(context, env.access, &arrival->caller)) return refusal;
  arrival->until_deadline = UntilDeadline(context);
  if (arrival->until_deadline == absl::InfiniteDuration()) arrival->until_deadline = env.limits.request_timeout;
  arrival->remaining = arrival->until_deadline - kReplyMargin;
  if (arrival->remaining <= absl::ZeroDuration()) return DeadlineTooShort();
  return std::nullopt;
}

void StampMetadata(grpc::CallbackServerContext* context, Backend* backend, uint64_t observed, uint64_t lamport) {
  if (lamport <= observed) lamport = backend->Lamport(observed);
  LeaderHint leader = backend->leader();
  context->AddInitialMetadata("fila-lamport", absl::StrCat(lamport));
  context->AddInitialMetadata("fila-epoch", ToString(leader.epoch));
  context->AddInitialMetadata("fila-leader", std::move(leader.address));
}

grpc::ServerUnaryReactor* FinishAtOnce(grpc::CallbackServerContext* context, Backend* backend, uint64_t observed,
                                       const grpc::Status& status) {
  StampMetadata(context, backend, observed, 0);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

void CommandCall::Submit(CommandClass command_class, std::string command, const Arrival& arrival) {
  observed_ = arrival.lamport;
  env_->backend->SubmitCommand(command_class, std::move(command), arrival.remaining, arrival.lamport,
                               [this](CallOutcome&& outcome) { env_->replier.Push(this, 0, std::move(outcome)); });
}

OutcomeSink::After CommandCall::OnOutcome(uint64_t /*slot*/, CallOutcome&& outcome) {
  StampMetadata(context_, env_->backend, observed_, outcome.lamport);
  if (outcome.end != CallEnd::kDone) {
    Finish(ToGrpcStatus(FromCallEnd(outcome.end)));
  } else {
    Finish(Reply(std::move(outcome.result)));
  }
  return After::kNothing;
}

}  // namespace fila::api
