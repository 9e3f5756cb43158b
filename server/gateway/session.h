// One connection of a legacy client: reads a line, brings it to the node, replies, reads the next one.
//
//     line ──> call ──> reply ──> line …        an error at any point: error line ──> linger ──> closed
//
// All of a session happens on the gateway's thread. It keeps itself alive by its pending operations.
#ifndef FILA_SERVER_GATEWAY_SESSION_H_
#define FILA_SERVER_GATEWAY_SESSION_H_

#include <array>
#include <asio.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/call.h"
#include "common/ids.h"
#include "common/ip_address.h"
#include "server/api/backend.h"
#include "server/api/errors.h"
#include "server/api/limits.h"
#include "server/gateway/legacy_call.h"
#include "server/gateway/legacy_message.h"
#include "server/security/access.h"

namespace fila::gateway {

// Without its newline.
inline constexpr size_t kLineBytesMax = size_t{1} << 20;
// Lines that are not complete, of all connections together; beyond it the next one that grows long is refused.
inline constexpr size_t kBufferedBytesMax = size_t{64} << 20;
// From the connection, or from a later line's first byte, to the line's newline.
inline constexpr absl::Duration kLineLimit = absl::Seconds(5);
// Between two lines.
inline constexpr absl::Duration kIdleLimit = absl::Seconds(60);
// For a line to the client on its own connection.
inline constexpr absl::Duration kWriteLimit = absl::Seconds(5);
// For a reply on a new connection: to connect and to write.
inline constexpr absl::Duration kDeliveryLimit = absl::Seconds(2);
// What a client still sends after its error line is thrown away for so long: a connection that is closed with unread
// bytes is reset, and the client might never read why.
inline constexpr absl::Duration kLingerLimit = absl::Seconds(1);

class Session;

// What the sessions share. On the gateway's thread; outlives them.
struct SessionEnv {
  std::shared_ptr<asio::io_context> io;
  api::Backend* backend = nullptr;
  NodeId self = kNoNode;
  api::ApiLimits limits;
  std::vector<IpRange> reply_hosts;
  const security::Access* access = nullptr;  // null: everybody may everything
  size_t buffered_bytes = 0;                 // lines that are not complete
  bool draining = false;                     // no more lines are read
  std::function<void(Session*)> closed;      // called once a session
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(SessionEnv* env, asio::ip::tcp::socket socket, const IpAddress& from);

  const IpAddress& from() const { return from_; }

  void Start() { AwaitLine(kLineLimit); }
  // Reads no more lines: closed at once if none is being handled.
  void Drain();
  // Closed at once. What the node was asked for is withdrawn.
  void Abort() { Close(); }

 private:
  using Error = asio::error_code;

  enum class Stage : uint8_t { kLine, kCall, kReply, kLinger, kClosed };

  // A step ends every operation of the step before: what still arrives of it is ignored.
  void Enter(Stage stage);
  // `act` is called with the arguments of the operation, unless the session went on meanwhile.
  template <typename Act>
  auto InThisStep(Act act);
  void Within(absl::Duration limit, std::function<void()> too_late);

  void AwaitLine(absl::Duration limit);
  void Read();
  void OnRead(const Error& error, size_t bytes);
  void OnLineLate();
  std::string TakeLine(size_t end);
  void Account();

  void Handle(std::string_view line);
  // Whether who sent it may ask for it.
  api::Refusal CheckRight(const Request& request) const;
  void Ask(NodeCall call);
  api::Done PostOutcome();
  void OnOutcome(CallOutcome&& outcome);
  void UndoLease();

  void ReplyHere(std::string line);
  void ReplyThere(std::string line);
  void OnConnected(const Error& error);
  void NextLine();

  // Says why on the client's connection, and closes it.
  void Refuse(std::string_view code, std::string_view message);  // what came is no request
  void Refuse(const api::Error& error);
  void EndWith(std::string_view code, std::string_view message);
  void Linger();
  void Close();
  Sender ToClient(uint64_t lamport) const;

  SessionEnv* const env_;
  const IpAddress from_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  Stage stage_ = Stage::kLine;
  uint64_t step_ = 0;

  std::array<char, 16 << 10> chunk_;
  std::string buffer_;    // what came and is not handled
  size_t searched_ = 0;   // of it, without a newline
  size_t accounted_ = 0;  // of it, in env_->buffered_bytes
  bool first_line_ = true;

  // Of the line being handled.
  std::optional<int64_t> source_;
  uint64_t observed_ = 0;
  NodeCall call_;
  Ticket ticket_ = 0;
  std::string undo_;  // the command that takes back the lease about to be told; empty: none
  bool reply_there_ = false;
  asio::ip::tcp::endpoint reply_endpoint_;
  asio::ip::tcp::socket reply_socket_;
  std::string out_;
};

}  // namespace fila::gateway

#endif  // FILA_SERVER_GATEWAY_SESSION_H_
