// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One scrape of /metrics. The owner of the state builds a page from it when Prometheus asks, so a
// value that is not known is simply not added: absent is not 0. Names follow the Prometheus
// conventions (base units, `_total` for counters, `_info` with value 1); labels are closed sets,
// never a job or attempt id. The only place that knows prometheus-cpp. One thread owns a page.
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

// Label names and values of one series, in the order they are printed.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Counts of a histogram that its owner keeps. upper_bounds ascends; counts has one more element,
// the last one for values above every bound. Counts are per bucket, not cumulative.
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

  // Adds one series. The first call for a name fixes its help text and type; all series of one
  // name stand together whatever the order of the calls. A name or label name that Prometheus
  // would refuse is a broken invariant.
  void Gauge(absl::string_view name, absl::string_view help, const MetricLabels& labels,
             double value);
  // value: since the process or the device began; never goes back.
  void Counter(absl::string_view name, absl::string_view help, const MetricLabels& labels,
               double value);
  void Histogram(absl::string_view name, absl::string_view help, const MetricLabels& labels,
                 const HistogramValue& value);

  // The text format 0.0.4.
  [[nodiscard]] std::string Text() const;

  // The same as values, for whoever cannot be scraped. Of gauges and counters; no worker has a
  // histogram.
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
