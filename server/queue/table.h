// The ordered table that the task state machine lives in: RocksDB in a node, an ordered map in the simulator.
#ifndef FILA_SERVER_QUEUE_TABLE_H_
#define FILA_SERVER_QUEUE_TABLE_H_

#include <functional>
#include <string>
#include <string_view>

namespace fila::queue {

// Keys are ordered as unsigned bytes. One thread. Reads see earlier writes of the same batch.
class Table {
 public:
  // Called with a key and its value, in order; false ends the scan. Valid for the call only.
  using Visitor = std::function<bool(std::string_view key, std::string_view value)>;

  virtual ~Table() = default;

  // False if there is no such row.
  virtual bool Get(std::string_view key, std::string* value) const = 0;
  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Delete(std::string_view key) = 0;
  // Visits rows with from <= key < to. The visitor must not write.
  virtual void Scan(std::string_view from, std::string_view to, const Visitor& visit) const = 0;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_TABLE_H_
