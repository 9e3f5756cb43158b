// Every metric of a node: its name, type and labels, what it means, and what it is made of. docs/METRICS.md tells
// people what to do about each; tests/structure checks that it and this have the same.
//
// Names end in their base unit (seconds, bytes, entries, …), and counters in _total.
#ifndef FILA_SERVER_METRICS_CATALOG_H_
#define FILA_SERVER_METRICS_CATALOG_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/metrics/instruments.h"
#include "server/metrics/reading.h"

namespace fila::metrics {

enum class Type : uint8_t { kGauge, kCounter, kHistogram };

// One series' value.
struct Sample {
  std::vector<std::string> labels;  // in the order of Metric::labels
  double value = 0;                 // of a gauge or counter
  Distribution distribution;        // of a histogram
};

// What a node says of itself when it is asked.
struct Measured {
  const Reading& reading;
  const Instruments& instruments;
};

struct Metric {
  std::string_view name;
  Type type = Type::kGauge;
  std::vector<std::string_view> labels;
  std::string_view help;
  // What one of a histogram's whole numbers is, in the unit of the name.
  double unit = 1;
  // None where the value is not known.
  std::vector<Sample> (*read)(const Measured& measured) = nullptr;
};

// In the order in which they are shown.
std::span<const Metric> Catalog();

}  // namespace fila::metrics

#endif  // FILA_SERVER_METRICS_CATALOG_H_
