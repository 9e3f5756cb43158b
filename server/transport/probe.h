// Looks whether anybody listens where a peer should.
#ifndef FILA_SERVER_TRANSPORT_PROBE_H_
#define FILA_SERVER_TRANSPORT_PROBE_H_

#include <functional>
#include <memory>

#include "server/transport/mesh.h"

namespace fila::transport {

enum class ProbeResult : uint8_t {
  kListens,  // somebody answered
  kRefused,  // the connection was refused
  kUnknown,  // neither, in the time there was
};

// Only the dialer of a pair learns by itself that its peer's process is gone: it is refused. The acceptor of a stream
// that broke asks by a probe: an Exchange without a word, given up as soon as it is answered. Thread-safe.
class Probe {
 public:
  virtual ~Probe() = default;

  // Starts and tells `done` once, when the connection is given back.
  virtual void Start(std::function<void(ProbeResult)> done) = 0;
  // Ends it soon, with kUnknown if nothing is known yet. At any time once started.
  virtual void Cancel() = 0;

  static std::shared_ptr<Probe> Make(const PeerAddress& peer, const security::PeerSecurity* security);
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_PROBE_H_
