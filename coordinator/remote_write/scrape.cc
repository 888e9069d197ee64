// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/remote_write/scrape.h"

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace wattle::remote_write {
namespace {

std::map<std::string, std::string> LabelsOf(const DeviceId& device, const v1::MetricBatch& batch,
                                            const v1::MetricSeries& series) {
  std::map<std::string, std::string> labels;  // Ordered by name, as remote write 1.0 requires.
  for (const v1::Label& label : batch.labels()) {
    labels[label.key()] = label.value();
  }
  for (const v1::Label& label : series.labels()) {
    labels[label.key()] = label.value();
  }
  labels["__name__"] = series.name();
  labels["device_id"] = device.value();
  labels["instance"] = device.value();
  labels["job"] = "wattle-worker";
  return labels;
}

}  // namespace

std::vector<Scrape> ScrapesOf(const DeviceId& device, const v1::MetricBatch& batch) {
  std::vector<Scrape> scrapes;
  for (const int64_t at : batch.at_unix_milliseconds()) {
    scrapes.push_back({.at = absl::FromUnixMillis(at), .request = {}});
  }
  for (const v1::MetricSeries& series : batch.series()) {
    const std::map<std::string, std::string> labels = LabelsOf(device, batch, series);
    for (int i = 0; i < series.values_size() && i < batch.at_unix_milliseconds_size(); ++i) {
      if (std::isnan(series.values(i))) {
        continue;
      }
      v1::RemoteTimeSeries& added = *scrapes[static_cast<size_t>(i)].request.add_timeseries();
      for (const auto& [name, value] : labels) {
        if (!value.empty()) {
          v1::RemoteLabel& label = *added.add_labels();
          label.set_name(name);
          label.set_value(value);
        }
      }
      v1::RemoteSample& sample = *added.add_samples();
      sample.set_value(series.values(i));
      sample.set_timestamp(batch.at_unix_milliseconds(i));
    }
  }
  return scrapes;
}

v1::RemoteWriteRequest Join(absl::Span<const Scrape> scrapes) {
  v1::RemoteWriteRequest joined;
  for (const Scrape& scrape : scrapes) {
    joined.MergeFrom(scrape.request);
  }
  return joined;
}

std::string ToOpenMetrics(const Scrape& scrape) {
  std::string text;
  for (const v1::RemoteTimeSeries& series : scrape.request.timeseries()) {
    std::string name;
    std::string labels;
    for (const v1::RemoteLabel& label : series.labels()) {
      if (label.name() == "__name__") {
        name = label.value();
        continue;
      }
      absl::StrAppend(
          &labels, labels.empty() ? "" : ",", label.name(), "=\"",
          absl::StrReplaceAll(label.value(), {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
          "\"");
    }
    for (const v1::RemoteSample& sample : series.samples()) {
      absl::StrAppendFormat(&text, "%s{%s} %.17g %d.%03d\n", name, labels, sample.value(),
                            sample.timestamp() / 1000, sample.timestamp() % 1000);
    }
  }
  return text;
}

}  // namespace wattle::remote_write
