#include "server/node/event_recorder.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace fila::node {
namespace {

using peer::v1::Envelope;

// Its name in the proto; of a message that others carry, also what it is and whose.
std::string KindOf(const Envelope& envelope) {
  const auto name = [](const Envelope& of) -> std::string {
    const auto* field = Envelope::descriptor()->FindFieldByNumber(of.body_case());
    return field == nullptr ? "none" : field->name();
  };
  const Envelope* inner = envelope.has_route()             ? &envelope.route().inner()
                          : envelope.has_mailbox_push()    ? &envelope.mailbox_push().inner()
                          : envelope.has_mailbox_deliver() ? &envelope.mailbox_deliver().inner()
                                                           : nullptr;
  if (inner == nullptr) return absl::StrCat("type=", name(envelope));
  return absl::StrCat("type=", name(envelope), " inner=", name(*inner), " source=", inner->source(),
                      " target=", inner->target());
}

}  // namespace

void EventRecorder::Before(const replica::Event& event) {
  coming_.reset();
  if (!everything_) return;
  const auto* message = std::get_if<replica::PeerMessage>(&event);
  if (message == nullptr) return;
  coming_ = absl::StrCat("message_received from=", message->envelope.source(), " ", KindOf(message->envelope),
                         " sent_lamport=", message->envelope.lamport());
}

void EventRecorder::After(const replica::Effects& effects) {
  const auto first = static_cast<ptrdiff_t>(happened_.size());
  if (coming_.has_value() && effects.received_lamport != 0) {
    happened_.push_back(
        {.text = *std::move(coming_), .lamport = effects.received_lamport, .scope = api::EventScope::kAll});
  }
  if (everything_) {
    for (const Envelope& envelope : effects.send) {
      happened_.push_back({.text = absl::StrCat("message_sent to=", envelope.target(), " ", KindOf(envelope)),
                           .lamport = envelope.lamport(),
                           .scope = api::EventScope::kAll});
    }
  }
  for (const replica::TraceEvent& event : effects.trace) {
    happened_.push_back({.text = event.text, .lamport = event.lamport});
  }
  // Only sendings move the clock on within a step: what is traced with the time of one came after it.
  std::stable_sort(happened_.begin() + first, happened_.end(),
                   [](const Happening& a, const Happening& b) { return a.lamport < b.lamport; });
}

void EventRecorder::EndRound(const replica::View& view, absl::Time monotonic) {
  if (everything_) NoteCommit(view);
  if (!view.clock.known()) return;
  for (Happening& one : happened_) one.cluster_time_us = view.clock.At(monotonic);
}

void EventRecorder::NoteCommit(const replica::View& view) {
  if (view.commit <= commit_) return;
  // Rule 10: a leader decides, by the quorum's PREPARE_OK; the others hear of it.
  happened_.push_back({.text = absl::StrCat(view.serving ? "commit_decided" : "commit_learned", " from=", commit_ + 1,
                                            " through=", view.commit, " epoch=", ToString(view.accepted)),
                       .lamport = view.lamport,
                       .scope = api::EventScope::kAll});
  commit_ = view.commit;
}

void EventRecorder::Publish() {
  hub_->Publish(happened_);
  happened_.clear();
}

}  // namespace fila::node
