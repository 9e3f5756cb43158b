// What happened, for people. Costs nothing while it is off: a run that fails is run again with it on.
#ifndef FILA_TESTS_SIMULATION_TRACE_H_
#define FILA_TESTS_SIMULATION_TRACE_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "common/record.h"
#include "server/replica/event.h"
#include "tests/simulation/violation.h"

namespace fila::sim {

class Trace {
 public:
  enum class Mode : uint8_t {
    kOff,
    kKeep,   // the last lines, for a failure's report
    kPrint,  // all, to standard output, as they come
  };

  explicit Trace(Mode mode) : mode_(mode) {}

  // `text` makes the line, if anybody wants it.
  template <typename F>
  void Line(Micros at, NodeId node, const F& text) {
    if (mode_ != Mode::kOff) Add(at, node, text());
  }

  const std::deque<std::string>& last_lines() const { return lines_; }
  // Of all lines: equal for equal runs.
  uint64_t hash() const { return hash_; }

 private:
  void Add(Micros at, NodeId node, const std::string& text);

  Mode mode_;
  std::deque<std::string> lines_;
  uint64_t hash_ = 0xcbf29ce484222325U;
};

// One line about a message, an event, a record.
std::string Describe(const peer::v1::Envelope& envelope);
std::string Describe(const replica::Event& event);
std::string Describe(const Record& record);

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_TRACE_H_
