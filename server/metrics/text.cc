#include "server/metrics/text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <utility>
#include <vector>

#include "common/invariant.h"

namespace fila::metrics {
namespace {

prometheus::MetricType TypeOf(Type type) {
  switch (type) {
    case Type::kGauge:
      return prometheus::MetricType::Gauge;
    case Type::kCounter:
      return prometheus::MetricType::Counter;
    case Type::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  FILA_INVARIANT(false, "a metric has a type");
}

prometheus::ClientMetric::Histogram HistogramOf(const Distribution& distribution, double unit) {
  prometheus::ClientMetric::Histogram histogram;
  for (size_t i = 0; i < distribution.counts.size(); ++i) {
    histogram.sample_count += distribution.counts[i];
    if (i == distribution.bounds.size()) break;  // the serializer adds the last, +Inf
    histogram.bucket.push_back({.cumulative_count = histogram.sample_count,
                                .upper_bound = static_cast<double>(distribution.bounds[i]) * unit});
  }
  histogram.sample_sum = static_cast<double>(distribution.sum) * unit;
  return histogram;
}

prometheus::ClientMetric SeriesOf(const Metric& metric, Sample sample) {
  FILA_INVARIANT(sample.labels.size() == metric.labels.size(), "a sample has its metric's labels");
  prometheus::ClientMetric series;
  for (size_t i = 0; i < metric.labels.size(); ++i) {
    series.label.push_back({.name = std::string(metric.labels[i]), .value = std::move(sample.labels[i])});
  }
  switch (metric.type) {
    case Type::kGauge:
      series.gauge.value = sample.value;
      break;
    case Type::kCounter:
      series.counter.value = sample.value;
      break;
    case Type::kHistogram:
      series.histogram = HistogramOf(sample.distribution, metric.unit);
      break;
  }
  return series;
}

}  // namespace

std::string ToText(const Measured& measured) {
  std::vector<prometheus::MetricFamily> families;
  for (const Metric& metric : Catalog()) {
    prometheus::MetricFamily& family = families.emplace_back();
    family.name = std::string(metric.name);
    family.help = std::string(metric.help);
    family.type = TypeOf(metric.type);
    for (Sample& sample : metric.read(measured)) family.metric.push_back(SeriesOf(metric, std::move(sample)));
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace fila::metrics
