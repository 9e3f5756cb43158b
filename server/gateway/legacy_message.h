// The lines of the legacy JSON protocol: one object with five keys, and nothing else, a line.
//
//   {"type":"task_ack","source":9001,"target":null,"lamport_ts":22,"payload":{"task_id":"9a450d7c-…"}}
//
// Pure. Reading is strict, because the clients are: an unknown key, a key twice, a key missing, a value of another type
// or text that is no UTF-8 makes a line invalid. What a message says of a fault never repeats the line's own text.
#ifndef FILA_SERVER_GATEWAY_LEGACY_MESSAGE_H_
#define FILA_SERVER_GATEWAY_LEGACY_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace fila::gateway {

// What clients may send; all else (replies, and what nodes once told each other) is refused.
enum class RequestType : uint8_t { kEnqueue, kDequeue, kTaskAck };

// Where a client waits for its reply.
struct ReplyTo {
  std::string host;  // as written
  uint16_t port = 0;
};

struct Request {
  RequestType type = RequestType::kEnqueue;
  int64_t source = 0;
  uint64_t lamport = 0;             // up to the largest of an int64
  std::string payload;              // of an enqueue
  std::string task_id;              // of a task_ack; of an enqueue that names one, else empty
  std::string token;                // shows who asks; empty: none
  std::optional<ReplyTo> reply_to;  // none: on the connection it came by
};

// Why a line is no request, with what was understood of it until then.
struct Fault {
  std::optional<int64_t> source;
  uint64_t lamport = 0;
  std::string message;
};

// `line` is without its newline.
std::variant<Request, Fault> ReadRequest(std::string_view line);

// What all lines from this node have in common.
struct Sender {
  int64_t source = 0;             // this node's id
  std::optional<int64_t> target;  // who asked; null on the wire if unknown
  uint64_t lamport = 0;
};

// Each is a whole line with its newline.
std::string EnqueueAckLine(const Sender& sender, std::string_view task_id);
// Nothing if the payload (or the id) is no UTF-8: JSON can't carry it.
std::optional<std::string> TaskLine(const Sender& sender, std::string_view task_id, std::string_view payload);
// `code` is a name such as "INVALID_ARGUMENT".
std::string ErrorLine(const Sender& sender, std::string_view code, std::string_view message);

}  // namespace fila::gateway

#endif  // FILA_SERVER_GATEWAY_LEGACY_MESSAGE_H_
