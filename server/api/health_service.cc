#include "server/api/health_service.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "server/security/credentials.h"

namespace fila::api {
namespace {

constexpr std::string_view kLeaderService = "fila.leader";
constexpr std::string_view kNodeServices[] = {"", "fila.v1.QueueService", "fila.v1.AdminService",
                                              "fila.v1.ClusterService"};

}  // namespace

// One Watch. Writes the newest status whenever it differs from the last one written.
class HealthService::Watcher final : public grpc::ServerWriteReactor<Response> {
 public:
  Watcher(HealthService* service, Subject subject, const security::CertificateText& certificate)
      : service_(service), subject_(subject), leaf_(certificate.leaf), chain_(certificate.chain) {}

  Subject subject() const { return subject_; }
  // What its connection showed.
  security::CertificateText certificate() const { return {.leaf = leaf_, .chain = chain_}; }

  // Any thread, until the watcher is out of the service's set.
  void Tell(ServingStatus status) {
    std::lock_guard lock(mutex_);
    wanted_ = status;
    Advance();
  }
  void End(const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    if (!end_) end_ = status;
    Advance();
  }

 private:
  void Advance() {
    if (writing_ || finished_) return;
    if (wanted_ != told_ && !broken_) {
      told_ = wanted_;
      response_.set_status(*told_);
      writing_ = true;
      StartWrite(&response_);
    } else if (end_) {
      finished_ = true;
      Finish(*end_);
    }
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) Break();
    Advance();
  }
  void OnCancel() override {
    std::lock_guard lock(mutex_);
    Break();
    Advance();
  }
  void Break() {
    broken_ = true;
    if (!end_) end_ = grpc::Status::CANCELLED;
  }
  void OnDone() override {
    {
      std::lock_guard lock(service_->mutex_);
      service_->watchers_.erase(this);
    }
    delete this;
  }

  HealthService* const service_;
  const Subject subject_;
  const std::string leaf_;
  const std::string chain_;
  Response response_;

  std::mutex mutex_;  // after the service's
  std::optional<ServingStatus> wanted_;
  std::optional<ServingStatus> told_;
  std::optional<grpc::Status> end_;
  bool writing_ = false;
  bool broken_ = false;
  bool finished_ = false;
};

HealthService::HealthService(ApiEnv* env) : env_(env) {
  serving_ = env->backend->ready();
  leading_ = env->backend->leader().is_self;
}

HealthService::Subject HealthService::SubjectOf(std::string_view service) {
  if (service == kLeaderService) return Subject::kLeader;
  const bool known = std::find(std::begin(kNodeServices), std::end(kNodeServices), service) != std::end(kNodeServices);
  return known ? Subject::kNode : Subject::kUnknown;
}

HealthService::ServingStatus HealthService::StatusOf(Subject subject) const {
  if (subject == Subject::kUnknown) return Response::SERVICE_UNKNOWN;
  const bool serves = subject == Subject::kLeader ? env_->backend->leader().is_self : env_->backend->ready();
  return serves && !stopping_ ? Response::SERVING : Response::NOT_SERVING;
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context, const Request* request,
                                               Response* response) {
  const Subject subject = SubjectOf(request->service());
  grpc::Status status;
  if (const Refusal refusal = CheckConnection(security::CertificateOf(*context->auth_context()))) {
    status = ToGrpcStatus(*refusal);
  } else if (subject == Subject::kUnknown) {
    status = ToGrpcStatus({.code = grpc::StatusCode::NOT_FOUND,
                           .reason = "SERVICE_UNKNOWN",
                           .message = "Ask about \"\", \"fila.leader\" or a public service such as "
                                      "\"fila.v1.QueueService\"."});
  } else {
    response->set_status(StatusOf(subject));
  }
  return FinishAtOnce(context, env_->backend, 0, status);
}

grpc::ServerWriteReactor<HealthService::Response>* HealthService::Watch(grpc::CallbackServerContext* context,
                                                                        const Request* request) {
  StampMetadata(context, env_->backend, 0, 0);
  auto* watcher = new Watcher(this, SubjectOf(request->service()), security::CertificateOf(*context->auth_context()));
  std::lock_guard lock(mutex_);
  if (const Refusal refusal = CheckConnection(watcher->certificate())) {
    watcher->End(ToGrpcStatus(*refusal));
    return watcher;
  }
  if (watchers_.size() >= kHealthWatchersMax) {
    watcher->End(ToGrpcStatus(Overloaded("Too many watch this node's health already. Close some, or call Check.")));
    return watcher;
  }
  watchers_.insert(watcher);
  watcher->Tell(StatusOf(watcher->subject()));
  if (stopping_) watcher->End(ToGrpcStatus(FromCallEnd(CallEnd::kStopping)));
  return watcher;
}

void HealthService::Refresh() {
  const bool serving = env_->backend->ready();
  const bool leading = env_->backend->leader().is_self;
  const bool serving_changed = serving_.exchange(serving) != serving;
  const bool leading_changed = leading_.exchange(leading) != leading;
  if (serving_changed || leading_changed) env_->replier.Post([this] { TellWatchers(); });
}

void HealthService::TellWatchers() {
  std::lock_guard lock(mutex_);
  for (Watcher* watcher : watchers_) watcher->Tell(StatusOf(watcher->subject()));
}

Refusal HealthService::CheckConnection(const security::CertificateText& certificate) const {
  if (env_->access == nullptr) return std::nullopt;
  const absl::Status status = env_->access->CheckConnection(certificate);
  if (status.ok()) return std::nullopt;
  return Unauthenticated(status);
}

void HealthService::Recheck() {
  std::lock_guard lock(mutex_);
  for (Watcher* watcher : watchers_) {
    if (const Refusal refusal = CheckConnection(watcher->certificate())) watcher->End(ToGrpcStatus(*refusal));
  }
}

void HealthService::Shutdown() {
  stopping_ = true;
  std::lock_guard lock(mutex_);
  for (Watcher* watcher : watchers_) {
    watcher->Tell(StatusOf(watcher->subject()));
    watcher->End(ToGrpcStatus(FromCallEnd(CallEnd::kStopping)));
  }
}

}  // namespace fila::api
