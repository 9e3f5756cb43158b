// Rule 17: followers read the leader's clock by round trips (Cristian 1989), so that cluster time goes on from the next
// leader's estimate of it, whatever its wall clock says.
#include "absl/strings/str_format.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {

void Replica::Impl::SyncTime() {
  if (phase_ != Phase::kFollower || !lead_ || !lead_->serving || lead_->epoch.node == options_.id) return;
  if (cristian_epoch_ != lead_->epoch) {
    cristian_epoch_ = lead_->epoch;
    cristian_.Restart();
    clock_.ChangeLeader();
  }
  const std::optional<uint64_t> sequence = cristian_.Poll(now_.monotonic);
  if (!sequence) return;
  peer::v1::Envelope envelope;
  ToWire(cristian_epoch_, envelope.mutable_time_request()->mutable_epoch());
  envelope.mutable_time_request()->set_sequence(*sequence);
  Send(cristian_epoch_.node, std::move(envelope));
}

void Replica::Impl::OnTimeRequest(NodeId from, const peer::v1::TimeRequest& request) {
  if (phase_ != Phase::kServing || FromWire(request.epoch()) != leadership_->epoch) return;
  peer::v1::Envelope envelope;
  peer::v1::TimeReply& reply = *envelope.mutable_time_reply();
  *reply.mutable_epoch() = request.epoch();
  reply.set_sequence(request.sequence());
  reply.set_cluster_time_us(clock_.At(now_.monotonic));
  Send(from, std::move(envelope));
}

void Replica::Impl::OnTimeReply(NodeId from, const peer::v1::TimeReply& reply) {
  const Epoch epoch = FromWire(reply.epoch());
  if (phase_ != Phase::kFollower || epoch != cristian_epoch_ || epoch.node != from) return;
  if (epoch < metadata_.promised) return;  // that leader's time has passed
  const std::optional<ClockReading> reading =
      cristian_.OnAnswer(reply.sequence(), reply.cluster_time_us(), now_.monotonic);
  if (!reading) return;
  clock_.Synchronise(*reading);
  const std::optional<ClockOffset> clock = WallClockOffset(now_);
  Trace(absl::StrFormat("time_sync offset_ms=%.3f error_ms=%.3f leader=%d samples=%d",
                        absl::ToDoubleMilliseconds(clock->offset), absl::ToDoubleMilliseconds(clock->error),
                        ToInt(from), reading->samples));
}

// For people only: no decision depends on the wall clock.
std::optional<Replica::Impl::ClockOffset> Replica::Impl::WallClockOffset(const Now& now) const {
  const absl::Duration error = Leading() ? absl::ZeroDuration() : clock_.ErrorAt(now.monotonic);
  if (error == absl::InfiniteDuration()) return std::nullopt;
  return ClockOffset{.offset = absl::FromUnixMicros(clock_.At(now.monotonic)) - now.wall, .error = error};
}

}  // namespace fila::replica
