// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Looks for the earliest start behind refusals whose end is known.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "scheduler/place/consider_internal.h"

namespace wattle::scheduler {
namespace {

// Jobs and devices for which one pass looks for starts behind refusals: counts and no time, so that
// the same snapshot gives the same plan. A start on a pack of many reservations takes milliseconds.
constexpr size_t kLaterJobsMax = 64;
constexpr size_t kLaterDevicesMax = 2'000;
// One refusal may end in another one: the window opens in the night, the sun rises, and then the
// window closes.
constexpr int kRefusalsInARow = 8;

}  // namespace

FleetView::LaterStart FleetView::StartLaterInMode(const JobView& job, const DeviceView& view,
                                                  const Described& mode, DeviceLoad load) const {
  v1::Candidate refused;  // Now.
  for (int refusals = 0; refusals < kRefusalsInARow; ++refusals) {
    v1::Candidate candidate = mode.candidate;
    std::optional<absl::Time> allowed_from;
    if (PlaceInMode({.job = job, .view = view, .load = load}, mode, candidate, &allowed_from)
            .feasible) {
      candidate.set_refused_by(refused.refused_by());
      candidate.set_waits_for(refused.reason());
      candidate.set_sets_power_mode(candidate.power_mode() != view.device.info().power_mode());
      return candidate;
    }
    const absl::Time start = snapshot_.now + absl::Seconds(candidate.start_in_seconds());
    if (!allowed_from.has_value() || *allowed_from <= start ||
        *allowed_from == absl::InfiniteFuture()) {
      return std::nullopt;
    }
    load.free_at = *allowed_from;
    if (refusals == 0) {
      refused = std::move(candidate);
    }
  }
  return std::nullopt;
}

FleetView::LaterStart FleetView::StartLater(const JobView& job, const DeviceView& view,
                                            const Modes& modes, const DeviceLoad& load) const {
  LaterStart first;
  for (const Described& mode : modes) {
    LaterStart start = StartLaterInMode(job, view, mode, load);
    if (start.has_value() &&
        (!first.has_value() || start->finish_in_seconds() < first->finish_in_seconds())) {
      first = std::move(start);
    }
  }
  return first;
}

const v1::Candidate* FleetView::StartOn(size_t device, const JobView& job, const DeviceLoad& load,
                                        Shape& shape) {
  const v1::Candidate& now = shape.candidates[device];
  if (now.feasible()) {
    return &now;
  }
  std::optional<LaterStart>& later = shape.later[device];
  if (!now.permanent() && !later.has_value() && later_devices_ < kLaterDevicesMax) {
    ++later_devices_;
    later = StartLater(job, snapshot_.devices[device], (*shape.described)[device], load);
  }
  return later.has_value() && later->has_value() ? &**later : nullptr;
}

std::vector<const v1::Candidate*> FleetView::Starts(const JobView& job, const WorkAmount& work,
                                                    const std::vector<DeviceLoad>& loads) {
  Shape& shape = ShapeOf(job, work, loads);
  std::vector<const v1::Candidate*> starts;
  for (size_t device = 0; device < loads.size(); ++device) {
    starts.push_back(StartOn(device, job, loads[device], shape));
  }
  return starts;
}

Considered FleetView::ConsiderOn(size_t device, const JobView& job, const WorkAmount& work,
                                 const std::vector<DeviceLoad>& loads) {
  Considered considered = ConsiderNowOrLater(job, work, loads);
  if (considered.feasible == 0 || considered.devices.front() == device) {
    return considered;
  }
  const v1::Candidate* const start = StartOn(device, job, loads[device], ShapeOf(job, work, loads));
  if (start == nullptr) {
    return considered;
  }
  const auto place = std::find(considered.devices.begin(), considered.devices.end(), device);
  const auto at = place - considered.devices.begin();
  considered.feasible += at < considered.feasible ? 0 : 1;
  considered.devices.erase(place);
  considered.candidates.erase(considered.candidates.begin() + at);
  considered.devices.insert(considered.devices.begin(), device);
  considered.candidates.insert(considered.candidates.begin(), start);
  considered.arranged = true;
  return considered;
}

Considered FleetView::ConsiderNowOrLater(const JobView& job, const WorkAmount& work,
                                         const std::vector<DeviceLoad>& loads) {
  Considered considered = Consider(job, work, loads);
  if (considered.feasible > 0 || later_jobs_ >= kLaterJobsMax) {
    return considered;
  }
  ++later_jobs_;
  Shape& shape = ShapeOf(job, work, loads);
  std::vector<size_t> starts;
  for (size_t i = 0; i < loads.size(); ++i) {
    if (StartOn(i, job, loads[i], shape) != nullptr) {
      starts.push_back(i);
    }
  }
  std::stable_sort(starts.begin(), starts.end(), [&shape](size_t a, size_t b) {
    const auto rank = [&shape](size_t i) {
      const v1::Candidate& candidate = **shape.later[i];
      return std::make_tuple(candidate.probe(), candidate.finish_in_seconds(), candidate.cost(),
                             absl::string_view(candidate.device_name()),
                             absl::string_view(candidate.device_id()));
    };
    return rank(a) < rank(b);
  });
  if (starts.empty()) {
    return considered;
  }
  Considered later;
  later.feasible = static_cast<int>(starts.size());
  for (const size_t i : starts) {
    later.devices.push_back(i);
    later.candidates.push_back(&**shape.later[i]);
  }
  for (size_t i = 0; i < considered.devices.size(); ++i) {
    if (std::find(starts.begin(), starts.end(), considered.devices[i]) == starts.end()) {
      later.devices.push_back(considered.devices[i]);
      later.candidates.push_back(considered.candidates[i]);
    }
  }
  return later;
}

}  // namespace wattle::scheduler
