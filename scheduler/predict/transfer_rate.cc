// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/transfer_rate.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "units/format.h"

namespace wattle::scheduler {
namespace {

// A link of unknown speed: LTE or slow Wi-Fi in the field, 10 Mbit/s.
constexpr double kAssumedBytesPerSecond = 1.25e6;
// Observed hours of the week needed before contact hours are used.
constexpr int kHoursMin = 24;
constexpr double kContactMin = 1e-3;

constexpr int kHoursOfDay = 24;
// From this share of the time on a link counts as always there.
constexpr double kAlwaysThere = 0.95;
constexpr absl::Duration kHour = absl::Hours(1);

// The mean over every `step`th ratio from `first` on, observed ratios only.
std::optional<double> MeanObserved(const v1::LinkMeasure& measure, int first, int step) {
  double sum = 0;
  int hours = 0;
  for (int hour = first; hour < measure.contact_ratio_by_hour_size(); hour += step) {
    if (const double ratio = measure.contact_ratio_by_hour(hour); ratio >= 0) {
      sum += std::min(1.0, ratio);
      ++hours;
    }
  }
  return hours > 0 ? std::make_optional(sum / hours) : std::nullopt;
}

int HoursObserved(const v1::LinkMeasure& measure) {
  const auto& ratios = measure.contact_ratio_by_hour();
  return static_cast<int>(
      std::count_if(ratios.begin(), ratios.end(), [](float ratio) { return ratio >= 0; }));
}

int HourOfWeek(absl::Time time) {
  const absl::CivilHour hour = absl::ToCivilHour(time, absl::UTCTimeZone());
  const auto weekday = static_cast<int>(absl::GetWeekday(absl::CivilDay(hour)));  // Monday: 0.
  return kHoursOfDay * weekday + hour.hour();
}

double ContactRatio(const v1::Device& device) {
  const std::optional<ContactWeek> week = ContactWeek::Of(device);
  return week.has_value() ? week->ratio() : 1;
}

bool IsMeasured(const v1::LinkMeasure& measure) {
  return measure.download_bytes_per_second() > 0 || measure.upload_bytes_per_second() > 0;
}

double DownloadRate(const v1::LinkMeasure& measure) {
  if (!IsMeasured(measure)) {
    return kAssumedBytesPerSecond;
  }
  return measure.download_bytes_per_second() > 0 ? measure.download_bytes_per_second()
                                                 : measure.upload_bytes_per_second();
}

std::string Rate(double bytes_per_second) {
  return FormatBytes(static_cast<int64_t>(bytes_per_second)) + "/s";
}

}  // namespace

LinkEstimate LinkOf(const v1::Device& device) {
  if (const double told = device.info().link_bytes_per_second(); told > 0) {
    return {.download_bytes_per_second = told, .upload_bytes_per_second = told};
  }
  const v1::LinkMeasure& measure = device.heartbeat().link();
  const double contact = ContactRatio(device);
  const double download = DownloadRate(measure);
  const double upload =
      measure.upload_bytes_per_second() > 0 ? measure.upload_bytes_per_second() : download;
  return {.download_bytes_per_second = download * contact,
          .upload_bytes_per_second = upload * contact,
          .contact_ratio = contact};
}

std::string LinkWords(const v1::Device& device) {
  if (device.info().link_bytes_per_second() > 0) {
    return "";
  }
  const v1::LinkMeasure& measure = device.heartbeat().link();
  // Most devices measure no link, and a plan needs the estimate for each device and job.
  static const auto* const kAssumed =
      new std::string(absl::StrCat("link assumed ", Rate(kAssumedBytesPerSecond)));
  std::string words =
      IsMeasured(measure) ? absl::StrCat("link measured ", Rate(DownloadRate(measure))) : *kAssumed;
  if (const double contact = ContactRatio(device); contact < kAlwaysThere) {
    absl::StrAppend(&words, absl::StrFormat(", there for %.3g %% of the time", 100 * contact));
  }
  return words;
}

std::optional<ContactWeek> ContactWeek::Of(const v1::Device& device) {
  const v1::LinkMeasure& measure = device.heartbeat().link();
  if (device.info().link_bytes_per_second() > 0 || HoursObserved(measure) < kHoursMin ||
      measure.contact_ratio_by_hour_size() != kHoursOfWeek) {
    return std::nullopt;
  }
  ContactWeek week;
  const double mean = MeanObserved(measure, 0, 1).value_or(1);
  for (int of_day = 0; of_day < kHoursOfDay; ++of_day) {
    const double same = MeanObserved(measure, of_day, kHoursOfDay).value_or(mean);
    for (int hour = of_day; hour < kHoursOfWeek; hour += kHoursOfDay) {
      const double ratio = measure.contact_ratio_by_hour(hour);
      week.ratios_[static_cast<size_t>(hour)] = ratio >= 0 ? std::min(1.0, ratio) : same;
    }
  }
  return week.ratio() < kAlwaysThere ? std::make_optional(week) : std::nullopt;
}

double ContactWeek::ratio() const {
  return std::max(kContactMin, std::accumulate(ratios_.begin(), ratios_.end(), 0.0) / kHoursOfWeek);
}

absl::Duration ContactWeek::TimeFor(absl::Duration contact, absl::Time begin, bool here) const {
  const double sum = std::accumulate(ratios_.begin(), ratios_.end(), 0.0);
  if (sum < kContactMin * kHoursOfWeek) {
    return contact / kContactMin;
  }
  const absl::Duration per_week = sum * kHour;
  const double weeks = std::max(0.0, std::ceil(absl::FDivDuration(contact, per_week)) - 1);
  absl::Duration left = contact - weeks * per_week;
  absl::Duration passed = weeks * kHoursOfWeek * kHour;
  const absl::Duration since_epoch = begin - absl::UnixEpoch();
  absl::Duration rest = absl::Floor(since_epoch, kHour) + kHour - since_epoch;  // Rest of the hour.
  for (int hour = HourOfWeek(begin);; hour = (hour + 1) % kHoursOfWeek) {
    const double ratio = ratios_[static_cast<size_t>(hour)];
    const absl::Duration there = here ? std::min(rest, ratio * kHour) : ratio * rest;
    if (there >= left) {
      return passed + (here ? left : left / std::max(ratio, kContactMin));
    }
    left -= there;
    passed += rest;
    here = here && there >= rest;  // The contact lasts to the end of the hour.
    rest = kHour;
  }
}

absl::Duration ContactWeek::ContactIn(absl::Time begin, absl::Time end, bool here) const {
  absl::Duration contact;
  while (begin < end) {
    const absl::Duration since_epoch = begin - absl::UnixEpoch();
    const absl::Duration rest =
        std::min(end - begin, absl::Floor(since_epoch, kHour) + kHour - since_epoch);
    const double ratio = ratios_[static_cast<size_t>(HourOfWeek(begin))];
    const absl::Duration there = here ? std::min(rest, ratio * kHour) : ratio * rest;
    contact += there;
    begin += rest;
    here = here && there >= rest;
  }
  return contact;
}

double SlowLinkShare(const v1::LinkMeasure& measure) {
  const double median = measure.download_bytes_per_second();
  const double low = measure.download_bytes_per_second_low();
  return low > 0 && median > low ? median / low - 1 : 0;
}

double SlowLinkSeconds(const v1::LinkMeasure& measure, const v1::Prediction& prediction) {
  return SlowLinkShare(measure) * (prediction.fetch_seconds() + prediction.upload_seconds());
}

}  // namespace wattle::scheduler
