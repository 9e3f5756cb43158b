// How each method is started, for UnaryCall.
#ifndef FILA_CLIENT_CALLS_H_
#define FILA_CLIENT_CALLS_H_

#include <functional>
#include <utility>

#include "client/node.h"

namespace fila::client {

// FILA_CLIENT_CALL(Ack, queue) makes StartAck, which starts QueueService/Ack on a node.
#define FILA_CLIENT_CALL(METHOD, SERVICE)                                                                 \
  inline void Start##METHOD(Node& node, grpc::ClientContext* context, const v1::METHOD##Request* request, \
                            v1::METHOD##Response* response, std::function<void(grpc::Status)> done) {     \
    node.SERVICE().async()->METHOD(context, request, response, std::move(done));                          \
  }

FILA_CLIENT_CALL(EnqueueBatch, queue)
FILA_CLIENT_CALL(Dequeue, queue)
FILA_CLIENT_CALL(Ack, queue)
FILA_CLIENT_CALL(Nack, queue)
FILA_CLIENT_CALL(ExtendLease, queue)
FILA_CLIENT_CALL(GetQueueStats, admin)
FILA_CLIENT_CALL(ListQueues, admin)
FILA_CLIENT_CALL(GetTask, admin)
FILA_CLIENT_CALL(ListTasks, admin)
FILA_CLIENT_CALL(RedriveTasks, admin)
FILA_CLIENT_CALL(GetClusterStatus, cluster)
FILA_CLIENT_CALL(ReplaceMember, cluster)
FILA_CLIENT_CALL(TransferLeadership, cluster)

#undef FILA_CLIENT_CALL

}  // namespace fila::client

#endif  // FILA_CLIENT_CALLS_H_
