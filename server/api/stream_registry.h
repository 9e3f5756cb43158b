// The calls that stay open, so that a server that goes down can end them in good order, and so that those end whose
// caller may no longer make them.
#ifndef FILA_SERVER_API_STREAM_REGISTRY_H_
#define FILA_SERVER_API_STREAM_REGISTRY_H_

#include <cstddef>
#include <mutex>
#include <unordered_set>

namespace fila::api {

class Drainable {
 public:
  // Answers what it has read, reads no more, and ends.
  virtual void Drain() = 0;
  // Ends it if its caller is no longer let in. Called again and again.
  virtual void Recheck() = 0;

 protected:
  ~Drainable() = default;
};

// Thread-safe.
class StreamRegistry {
 public:
  // Drains it at once if DrainAll came before.
  void Add(Drainable* stream) {
    std::lock_guard lock(mutex_);
    streams_.insert(stream);
    if (draining_) stream->Drain();
  }
  // After it, the stream is not touched any more.
  void Remove(Drainable* stream) {
    std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }
  size_t size() {
    std::lock_guard lock(mutex_);
    return streams_.size();
  }
  void RecheckAll() {
    std::lock_guard lock(mutex_);
    for (Drainable* stream : streams_) stream->Recheck();
  }
  void DrainAll() {
    std::lock_guard lock(mutex_);
    draining_ = true;
    for (Drainable* stream : streams_) stream->Drain();
  }

 private:
  std::mutex mutex_;
  std::unordered_set<Drainable*> streams_;
  bool draining_ = false;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_STREAM_REGISTRY_H_
