#include "server/connections/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glog/logging.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "server/connections/client_hello.h"
#include "server/connections/descriptor.h"
#include "server/connections/stream_watch.h"

namespace fila::connections {
namespace {

// Numbers in epoll's events below those of connections: the stop signal, and the listening sockets.
constexpr uint64_t kStopNumber = 0;
constexpr ConnectionId kFirstConnection = 1'000;
constexpr int kEventsMax = 256;
// Accepted in a row, before other events get their turn.
constexpr int kAcceptsInARow = 64;
// When accepting fails for a reason that stays, it is tried again after so long.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

absl::Time MonotonicNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

std::optional<Endpoint> EndpointOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  uint16_t port = 0;
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    port = ntohs(v6.sin6_port);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    port = ntohs(v4.sin_port);
  }
  const std::optional<IpAddress> parsed = IpAddress::Parse(text);
  if (!parsed.has_value()) return std::nullopt;
  return Endpoint{.address = *parsed, .port = port};
}

// One of ours: who it is from, and its socket, which gRPC has another descriptor of once it is handed over.
struct Connection {
  Descriptor socket;
  Endpoint from;
};

class EpollAcceptor final : public Acceptor {
 public:
  explicit EpollAcceptor(AcceptorOptions options) : options_(std::move(options)), ledger_(options_.caps) {
    if (options_.streams != nullptr) watch_.emplace(std::move(options_.streams));
  }
  ~EpollAcceptor() override { Stop(); }

  absl::Status Open() {
    epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
    stop_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spare_ = OpenSpare();
    bool watched = epoll_.valid() && stop_.valid() && Watch(stop_.get(), EPOLLIN, kStopNumber);
    for (ListeningSocket& socket : options_.sockets) {
      listeners_.emplace_back(socket.Release());
      const int fd = listeners_.back().get();
      watched =
          watched && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && Watch(fd, EPOLLIN, listeners_.size());
    }
    if (!watched) return absl::ResourceExhaustedError(absl::StrCat("cannot watch sockets: ", std::strerror(errno)));
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "acceptor");
      Run();
    });
    return absl::OkStatus();
  }

  ConnectionsReading Read() const override {
    ConnectionsReading reading{.silent = silent_.load(std::memory_order_relaxed),
                               .clients = clients_.load(std::memory_order_relaxed),
                               .peers = peers_.load(std::memory_order_relaxed),
                               .refused = {}};
    for (size_t i = 0; i < kRefusals; ++i) reading.refused[i] = refused_[i].load(std::memory_order_relaxed);
    return reading;
  }

  void Stop() override {
    if (!thread_.joinable()) return;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof(one));
    thread_.join();
    listeners_.clear();
    connections_.clear();
  }

 private:
  static Descriptor OpenSpare() { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

  bool Watch(int fd, uint32_t events, uint64_t number) {
    epoll_event event{.events = events, .data = {.u64 = number}};
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void Run() {
    std::array<epoll_event, kEventsMax> events;
    for (;;) {
      const int count = epoll_wait(epoll_.get(), events.data(), kEventsMax, WaitMs());
      now_ = MonotonicNow();
      for (int i = 0; i < count; ++i) {
        if (events[i].data.u64 == kStopNumber) return;
        OnEvent(events[i]);
      }
      if (now_ >= accept_again_at_) {
        accept_again_at_ = absl::InfiniteFuture();
        ListenFor(EPOLLIN);
      }
      for (const ConnectionId id : ledger_.Overdue(now_)) Refuse(id, Refusal::kSilent);
      CutWhoMisusesStreams();
      Publish();
    }
  }

  int WaitMs() const {
    absl::Time until = std::min(ledger_.next_overdue(), accept_again_at_);
    if (watch_.has_value() && ledger_.clients() > 0) until = std::min(until, watch_->next_sweep());
    if (until == absl::InfiniteFuture()) return -1;
    // Rounded up: a wait that ends just before its time is followed by one of 0 ms, and those by many more.
    return static_cast<int>(absl::ToInt64Milliseconds(std::max(until - MonotonicNow(), absl::ZeroDuration())) + 1);
  }

  void OnEvent(const epoll_event& event) {
    const uint64_t number = event.data.u64;
    if (number < kFirstConnection) return Accept(listeners_[number - 1].get());
    const auto found = connections_.find(number);
    if (found == connections_.end()) return;  // closed by an event before this one
    // A connection that was handed over is watched for nothing but its end, which epoll always tells.
    const bool ended = (event.events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
    if (ended || !Identify(number, &found->second)) Close(number);
  }

  void Accept(int listener) {
    for (int i = 0; i < kAcceptsInARow; ++i) {
      sockaddr_storage address{};
      socklen_t size = sizeof(address);
      Descriptor socket(accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket.valid()) {
        if (const std::optional<Endpoint> from = EndpointOf(address)) Admit(std::move(socket), *from);
        continue;
      }
      int error = errno;
      if (error == EMFILE || error == ENFILE) {
        error = TurnAway(listener);
        spare_ = OpenSpare();
      }
      // Nobody waits, or who did is gone already.
      if (error == EAGAIN || error == EWOULDBLOCK) return;
      if (error == 0 || error == EINTR || error == ECONNABORTED) continue;
      LOG_EVERY_T(WARNING, 1) << "accept_failed reason=\"" << std::strerror(error) << "\"";
      return PauseAccepting();
    }
  }

  // No descriptor is left. A client must not be left waiting in the kernel's queue, which would also wake this thread
  // again at once: the spare descriptor is given up for it. The error of that, 0 if there is none; without a descriptor
  // the system does not say whether anybody waits.
  int TurnAway(int listener) {
    spare_ = Descriptor();
    const Descriptor client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    const int error = client.valid() ? 0 : errno;
    if (error == 0) {
      Count(Refusal::kNoDescriptors);
      LOG_EVERY_T(WARNING, 1) << "connection_refused reason=" << NameOf(Refusal::kNoDescriptors);
    }
    return error;
  }

  // What is left in the kernel's queue would wake this thread again at once, for nothing.
  void PauseAccepting() {
    accept_again_at_ = now_ + kAcceptPause;
    ListenFor(0);
  }

  void ListenFor(uint32_t events) {
    for (size_t i = 0; i < listeners_.size(); ++i) {
      epoll_event event{.events = events, .data = {.u64 = i + 1}};
      epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listeners_[i].get(), &event);
    }
  }

  void Admit(Descriptor socket, const Endpoint& from) {
    const ConnectionId id = next_id_++;
    const ConnectionLedger::Admission admission = ledger_.Admit(id, from.address, now_);
    if (admission.refused.has_value()) return Note(*admission.refused, from);
    if (admission.evicted.has_value()) Refuse(*admission.evicted, Refusal::kMadeRoom);
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const int fd = socket.get();
    const auto [added, _] = connections_.emplace(id, Connection{.socket = std::move(socket), .from = from});
    // Its first bytes may be there already: those accepted after it must not take its place before they are looked at.
    if (!Watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET, id) || !Identify(id, &added->second)) Close(id);
  }

  // False: it is to be closed.
  bool Identify(ConnectionId id, Connection* connection) {
    const ssize_t count = recv(connection->socket.get(), first_bytes_.data(), first_bytes_.size(), MSG_PEEK);
    if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
    const FirstBytes first = ReadFirstBytes({first_bytes_.data(), static_cast<size_t>(count)});
    if (first.kind == FirstBytes::Kind::kMore) return true;
    const bool peer = options_.to_peers != nullptr && first.server_name == kPeerServerName;
    return HandTo(peer ? Route::kPeer : Route::kClient, id, connection);
  }

  bool HandTo(Route route, ConnectionId id, Connection* connection) {
    if (const std::optional<Refusal> refused = ledger_.Identify(id, route, now_)) {
      Note(*refused, connection->from);
      return false;
    }
    const int ours = connection->socket.get();
    const int theirs = fcntl(ours, F_DUPFD_CLOEXEC, 0);
    epoll_event only_its_end{.events = 0, .data = {.u64 = id}};
    if (theirs < 0 || epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, ours, &only_its_end) != 0) {
      if (theirs >= 0) close(theirs);
      Note(Refusal::kNoDescriptors, connection->from);
      return false;
    }
    route == Route::kPeer ? options_.to_peers(theirs) : options_.to_clients(theirs);
    if (route == Route::kClient && watch_.has_value()) watch_->Add(id, connection->from, ours);
    return true;
  }

  void CutWhoMisusesStreams() {
    if (!watch_.has_value() || now_ < watch_->next_sweep()) return;
    const std::vector<std::pair<ConnectionId, StreamUse>> uses = watch_->Sweep(now_);
    for (const auto& [id, use] : uses) ledger_.NoteStreams(id, use, now_);
    for (const auto& [id, use] : uses) {
      const ConnectionLedger::Cut cut = ledger_.CutFor(id, now_);
      for (const ConnectionId one : cut.connections) Cut(one, cut.reason);
    }
    watch_->SweepDone(now_, MonotonicNow());
  }

  // Also drops what the system has received of it, megabytes perhaps, which gRPC would still read after a shutdown.
  void Cut(ConnectionId id, Refusal refusal) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    connect(found->second.socket.get(), &nobody, sizeof(nobody));
    Refuse(id, refusal);
  }

  void Refuse(ConnectionId id, Refusal refusal) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    Note(refusal, found->second.from);
    Close(id);
  }

  // Also what gRPC has of it: the socket is shut down.
  void Close(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    const int fd = found->second.socket.get();
    // Or epoll would go on telling of it for as long as gRPC has its descriptor.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    shutdown(fd, SHUT_RDWR);
    connections_.erase(found);
    if (watch_.has_value()) watch_->Remove(id);
    ledger_.Close(id, now_);
  }

  void Count(Refusal refusal) { refused_[static_cast<size_t>(refusal)].fetch_add(1, std::memory_order_relaxed); }

  void Note(Refusal refusal, const Endpoint& from) {
    Count(refusal);
    LOG_EVERY_T(WARNING, 1) << "connection_refused client=" << from.address.ToString() << " reason=" << NameOf(refusal);
  }

  void Publish() {
    silent_.store(ledger_.silent(), std::memory_order_relaxed);
    clients_.store(ledger_.clients(), std::memory_order_relaxed);
    peers_.store(ledger_.peers(), std::memory_order_relaxed);
  }

  AcceptorOptions options_;
  Descriptor epoll_;
  Descriptor stop_;
  Descriptor spare_;
  std::vector<Descriptor> listeners_;
  std::thread thread_;

  // The thread's.
  absl::Time now_ = MonotonicNow();
  absl::Time accept_again_at_ = absl::InfiniteFuture();
  ConnectionLedger ledger_;
  std::optional<StreamWatch> watch_;
  ConnectionId next_id_ = kFirstConnection;
  absl::flat_hash_map<ConnectionId, Connection> connections_;
  std::array<char, kFirstBytesMax> first_bytes_;

  std::atomic<size_t> silent_{0};
  std::atomic<size_t> clients_{0};
  std::atomic<size_t> peers_{0};
  std::array<std::atomic<uint64_t>, kRefusals> refused_ = {};
};

}  // namespace

std::string_view NameOf(Refusal refusal) {
  constexpr std::array<std::string_view, kRefusals> kNames = {"too_many", "too_many_of_address", "address_barred",
                                                              "silent",   "made_room",           "resets",
                                                              "streams",  "no_descriptors"};
  return kNames[static_cast<size_t>(refusal)];
}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Start(AcceptorOptions options) {
  auto acceptor = std::make_unique<EpollAcceptor>(std::move(options));
  if (absl::Status status = acceptor->Open(); !status.ok()) return status;
  return acceptor;
}

}  // namespace fila::connections
