// Thread sanitizer builds only: tells the sanitizer of the order that gRPC guarantees.
//
// gRPC's libraries are not instrumented, so the sanitizer does not see that a callback comes after the operation it
// belongs to; gRPC's headers are compiled into our code, so it would report every callback as a race. A suppression
// that covers those would cover what our callbacks do wrong, too. So the functions of gRPC's core through which
// operations start are replaced by ones that note the order and go on to the real ones:
//
//   an operation's start, by its tag     before  the callback of that tag
//   a server's start                     before  each call that it brings
//   the end of a server's calls          before  the end of the server
//   a call's handler                     before  word that the call is cancelled
//   what gRPC defers to its own threads  before  its run, here on a thread that the sanitizer sees
//   the end of holding a mutex           before  the next time it is held: gRPC's headers lock Abseil's
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>
#include <sanitizer/tsan_interface.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/config.h"
#include "absl/synchronization/mutex.h"

extern "C" char __executable_start;
extern "C" char etext;

namespace {

using Run = void (*)(grpc_completion_queue_functor*, int);

char server_started;
char call_done;

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// The callbacks' real functions. gRPC has two kinds of tags whose code is in our binary.
constexpr int kKindsMax = 4;
std::atomic<Run> real_run[kKindsMax];

template <int kKind>
void RunAfterStart(grpc_completion_queue_functor* tag, int ok) {
  __tsan_acquire(tag);
  real_run[kKind].load(std::memory_order_relaxed)(tag, ok);
}
constexpr Run kRunAfterStart[kKindsMax] = {RunAfterStart<0>, RunAfterStart<1>, RunAfterStart<2>, RunAfterStart<3>};

// A tag begins with the address of its function if it is a callback's, else with that of a table in data.
bool IsOurCode(Run run) {
  const auto address = reinterpret_cast<uintptr_t>(run);
  return address >= reinterpret_cast<uintptr_t>(&__executable_start) && address < reinterpret_cast<uintptr_t>(&etext);
}

void Divert(grpc_completion_queue_functor* tag) {
  const Run run = tag->functor_run;
  if (!IsOurCode(run)) return;
  for (const Run diverted : kRunAfterStart) {
    if (run == diverted) return;
  }
  for (int kind = 0; kind < kKindsMax; ++kind) {
    Run known = nullptr;
    if (real_run[kind].compare_exchange_strong(known, run) || known == run) {
      tag->functor_run = kRunAfterStart[kind];
      return;
    }
  }
}

// Runs what is deferred, in order. Never ends.
class Deferred {
 public:
  static Deferred& Get() {
    static Deferred* const deferred = new Deferred;
    return *deferred;
  }

  void Add(std::function<void()> action) {
    std::lock_guard lock(mutex_);
    actions_.push_back(std::move(action));
    changed_.notify_one();
  }

 private:
  Deferred() {
    std::thread([this] { Run(); }).detach();
  }

  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return !actions_.empty(); });
      const std::function<void()> action = std::move(actions_.front());
      actions_.pop_front();
      lock.unlock();
      action();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> actions_;
};

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

namespace {

#define FILA_TEXT_OF(name) #name
#define FILA_TEXT(name) FILA_TEXT_OF(name)

// Abseil's own function of this mangled name.
template <typename Function>
Function RealOfAbseil(const std::string& name) {
  const std::string version = FILA_TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  return Real<Function>(("_ZN4absl" + std::to_string(version.size()) + version + name).c_str());
}

// Stands for a mutex. Not its own address: gRPC gives memory back without the sanitizer seeing it, and what that had
// noted there would be taken for the next owner's. Two mutexes may share a place; then it misses some races between
// them.
void* PlaceOf(const Mutex* mutex) {
  static char places[size_t{1} << 16];
  return &places[(reinterpret_cast<uintptr_t>(mutex) / sizeof(Mutex)) % sizeof(places)];
}

}  // namespace

void Mutex::Lock() {
  static const auto real = RealOfAbseil<void (*)(Mutex*)>("5Mutex4LockEv");
  real(this);
  __tsan_acquire(PlaceOf(this));
}

void Mutex::Unlock() {
  static const auto real = RealOfAbseil<void (*)(Mutex*)>("5Mutex6UnlockEv");
  __tsan_release(PlaceOf(this));
  real(this);
}

void CondVar::Wait(Mutex* mutex) {
  static const auto real = RealOfAbseil<void (*)(CondVar*, Mutex*)>("7CondVar4WaitEPNS0_5MutexE");
  __tsan_release(PlaceOf(mutex));
  real(this, mutex);
  __tsan_acquire(PlaceOf(mutex));
}

ABSL_NAMESPACE_END
}  // namespace absl

namespace grpc::internal {

void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  const auto done = [this] {
    CallOnDone();
    __tsan_release(&call_done);
  };
  if (inline_ondone) return done();
  Deferred::Get().Add(done);
}

void ServerCallbackCall::CallOnCancel(ServerReactor* reactor) {
  __tsan_acquire(&on_cancel_conditions_remaining_);  // the handler's part is over; here gRPC has seen so by this
  if (reactor->InternalInlineable()) return reactor->OnCancel();
  Ref();
  Deferred::Get().Add([this, reactor] {
    reactor->OnCancel();
    MaybeDone();
  });
}

void ClientReactor::InternalScheduleOnDone(Status s) {
  Deferred::Get().Add([this, status = std::move(s)] { OnDone(status); });
}

}  // namespace grpc::internal

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t nops, void* tag, void* reserved) {
  static const auto real = Real<decltype(&grpc_call_start_batch)>("grpc_call_start_batch");
  if (tag != nullptr) {
    Divert(static_cast<grpc_completion_queue_functor*>(tag));
    __tsan_release(tag);
  }
  return real(call, ops, nops, tag, reserved);
}

void grpc_server_start(grpc_server* server) {
  static const auto real = Real<decltype(&grpc_server_start)>("grpc_server_start");
  __tsan_release(&server_started);
  real(server);
}

void grpc_server_destroy(grpc_server* server) {
  static const auto real = Real<decltype(&grpc_server_destroy)>("grpc_server_destroy");
  __tsan_acquire(&call_done);
  real(server);
}

// The first thing that is done for a call that a server brings.
void grpc_call_ref(grpc_call* call) {
  static const auto real = Real<decltype(&grpc_call_ref)>("grpc_call_ref");
  __tsan_acquire(&server_started);
  real(call);
}

}  // extern "C"

// gRPC's library calls the copies of Abseil's inline functions that our binary has, which are instrumented; its own
// lock around them is not. Nothing of ours runs below this function.
extern "C" const char* __tsan_default_suppressions() {
  return "race:grpc_event_engine::experimental::ThreadPool::Queue::Add\n"
         // Both sides hold the stream's mutex; but on threads that gRPC made, the sanitizer misses some locks (it
         // reports a counter under a mutex of its own in RunAfterStart as well).
         "race:fila::api::EnqueueStreamCall::OnCancel\n";
}
