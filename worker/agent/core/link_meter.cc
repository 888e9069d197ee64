// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/link_meter.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace wattle::agent {
namespace {

constexpr size_t kLatest = 20;
constexpr int kHoursOfWeek = 7 * 24;
// An hour that was observed for less time does not count.
constexpr absl::Duration kHourObservedMin = absl::Minutes(10);
// Weight of the latest week in an hour's ratio.
constexpr double kLatestWeek = 0.3;

int HourOfWeek(absl::Time now) {
  const absl::CivilHour hour = absl::ToCivilHour(now, absl::UTCTimeZone());
  const auto weekday = static_cast<int>(absl::GetWeekday(absl::CivilDay(hour)));  // Monday: 0
  return 24 * weekday + hour.hour();
}

int64_t DayOf(absl::Time now) {
  return absl::ToCivilDay(now, absl::UTCTimeZone()) - absl::CivilDay(1970, 1, 1);
}

}  // namespace

void CountMessage(const v1::WorkerMessage& message, v1::LinkBytes& bytes) {
  const int64_t size = static_cast<int64_t>(message.ByteSizeLong()) + kFrameBytes;
  switch (message.message_case()) {
    case v1::WorkerMessage::kHeartbeat:
    case v1::WorkerMessage::kHeartbeatChanges:
      return bytes.set_heartbeats(bytes.heartbeats() + size);
    case v1::WorkerMessage::kReport:
      return bytes.set_reports(bytes.reports() + size);
    case v1::WorkerMessage::kLog:
      return bytes.set_logs(bytes.logs() + size);
    case v1::WorkerMessage::kMetrics:
      return bytes.set_metrics(bytes.metrics() + size);
    case v1::WorkerMessage::kHello:
    case v1::WorkerMessage::MESSAGE_NOT_SET:
      return bytes.set_other(bytes.other() + size);
  }
}

void CountMessage(const v1::CoordinatorMessage& message, v1::LinkBytes& bytes) {
  bytes.set_other(bytes.other() + static_cast<int64_t>(message.ByteSizeLong()) + kFrameBytes);
}

void AddBytes(const v1::LinkBytes& more, v1::LinkBytes& bytes) {
  bytes.set_heartbeats(bytes.heartbeats() + more.heartbeats());
  bytes.set_reports(bytes.reports() + more.reports());
  bytes.set_metrics(bytes.metrics() + more.metrics());
  bytes.set_logs(bytes.logs() + more.logs());
  bytes.set_fetched(bytes.fetched() + more.fetched());
  bytes.set_uploaded(bytes.uploaded() + more.uploaded());
  bytes.set_other(bytes.other() + more.other());
}

int64_t TotalBytes(const v1::LinkBytes& bytes) {
  return bytes.heartbeats() + bytes.reports() + bytes.metrics() + bytes.logs() + bytes.fetched() +
         bytes.uploaded() + bytes.other();
}

void LinkMeter::Latest::Add(double value) {
  values_.push_back(value);
  if (values_.size() > kLatest) {
    values_.pop_front();
  }
}

double LinkMeter::Latest::Quantile(double share) const {
  std::vector<double> sorted(values_.begin(), values_.end());
  std::sort(sorted.begin(), sorted.end());
  const int64_t at = std::llround(share * static_cast<double>(sorted.size() - 1));
  return sorted[static_cast<size_t>(at)];
}

LinkMeter::LinkMeter(const v1::LinkRecord& kept) : record_(kept) {
  const v1::LinkMeasure& measure = kept.measure();
  if (measure.download_bytes_per_second() > 0) {
    download_.Add(measure.download_bytes_per_second_low());
    download_.Add(measure.download_bytes_per_second());
    download_.Add(measure.download_bytes_per_second_high());
  }
  if (measure.upload_bytes_per_second() > 0) {
    upload_.Add(measure.upload_bytes_per_second());
  }
  if (measure.round_trip_seconds() > 0) {
    round_trip_.Add(measure.round_trip_seconds());
  }
}

void LinkMeter::OnFetched(int64_t bytes, absl::Duration time) {
  if (bytes < kMeasuredBytesMin || time <= absl::ZeroDuration()) {
    return;
  }
  download_.Add(static_cast<double>(bytes) / absl::ToDoubleSeconds(time));
  v1::LinkMeasure& measure = *record_.mutable_measure();
  measure.set_download_bytes_per_second(download_.Quantile(0.5));
  measure.set_download_bytes_per_second_low(download_.Quantile(0.1));
  measure.set_download_bytes_per_second_high(download_.Quantile(0.9));
}

void LinkMeter::OnUploaded(int64_t bytes, absl::Duration time) {
  if (bytes < kMeasuredBytesMin || time <= absl::ZeroDuration()) {
    return;
  }
  upload_.Add(static_cast<double>(bytes) / absl::ToDoubleSeconds(time));
  record_.mutable_measure()->set_upload_bytes_per_second(upload_.Quantile(0.5));
}

void LinkMeter::OnRoundTrip(absl::Duration time) {
  if (time > absl::ZeroDuration()) {
    round_trip_.Add(absl::ToDoubleSeconds(time));
    record_.mutable_measure()->set_round_trip_seconds(round_trip_.Quantile(0.5));
  }
}

bool LinkMeter::measured() const {
  return !download_.empty() || !upload_.empty() || !round_trip_.empty();
}

void LinkMeter::Count(const v1::LinkBytes& more) {
  AddBytes(more, *record_.mutable_bytes());
  record_.set_day_bytes(record_.day_bytes() + TotalBytes(more));
}

void LinkMeter::CloseHour() {
  if (hour_ && hour_observed_ >= kHourObservedMin) {
    auto& ratios = *record_.mutable_measure()->mutable_contact_ratio_by_hour();
    if (ratios.size() != kHoursOfWeek) {
      ratios.Clear();
      ratios.Resize(kHoursOfWeek, -1.0F);
    }
    // An exponential mean over weeks: habits of the link may change, and one odd week must not
    // decide.
    float& ratio = ratios[*hour_];
    const double share = absl::FDivDuration(hour_contact_, hour_observed_);
    ratio = static_cast<float>(
        ratio < 0 ? share : (1 - kLatestWeek) * static_cast<double>(ratio) + kLatestWeek * share);
  }
  hour_.reset();
  hour_observed_ = absl::ZeroDuration();
  hour_contact_ = absl::ZeroDuration();
}

void LinkMeter::Observe(bool contact, Monotonic wall, const policy::KnownTime& now) {
  const absl::Duration passed = observed_ ? wall - *observed_ : absl::ZeroDuration();
  observed_ = wall;
  if (!now.known()) {
    return CloseHour();
  }
  // Near midnight the day is uncertain; the count starts anew only once both bounds agree.
  if (const int64_t day = DayOf(now.earliest());
      day == DayOf(now.latest()) && day_turn_.BeginsAnew(day, wall, record_)) {
    record_.set_day(day);
    record_.set_day_bytes(0);
  }
  if (const int hour = HourOfWeek(now.time); hour_ != hour) {
    CloseHour();
    hour_ = hour;
  }
  hour_observed_ += passed;
  hour_contact_ += contact ? passed : absl::ZeroDuration();
}

}  // namespace wattle::agent
