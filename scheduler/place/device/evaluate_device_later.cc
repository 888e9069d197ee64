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

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "scheduler/place/device/evaluate_device_internal.h"

namespace wattle::scheduler {
namespace {

// Bounds on the jobs and devices for which one pass searches later starts: counts instead of times,
// so that the same snapshot gives the same plan. A start on a pack with many reservations takes
// milliseconds.
constexpr size_t kLaterJobsMax = 64;
constexpr size_t kLaterDevicesMax = 2'000;
// Devices on which a job that could start now searches for a cheaper start.
constexpr size_t kCheaperDevicesMax = 4;
// The end of one refusal may lead to another one: the window opens at night, the sun rises, and
// then the window closes.
constexpr int kRefusalsInARow = 8;

// Makes the start on its device the choice.
void ChooseStart(const Option& start, EvaluatedDevices& evaluated) {
  std::vector<const Option*>& options = evaluated.options;
  const auto place = std::find_if(options.begin(), options.end(), [&start](const Option* one) {
    return one->run.device == start.run.device;
  });
  evaluated.feasible += place - options.begin() < evaluated.feasible ? 0 : 1;
  options.erase(place);
  options.insert(options.begin(), &start);
  evaluated.arranged = true;
}

}  // namespace

FleetView::LaterStart FleetView::StartLaterInMode(const JobOnDevice& on, const Shape& shape,
                                                  size_t mode) const {
  const Modes& modes = ModesOf(on.job, shape, on.device);
  DeviceLoad load = on.load;
  std::optional<size_t> refuses_now;  // Index of a rule.
  for (int refusals = 0; refusals < kRefusalsInARow; ++refusals) {
    std::optional<absl::Time> allowed_from;
    Option option = PlaceInMode(On(on.device, on.job, load, shape), modes, mode, &allowed_from);
    if (option.feasible()) {
      option.waits_for_rule = refuses_now;
      return option;
    }
    const absl::Time start = snapshot_.now + absl::Seconds(option.run.start_in_seconds);
    if (!allowed_from.has_value() || *allowed_from <= start ||
        *allowed_from == absl::InfiniteFuture()) {
      return std::nullopt;
    }
    // Searches again from the end of this refusal, because another rule may refuse that start.
    load.free_at = *allowed_from;
    if (refusals == 0) {
      refuses_now = option.verdict.rule;
    }
  }
  return std::nullopt;
}

FleetView::LaterStart FleetView::StartLater(const JobOnDevice& on, const Shape& shape) const {
  LaterStart first;
  for (size_t mode = 0; mode < ModesOf(on.job, shape, on.device).size(); ++mode) {
    LaterStart start = StartLaterInMode(on, shape, mode);
    if (start.has_value() &&
        (!first.has_value() || start->run.finish_in_seconds < first->run.finish_in_seconds)) {
      first = std::move(start);
    }
  }
  return first;
}

const Option* FleetView::StartOn(size_t device, const JobView& job, const DeviceLoad& load,
                                 Shape& shape) {
  const Option& now = shape.options[device];
  if (now.feasible()) {
    return &now;
  }
  auto later = shape.later.find(device);
  if (!now.verdict.permanent() && later == shape.later.end() && later_devices_ < kLaterDevicesMax) {
    ++later_devices_;
    later = shape.later.emplace(device, StartLater(On(device, job, load, shape), shape)).first;
  }
  return later != shape.later.end() && later->second.has_value() ? &*later->second : nullptr;
}

std::vector<const Option*> FleetView::Starts(const JobView& job, const WorkAmount& work,
                                             const FleetLoads& loads,
                                             absl::Span<const size_t> devices,
                                             DeadlineBy deadline_by) {
  Shape& shape = ShapeOf(job, work, loads, deadline_by);
  std::vector<const Option*> starts(loads.size(), nullptr);
  for (const size_t device : devices) {
    Option& now = shape.options[device];
    if (now.feasible()) {
      now = WithPrediction(job, shape, now);
    }
    starts[device] = StartOn(device, job, loads[device], shape);
  }
  return starts;
}

EvaluatedDevices FleetView::EvaluateDevice(size_t device, const JobView& job,
                                           const WorkAmount& work, const FleetLoads& loads,
                                           DeadlineBy deadline_by) {
  Shape& shape = ShapeOf(job, work, loads, deadline_by);
  EvaluatedDevices evaluated = EvaluateDevicesNowOrLaterIn(job, loads, shape);
  if (evaluated.feasible > 0 && evaluated.options.front()->run.device != device) {
    if (const Option* const start = StartOn(device, job, loads[device], shape)) {
      ChooseStart(*start, evaluated);
    }
  }
  CompleteChoice(job, evaluated, shape);
  return evaluated;
}

std::vector<size_t> FleetView::DevicesWithLaterStarts(const EvaluatedDevices& now,
                                                      const JobView& job, const FleetLoads& loads,
                                                      Shape& shape) {
  std::vector<size_t> devices;
  for (size_t i = static_cast<size_t>(now.feasible); i < now.options.size(); ++i) {
    const Option& refused = *now.options[i];
    const bool is_better = shape.deadline_by == DeadlineBy::kMean ||  // Its later start may be.
                           now.feasible == 0 || refused.cost < now.options.front()->cost;
    if (!refused.verdict.permanent() && is_better) {
      devices.push_back(refused.run.device);
    }
  }
  // A job that can start now searches only a few devices for a cheaper start.
  if (now.feasible > 0) {
    const auto rank = [&shape](size_t device) {
      const Option& option = shape.options[device];
      return shape.deadline_by == DeadlineBy::kMean ? option.run.finish_in_seconds : option.cost;
    };
    std::stable_sort(devices.begin(), devices.end(),
                     [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
    devices.resize(std::min(devices.size(), kCheaperDevicesMax));
  }
  later_jobs_ += devices.empty() ? 0 : 1;
  std::erase_if(devices, [&](size_t device) {
    return StartOn(device, job, loads[device], shape) == nullptr;
  });
  return devices;
}

EvaluatedDevices FleetView::EvaluateDevicesNowOrLater(const JobView& job, const WorkAmount& work,
                                                      const FleetLoads& loads,
                                                      DeadlineBy deadline_by) {
  Shape& shape = ShapeOf(job, work, loads, deadline_by);
  EvaluatedDevices evaluated = EvaluateDevicesNowOrLaterIn(job, loads, shape);
  CompleteChoice(job, evaluated, shape);
  return evaluated;
}

EvaluatedDevices FleetView::EvaluateDevicesNowOrLaterIn(const JobView& job, const FleetLoads& loads,
                                                        Shape& shape) {
  EvaluatedDevices now = EvaluateDevicesIn(job, shape);
  if (later_jobs_ >= kLaterJobsMax) {
    now.planned_before = later_jobs_;
    return now;
  }
  const std::vector<size_t> devices = DevicesWithLaterStarts(now, job, loads, shape);
  if (devices.empty()) {
    return now;
  }
  EvaluatedDevices evaluated{.deadline_in_seconds = now.deadline_in_seconds};
  std::vector<const Option*>& options = evaluated.options;
  std::vector<bool> is_later(loads.size(), false);
  for (const size_t device : devices) {
    is_later[device] = true;
    options.push_back(&*shape.later.at(device));
  }
  const auto refused = now.options.begin() + now.feasible;
  options.insert(options.end(), now.options.begin(), refused);
  evaluated.feasible = static_cast<int>(options.size());
  std::sort(options.begin(), options.end(), [&](const Option* a, const Option* b) {
    const auto rank = [&](const Option& of) {
      const double first = now.feasible > 0 ? of.rank() : of.run.finish_in_seconds;
      const double second = now.feasible > 0 ? of.run.finish_in_seconds : of.rank();
      return std::make_tuple(of.probe, now.feasible > 0 && of.tight, first, second,
                             name_ranks_[of.run.device]);
    };
    return rank(*a) < rank(*b);
  });
  std::copy_if(refused, now.options.end(), std::back_inserter(options),
               [&is_later](const Option* one) { return !is_later[one->run.device]; });
  return evaluated;
}

}  // namespace wattle::scheduler
