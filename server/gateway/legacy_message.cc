#include "server/gateway/legacy_message.h"

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fila::gateway {
namespace {

using Json = nlohmann::ordered_json;

enum Key : size_t {
  // Of the envelope.
  kType,
  kSource,
  kTarget,
  kLamport,
  kPayload,
  kEnvelopeKeys,
  // Of its payload.
  kTaskPayload = kEnvelopeKeys,
  kTaskId,
  kReplyHost,
  kReplyPort,
  kToken,
  kKeys,
};
constexpr std::array<const char*, kKeys> kKeyNames = {"type",    "source",  "target",     "lamport_ts", "payload",
                                                      "payload", "task_id", "reply_host", "reply_port", "token"};
constexpr std::string_view kFiveKeys =
    "must have exactly the keys type, source, target, lamport_ts and payload, each once";
constexpr uint64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr uint64_t kPortMax = 65535;

// Takes a line in, token by token: nothing deeper than the payload's fields is ever built.
class Reader : public nlohmann::json_sax<Json> {
 public:
  bool start_object(std::size_t /*elements*/) override {
    if (depth_ == 0) return ++depth_ == 1;
    if (depth_ == 1 && key_ == kPayload) return ++depth_ == 2;
    return WrongType("is nested too deep: it must not be an object");
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t /*elements*/) override {
    if (depth_ == 0) return Refuse("must be a JSON object");
    return WrongType("must not be an array");
  }
  bool end_array() override { return true; }

  bool key(string_t& name) override {
    const size_t from = depth_ == 1 ? size_t{0} : size_t{kEnvelopeKeys};
    const size_t to = depth_ == 1 ? size_t{kEnvelopeKeys} : size_t{kKeys};
    for (key_ = from; key_ < to && kKeyNames[key_] != name;) ++key_;
    if (key_ == to) {
      return Refuse(depth_ == 1 ? std::string(kFiveKeys)
                                : "payload: may have the keys payload, task_id, reply_host, reply_port and token only");
    }
    if (seen_[key_]) return Refuse(absl::StrCat(Name(), ": is there twice"));
    return seen_[key_] = true;
  }

  bool string(string_t& text) override {
    switch (AtValue()) {
      case kType:
        type_ = std::move(text);
        return true;
      case kTaskPayload:
        request_.payload = std::move(text);
        return true;
      case kTaskId:
        request_.task_id = std::move(text);
        return true;
      case kReplyHost:
        reply_to_.host = std::move(text);
        return true;
      case kToken:
        request_.token = std::move(text);
        return true;
      default:
        return WrongType();
    }
  }
  bool number_unsigned(number_unsigned_t number) override {
    switch (AtValue()) {
      case kSource:
        if (number > kInt64Max) return WrongType();
        request_.source = static_cast<int64_t>(number);
        return source_known_ = true;
      case kTarget:
        return number <= kInt64Max || WrongType();
      case kLamport:
        if (number > kInt64Max) return WrongType();
        request_.lamport = number;
        return true;
      case kReplyPort:
        if (number < 1 || number > kPortMax) return WrongType();
        reply_to_.port = static_cast<uint16_t>(number);
        return true;
      default:
        return WrongType();
    }
  }
  // A negative one: the others are unsigned to the parser.
  bool number_integer(number_integer_t number) override {
    switch (AtValue()) {
      case kSource:
        request_.source = number;
        return source_known_ = true;
      case kTarget:
        return true;
      default:
        return WrongType();
    }
  }
  bool null() override { return AtValue() == kTarget || WrongType(); }
  bool boolean(bool /*value*/) override { return WrongType(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return WrongType(); }
  bool binary(binary_t& /*value*/) override { return WrongType(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*e*/) override {
    return Refuse(absl::StrCat("is no JSON object in UTF-8: at byte ", position));
  }

  std::variant<Request, Fault> Finish() {
    if (fault_.empty()) CheckKeys();
    if (fault_.empty()) return std::move(request_);
    Fault fault{.source = std::nullopt, .lamport = request_.lamport, .message = std::move(fault_)};
    if (source_known_) fault.source = request_.source;
    return fault;
  }

 private:
  // The key whose value comes, or kKeys where the line itself is the value.
  size_t AtValue() const { return depth_ == 0 ? size_t{kKeys} : key_; }
  std::string Name() const {
    if (depth_ == 0) return "the line";
    return key_ < kEnvelopeKeys ? std::string(kKeyNames[key_]) : absl::StrCat("payload.", kKeyNames[key_]);
  }
  bool Refuse(std::string why) {
    if (fault_.empty()) fault_ = std::move(why);
    return false;
  }
  bool WrongType() {
    switch (AtValue()) {
      case kType:
        return WrongType("must be a string");
      case kSource:
        return WrongType("must be an integer of 64 bits");
      case kTarget:
        return WrongType("must be an integer of 64 bits, or null");
      case kLamport:
        return WrongType("must be an integer from 0 to 9223372036854775807");
      case kPayload:
      case kKeys:
        return WrongType("must be a JSON object");
      case kReplyPort:
        return WrongType("must be an integer from 1 to 65535");
      default:
        return WrongType("must be a string");
    }
  }
  bool WrongType(const char* rule) { return Refuse(absl::StrCat(Name(), ": ", rule)); }

  void CheckKeys() {
    for (size_t key = 0; key < kEnvelopeKeys; ++key) {
      if (!seen_[key]) {
        Refuse(std::string(kFiveKeys));
        return;
      }
    }
    if (type_ == "enqueue") {
      request_.type = RequestType::kEnqueue;
      if (seen_[kTaskId] && request_.task_id.empty()) Refuse("payload.task_id: must not be empty; leave it out");
    } else if (type_ == "dequeue") {
      request_.type = RequestType::kDequeue;
      if (seen_[kTaskPayload] || seen_[kTaskId]) Refuse("payload: a dequeue has reply_host, reply_port and token only");
    } else if (type_ == "task_ack") {
      request_.type = RequestType::kTaskAck;
      if (!seen_[kTaskId]) Refuse("payload.task_id: must be there");
      if (seen_[kTaskPayload] || seen_[kReplyHost] || seen_[kReplyPort])
        Refuse("payload: a task_ack has task_id and token only");
    } else {
      Refuse("type: must be enqueue, dequeue or task_ack; nodes speak gRPC with each other");
    }
    if (seen_[kReplyHost] != seen_[kReplyPort]) Refuse("payload: reply_host and reply_port come together");
    if (seen_[kReplyHost]) request_.reply_to = std::move(reply_to_);
  }

  int depth_ = 0;
  size_t key_ = kKeys;
  std::array<bool, kKeys> seen_ = {};
  std::string type_;
  Request request_;
  ReplyTo reply_to_;
  bool source_known_ = false;
  std::string fault_;
};

// A line, or nothing if a text of it is no UTF-8.
std::optional<std::string> Line(const Sender& sender, std::string_view type, Json payload) {
  Json line;
  line["type"] = type;
  line["source"] = sender.source;
  line["target"] = sender.target.has_value() ? Json(*sender.target) : Json(nullptr);
  line["lamport_ts"] = sender.lamport;
  line["payload"] = std::move(payload);
  try {
    return line.dump() + "\n";
  } catch (const Json::type_error&) {
    return std::nullopt;
  }
}

}  // namespace

std::variant<Request, Fault> ReadRequest(std::string_view line) {
  Reader reader;
  Json::sax_parse(line.begin(), line.end(), &reader);
  return reader.Finish();
}

std::string EnqueueAckLine(const Sender& sender, std::string_view task_id) {
  return Line(sender, "enqueue_ack", {{"task_id", task_id}}).value_or("");
}

std::optional<std::string> TaskLine(const Sender& sender, std::string_view task_id, std::string_view payload) {
  return Line(sender, "task", {{"task_id", task_id}, {"payload", payload}});
}

std::string ErrorLine(const Sender& sender, std::string_view code, std::string_view message) {
  return Line(sender, "error", {{"code", code}, {"message", message}}).value_or("");
}

}  // namespace fila::gateway
