// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/link.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "units/format.h"

namespace wattle::scheduler {
namespace {

// A link of unknown speed: LTE or slow Wi-Fi in the field, 10 Mbit/s.
constexpr double kAssumedBytesPerSecond = 1.25e6;
// So many hours of the week must have been observed before their contact counts.
constexpr int kHoursMin = 24;
constexpr double kContactMin = 1e-3;

// The share of the time with contact.
double ContactRatio(const v1::LinkMeasure& measure) {
  double sum = 0;
  int hours = 0;
  for (const float ratio : measure.contact_ratio_by_hour()) {
    if (ratio >= 0) {
      sum += std::min(1.0, static_cast<double>(ratio));
      ++hours;
    }
  }
  return hours < kHoursMin ? 1 : std::max(kContactMin, sum / hours);
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
  const double contact = ContactRatio(measure);
  const double download = DownloadRate(measure);
  const double upload =
      measure.upload_bytes_per_second() > 0 ? measure.upload_bytes_per_second() : download;
  return {.download_bytes_per_second = download * contact,
          .upload_bytes_per_second = upload * contact};
}

std::string LinkWords(const v1::Device& device) {
  if (device.info().link_bytes_per_second() > 0) {
    return "";
  }
  const v1::LinkMeasure& measure = device.heartbeat().link();
  // Most devices measure no link, and a plan asks for each of them and each job.
  static const auto* const kAssumed =
      new std::string(absl::StrCat("link assumed ", Rate(kAssumedBytesPerSecond)));
  std::string words =
      IsMeasured(measure) ? absl::StrCat("link measured ", Rate(DownloadRate(measure))) : *kAssumed;
  if (const double contact = ContactRatio(measure); contact < 0.95) {
    absl::StrAppend(&words, absl::StrFormat(", there for %.3g %% of the time", 100 * contact));
  }
  return words;
}

double SlowLinkSeconds(const v1::LinkMeasure& measure, const v1::Prediction& prediction) {
  const double median = measure.download_bytes_per_second();
  const double low = measure.download_bytes_per_second_low();
  if (!(low > 0) || !(median > low)) {
    return 0;
  }
  return (median / low - 1) * (prediction.fetch_seconds() + prediction.upload_seconds());
}

}  // namespace wattle::scheduler
