// Instruments, the catalog of metrics, and their text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "server/metrics/catalog.h"
#include "server/metrics/text.h"
#include "tests/support/http_get.h"

namespace fila::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Histogram, AValueCountsBelowTheFirstBoundThatItDoesNotExceed) {
  static constexpr std::array<uint64_t, 2> kBounds = {10, 20};
  Histogram histogram(kBounds);
  for (const uint64_t value : {0, 10, 11, 20, 21, 1'000}) histogram.Add(uint64_t{value});
  const Distribution read = histogram.Read();
  EXPECT_THAT(read.bounds, ElementsAre(10, 20));
  EXPECT_THAT(read.counts, ElementsAre(2, 2, 2));
  EXPECT_EQ(read.sum, 1'062U);
}

TEST(Histogram, ADurationIsNanosecondsAndNeverNegative) {
  Histogram histogram(kLatencyBoundsNs);
  histogram.Add(absl::Milliseconds(3));
  histogram.Add(absl::Seconds(-1));
  EXPECT_EQ(histogram.Read().sum, 3'000'000U);
  EXPECT_EQ(histogram.Read().counts[0], 1U);
}

TEST(Instruments, NothingIsLostBetweenThreads) {
  Instruments instruments;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10'000; ++j) {
        instruments.acked.Add(2);
        instruments.batch_calls.Add(uint64_t{1});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(instruments.acked.value(), 80'000U);
  EXPECT_EQ(instruments.batch_calls.Read().sum, 40'000U);
}

TEST(Catalog, NamesAreUniqueAndSayUnitAndType) {
  std::set<std::string_view> names;
  for (const Metric& metric : Catalog()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
    EXPECT_TRUE(absl::StartsWith({metric.name.data(), metric.name.size()}, "fila_")) << metric.name;
    EXPECT_EQ(metric.name.ends_with("_total"), metric.type == Type::kCounter) << metric.name;
    EXPECT_TRUE(metric.help.ends_with(".")) << metric.name;
    for (const char* scaled : {"_ms", "_us", "_milliseconds", "_kilobytes", "_mib"}) {
      EXPECT_FALSE(metric.name.ends_with(scaled)) << metric.name << ": base units only";
    }
  }
}

std::map<std::string, double> Values(const Reading& reading, const Instruments& instruments = {}) {
  return testing::ParseMetrics(ToText({.reading = reading, .instruments = instruments}));
}

TEST(MetricsText, EveryMetricOfTheCatalogIsThereWithHelpAndType) {
  const Instruments instruments;
  const std::string text = ToText({.reading = {}, .instruments = instruments});
  for (const Metric& metric : Catalog()) {
    const std::string name(metric.name);
    EXPECT_THAT(text, HasSubstr("# HELP " + name + " "));
    EXPECT_THAT(text, HasSubstr("# TYPE " + name +
                                (metric.type == Type::kGauge     ? " gauge\n"
                                 : metric.type == Type::kCounter ? " counter\n"
                                                                 : " histogram\n")));
  }
}

TEST(MetricsText, SaysWhoLeadsAndWhoLagsBehind) {
  Reading reading;
  reading.self = NodeId{3};
  reading.role = Role::kLeader;
  reading.leader = NodeId{3};
  reading.epoch = {4, NodeId{3}};
  reading.peers = {{.id = NodeId{1}, .reachable = true, .lag = 7}, {.id = NodeId{2}, .reachable = false, .lag = {}}};
  std::map<std::string, double> values = Values(reading);
  EXPECT_EQ(values.at("fila_has_leader"), 1);
  EXPECT_EQ(values.at("fila_leader_id"), 3);
  EXPECT_EQ(values.at("fila_epoch_round"), 4);
  EXPECT_EQ(values.at("fila_role{role=\"leader\"}"), 1);
  EXPECT_EQ(values.at("fila_role{role=\"follower\"}"), 0);
  EXPECT_EQ(values.at("fila_follower_lag_entries{node=\"1\"}"), 7);
  EXPECT_EQ(values.count("fila_follower_lag_entries{node=\"2\"}"), 0U) << "not known is not zero";
  EXPECT_EQ(values.at("fila_peer_reachable{peer=\"2\"}"), 0);
  reading.leader = kNoNode;
  EXPECT_EQ(Values(reading).at("fila_has_leader"), 0);
}

TEST(MetricsText, WhatIsNotKnownHasNoValue) {
  Reading reading;
  EXPECT_EQ(Values(reading).count("fila_clock_offset_seconds"), 0U);
  EXPECT_EQ(Values(reading).count("fila_disk_free_bytes"), 0U);
  reading.clock_offset = absl::Milliseconds(-250);
  reading.clock_error = absl::Milliseconds(2);
  EXPECT_DOUBLE_EQ(Values(reading).at("fila_clock_offset_seconds"), -0.25);
  EXPECT_DOUBLE_EQ(Values(reading).at("fila_clock_error_seconds"), 0.002);
}

TEST(MetricsText, HistogramsAreInSeconds) {
  Instruments instruments;
  instruments.fsync.Add(absl::Milliseconds(3));
  instruments.fsync.Add(absl::Seconds(60));
  std::map<std::string, double> values = Values({}, instruments);
  EXPECT_EQ(values.at("fila_fsync_duration_seconds_bucket{le=\"0.002\"}"), 0);
  EXPECT_EQ(values.at("fila_fsync_duration_seconds_bucket{le=\"0.005\"}"), 1);
  EXPECT_EQ(values.at("fila_fsync_duration_seconds_bucket{le=\"10\"}"), 1);
  EXPECT_EQ(values.at("fila_fsync_duration_seconds_bucket{le=\"+Inf\"}"), 2);
  EXPECT_EQ(values.at("fila_fsync_duration_seconds_count"), 2);
  EXPECT_DOUBLE_EQ(values.at("fila_fsync_duration_seconds_sum"), 60.003);
}

TEST(MetricsText, QueuesAndReasonsAreLabels) {
  Reading reading;
  reading.queues.shown.push_back(
      {.queue = "mail", .ready = 1, .leased = 2, .delayed = 3, .dead = 4, .oldest_age = absl::Milliseconds(1500)});
  reading.queues.hidden = 9;
  reading.rejections = {{"NO_LEADER", 5}};
  reading.connections = {{"silent", 6}};
  reading.connections_refused = {{"resets", 7}};
  std::map<std::string, double> values = Values(reading);
  EXPECT_EQ(values.at("fila_queue_tasks{queue=\"mail\",state=\"dead\"}"), 4);
  EXPECT_EQ(values.at("fila_queue_oldest_task_age_seconds{queue=\"mail\"}"), 1.5);
  EXPECT_EQ(values.at("fila_queues_hidden"), 9);
  EXPECT_EQ(values.at("fila_rejections_total{reason=\"NO_LEADER\"}"), 5);
  EXPECT_EQ(values.at("fila_connections{kind=\"silent\"}"), 6);
  EXPECT_EQ(values.at("fila_connections_refused_total{reason=\"resets\"}"), 7);
}

}  // namespace
}  // namespace fila::metrics
