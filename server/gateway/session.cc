#include "server/gateway/session.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/quoted.h"
#include "server/api/authorization.h"
#include "server/api/bounds.h"
#include "server/gateway/reply_address.h"

namespace fila::gateway {
namespace {

constexpr std::string_view kInvalid = "INVALID_ARGUMENT";
constexpr size_t kLoggedHostBytesMax = 64;
// Lines up to here need no share of kBufferedBytesMax, so that a few long ones can't keep everybody else out; a buffer
// that grew beyond it is not kept.
constexpr size_t kShortLineBytesMax = size_t{64} << 10;

std::string CodeName(grpc::StatusCode code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));  // the numbers are the same
}

}  // namespace

Session::Session(SessionEnv* env, asio::ip::tcp::socket socket, const IpAddress& from)
    : env_(env), from_(from), socket_(std::move(socket)), timer_(*env->io), reply_socket_(*env->io) {}

void Session::Enter(Stage stage) {
  ++step_;
  stage_ = stage;
  timer_.cancel();
}

template <typename Act>
auto Session::InThisStep(Act act) {
  return [self = shared_from_this(), step = step_, act = std::move(act)](auto&&... arguments) {
    if (self->step_ == step) act(std::forward<decltype(arguments)>(arguments)...);
  };
}

void Session::Within(absl::Duration limit, std::function<void()> too_late) {
  timer_.expires_after(absl::ToChronoMilliseconds(limit));
  timer_.async_wait(InThisStep([too_late = std::move(too_late)](const Error& error) {
    if (!error) too_late();
  }));
}

// --- lines

void Session::AwaitLine(absl::Duration limit) {
  Enter(Stage::kLine);
  Within(limit, [this] { OnLineLate(); });
  Read();
}

void Session::Read() {
  if (const size_t end = buffer_.find('\n', searched_); end != std::string::npos && end <= kLineBytesMax) {
    const std::string line = TakeLine(end);
    return Handle(line);
  }
  searched_ = buffer_.size();
  if (buffer_.size() > kLineBytesMax) return Refuse(kInvalid, "the line has more than 1 MiB");
  socket_.async_read_some(asio::buffer(chunk_),
                          InThisStep([this](const Error& error, size_t bytes) { OnRead(error, bytes); }));
}

void Session::OnRead(const Error& error, size_t bytes) {
  if (error == asio::error::eof && !buffer_.empty()) return Refuse(kInvalid, "the line has no newline at its end");
  if (error) return Close();
  const bool line_begins = buffer_.empty() && !first_line_;
  buffer_.append(chunk_.data(), bytes);
  Account();
  if (env_->buffered_bytes > kBufferedBytesMax && buffer_.size() > kShortLineBytesMax) {
    return Refuse("RESOURCE_EXHAUSTED", "too many long lines are on their way; nothing was done; retry a little later");
  }
  if (line_begins) return AwaitLine(kLineLimit);
  Read();
}

void Session::OnLineLate() {
  if (buffer_.empty() && !first_line_) return Close();
  Refuse(kInvalid, "no newline came within 5 s");
}

std::string Session::TakeLine(size_t end) {
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  if (buffer_.capacity() > kShortLineBytesMax) buffer_.shrink_to_fit();
  searched_ = 0;
  first_line_ = false;
  Account();
  return line;
}

void Session::Account() {
  env_->buffered_bytes += buffer_.size();
  env_->buffered_bytes -= accounted_;
  accounted_ = buffer_.size();
}

void Session::NextLine() {
  if (env_->draining) return Close();
  AwaitLine(buffer_.empty() ? kIdleLimit : kLineLimit);
}

// --- calls

void Session::Handle(std::string_view line) {
  source_.reset();
  observed_ = 0;
  undo_.clear();
  std::variant<Request, Fault> read = ReadRequest(line);
  const Fault* fault = std::get_if<Fault>(&read);
  Request* request = std::get_if<Request>(&read);
  source_ = fault != nullptr ? fault->source : request->source;
  const uint64_t lamport = fault != nullptr ? fault->lamport : request->lamport;
  const bool near = api::IsLamportNear(lamport, env_->backend->Lamport(0));
  if (near) observed_ = lamport;
  if (fault != nullptr) return Refuse(kInvalid, fault->message);
  if (!near) return Refuse(kInvalid, "lamport_ts: is far beyond the cluster's; give one that a reply carried");

  if (api::Refusal refusal = CheckRight(*request)) return Refuse(*refusal);
  reply_there_ = request->reply_to.has_value();
  if (reply_there_) {
    const ReplyTo& to = *request->reply_to;
    const absl::StatusOr<IpAddress> address = ReplyAddress(to.host, from_, env_->reply_hosts);
    if (!address.ok()) {
      LOG_EVERY_T(WARNING, 1) << "gateway_reply_refused client=" << from_.ToString()
                              << " reply_host=" << Quoted(to.host.substr(0, kLoggedHostBytesMax));
      return Refuse(kInvalid, std::string(address.status().message()));
    }
    Error ignored;  // the text is an address
    reply_endpoint_ = {asio::ip::make_address(address->ToString(), ignored), to.port};
  }
  NodeCall call;
  if (api::Refusal refusal = PlanCall(std::move(*request), env_->limits, absl::Now(), &call)) {
    return Refuse(*refusal);
  }
  Ask(std::move(call));
}

// A call takes seconds at most: who is no longer let in needs no second look.
api::Refusal Session::CheckRight(const Request& request) const {
  if (env_->access == nullptr) return std::nullopt;
  const std::string bearer = request.token.empty() ? "" : absl::StrCat("Bearer ", request.token);
  const absl::StatusOr<security::Caller> caller =
      env_->access->Authenticate({.authorization = bearer, .without_tls = true});
  if (!caller.ok()) return api::Unauthenticated(caller.status());
  const auto right =
      request.type == RequestType::kEnqueue ? security::Permission::kEnqueue : security::Permission::kDequeue;
  return api::Authorize(*caller, right, api::kDefaultQueue);
}

void Session::Ask(NodeCall call) {
  Enter(Stage::kCall);
  call_ = std::move(call);
  std::string command = std::exchange(call_.command, {});
  switch (call_.type) {
    case RequestType::kEnqueue:
      ticket_ = env_->backend->SubmitCommand(CommandClass::kEnqueue, std::move(command), call_.limit, observed_,
                                             PostOutcome());
      return;
    case RequestType::kDequeue:
      ticket_ =
          env_->backend->SubmitDequeue(std::move(call_.lease), kDequeueWait, call_.limit, observed_, PostOutcome());
      return;
    case RequestType::kTaskAck:
      ticket_ = env_->backend->SubmitCommand(CommandClass::kUpdate, std::move(command), call_.limit, observed_,
                                             PostOutcome());
      return;
  }
}

// The node may keep what it gets beyond the gateway's end, so it gets no share of the session.
api::Done Session::PostOutcome() {
  return [io = env_->io, weak = weak_from_this()](CallOutcome&& outcome) {
    asio::post(*io, [weak, outcome = std::move(outcome)]() mutable {
      if (const std::shared_ptr<Session> self = weak.lock(); self != nullptr) self->OnOutcome(std::move(outcome));
    });
  };
}

void Session::OnOutcome(CallOutcome&& outcome) {
  if (stage_ != Stage::kCall) return;
  if (outcome.result.lease().tasks_size() > 0) undo_ = ReleaseCommand(outcome.result.lease());
  const uint64_t lamport = outcome.lamport > observed_ ? outcome.lamport : env_->backend->Lamport(observed_);
  Answer answer = AnswerOf(call_, outcome, ToClient(lamport));
  if (const auto* error = std::get_if<api::Error>(&answer)) return Refuse(*error);
  if (auto* line = std::get_if<std::string>(&answer)) {
    return reply_there_ ? ReplyThere(std::move(*line)) : ReplyHere(std::move(*line));
  }
  if (std::holds_alternative<Unsayable>(answer)) {
    LOG_EVERY_T(WARNING, 1) << "gateway_task_given_back reason=\"its payload is no text\"";
    undo_ = GiveBackCommand(outcome.result.lease());
    UndoLease();
  }
  NextLine();
}

// If this fails, the lease runs out by itself.
void Session::UndoLease() {
  if (undo_.empty()) return;
  env_->backend->SubmitCommand(CommandClass::kUpdate, std::exchange(undo_, {}), env_->limits.request_timeout, 0,
                               [](CallOutcome&&) {});
}

// --- replies

Sender Session::ToClient(uint64_t lamport) const {
  return {.source = ToInt(env_->self), .target = source_, .lamport = lamport};
}

void Session::ReplyHere(std::string line) {
  Enter(Stage::kReply);
  out_ = std::move(line);
  Within(kWriteLimit, [this] { Close(); });
  asio::async_write(socket_, asio::buffer(out_), InThisStep([this](const Error& error, size_t bytes) {
                      if (!error) return NextLine();
                      if (bytes == 0) UndoLease();
                      Close();
                    }));
}

// A task whose client surely did not get it goes back at once, its attempt not counted: nobody listens, or the
// connection never came about. Once bytes were written nobody knows what the client has: then its lease runs out, and
// the task comes back.
void Session::ReplyThere(std::string line) {
  Enter(Stage::kReply);
  out_ = std::move(line);
  reply_socket_ = asio::ip::tcp::socket(*env_->io);
  Within(kDeliveryLimit, [this] { OnConnected(asio::error::timed_out); });
  reply_socket_.async_connect(reply_endpoint_, InThisStep([this](const Error& error) { OnConnected(error); }));
}

void Session::OnConnected(const Error& error) {
  Enter(Stage::kReply);
  const auto finish = [this](const Error& failure) {
    if (failure) {
      LOG_EVERY_T(WARNING, 1) << "gateway_reply_lost client=" << from_.ToString()
                              << " reason=" << Quoted(failure.message());
    }
    Error ignored;
    reply_socket_.close(ignored);
    NextLine();
  };
  if (error) {
    UndoLease();
    return finish(error);
  }
  Within(kDeliveryLimit, [finish] { finish(asio::error::timed_out); });
  asio::async_write(reply_socket_, asio::buffer(out_),
                    InThisStep([finish](const Error& failure, size_t /*bytes*/) { finish(failure); }));
}

// --- ends

void Session::Refuse(std::string_view code, std::string_view message) {
  api::Told().Count("JSON_LINE_REFUSED");
  EndWith(code, message);
}

void Session::Refuse(const api::Error& error) {
  api::Told().Count(error.reason);
  EndWith(CodeName(error.code), error.message);
}

void Session::EndWith(std::string_view code, std::string_view message) {
  LOG_EVERY_T(INFO, 1) << "gateway_line_refused client=" << from_.ToString() << " code=" << code
                       << " reason=" << Quoted(absl::string_view(message.data(), message.size()));
  Enter(Stage::kReply);
  buffer_ = {};  // what follows is not read
  Account();
  out_ = ErrorLine(ToClient(env_->backend->Lamport(observed_)), code, message);
  Within(kWriteLimit, [this] { Close(); });
  asio::async_write(socket_, asio::buffer(out_),
                    InThisStep([this](const Error& error, size_t /*bytes*/) { error ? Close() : Linger(); }));
}

void Session::Linger() {
  if (env_->draining) return Close();
  if (stage_ != Stage::kLinger) {
    Enter(Stage::kLinger);
    Within(kLingerLimit, [this] { Close(); });
    Error ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  }
  socket_.async_read_some(asio::buffer(chunk_),
                          InThisStep([this](const Error& error, size_t /*bytes*/) { error ? Close() : Linger(); }));
}

void Session::Drain() {
  Error ignored;
  // A line that has come, be it in part, is still answered.
  const bool line_begun = stage_ == Stage::kLine && (buffer_.size() > 0 || socket_.available(ignored) > 0);
  if ((stage_ == Stage::kLine && !line_begun) || stage_ == Stage::kLinger) Close();
}

void Session::Close() {
  if (stage_ == Stage::kClosed) return;
  if (stage_ == Stage::kCall) env_->backend->Cancel(ticket_);
  Enter(Stage::kClosed);
  buffer_ = {};
  Account();
  Error ignored;
  socket_.close(ignored);
  reply_socket_.close(ignored);
  env_->closed(this);
}

}  // namespace fila::gateway
