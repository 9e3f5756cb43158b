// A task's headers and payload as its row holds them.
#ifndef FILA_SERVER_QUEUE_CONTENT_H_
#define FILA_SERVER_QUEUE_CONTENT_H_

#include <string>
#include <string_view>

#include "server/queue/rows.h"

namespace fila::queue {

// Calls `header(name, value)` for each and returns the payload.
template <typename OnHeader>
std::string_view ReadContent(std::string_view content, const OnHeader& header) {
  RowReader reader(content);
  for (uint64_t left = reader.Varint(); left > 0; --left) {
    const std::string_view name = reader.String();
    header(name, reader.String());
  }
  return reader.rest();
}

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_CONTENT_H_
