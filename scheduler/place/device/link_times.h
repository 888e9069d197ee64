// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Times at which a device's link carries artifacts: hours of the week with contact, windows of its
// policies for the link and for work, and until a policy's bytes per day are spent. Pure; one
// thread owns an object.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_LINK_TIMES_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_LINK_TIMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "policy/limits.h"
#include "policy/open_times.h"
#include "policy/schedule.h"
#include "scheduler/predict/transfer_rate.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

// Whether a policy limits the link.
inline bool HasLinkLimits(const policy::Limits& limits) {
  return !limits.link_windows.empty() || limits.link_bytes_per_day.has_value();
}

class LinkTimes {
 public:
  // limits: the device's. nullopt: the link carries artifacts at any time.
  static std::optional<LinkTimes> Of(const v1::Device& device, const policy::Limits& limits);

  // A transfer that starts at `begin`.
  struct Transfer {
    double bytes = 0;
    double bytes_per_second = 0;  // While there is contact.
    absl::Time begin;
    bool here = false;  // There is contact at `begin`.
  };
  // Duration of the transfer; InfiniteDuration: it never ends.
  [[nodiscard]] absl::Duration TimeFor(const Transfer& transfer) const;

  // The share of the week with contact.
  [[nodiscard]] double contact_ratio() const { return week_ ? week_->ratio() : 1; }
  // "artifacts come and leave 01:00-05:00 UTC (policy night)"; "" if no policy sets a limit.
  [[nodiscard]] const std::string& words() const { return words_; }

 private:
  // Bytes that artifacts may still use on the day of that time.
  [[nodiscard]] double BytesLeftOn(absl::Time at) const;
  [[nodiscard]] absl::Duration InContact(absl::Duration contact, absl::Time at, bool here) const;
  [[nodiscard]] absl::Duration ContactIn(absl::Time at, absl::Time until, bool here) const;

  std::optional<ContactWeek> week_;  // nullopt: there is always contact.
  // Windows of the link, then those of work, because a transfer is work for its worker. Empty: no
  // policy limits the link.
  policy::OpenTimes windows_{{}};
  std::optional<int64_t> bytes_per_day_;
  double spent_bytes_ = 0;  // From the heartbeat, for the day of spent_on_.
  absl::Time spent_on_;
  std::string words_;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_LINK_TIMES_H_
