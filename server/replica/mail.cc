// Rule 19: mailboxes. Calls of clients wait in the call table (calls.h), which is bounded, until a leader is there or
// their deadline passes; here is only what is said of it. Messages for a node that cannot be reached are left with a
// peer (server/algorithms/mailbox.h says which are).
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"

namespace fila::replica {

// Calls wait, and there is a leader to bring them to or not. Told once for all that wait together.
void Replica::Impl::TellOfWaitingCalls(bool leader_there) {
  if (leader_there == !calls_wait_told_) return;
  calls_wait_told_ = !leader_there;
  if (leader_there) {
    Trace(absl::StrCat("mailbox_deliver calls=", waiting_.size(), " leader=", ToInt(lead_->epoch.node)));
  } else {
    Trace(absl::StrCat("mailbox_push calls=", waiting_.size()));
  }
}

// With a peer that says it sees the target, else with the highest that is there, who is likely to lead next; else here.
void Replica::Impl::LeaveMail(peer::v1::Envelope message) {
  const NodeId target{message.target()};
  NodeId holder = kNoNode;
  bool holder_sees = false;
  for (const auto& [id, peer] : peers_) {
    if (id == target || !Reachable(id)) continue;
    bool sees = false;
    if (peer.heartbeat) {
      for (const peer::v1::Reach& reach : peer.heartbeat->reach()) sees = sees || NodeId{reach.node()} == target;
    }
    if (holder_sees && !sees) continue;
    holder = id;
    holder_sees = sees;
  }
  Peer& peer = peers_.at(target);
  if (!std::exchange(peer.mail_told, true)) {
    Trace(absl::StrCat("mailbox_push target=", ToInt(target),
                       " holder=", ToInt(holder == kNoNode ? options_.id : holder)));
  }
  if (holder == kNoNode) return mailbox_.Put(std::move(message), now_.monotonic);
  peer::v1::Envelope envelope;
  *envelope.mutable_mailbox_push()->mutable_inner() = std::move(message);
  Send(holder, std::move(envelope));
}

void Replica::Impl::OnMailboxPush(NodeId from, peer::v1::MailboxPush& push) {
  peer::v1::Envelope& message = *push.mutable_inner();
  const bool own = NodeId{message.source()} == from && NodeId{message.target()} != from;
  if (own && peers_.count(NodeId{message.target()}) != 0 && Mailbox::Takes(message)) {
    mailbox_.Put(std::move(message), now_.monotonic);
  }
}

void Replica::Impl::DeliverMail() {
  for (const NodeId target : mailbox_.Targets(now_.monotonic)) {
    if (!Reachable(target) || !monitor_.LinkUp(target, now_.monotonic)) continue;
    std::vector<peer::v1::Envelope> messages = mailbox_.Take(target, now_.monotonic);
    Trace(absl::StrCat("mailbox_deliver target=", ToInt(target), " messages=", messages.size()));
    for (peer::v1::Envelope& message : messages) {
      peer::v1::Envelope envelope;
      *envelope.mutable_mailbox_deliver()->mutable_inner() = std::move(message);
      Send(target, std::move(envelope));
    }
  }
}

// It says nothing of whether its source lives, or on which disk.
void Replica::Impl::OnMailboxDeliver(peer::v1::MailboxDeliver& deliver) {
  peer::v1::Envelope& message = *deliver.mutable_inner();
  const NodeId source{message.source()};
  if (peers_.count(source) == 0 || NodeId{message.target()} != options_.id || !Mailbox::Takes(message)) return;
  lamport_.Observe(message.lamport());
  if (message.has_leader_announce() && monitor_.Suspected(source, now_.monotonic)) return;
  Dispatch(source, message, Came::kByRelay);
}

}  // namespace fila::replica
