// ClusterService/ReplaceMember, between a client and a fake node.
#include "fila/v1/cluster.grpc.pb.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

class ReplaceMemberTest : public ApiTest {
 protected:
  // The node answers with this.
  void Answer(storage::v1::ConfigurationStatus status, LogIndex index = 0) {
    backend_.answer_at_once = [status, index](const storage::v1::Command&) {
      CallOutcome outcome;
      outcome.result.mutable_configuration()->set_status(status);
      outcome.result.mutable_configuration()->set_index(index);
      return outcome;
    };
  }

  grpc::Status Replace(uint32_t node_id) {
    grpc::ClientContext context;
    v1::ReplaceMemberRequest request;
    request.set_node_id(node_id);
    return v1::ClusterService::NewStub(channel_)->ReplaceMember(&context, request, &response_);
  }

  v1::ReplaceMemberResponse response_;
};

TEST_F(ReplaceMemberTest, SaysFromWhereOnTheDiskCounts) {
  Answer(storage::v1::CONFIGURATION_STATUS_ADMITTED, 17);
  ASSERT_TRUE(Replace(2).ok());
  EXPECT_EQ(response_.index(), 17U);
  EXPECT_FALSE(response_.already_member());
}

TEST_F(ReplaceMemberTest, ARepeatSucceeds) {
  Answer(storage::v1::CONFIGURATION_STATUS_ALREADY_MEMBER);
  ASSERT_TRUE(Replace(2).ok());
  EXPECT_TRUE(response_.already_member());
}

TEST_F(ReplaceMemberTest, ANodeThatIsNotThereIsNotFound) {
  Answer(storage::v1::CONFIGURATION_STATUS_NO_SUCH_NODE);
  const grpc::Status status = Replace(9);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "NO_SUCH_NODE");
}

TEST_F(ReplaceMemberTest, ANodeWithoutALinkHasNoDiskToAdmit) {
  Answer(storage::v1::CONFIGURATION_STATUS_NOT_REACHABLE);
  const grpc::Status status = Replace(2);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), "NODE_NOT_REACHABLE");
}

TEST_F(ReplaceMemberTest, NoNodeIsNamed) {
  const grpc::Status status = Replace(0);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FieldOf(status), "node_id");
}

}  // namespace
}  // namespace fila::api
