// A node's metrics in the text format that Prometheus reads.
#ifndef FILA_SERVER_METRICS_TEXT_H_
#define FILA_SERVER_METRICS_TEXT_H_

#include <string>

#include "server/metrics/catalog.h"

namespace fila::metrics {

// Of the text format, version 0.0.4.
inline constexpr char kTextContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Every metric of the catalog, each with its help and type, whether it has a value or not.
std::string ToText(const Measured& measured);

}  // namespace fila::metrics

#endif  // FILA_SERVER_METRICS_TEXT_H_
