// What an error means for a caller and for a retry (the rules stand in queue.proto's opening comment).
#ifndef FILA_CLIENT_FAILURE_H_
#define FILA_CLIENT_FAILURE_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace fila::client {

struct Failure {
  absl::Status status;
  bool retry = false;       // another attempt with the same ids is safe and may help
  bool maybe_done = false;  // this attempt may have been carried out
  bool verdict = false;     // speaks for earlier attempts too: were one of them done, this could not be the answer
  bool connection = false;  // the node itself did not answer
  absl::Duration retry_after = absl::ZeroDuration();
};

Failure Classify(const grpc::Status& status);
Failure Classify(const google::rpc::Status& status);

// Why the node at `address` did not answer, for people: what gRPC says of it, in plain words where nobody listens there
// or the name does not resolve. NobodyAnswers (client.h) knows these two.
std::string WhyUnreached(const std::string& address, const std::string& message);

// Of a call that no node took within `timeout`: nothing was done. `problem`: why, if known.
absl::Status NotTaken(absl::Duration timeout, const std::string& problem);

// What is said of a call whose last try ended with `last`, in which nothing was done, while an earlier try may have
// been carried out: the code is that of the last, the words are not, for it knows nothing of the earlier. `problem`:
// why none came through, if known.
absl::Status EarlierTryUnanswered(const absl::Status& last, const std::string& problem = "");

// The status a caller sees of a call or task that ends with `last`; `earlier_maybe_done`: an earlier try may have been
// carried out.
absl::Status FinalStatus(const Failure& last, bool earlier_maybe_done);

// The status a caller sees; `maybe_done`: some attempt may have been carried out.
absl::Status WithOutcome(absl::Status status, bool maybe_done);

}  // namespace fila::client

#endif  // FILA_CLIENT_FAILURE_H_
