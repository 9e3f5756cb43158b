// What a client speaks, by the first bytes of its connection: HTTP/2 in plain text, or TLS and the server name that its
// ClientHello asks for (RFC 8446, section 4.1.2; RFC 6066, section 3). A pure function: it looks, it takes nothing.
#ifndef FILA_SERVER_CONNECTIONS_CLIENT_HELLO_H_
#define FILA_SERVER_CONNECTIONS_CLIENT_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fila::connections {

// Nobody needs more to say hello: real ones have 200 to 2,000 bytes.
inline constexpr size_t kFirstBytesMax = size_t{8} << 10;

struct FirstBytes {
  enum class Kind : uint8_t {
    kMore,   // too few to tell
    kPlain,  // no TLS
    kTls,
  };

  Kind kind = Kind::kMore;
  std::string server_name;  // of kTls; empty if the client names none, or says hello in a way that is not understood

  friend bool operator==(const FirstBytes&, const FirstBytes&) = default;
};

// `bytes`: all that came so far. Of kFirstBytesMax or more it is never kMore.
FirstBytes ReadFirstBytes(std::string_view bytes);

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_CLIENT_HELLO_H_
