// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/export/metrics_page.h"

#include <algorithm>
#include <cstddef>

#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"
#include "prometheus/text_serializer.h"

#include "base/check.h"

namespace wattle::telemetry {
namespace {

bool IsName(absl::string_view name, bool colon_allowed) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [colon_allowed](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (colon_allowed && c == ':');
  });
}

}  // namespace

HistogramValue::HistogramValue(std::vector<double> bounds)
    : upper_bounds(std::move(bounds)), counts(upper_bounds.size() + 1, 0) {}

void HistogramValue::Observe(double value) {
  const auto bound = std::lower_bound(upper_bounds.begin(), upper_bounds.end(), value);
  ++counts[static_cast<size_t>(bound - upper_bounds.begin())];
  sum += value;
}

struct MetricsPage::Families {
  std::vector<prometheus::MetricFamily> all;

  prometheus::ClientMetric& Add(absl::string_view name, absl::string_view help,
                                prometheus::MetricType type, const MetricLabels& labels) {
    WATTLE_CHECK(IsName(name, true), "metric names are constants of the program");
    auto family = std::find_if(all.begin(), all.end(),
                               [&](const prometheus::MetricFamily& f) { return f.name == name; });
    if (family == all.end()) {
      all.push_back({std::string(name), std::string(help), type, {}});
      family = all.end() - 1;
    }
    WATTLE_CHECK(family->type == type, "one name has one type");
    prometheus::ClientMetric& metric = family->metric.emplace_back();
    for (const auto& [label, value] : labels) {
      WATTLE_CHECK(IsName(label, false), "label names are constants of the program");
      metric.label.push_back({label, value});
    }
    return metric;
  }
};

MetricsPage::MetricsPage() : families_(std::make_unique<Families>()) {}
MetricsPage::~MetricsPage() = default;

void MetricsPage::Gauge(absl::string_view name, absl::string_view help, const MetricLabels& labels,
                        double value) {
  families_->Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricsPage::Counter(absl::string_view name, absl::string_view help,
                          const MetricLabels& labels, double value) {
  families_->Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricsPage::Histogram(absl::string_view name, absl::string_view help,
                            const MetricLabels& labels, const HistogramValue& value) {
  auto& histogram = families_->Add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < value.upper_bounds.size(); ++i) {
    cumulative += value.counts[i];
    histogram.bucket.push_back({cumulative, value.upper_bounds[i]});
  }
  histogram.sample_count = cumulative + value.counts.back();
  histogram.sample_sum = value.sum;
}

std::vector<MetricsPage::Sample> MetricsPage::Samples() const {
  std::vector<Sample> samples;
  for (const prometheus::MetricFamily& family : families_->all) {
    WATTLE_CHECK(family.type != prometheus::MetricType::Histogram, "a histogram is no one value");
    for (const prometheus::ClientMetric& metric : family.metric) {
      Sample& sample = samples.emplace_back();
      sample.name = family.name;
      for (const auto& label : metric.label) {
        sample.labels.emplace_back(label.name, label.value);
      }
      sample.value = family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                                    : metric.gauge.value;
    }
  }
  return samples;
}

std::string MetricsPage::Text() const {
  return prometheus::TextSerializer().Serialize(families_->all);
}

}  // namespace wattle::telemetry
