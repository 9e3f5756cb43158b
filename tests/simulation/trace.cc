#include "tests/simulation/trace.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fila::sim {
namespace {

constexpr size_t kLinesKept = 80;
constexpr size_t kMessageCharactersMax = 400;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string Short(const google::protobuf::Message& message) {
  std::string text = message.ShortDebugString();
  if (text.size() > kMessageCharactersMax) text = absl::StrCat(text.substr(0, kMessageCharactersMax), " …");
  return text;
}

// What a batch's commands want.
std::string Commands(const Entry& entry) {
  if (entry.header.kind == EntryKind::kBarrier) return "barrier";
  if (entry.header.kind == EntryKind::kConfig) return "config";
  storage::v1::Batch batch;
  batch.ParseFromString(*entry.body);
  std::string text;
  for (const std::string& bytes : batch.commands()) {
    storage::v1::Command command;
    command.ParseFromString(bytes);
    absl::StrAppend(&text, "{", Short(command), "}");
  }
  return text;
}

std::string Describe(const Entry& entry) {
  return absl::StrCat(entry.header.index, "@", ToString(entry.header.epoch), " #",
                      absl::Hex(entry.header.Hash() & 0xffff), " at ", entry.header.cluster_time_us, " ",
                      Commands(entry));
}

std::string Describe(const peer::v1::LogEntry& entry) {
  return absl::StrCat(entry.index(), "@", entry.epoch().round(), ".", entry.epoch().node());
}

// Heartbeats fill a trace: what stands in every one of them is left out.
std::string Describe(const peer::v1::Heartbeat& beat) {
  static constexpr const char* kRoles[] = {"?", "blank", "follower", "candidate", "leader"};
  std::string reach;
  for (const auto& to : beat.reach())
    absl::StrAppend(&reach, reach.empty() ? " reach " : ",", to.node(), ":", to.hops());
  return absl::StrCat(kRoles[static_cast<size_t>(beat.role()) % 5], " promised ", beat.promised().round(), ".",
                      beat.promised().node(), " accepted ", beat.accepted().round(), ".", beat.accepted().node(),
                      " last ", beat.last_index(), " commit ", beat.commit(),
                      beat.quorum_connected() ? "" : " no-quorum", " #", beat.sequence(), " echo ", beat.echo(), "/",
                      beat.direct_echo(), " leader ", beat.leader(), beat.returning() ? " returning" : "",
                      beat.disk_low() ? " disk-low" : "", beat.answer_now() ? " answer-now" : "", reach);
}

// Entries by index and epoch only: their bytes say nothing.
template <typename Message>
std::string WithoutBodies(const Message& message) {
  Message copy = message;
  std::string entries;
  for (const auto& entry : copy.entries()) absl::StrAppend(&entries, " ", Describe(entry));
  copy.clear_entries();
  return absl::StrCat(Short(copy), " entries:", entries);
}

}  // namespace

void Trace::Add(Micros at, NodeId node, const std::string& text) {
  std::string line = absl::StrFormat("%9.3f  %s  %s", static_cast<double>(at) / 1000.0,
                                     node == kNoNode ? "--" : absl::StrCat("n", ToInt(node)), text);
  for (const char c : line) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  if (mode_ == Mode::kPrint) std::puts(line.c_str());
  lines_.push_back(std::move(line));
  if (lines_.size() > kLinesKept) lines_.pop_front();
}

std::string Describe(const peer::v1::Envelope& envelope) {
  using Body = peer::v1::Envelope::BodyCase;
  const auto* field = envelope.GetDescriptor()->FindFieldByNumber(envelope.body_case());
  if (field == nullptr) return "nothing";
  const std::string name = absl::StrCat(field->name(), " ", envelope.source(), "->", envelope.target(), " ");
  switch (envelope.body_case()) {
    case Body::kHeartbeat:
      return absl::StrCat(name, Describe(envelope.heartbeat()));
    case Body::kPrepare:
      return absl::StrCat(name, WithoutBodies(envelope.prepare()));
    case Body::kSync:
      return absl::StrCat(name, WithoutBodies(envelope.sync()));
    case Body::kFetchReply:
      return absl::StrCat(name, WithoutBodies(envelope.fetch_reply()));
    case Body::kRoute:
      return absl::StrCat(name, "ttl ", envelope.route().ttl(), " #", envelope.route().sequence(), " {",
                          Describe(envelope.route().inner()), "}");
    case Body::kMailboxPush:
      return absl::StrCat(name, "{", Describe(envelope.mailbox_push().inner()), "}");
    case Body::kMailboxDeliver:
      return absl::StrCat(name, "{", Describe(envelope.mailbox_deliver().inner()), "}");
    default:
      return absl::StrCat(name, Short(envelope.GetReflection()->GetMessage(envelope, field)));
  }
}

std::string Describe(const replica::Event& event) {
  using namespace replica;  // NOLINT: the events
  return std::visit(
      Overloaded{
          [](const PeerMessage& message) { return Describe(message.envelope); },
          [](const PeerConnected& e) { return absl::StrCat("connected to n", ToInt(e.peer)); },
          [](const PeerDisconnected& e) { return absl::StrCat("disconnected from n", ToInt(e.peer)); },
          [](const PeerRefusedConnection& e) { return absl::StrCat("refused by n", ToInt(e.peer)); },
          [](const SubmitCommand& e) { return absl::StrCat("call #", e.ticket); },
          [](const SubmitDequeue& e) { return absl::StrCat("dequeue #", e.ticket, " ", Short(e.lease)); },
          [](const SubmitRead& e) { return absl::StrCat("read #", e.ticket); },
          [](const SubmitTransfer& e) { return absl::StrCat("transfer #", e.ticket, " to n", ToInt(e.target)); },
          [](const CancelCall& e) { return absl::StrCat("cancel #", e.ticket); },
          [](const JournalSynced& e) { return absl::StrCat("synced through ", e.position); },
          [](const LogRead& e) { return absl::StrCat("read ", e.entries.size(), " entries for request ", e.request); },
          [](const Applied& e) { return absl::StrCat("applied through ", e.state.index); },
          [](const StateCopied& e) {
            return e.copy ? absl::StrCat("copied a state at ", e.copy->state.index) : std::string("copied no state");
          },
          [](const StateInstalled& e) { return absl::StrCat("installed a state at ", e.state.index); },
          [](const DiskSpace& e) { return std::string(e.low ? "disk low" : "disk enough"); },
          [](const Drained&) { return std::string("drained"); },
          [](const Leave& e) { return absl::StrCat("leave #", e.ticket); },
          [](const Stop&) { return std::string("stop"); },
      },
      event);
}

std::string Describe(const Record& record) {
  return std::visit(
      Overloaded{
          [](const AppendEntry& r) { return absl::StrCat("append ", Describe(r.entry), " commit ", r.commit); },
          [](const StageEntry& r) { return absl::StrCat("stage ", ToString(r.stage), ": ", Describe(r.entry)); },
          [](const AdoptLog& r) {
            return absl::StrCat("adopt ", ToString(r.epoch), " base ", r.base, " last ", r.last_index, " commit ",
                                r.commit);
          },
          [](const RepairEntry& r) { return absl::StrCat("repair ", Describe(r.entry)); },
          [](const WriteMetadata& r) {
            return absl::StrCat("metadata cluster '", r.metadata.cluster_id, "' promised ",
                                ToString(r.metadata.promised));
          },
      },
      record);
}

}  // namespace fila::sim
