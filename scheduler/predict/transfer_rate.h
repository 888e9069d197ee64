// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How fast a device's link carries artifacts: as its board file says, as the worker measured it, or
// assumed. A link that is not always there takes the longer for it: by the mean of a week, or from
// a known moment on by the hours of the week with contact. Pure.
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
  // With the time without contact.
  double download_bytes_per_second = 0;
  double upload_bytes_per_second = 0;
  double contact_ratio = 1;  // The share of the time with contact.
};

LinkEstimate LinkOf(const v1::Device& device);

// "link measured 48.8 KiB/s"; "" where the device tells its rate itself.
std::string LinkWords(const v1::Device& device);

// When in the week a device has contact. An hour that was not observed counts as the same hour of
// the other days, and without these as the mean of all that were.
class ContactWeek {
 public:
  // nullopt: too little was observed, or the link is as good as always there.
  static std::optional<ContactWeek> Of(const v1::Device& device);

  // How long it takes from `begin` until there was so much contact. `here`: there is contact at
  // `begin`, and what its hour has of it comes at once.
  [[nodiscard]] absl::Duration TimeFor(absl::Duration contact, absl::Time begin, bool here) const;
  // How much contact there is from `begin` to `end`; here: as above.
  [[nodiscard]] absl::Duration ContactIn(absl::Time begin, absl::Time end, bool here) const;
  // The share of the week with contact.
  [[nodiscard]] double ratio() const;

 private:
  static constexpr int kHoursOfWeek = 7 * 24;

  std::array<double, kHoursOfWeek> ratios_{};  // From Monday 00:00 UTC.
};

// By which share a transfer takes longer where it is as slow as one in ten was; 0 where nothing was
// measured.
double SlowLinkShare(const v1::LinkMeasure& measure);
// By how much longer the transfers of the prediction take then.
double SlowLinkSeconds(const v1::LinkMeasure& measure, const v1::Prediction& prediction);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_TRANSFER_RATE_H_
