// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/link_watch.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "policy/schedule.h"

namespace wattle::sim {
namespace {

// Time in which a worker notices the end of a window, or of a disturbance, and ends its transfer.
constexpr double kNoticeSeconds = 75.0;
// After 24 powered-on hours the worker accepts that its clock was ahead (link_meter.h).
constexpr int64_t kDaysUntilDayIsTrusted = 3;

int64_t DayOf(absl::Time time) {
  return absl::ToCivilDay(time, absl::UTCTimeZone()) - absl::CivilDay(1970, 1, 1);
}

bool IsClosed(const policy::Limits& limits, absl::Time civil) {
  return policy::OpensAt(limits.link_windows, civil) > civil;
}

}  // namespace

void LinkWatch::ProcessStarted(double now_seconds) {
  disturbed_seconds_ = now_seconds;
  day_is_counted_ = false;
}

void LinkWatch::Observe(const WatchMoment& moment) {
  const int64_t day = DayOf(moment.civil);
  if (!moment.clock_is_right || moment.time_error_seconds > 0.0) {
    disturbed_seconds_ = moment.now_seconds;
    distrusted_until_day_ = day + kDaysUntilDayIsTrusted;
  }
  if (day != day_) {
    day_ = day;
    day_bytes_ = 0;
    day_is_counted_ = true;
  }
}

void LinkWatch::OnMoved(int64_t bytes) {
  bytes_ += bytes;
  day_bytes_ += bytes;
}

std::string LinkWatch::OnPiece(const policy::Limits& limits, const WatchMoment& moment) {
  Observe(moment);
  if (moment.now_seconds - disturbed_seconds_ <= kNoticeSeconds) {
    return "";
  }
  if (IsClosed(limits, moment.civil) &&
      IsClosed(limits, moment.civil - absl::Seconds(kNoticeSeconds))) {
    return absl::StrCat("an artifact crosses the link at ",
                        absl::FormatTime(moment.civil, absl::UTCTimeZone()),
                        ", outside the window of policy ", limits.link_windows.front().policy);
  }
  if (limits.link_bytes_per_day && day_is_counted_ && day_ >= distrusted_until_day_ &&
      day_bytes_ > *limits.link_bytes_per_day) {
    return absl::StrCat("another piece crosses the link after ", day_bytes_,
                        " bytes of this day's ", *limits.link_bytes_per_day);
  }
  return "";
}

}  // namespace wattle::sim
