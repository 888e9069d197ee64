// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/battery/recent_harvest.h"

#include <algorithm>

namespace wattle::telemetry {

void RecentHarvest::Add(int64_t hour, Joules energy, absl::Duration observed) {
  Enter(hour);
  if (hour == hour_) {
    energy_ += energy;
    observed_ += observed;
  }
}

void RecentHarvest::Enter(int64_t hour) {
  if (hour_ && hour <= *hour_) {
    return;
  }
  if (hour_) {
    // Hours between two observed ones were not observed.
    const int64_t missed = over_.power.empty() ? 0 : *hour_ - over_.last_hour - 1;
    over_.power.insert(over_.power.end(),
                       static_cast<size_t>(std::clamp<int64_t>(missed, 0, kHours)), std::nullopt);
    const bool told = observed_ >= kObservedMin;
    over_.power.push_back(told ? std::optional(Watts(std::max(0.0, energy_.value()) /
                                                     absl::ToDoubleSeconds(observed_)))
                               : std::nullopt);
    over_.last_hour = *hour_;
    if (const auto hours = static_cast<int64_t>(over_.power.size()); hours > kHours) {
      over_.power.erase(over_.power.begin(), over_.power.begin() + (hours - kHours));
    }
  } else if (hour <= over_.last_hour) {
    over_ = {};  // The kept hours come from a clock that was ahead.
  }
  hour_ = hour;
  energy_ = Joules(0);
  observed_ = absl::ZeroDuration();
}

}  // namespace wattle::telemetry
