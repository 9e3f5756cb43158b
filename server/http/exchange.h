// One HTTP exchange as a function: the bytes of a request to the bytes of its response. Sockets are elsewhere.
#ifndef FILA_SERVER_HTTP_EXCHANGE_H_
#define FILA_SERVER_HTTP_EXCHANGE_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace fila::http {

// What a page may want to know of who asks.
struct Request {
  std::string authorization;  // the header; empty: none
  std::string certificate;    // PEM, of the connection; empty: none
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Makes a page's response anew for each request; on any of the server's threads, several at a time.
using Page = std::function<Response(const Request&)>;
// By path, such as "/metrics".
using Pages = std::map<std::string, Page>;

// GET and HEAD of a page; 404 for other paths, 405 for other methods, 400 for what is no HTTP. `head` is the request up
// to its empty line: a body is not looked at, for no page takes one. The connection, on which the client showed
// `certificate`, ends with the response.
std::string Answer(std::string_view head, const Pages& pages, const std::string& certificate = "");

// What is answered before a request is whole, or instead of it.
std::string Refusal(int status, std::string_view message);

}  // namespace fila::http

#endif  // FILA_SERVER_HTTP_EXCHANGE_H_
