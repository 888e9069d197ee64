// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Looks for the earliest start behind refusals whose end is known.
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "scheduler/place/consider_internal.h"

namespace wattle::scheduler {
namespace {

// Jobs and devices for which one pass looks for starts behind refusals: counts and no time, so that
// the same snapshot gives the same plan. A start on a pack of many reservations takes milliseconds.
constexpr size_t kLaterJobsMax = 64;
constexpr size_t kLaterDevicesMax = 2'000;
// Devices on which a job that could start now looks for a cheaper start.
constexpr size_t kCheaperDevicesMax = 4;
// One refusal may end in another one: the window opens in the night, the sun rises, and then the
// window closes.
constexpr int kRefusalsInARow = 8;

}  // namespace

FleetView::LaterStart FleetView::StartLaterInMode(const JobOnDevice& on,
                                                  const Described& mode) const {
  const auto& [job, view, limits, load_now] = on;
  DeviceLoad load = load_now;
  v1::Candidate refused;  // Now.
  for (int refusals = 0; refusals < kRefusalsInARow; ++refusals) {
    v1::Candidate candidate = mode.candidate;
    std::optional<absl::Time> allowed_from;
    const Rank rank = PlaceInMode({.job = job, .view = view, .limits = limits, .load = load}, mode,
                                  candidate, &allowed_from);
    if (rank.feasible) {
      candidate.set_refused_by(refused.refused_by());
      candidate.set_waits_for(refused.reason());
      candidate.set_sets_power_mode(candidate.power_mode() != view.device.info().power_mode());
      return RankedCandidate{std::move(candidate), rank};
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

FleetView::LaterStart FleetView::StartLater(const JobOnDevice& on, const Modes& modes) const {
  LaterStart first;
  for (const Described& mode : modes) {
    LaterStart start = StartLaterInMode(on, mode);
    if (start.has_value() &&
        (!first.has_value() || start->rank.finish_in_seconds < first->rank.finish_in_seconds)) {
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
    later = StartLater(
        {.job = job, .view = snapshot_.devices[device], .limits = limits_[device], .load = load},
        (*shape.described)[device]);
  }
  return later.has_value() && later->has_value() ? &(*later)->candidate : nullptr;
}

std::vector<const v1::Candidate*> FleetView::Starts(const JobView& job, const WorkAmount& work,
                                                    const std::vector<DeviceLoad>& loads,
                                                    absl::Span<const size_t> devices) {
  Shape& shape = ShapeOf(job, work, loads);
  std::vector<const v1::Candidate*> starts(loads.size(), nullptr);
  for (const size_t device : devices) {
    starts[device] = StartOn(device, job, loads[device], shape);
  }
  return starts;
}

Considered FleetView::ConsiderOn(size_t device, const JobView& job, const WorkAmount& work,
                                 const std::vector<DeviceLoad>& loads) {
  Shape& shape = ShapeOf(job, work, loads);
  Considered considered = ConsiderNowOrLaterIn(job, loads, shape);
  if (considered.feasible == 0 || considered.devices.front() == device) {
    return considered;
  }
  const v1::Candidate* const start = StartOn(device, job, loads[device], shape);
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

std::vector<size_t> FleetView::DevicesWithLaterStarts(const Considered& now, const JobView& job,
                                                      const std::vector<DeviceLoad>& loads,
                                                      Shape& shape) {
  std::vector<size_t> devices;
  for (size_t i = static_cast<size_t>(now.feasible); i < now.devices.size(); ++i) {
    const v1::Candidate& refused = *now.candidates[i];
    if (!refused.permanent() &&
        (now.feasible == 0 || refused.cost() < now.candidates.front()->cost())) {
      devices.push_back(now.devices[i]);
    }
  }
  if (now.feasible > 0) {
    std::stable_sort(devices.begin(), devices.end(), [&shape](size_t a, size_t b) {
      return shape.candidates[a].cost() < shape.candidates[b].cost();
    });
    devices.resize(std::min(devices.size(), kCheaperDevicesMax));
  }
  later_jobs_ += devices.empty() ? 0 : 1;
  std::erase_if(devices, [&](size_t device) {
    return StartOn(device, job, loads[device], shape) == nullptr;
  });
  return devices;
}

Considered FleetView::ConsiderNowOrLater(const JobView& job, const WorkAmount& work,
                                         const std::vector<DeviceLoad>& loads) {
  return ConsiderNowOrLaterIn(job, loads, ShapeOf(job, work, loads));
}

Considered FleetView::ConsiderNowOrLaterIn(const JobView& job, const std::vector<DeviceLoad>& loads,
                                           Shape& shape) {
  Considered now = ConsiderIn(job, shape);
  if (later_jobs_ >= kLaterJobsMax) {
    return now;
  }
  std::vector<size_t> devices = DevicesWithLaterStarts(now, job, loads, shape);
  if (devices.empty()) {
    return now;
  }
  std::vector<bool> is_later(loads.size(), false);
  for (const size_t device : devices) {
    is_later[device] = true;
  }
  const auto candidate_of = [&](size_t device) -> const v1::Candidate& {
    return is_later[device] ? (*shape.later[device])->candidate : shape.candidates[device];
  };
  devices.insert(devices.end(), now.devices.begin(), now.devices.begin() + now.feasible);
  std::stable_sort(devices.begin(), devices.end(), [&](size_t a, size_t b) {
    const auto rank = [&](size_t device) {
      const Rank& of = is_later[device] ? (*shape.later[device])->rank : shape.ranks[device];
      const v1::Candidate& candidate = candidate_of(device);
      const double first = now.feasible > 0 ? of.cost : of.finish_in_seconds;
      const double second = now.feasible > 0 ? of.finish_in_seconds : of.cost;
      return std::make_tuple(of.probe, now.feasible > 0 && of.tight, first, second,
                             absl::string_view(candidate.device_name()),
                             absl::string_view(candidate.device_id()));
    };
    return rank(a) < rank(b);
  });
  Considered considered;
  considered.deadline_in_seconds = now.deadline_in_seconds;
  considered.feasible = static_cast<int>(devices.size());
  std::copy_if(now.devices.begin() + now.feasible, now.devices.end(), std::back_inserter(devices),
               [&is_later](size_t device) { return !is_later[device]; });
  considered.devices = devices;
  for (const size_t device : devices) {
    considered.candidates.push_back(&candidate_of(device));
  }
  return considered;
}

}  // namespace wattle::scheduler
