// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/metric_push.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "worker/agent/core/time_keeper.h"

namespace wattle::agent {
namespace {

void AddLabel(const std::pair<std::string, std::string>& label, v1::Label& added) {
  added.set_key(label.first);
  added.set_value(label.second);
}

}  // namespace

MetricPush::MetricPush(Disk* disk, const MetricSpoolLimits& limits,
                       std::function<void(const v1::WorkerMessage&)> send, bool same_boot)
    : spool_(disk, limits), send_(std::move(send)) {
  if (!same_boot) {
    spool_.DateScrapesBefore(absl::ToUnixMillis(TimeKeeper::kWritten), std::nullopt);
  }
}

void MetricPush::Take(const telemetry::MetricsPage& page, const telemetry::MetricLabels& shared,
                      const Instant& now) {
  const int64_t since_boot = absl::ToInt64Milliseconds(now.wall.since_boot());
  const bool dated = now.civil.known();
  if (dated && undated_) {
    spool_.DateScrapesBefore(absl::ToUnixMillis(TimeKeeper::kWritten),
                             absl::ToUnixMillis(now.civil.time) - since_boot);
  }
  undated_ = !dated;
  v1::MetricBatch scrape;
  scrape.add_at_unix_milliseconds(dated ? absl::ToUnixMillis(now.civil.time) : since_boot);
  for (const auto& label : shared) {
    AddLabel(label, *scrape.add_labels());
  }
  for (const telemetry::MetricsPage::Sample& sample : page.Samples()) {
    v1::MetricSeries& series = *scrape.add_series();
    series.set_name(sample.name);
    for (const auto& label : sample.labels) {
      if (std::find(shared.begin(), shared.end(), label) == shared.end()) {
        AddLabel(label, *series.add_labels());
      }
    }
    series.add_values(sample.value);
  }
  spool_.Add(scrape);
  SendNext();
}

void MetricPush::OnWelcome(const v1::Welcome& welcome) {
  OnDisconnected();
  taken_ = welcome.takes_metrics();
  SendNext();
}

void MetricPush::OnDisconnected() {
  taken_ = false;
  under_way_.clear();
  last_sent_ = 0;
}

void MetricPush::OnAcknowledged(int64_t number) {
  if (under_way_.erase(number) > 0) {
    spool_.Acknowledge(number);
    SendNext();
  }
}

void MetricPush::SendNext() {
  while (taken_ && !undated_ && under_way_.size() < kUnderWayMax) {
    std::optional<v1::MetricBatch> batch = spool_.Next(last_sent_);
    if (!batch) {
      return;
    }
    last_sent_ = batch->number();
    under_way_.insert(last_sent_);
    v1::WorkerMessage message;
    *message.mutable_metrics() = *std::move(batch);
    send_(message);
  }
}

}  // namespace wattle::agent
