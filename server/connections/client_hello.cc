#include "server/connections/client_hello.h"

#include <optional>
#include <utility>

namespace fila::connections {
namespace {

using Kind = FirstBytes::Kind;

// What every HTTP/2 client begins with (RFC 9113, section 3.4).
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kTlsMajorVersion = 3;
constexpr size_t kRecordHeaderBytes = 5;
constexpr uint8_t kClientHello = 1;
constexpr size_t kVersionAndRandomBytes = 2 + 32;
constexpr size_t kServerNameExtension = 0;
constexpr size_t kHostName = 0;

// Takes numbers and strings from the front. Once something is not there, everything after it is not there either.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return bytes_.empty(); }

  std::string_view Take(size_t count) {
    ok_ = ok_ && count <= bytes_.size();
    if (!ok_) return {};
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  // Big-endian, of so many bytes.
  size_t Number(size_t width) {
    size_t number = 0;
    for (const char byte : Take(width)) number = number << 8 | static_cast<uint8_t>(byte);
    return number;
  }
  // What has its length before it.
  std::string_view Vector(size_t length_width) { return Take(Number(length_width)); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

// The first handshake message, put together from the records that carry it; nothing while a part of it is missing, and
// an empty one if these are no such records.
std::optional<std::string> FirstHandshakeMessage(std::string_view bytes) {
  std::string message;
  Reader records(bytes);
  while (!records.empty()) {
    const std::string_view header = records.Take(kRecordHeaderBytes);
    if (!records.ok()) return std::nullopt;
    if (static_cast<uint8_t>(header[0]) != kHandshakeRecord) return "";
    const size_t length = Reader(header.substr(3)).Number(2);
    if (length == 0) return "";  // not allowed; a client could send them without end
    message += records.Take(length);
    if (!records.ok()) return std::nullopt;
    Reader reader(message);
    reader.Number(1);
    reader.Vector(3);
    if (reader.ok()) return message;
  }
  return std::nullopt;
}

std::string HostNameIn(std::string_view extension) {
  Reader names(Reader(extension).Vector(2));
  while (names.ok() && !names.empty()) {
    const size_t type = names.Number(1);
    const std::string_view name = names.Vector(2);
    if (names.ok() && type == kHostName) return std::string(name);
  }
  return "";
}

std::string ServerNameOf(std::string_view message) {
  Reader outer(message);
  if (outer.Number(1) != kClientHello) return "";
  Reader hello(outer.Vector(3));
  hello.Take(kVersionAndRandomBytes);
  hello.Vector(1);  // the session's id
  hello.Vector(2);  // ciphers
  hello.Vector(1);  // compressions
  Reader extensions(hello.Vector(2));
  while (extensions.ok() && !extensions.empty()) {
    const size_t type = extensions.Number(2);
    const std::string_view extension = extensions.Vector(2);
    if (extensions.ok() && type == kServerNameExtension) return HostNameIn(extension);
  }
  return "";
}

}  // namespace

FirstBytes ReadFirstBytes(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (static_cast<uint8_t>(bytes[0]) != kHandshakeRecord ||
      (bytes.size() > 1 && static_cast<uint8_t>(bytes[1]) != kTlsMajorVersion)) {
    const bool begun = bytes.size() < kPreface.size() && kPreface.substr(0, bytes.size()) == bytes;
    return {.kind = begun ? Kind::kMore : Kind::kPlain, .server_name = {}};
  }
  const std::optional<std::string> message = FirstHandshakeMessage(bytes);
  if (message.has_value()) return {.kind = Kind::kTls, .server_name = ServerNameOf(*message)};
  return {.kind = bytes.size() < kFirstBytesMax ? Kind::kMore : Kind::kTls, .server_name = {}};
}

}  // namespace fila::connections
