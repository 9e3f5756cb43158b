#include "fila/v1/cluster.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

class ApiCluster : public ApiTest {
 protected:
  // Asks for a transfer to node 2; the node ends it with `end`.
  grpc::Status Transfer(CallEnd end, v1::TransferLeadershipResponse* response) {
    backend_.answer_at_once = [end](const storage::v1::Command&) { return Ended(end); };
    grpc::ClientContext context;
    v1::TransferLeadershipRequest request;
    request.set_node_id(2);
    return v1::ClusterService::NewStub(channel_)->TransferLeadership(&context, request, response);
  }
};

TEST_F(ApiCluster, ATransferNamesTheNodeThatLeads) {
  backend_.SetState({.address = "127.0.0.1:50052", .id = NodeId{2}, .epoch = {5, NodeId{2}}}, true);
  v1::TransferLeadershipResponse response;
  ASSERT_TRUE(Transfer(CallEnd::kDone, &response).ok());
  EXPECT_EQ(response.leader_id(), 2U);
  EXPECT_EQ(backend_.transfer_target, NodeId{2});
  EXPECT_GT(backend_.asked(0).remaining, absl::Seconds(29)) << "request_timeout where the caller has no deadline";
}

TEST_F(ApiCluster, ATransferThatCantBeIsRefusedByName) {
  v1::TransferLeadershipResponse response;
  EXPECT_EQ(ReasonOf(Transfer(CallEnd::kNotReady, &response)), "NODE_NOT_READY");
  const grpc::Status unknown = Transfer(CallEnd::kNoSuchNode, &response);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(unknown), "NO_SUCH_NODE");
}

}  // namespace
}  // namespace fila::api
