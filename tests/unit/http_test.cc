// The HTTP pages' server: what it answers, and what no client can do to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/http/exchange.h"
#include "server/http/http_server.h"
#include "tests/support/http_get.h"

namespace fila::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::HttpGet;
using testing::HttpResult;
using testing::LineSocket;
using ::testing::Not;
using testing::ReadResponse;
using ::testing::StartsWith;

Pages OnePage() {
  return {{"/page", [](const Request&) { return Response{.body = "hello\n"}; }}};
}

TEST(HttpExchange, AnswersAPageAndEndsTheConnection) {
  EXPECT_THAT(Answer("GET /page HTTP/1.1\r\nHost: a\r\n\r\n", OnePage()),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Connection: close\r\n"),
                    HasSubstr("Content-Length: 6\r\n"), EndsWith("\r\n\r\nhello\n")));
  EXPECT_THAT(Answer("GET /page?query=1 HTTP/1.0\r\n\r\n", OnePage()), EndsWith("hello\n"));
}

TEST(HttpExchange, HeadIsAPageWithoutItsBody) {
  EXPECT_THAT(Answer("HEAD /page HTTP/1.1\r\n\r\n", OnePage()),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Length: 6\r\n"), Not(HasSubstr("hello"))));
}

TEST(HttpExchange, OtherPathsAndMethodsAreRefusedInWords) {
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\n\r\n", OnePage()), AllOf(StartsWith("HTTP/1.1 404 "), HasSubstr("/page")));
  EXPECT_THAT(Answer("GET /../page HTTP/1.1\r\n\r\n", OnePage()), StartsWith("HTTP/1.1 404 "));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const std::string request = std::string(method) + " /page HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n";
    EXPECT_THAT(Answer(request, OnePage()), AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD\r\n")))
        << method;
  }
}

TEST(HttpExchange, WhatIsNoHttpIsABadRequest) {
  for (const char* request : {"\r\n\r\n", "hello\r\n\r\n", "GET /page\r\n\r\n", "GET /page HTTP/9.9\r\n\r\n",
                              "get /page HTTP/1.1\r\n\r\n", "\0\1\2\r\n\r\n"}) {
    EXPECT_THAT(Answer(request, OnePage()), StartsWith("HTTP/1.1 400 ")) << request;
  }
}

class HttpServerTest : public ::testing::Test {
 protected:
  void Serve(HttpOptions options = {}, Pages pages = OnePage()) {
    options.host = "127.0.0.1";
    absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Listen(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Start(std::move(pages));
  }
  LineSocket Connect() { return LineSocket::ConnectTo(server_->port()); }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, ServesManyClientsAtOnce) {
  Serve();
  std::vector<std::thread> clients;
  std::atomic<int> served{0};
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      for (int j = 0; j < 20; ++j) served += HttpGet(server_->port(), "/page").body == "hello\n" ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served, 16 * 20);
}

TEST_F(HttpServerTest, ARequestInSmallPiecesIsARequest) {
  Serve();
  LineSocket socket = Connect();
  for (const char byte : std::string("GET /page HTTP/1.1\r\n\r\n")) ASSERT_TRUE(socket.Send({&byte, 1}));
  EXPECT_EQ(ReadResponse(&socket).body, "hello\n");
}

TEST_F(HttpServerTest, ABodyThatNobodyReadsDoesNotHideTheAnswer) {
  Serve();
  LineSocket socket = Connect();
  ASSERT_TRUE(socket.Send("POST /page HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"));
  ASSERT_TRUE(socket.Send(std::string(100'000, 'x')));
  EXPECT_EQ(ReadResponse(&socket).status, 405);
}

TEST_F(HttpServerTest, ASlowClientIsCutAndDelaysNobody) {
  Serve({.request_limit = absl::Milliseconds(300)});
  std::vector<LineSocket> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(Connect());
    ASSERT_TRUE(slow.back().Send("GET /page HTTP/1.1\r\nX: "));
  }
  EXPECT_EQ(HttpGet(server_->port(), "/page").status, 200);
  for (LineSocket& socket : slow) EXPECT_EQ(ReadResponse(&socket).status, 408);
}

TEST_F(HttpServerTest, AClientThatSaysNothingIsCut) {
  Serve({.request_limit = absl::Milliseconds(100)});
  LineSocket idle = Connect();
  EXPECT_EQ(ReadResponse(&idle).status, 408);
}

TEST_F(HttpServerTest, HeadersAreBounded) {
  Serve();
  LineSocket socket = Connect();
  ASSERT_TRUE(socket.Send("GET /page HTTP/1.1\r\n"));
  const std::string header = "X: " + std::string(1000, 'x') + "\r\n";
  for (size_t sent = 0; sent < 4 * kRequestBytesMax && socket.Send(header); sent += header.size()) {
  }
  EXPECT_EQ(ReadResponse(&socket).status, 431);
}

TEST_F(HttpServerTest, ARequestThatBreaksOffIsABadOne) {
  Serve();
  LineSocket socket = Connect();
  ASSERT_TRUE(socket.Send("GET /page HTTP/1.1\r\nHost: a"));
  socket.EndSending();
  EXPECT_EQ(ReadResponse(&socket).status, 400);
}

TEST_F(HttpServerTest, OneConnectionTooManyIsToldToComeBack) {
  Serve({.connections_max = 3});
  std::vector<LineSocket> open;
  for (int i = 0; i < 3; ++i) open.push_back(Connect());
  LineSocket more = Connect();
  EXPECT_EQ(ReadResponse(&more).status, 503);
  open.clear();
  for (int i = 0; i < 1000 && HttpGet(server_->port(), "/page").status != 200; ++i) {
  }
  EXPECT_EQ(HttpGet(server_->port(), "/page").status, 200) << "there is room again";
}

TEST_F(HttpServerTest, APageThatHangsKeepsNoOtherFromBeingServed) {
  std::promise<void> let_go;
  std::shared_future<void> go = let_go.get_future().share();
  Pages pages = OnePage();
  pages["/hangs"] = [go](const Request&) {
    go.wait();
    return Response{.body = "at last\n"};
  };
  Serve({}, std::move(pages));
  std::vector<LineSocket> waiting;
  for (size_t i = 0; i + 1 < kPageThreads; ++i) {
    waiting.push_back(Connect());
    ASSERT_TRUE(waiting.back().Send("GET /hangs HTTP/1.1\r\n\r\n"));
  }
  EXPECT_EQ(HttpGet(server_->port(), "/page").status, 200);
  let_go.set_value();
  for (LineSocket& socket : waiting) EXPECT_EQ(ReadResponse(&socket).body, "at last\n");
}

TEST_F(HttpServerTest, APortInUseIsSaidInTheWordsOfItsFlag) {
  Serve();
  const absl::Status taken =
      HttpServer::Listen({.host = "127.0.0.1", .port = static_cast<uint16_t>(server_->port())}).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(taken.message()), AllOf(HasSubstr("in use"), HasSubstr("--http_port (0: none)")));
  EXPECT_EQ(HttpServer::Listen({.host = "192.0.2.1"}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(HttpServerTest, AShutdownClosesWhatIsOpen) {
  Serve();
  LineSocket open = Connect();
  ASSERT_EQ(HttpGet(server_->port(), "/page").status, 200);  // after it, so `open` is accepted
  server_->Shutdown();
  EXPECT_EQ(ReadResponse(&open).status, 0);
  EXPECT_EQ(HttpGet(server_->port(), "/page").status, 0);
  server_->Shutdown();
}

}  // namespace
}  // namespace fila::http
