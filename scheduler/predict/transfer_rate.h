// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How fast a device's link carries artifacts: by its board file, by the worker's measurement, or by
// assumption. A link with gaps takes longer: by the mean of a week, or from a known moment on by
// the hours of the week with contact. Pure.
#ifndef WATTLE_SCHEDULER_PREDICT_TRANSFER_RATE_H_
#define WATTLE_SCHEDULER_PREDICT_TRANSFER_RATE_H_

#include <array>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

struct LinkEstimate {
  // Includes the time without contact.
  double download_bytes_per_second = 0;
  double upload_bytes_per_second = 0;
  double contact_ratio = 1;  // Share of the time with contact.
};

LinkEstimate LinkOf(const v1::Device& device);

// "link measured 48.8 KiB/s"; "" if the device states its rate itself.
std::string LinkWords(const v1::Device& device);

// When in the week a device has contact. An hour that was not observed gets the mean of the same
// hour on other days, else the mean of all observed hours.
class ContactWeek {
 public:
  // nullopt: too few hours were observed, or the link almost always has contact.
  static std::optional<ContactWeek> Of(const v1::Device& device);

  // The time from `begin` until `contact` of contact has passed. `here`: the device has contact at
  // `begin`, and the contact of that hour comes first.
  [[nodiscard]] absl::Duration TimeFor(absl::Duration contact, absl::Time begin, bool here) const;
  // The contact from `begin` to `end`; here: see TimeFor.
  [[nodiscard]] absl::Duration ContactIn(absl::Time begin, absl::Time end, bool here) const;
  // The share of the week with contact.
  [[nodiscard]] double ratio() const;

 private:
  static constexpr int kHoursOfWeek = 7 * 24;

  std::array<double, kHoursOfWeek> ratios_{};  // From Monday 00:00 UTC.
};

// The share by which a transfer at the link's 10 % quantile takes longer than at its median rate; 0
// if nothing was measured.
double SlowLinkShare(const v1::LinkMeasure& measure);
// The seconds that the prediction's transfers then take longer.
double SlowLinkSeconds(const v1::LinkMeasure& measure, const v1::Prediction& prediction);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_TRANSFER_RATE_H_
