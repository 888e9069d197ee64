// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/hourly_link.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "base/check.h"

namespace wattle::sim {
namespace {

constexpr double kLinkHourSeconds = 3600.0;
constexpr double kPieceSecondsMax = 60.0;
// Tolerance for rounding of the end of a piece at the end of an hour.
constexpr double kRoundedHours = 1e-9;

}  // namespace

HourlyLink::HourlyLink(std::vector<double> bytes_per_second, double begins_seconds)
    : bytes_per_second_(std::move(bytes_per_second)), begins_seconds_(begins_seconds) {
  WATTLE_CHECK(!bytes_per_second_.empty(), "a link has an hour");
}

HourlyLink::Piece HourlyLink::NextPiece(int64_t left_bytes, double now_seconds) const {
  const double hour =
      std::floor((now_seconds - begins_seconds_) / kLinkHourSeconds + kRoundedHours);
  const auto index = static_cast<size_t>(std::max(0.0, hour)) % bytes_per_second_.size();
  const double rate = bytes_per_second_[index];
  const double end_seconds = begins_seconds_ + (hour + 1.0) * kLinkHourSeconds;
  const double seconds = std::min(kPieceSecondsMax, end_seconds - now_seconds);
  const double bytes = rate * seconds;
  const auto left = static_cast<double>(left_bytes);
  return bytes >= left ? Piece{left_bytes, left / rate}
                       : Piece{static_cast<int64_t>(bytes), seconds};
}

}  // namespace wattle::sim
