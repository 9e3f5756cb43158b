// Every kind of line that is no request of the legacy JSON protocol.
#ifndef FILA_TESTS_SUPPORT_BAD_LINES_H_
#define FILA_TESTS_SUPPORT_BAD_LINES_H_

#include <string>
#include <vector>

namespace fila::testing {

struct BadLine {
  const char* what;
  std::string line;
};

inline std::vector<BadLine> BadLines() {
  const std::string head = R"({"type":"enqueue","source":9000,"target":null,"lamport_ts":1,)";
  const auto payload = [&](const std::string& fields) { return head + R"("payload":{)" + fields + "}}"; };
  const auto ack = [](const std::string& fields) {
    return R"({"type":"task_ack","source":9000,"target":null,"lamport_ts":1,"payload":{)" + fields + "}}";
  };
  const auto type = [](const std::string& name) {
    return R"({"type":)" + name + R"(,"source":9000,"target":null,"lamport_ts":1,"payload":{}})";
  };
  const auto envelope = [](const std::string& source, const std::string& target, const std::string& lamport) {
    return R"({"type":"enqueue","source":)" + source + R"(,"target":)" + target + R"(,"lamport_ts":)" + lamport +
           R"(,"payload":{}})";
  };
  return {
      {"nothing", ""},
      {"spaces", "   "},
      {"words", "hello"},
      {"another protocol", "GET / HTTP/1.1\r"},
      {"a number", "17"},
      {"a string", R"("enqueue")"},
      {"null", "null"},
      {"an array", "[" + payload("") + "]"},
      {"an empty object", "{}"},
      {"no end", payload("").substr(0, payload("").size() - 1)},
      {"something after it", payload("") + "x"},
      {"two objects", payload("") + payload("")},
      {"a comment", payload("") + "// done"},
      {"a trailing comma", payload(R"("payload":"x",)")},
      {"single quotes", "{'type':'enqueue'}"},
      {"not a number", envelope("NaN", "null", "1")},
      {"a sixth key", payload("").substr(0, payload("").size() - 1) + R"(,"version":1})"},
      {"a key twice", payload("").substr(0, payload("").size() - 1) + R"(,"source":9000})"},
      {"a key in capitals", R"({"Type":"enqueue","source":1,"target":null,"lamport_ts":1,"payload":{}})"},
      {"no type", R"({"source":9000,"target":null,"lamport_ts":1,"payload":{}})"},
      {"no source", R"({"type":"enqueue","target":null,"lamport_ts":1,"payload":{}})"},
      {"no target", R"({"type":"enqueue","source":9000,"lamport_ts":1,"payload":{}})"},
      {"no lamport_ts", R"({"type":"enqueue","source":9000,"target":null,"payload":{}})"},
      {"no payload", head.substr(0, head.size() - 1) + "}"},
      {"a type that is a number", type("1")},
      {"an unknown type", type(R"("steal")")},
      {"an empty type", type(R"("")")},
      {"a type in capitals", type(R"("ENQUEUE")")},
      {"a reply as a request", type(R"("enqueue_ack")")},
      {"a task as a request", type(R"("task")")},
      {"an error as a request", type(R"("error")")},
      {"a peer's heartbeat", type(R"("heartbeat")")},
      {"a peer's election", type(R"("election")")},
      {"a peer's prepare", type(R"("repl_prepare")")},
      {"a source that is text", envelope(R"("9000")", "null", "1")},
      {"a source that is null", envelope("null", "null", "1")},
      {"a source with a fraction", envelope("9000.5", "null", "1")},
      {"a source beyond 64 bits", envelope("9223372036854775808", "null", "1")},
      {"a source far beyond 64 bits", envelope("-99999999999999999999999999", "null", "1")},
      {"a target that is text", envelope("9000", R"("1")", "1")},
      {"a target that is true", envelope("9000", "true", "1")},
      {"a target with an exponent", envelope("9000", "1e3", "1")},
      {"a negative lamport_ts", envelope("9000", "null", "-1")},
      {"a lamport_ts with a fraction", envelope("9000", "null", "1.0")},
      {"a lamport_ts beyond 64 bits", envelope("9000", "null", "9223372036854775808")},
      {"a lamport_ts out of reach", envelope("9000", "null", "9223372036854775807")},
      {"a lamport_ts that is null", envelope("9000", "null", "null")},
      {"a payload that is text", head + R"("payload":"x"})"},
      {"a payload that is null", head + R"("payload":null})"},
      {"a payload that is an array", head + R"("payload":[]})"},
      {"an unknown key in the payload", payload(R"("priority":1)")},
      {"a payload's key twice", payload(R"("payload":"x","payload":"y")")},
      {"an envelope's key in the payload", payload(R"("source":1)")},
      {"a task's payload that is a number", payload(R"("payload":1)")},
      {"a task's payload that is null", payload(R"("payload":null)")},
      {"a task's payload that is an object", payload(R"("payload":{})")},
      {"a task's payload that is an array", payload(R"("payload":["x"])")},
      {"nested too deep", payload(R"("payload":)" + std::string(50'000, '[') + std::string(50'000, ']'))},
      {"objects nested too deep", payload(R"("payload":{"a":{"a":{"a":{"a":{}}}}})")},
      {"a task id that is a number", payload(R"("task_id":1)")},
      {"an empty task id", payload(R"("task_id":"")")},
      {"a task id with a control character", payload(R"("task_id":"a\nb")")},
      {"a task id that is too long", payload(R"("task_id":")" + std::string(129, 'i') + '"')},
      {"a reply port alone", payload(R"("reply_port":1)")},
      {"a reply host alone", payload(R"("reply_host":"127.0.0.1")")},
      {"a reply host that is a number", payload(R"("reply_host":1,"reply_port":1)")},
      {"a reply host that is empty", payload(R"("reply_host":"","reply_port":1)")},
      {"a reply host that is a name", payload(R"("reply_host":"example.org","reply_port":1)")},
      {"a reply port that is text", payload(R"("reply_host":"127.0.0.1","reply_port":"1")")},
      {"a reply port of 0", payload(R"("reply_host":"127.0.0.1","reply_port":0)")},
      {"a reply port beyond 65535", payload(R"("reply_host":"127.0.0.1","reply_port":65536)")},
      {"a negative reply port", payload(R"("reply_host":"127.0.0.1","reply_port":-1)")},
      {"no UTF-8", payload("\"payload\":\"\xff\xfe\"")},
      {"UTF-8 that is overlong", payload("\"payload\":\"\xc0\xaf\"")},
      {"half a surrogate pair", payload(R"("payload":"\ud800")")},
      {"an unknown escape", payload(R"("payload":"\x41")")},
      {"a bare control character", payload("\"payload\":\"a\tb\"")},
      {"a task_ack without its task", ack("")},
      {"a task_ack with a payload", ack(R"("task_id":"a","payload":"x")")},
      {"a task_ack that wants a reply", ack(R"("task_id":"a","reply_host":"127.0.0.1","reply_port":1)")},
      {"a task_ack of nothing", ack(R"("task_id":"")")},
      {"a dequeue with a task id",
       R"({"type":"dequeue","source":1,"target":null,"lamport_ts":1,"payload":{"task_id":"a"}})"},
      {"a dequeue with a payload",
       R"({"type":"dequeue","source":1,"target":null,"lamport_ts":1,"payload":{"payload":"a"}})"},
      {"a line that is too long", payload(R"("payload":")" + std::string(1 << 20, 'x') + '"')},
  };
}

}  // namespace fila::testing

#endif  // FILA_TESTS_SUPPORT_BAD_LINES_H_
