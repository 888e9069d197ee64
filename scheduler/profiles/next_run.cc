// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/next_run.h"

#include <algorithm>
#include <cmath>

#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/run_interval.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

constexpr double kDividedByMin = 1.1;

bool IsPublished(const v1::ProfileRow& row) {
  return row.source() == v1::PROFILE_SOURCE_PUBLISHED;
}

bool IsFromElsewhere(const v1::ProfileRow& row) {
  return IsPublished(row) || row.source() == v1::PROFILE_SOURCE_IMPORTED;
}

bool OfOneWorkload(const v1::ProfileRow& a, const v1::ProfileRow& b) {
  return SameIn(SignaturePart::kModel, a.signature(), b.signature()) &&
         SameIn(SignaturePart::kWorkload, a.signature(), b.signature());
}

// Whether the device has the row's mode, with the numbers at that time, and is in it or may set it.
bool CanRunInModeOf(const v1::ProfileRow& row, const v1::DeviceInfo& device) {
  const std::string& mode = ModeNameOf(row);
  return mode.empty() || device.power_mode().empty() ||
         (IsOfListedMode(row, device, mode) &&
          (mode == device.power_mode() || device.sets_power_modes()));
}

// Whether the row may serve the device, judged by the row's device and by `emulated`.
bool MayServe(const v1::ProfileRow& row, const v1::DeviceInfo& device) {
  return IsPublished(row) || (row.emulated() == device.emulated() &&
                              (row.device_id().empty() || row.device_id() == device.device_id()));
}

// Whether the device itself, or its class if `own` is false, has a measured row that is not
// outdated of the row's workload in its mode.
bool HasMeasured(const ProfileTable& table, const v1::DeviceInfo& device, const v1::ProfileRow& row,
                 bool own) {
  const auto& rows = table.OfClass(device.device_class());
  return std::any_of(rows.begin(), rows.end(), [&](const auto& entry) {
    const v1::ProfileRow& other = entry.second;
    return !IsFromElsewhere(other) && other.device_id().empty() != own && MayServe(other, device) &&
           !IsOutdated(other) && OfOneWorkload(other, row) &&
           (row.power_mode().empty() || IsOfListedMode(other, device, ModeNameOf(row)));
  });
}

double RatioOf(const v1::Interval& interval) {
  return interval.high() / interval.low();
}

// The ratio once the device has a run of its own. Its repeats are assumed to deviate like those of
// the row.
double RatioAfter(const ProfileTable& table, const v1::DeviceInfo& device, v1::ProfileRow row) {
  row.set_device_id(device.device_id());
  row.set_emulated(device.emulated());
  row.clear_change();
  if (IsPublished(row)) {
    row.mutable_seconds_per_unit()->clear_relative_deviation();
  }
  if (IsFromElsewhere(row)) {
    row.set_source(v1::PROFILE_SOURCE_MEASURED);
  }
  return RatioOf(*RunInterval(row, Quantity::kTime, table.calibration(), device.device_id()));
}

std::optional<NextRun> CandidateOf(const ProfileTable& table, const v1::DeviceInfo& device,
                                   const v1::ProfileRow& row) {
  if (!MayServe(row, device) || !CanRunInModeOf(row, device) ||
      (!row.device_id().empty() && !IsOutdated(row)) ||
      HasMeasured(table, device, row, /*own=*/true) ||
      (IsFromElsewhere(row) && HasMeasured(table, device, row, /*own=*/false))) {
    return std::nullopt;
  }
  const auto now = RunInterval(row, Quantity::kTime, table.calibration(), device.device_id());
  if (!now.has_value()) {
    return std::nullopt;  // A published row that has only power.
  }
  return NextRun{device.device_id(), row, RatioOf(*now), RatioAfter(table, device, row)};
}

// Whether `a` divides the ratio by more than `b`; ratios within a thousandth are equal.
bool IsBetter(const NextRun& a, const NextRun& b) {
  const double gain = std::log(a.ratio_now / a.ratio_after) - std::log(b.ratio_now / b.ratio_after);
  return std::abs(gain) > 1e-3 ? gain > 0
                               : a.row.updated_unix_seconds() > b.row.updated_unix_seconds();
}

}  // namespace

std::optional<NextRun> NextRunToMeasure(const ProfileTable& table,
                                        absl::Span<const v1::DeviceInfo> devices) {
  std::optional<NextRun> best;
  for (const v1::DeviceInfo& device : devices) {
    if (device.engine_version().empty()) {
      continue;
    }
    for (const auto& [key, row] : table.OfClass(device.device_class())) {
      const std::optional<NextRun> candidate = CandidateOf(table, device, row);
      if (candidate.has_value() && candidate->ratio_now / candidate->ratio_after > kDividedByMin &&
          (!best.has_value() || IsBetter(*candidate, *best))) {
        best = candidate;
      }
    }
  }
  return best;
}

}  // namespace wattle::scheduler
