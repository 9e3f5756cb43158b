#include "server/http/exchange.h"

#include <httplib.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace fila::http {
namespace {

// A request that is in memory, and the response that comes of it.
class MemoryStream final : public httplib::Stream {
 public:
  explicit MemoryStream(std::string_view in) : in_(in) {}

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const size_t count = std::min(size, in_.size());
    std::memcpy(to, in_.data(), count);
    in_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    out_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  // The library refuses what select(2) could not wait for; here nobody waits.
  socket_t socket() const override { return 0; }

  std::string TakeOut() { return std::move(out_); }

 private:
  std::string_view in_;
  std::string out_;
};

// The library reads requests and writes responses; it never listens, and has no threads.
class Exchange final : private httplib::Server {
 public:
  template <typename Respond>
  explicit Exchange(const Respond& respond) {
    set_pre_routing_handler([&respond](const httplib::Request& request, httplib::Response& response) {
      Response made = respond(request);
      response.status = made.status;
      if (made.status == 405) response.set_header("Allow", "GET, HEAD");
      if (made.status == 401) response.set_header("WWW-Authenticate", "Bearer");
      response.set_content(std::move(made.body), made.content_type);
      return HandlerResponse::Handled;
    });
  }

  std::string ResponseTo(std::string_view head) {
    MemoryStream stream(head);
    bool closed = false;
    process_request(stream, /*close_connection=*/true, closed, nullptr);
    return stream.TakeOut();
  }
};

Response Dispatch(const Pages& pages, const httplib::Request& request, const std::string& certificate) {
  const auto page = pages.find(request.path);
  if (page == pages.end()) {
    Response absent{.status = 404, .body = "nothing here; there is:"};
    for (const auto& [path, unused] : pages) absent.body += " " + path;
    absent.body += "\n";
    return absent;
  }
  if (request.method != "GET" && request.method != "HEAD") return {.status = 405, .body = "only GET and HEAD\n"};
  return page->second({.authorization = request.get_header_value("Authorization"), .certificate = certificate});
}

}  // namespace

std::string Answer(std::string_view head, const Pages& pages, const std::string& certificate) {
  const auto respond = [&](const httplib::Request& request) { return Dispatch(pages, request, certificate); };
  std::string answer = Exchange(respond).ResponseTo(head);
  return answer.empty() ? Refusal(400, "this is no HTTP request") : answer;
}

std::string Refusal(int status, std::string_view message) {
  const auto respond = [&](const httplib::Request&) {
    return Response{.status = status, .body = std::string(message) + "\n"};
  };
  return Exchange(respond).ResponseTo("GET / HTTP/1.1\r\n\r\n");
}

}  // namespace fila::http
