// A TCP proxy in front of one port of 127.0.0.1, to cut a link between two processes that run on one machine.
#ifndef FILA_TESTS_INTEGRATION_PROXY_H_
#define FILA_TESTS_INTEGRATION_PROXY_H_

#include <atomic>
#include <list>
#include <string>
#include <thread>

namespace fila::testing {

// Copies bytes both ways in a thread of its own. Thread-safe.
class Proxy {
 public:
  // Listens on port() and connects on to `target_port`.
  Proxy(int port, int target_port);
  // What is open is closed.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  int port() const { return port_; }

  // What is open is reset, and every new connection too.
  void Cut() { Become(State::kCut); }
  // Passes nothing on and accepts nothing, as if packets were dropped: what is open stays open.
  void Stall() { Become(State::kStalled); }
  // Carries again; after Stall, also what waits.
  void Heal() { Become(State::kCarries); }

 private:
  enum class State { kCarries, kStalled, kCut, kEnds };

  struct Half {
    int from = -1;
    int to = -1;
    std::string waiting;  // read and not written yet
  };
  struct Connection {
    Half there;
    Half back;
  };

  void Become(State state);
  void Run();
  void Accept(State state);
  // False if the connection has ended.
  static bool Carry(Half* half, short readable, short writable);
  void CloseAll();

  const int port_;
  const int target_port_;
  int listener_ = -1;
  int wake_ = -1;  // an eventfd: the state is another one
  std::atomic<State> state_{State::kCarries};
  std::list<Connection> connections_;  // the thread's
  std::thread thread_;
};

}  // namespace fila::testing

#endif  // FILA_TESTS_INTEGRATION_PROXY_H_
