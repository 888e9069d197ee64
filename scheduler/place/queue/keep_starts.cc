// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps the starts of the next hour stable, because people read them and boards fetch for them
// ahead. Each run that ends changes the rows slightly, so that the cheaper of two similar boards
// would alternate.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/queue/queue_planner_internal.h"

namespace wattle::scheduler {
namespace {

constexpr absl::Duration kSoon = absl::Hours(1);
// A start within kSoon moves only for a gain above 2 %.
constexpr double kMovingGain = 0.02;

struct Place {
  const std::optional<RunStart>& start;
  double cost;
};

// Share by which the job's run costs more in its second place; a share, because each objective has
// its own unit. A job that loses its place, a start that would no longer be soon, and a later end
// of a run that may already be late outweigh every gain.
double LossOf(const Place& one, const Place& other, bool stays, bool by_mean) {
  if (!one.start.has_value()) {
    return 0;
  }
  if (!other.start.has_value() ||
      (stays && other.start->start_in_seconds > absl::ToDoubleSeconds(kSoon)) ||
      (by_mean && other.start->finish_in_seconds > one.start->finish_in_seconds)) {
    return std::numeric_limits<double>::infinity();
  }
  return one.cost > 0 ? other.cost / one.cost - 1 : 0;
}

}  // namespace

std::optional<size_t> QueuePlanner::LastDeviceOf(const JobView& job) const {
  if (!job.last_place.has_value()) {
    return std::nullopt;
  }
  const auto found = std::find_if(
      snapshot_.devices.begin(), snapshot_.devices.end(), [&job](const DeviceView& view) {
        return view.device.info().device_id() == job.last_place->device.value();
      });
  return found == snapshot_.devices.end()
             ? std::nullopt
             : std::optional(static_cast<size_t>(found - snapshot_.devices.begin()));
}

std::vector<std::optional<size_t>> QueuePlanner::DevicesToKeep(const Outcome& plan) const {
  std::vector<std::optional<size_t>> devices(jobs_.size());
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const std::optional<LastPlace>& last = jobs_[i].view->last_place;
    const std::optional<RunStart>& start = plan.places.starts[i];
    // A start now always happens, so that no job waits beside an idle board. A job whose end may
    // already be late must not be delayed either.
    if (!last.has_value() || !start.has_value() || start->start_in_seconds <= 0 ||
        last->start > snapshot_.now + kSoon || arrangement_.deadline_by[i] == DeadlineBy::kMean) {
      continue;
    }
    const std::optional<size_t> device = LastDeviceOf(*jobs_[i].view);
    if (device != start->device) {
      devices[i] = device;
    }
  }
  return devices;
}

bool QueuePlanner::KeepStarts(Outcome& plan) {
  std::vector<std::optional<size_t>> kept = DevicesToKeep(plan);
  auto left = std::count_if(kept.begin(), kept.end(),
                            [](const auto& device) { return device.has_value(); });
  for (int pass = 0; pass < kChangePassesMax && left > 0 && MayTry(); ++pass, --left) {
    Arrangement trial = arrangement_;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      trial.devices[i] = kept[i].has_value() ? kept[i] : trial.devices[i];
      trial.stays[i] = kept[i].has_value();
    }
    Outcome outcome = Pass(trial, loads_);
    double lost = 0;
    std::pair<double, size_t> most = {-1, 0};  // The kept start with the greatest loss.
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const double loss = LossOf({plan.places.starts[i], plan.costs[i]},
                                 {outcome.places.starts[i], outcome.costs[i]}, kept[i].has_value(),
                                 arrangement_.deadline_by[i] == DeadlineBy::kMean);
      lost += loss;
      most = kept[i].has_value() ? std::max(most, {loss, i}) : most;
    }
    if (outcome.late == plan.late && lost <= kMovingGain * static_cast<double>(left)) {
      arrangement_ = std::move(trial);
      plan = std::move(outcome);
      return true;
    }
    // The job that loses most is the most likely cause of the excess.
    kept[most.second].reset();
  }
  return false;
}

}  // namespace wattle::scheduler
