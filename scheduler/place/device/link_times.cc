// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/device/link_times.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

#include "policy/heartbeat_interval.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
// Windows and days of a transfer that are evaluated one by one. Beyond them the transfer is assumed
// to continue at its average rate.
constexpr int kPiecesMax = 400;

// The worker counts bytes by days of UTC.
absl::Time DayOf(absl::Time time) {
  return absl::UnixEpoch() + absl::Floor(time - absl::UnixEpoch(), kDay);
}

// Bytes per day for artifacts.
double BytesADay(double limit) {
  return limit - std::min(0.5 * limit, static_cast<double>(policy::kIdleBytesPerDayMax));
}

std::string WordsOf(const policy::Limits& limits) {
  std::string words;
  if (!limits.link_windows.empty()) {
    const policy::WindowLimit& first = limits.link_windows.front();
    words = absl::StrCat("artifacts come and leave ", policy::Describe(first), " (policy ",
                         first.policy, limits.link_windows.size() > 1 ? " and others)" : ")");
  }
  if (limits.link_bytes_per_day) {
    absl::StrAppend(&words, words.empty() ? "" : ", ", "the link carries ",
                    FormatBytes(*limits.link_bytes_per_day), " a day");
  }
  return words;
}

}  // namespace

std::optional<LinkTimes> LinkTimes::Of(const v1::Device& device, const policy::Limits& limits) {
  LinkTimes times;
  times.week_ = ContactWeek::Of(device);
  if (HasLinkLimits(limits)) {
    std::vector<policy::WindowLimit> windows = limits.link_windows;
    windows.insert(windows.end(), limits.windows.begin(), limits.windows.end());
    times.windows_ = policy::OpenTimes(std::move(windows));
    times.bytes_per_day_ = limits.link_bytes_per_day;
    times.spent_bytes_ = static_cast<double>(device.heartbeat().link_day_bytes());
    times.spent_on_ = DayOf(absl::UnixEpoch() + absl::Seconds(device.heartbeat().unix_seconds()));
    times.words_ = WordsOf(limits);
  }
  return times.week_ || HasLinkLimits(limits) ? std::make_optional(times) : std::nullopt;
}

absl::Duration LinkTimes::InContact(absl::Duration contact, absl::Time at, bool here) const {
  return week_ ? week_->TimeFor(contact, at, here) : contact;
}

absl::Duration LinkTimes::ContactIn(absl::Time at, absl::Time until, bool here) const {
  return week_ ? week_->ContactIn(at, until, here) : until - at;
}

double LinkTimes::BytesLeftOn(absl::Time at) const {
  if (!bytes_per_day_) {
    return std::numeric_limits<double>::infinity();
  }
  const auto limit = static_cast<double>(*bytes_per_day_);
  return DayOf(at) == spent_on_ ? std::clamp(limit - spent_bytes_, 0.0, BytesADay(limit))
                                : BytesADay(limit);
}

absl::Duration LinkTimes::TimeFor(const Transfer& transfer) const {
  const absl::Duration needed = absl::Seconds(transfer.bytes / transfer.bytes_per_second);
  if (windows_.always() && !bytes_per_day_) {
    return InContact(needed, transfer.begin, transfer.here);
  }
  const auto left_on = [&](absl::Time at) {
    return absl::Seconds(BytesLeftOn(at) / transfer.bytes_per_second);
  };
  absl::Duration left = needed;
  absl::Time at = transfer.begin;
  absl::Duration left_today = left_on(at);
  bool here = transfer.here;
  for (int piece = 0; piece < kPiecesMax; ++piece) {
    const absl::Time opens = windows_.OpensAt(at);
    if (opens == absl::InfiniteFuture()) {
      return absl::InfiniteDuration();
    }
    if (DayOf(opens) != DayOf(at)) {
      left_today = left_on(opens);
    }
    here = here && opens == at;
    at = opens;
    const absl::Time day_ends = bytes_per_day_ ? DayOf(at) + kDay : absl::InfiniteFuture();
    const absl::Time until = std::min(windows_.ClosesAt(at), day_ends);
    const absl::Duration most = std::min(left, left_today);
    const absl::Duration takes = InContact(most, at, here);
    const bool fits = at + takes <= until;
    if (fits && most == left) {
      return at + takes - transfer.begin;
    }
    const absl::Duration came = fits ? most : std::min(most, ContactIn(at, until, here));
    left -= came;
    left_today -= came;
    at = fits ? day_ends : until;
    if (at == day_ends) {
      left_today = left_on(at);
    }
    here = false;
  }
  return left < needed ? (at - transfer.begin) * absl::FDivDuration(needed, needed - left)
                       : absl::InfiniteDuration();
}

}  // namespace wattle::scheduler
