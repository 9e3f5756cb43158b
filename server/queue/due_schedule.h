// Where the earliest lease deadline is, without asking the table: most leases end by an ack long before their deadline,
// and the deadline rows they delete would have to be stepped over by every search from the start.
#ifndef FILA_SERVER_QUEUE_DUE_SCHEDULE_H_
#define FILA_SERVER_QUEUE_DUE_SCHEDULE_H_

#include <cstdint>
#include <map>

namespace fila::queue {

// Counts deadlines by the second. Memory is bounded by the longest lease (12 h: 43,200 seconds), not by the leases.
// Derived from the table's rows, so it must decide nothing but where to look.
class DueSchedule {
 public:
  void Add(int64_t due_us);
  void Remove(int64_t due_us);  // of one that was added

  // No deadline is earlier; kNever if there is none. Exact but for deadlines of the same second that were removed.
  int64_t earliest_us() const;
  // A search found that this is the earliest.
  void Correct(int64_t earliest_us);

 private:
  struct Second {
    uint64_t count = 0;
    int64_t earliest_us = 0;  // none is earlier
  };

  std::map<int64_t, Second> seconds_;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_DUE_SCHEDULE_H_
