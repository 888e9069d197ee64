// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One scrape of /metrics. The owner of the state builds a page when Prometheus asks, and leaves
// unknown values out: absent is not 0. Names follow the Prometheus conventions (base units,
// `_total` for counters, `_info` with value 1). Labels are closed sets and never name a job or an
// attempt. Only this folder uses prometheus-cpp. One thread owns a page.
//
//   MetricsPage page;
//   page.Gauge("wattle_device_power_watts", "Power drawn now.", {{"source", "rapl"}}, 12.5);
//   response.set_content(page.Text(), MetricsPage::kContentType);
#ifndef WATTLE_TELEMETRY_EXPORT_METRICS_PAGE_H_
#define WATTLE_TELEMETRY_EXPORT_METRICS_PAGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace wattle::telemetry {

// Label names and values of one series, in the order of printing.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// The counts of a histogram, which its owner keeps. upper_bounds ascends. counts has one more
// element than upper_bounds, for values above every bound. Counts are per bucket, not cumulative.
struct HistogramValue {
  std::vector<double> upper_bounds;
  std::vector<uint64_t> counts;
  double sum = 0.0;

  explicit HistogramValue(std::vector<double> bounds);
  void Observe(double value);
};

class MetricsPage {
 public:
  static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

  MetricsPage();
  ~MetricsPage();
  MetricsPage(const MetricsPage&) = delete;
  MetricsPage& operator=(const MetricsPage&) = delete;

  // Adds one series. The first call for a name fixes its help text and type. All series of one name
  // are printed together, whatever the order of the calls. A name or label name that Prometheus
  // would refuse is a broken invariant.
  void Gauge(absl::string_view name, absl::string_view help, const MetricLabels& labels,
             double value);
  // value: the sum since the process or the device began; never falls.
  void Counter(absl::string_view name, absl::string_view help, const MetricLabels& labels,
               double value);
  void Histogram(absl::string_view name, absl::string_view help, const MetricLabels& labels,
                 const HistogramValue& value);

  // The text format 0.0.4.
  [[nodiscard]] std::string Text() const;

  // The page as values, for a worker that Prometheus cannot scrape. REQUIRES: only gauges and
  // counters; no worker has a histogram.
  struct Sample {
    std::string name;
    MetricLabels labels;
    double value = 0;
  };
  [[nodiscard]] std::vector<Sample> Samples() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_EXPORT_METRICS_PAGE_H_
