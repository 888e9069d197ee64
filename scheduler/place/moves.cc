// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/moves.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/device/objective.h"
#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/profiles/probe.h"

namespace wattle::scheduler {
namespace {

// Counts instead of times, so that the same snapshot gives the same moves.
constexpr size_t kRestsMax = 32;
constexpr size_t kFreeDevicesMax = 32;
constexpr size_t kMovesOfAPlanMax = 4;
constexpr double kGainShareMin = 0.1;
constexpr double kGainOverWayMin = 3;
constexpr double kStartRoundingSeconds = 1;
// A shorter rest stays: people would lose more by looking for the job than a move saves.
constexpr absl::Duration kRestMin = absl::Minutes(5);

// Costs of a rest by its job's objective.
struct Costs {
  [[nodiscard]] bool gain_is_worth_it() const {
    const double gain = here - (there_upper + way);
    return gain > kGainShareMin * here && gain > kGainOverWayMin * way;
  }

  double here = 0;
  double there = 0;        // Without hand-over and transfers.
  double there_upper = 0;  // At the upper end of the prediction.
  double way = 0;          // Hand-over and transfers.
};

// Keeps at most `most` elements, beginning with another one at each turn.
template <typename T>
void TakeTurns(int64_t turn, size_t most, std::vector<T>& all) {
  if (all.size() > most) {
    const size_t first = static_cast<size_t>(turn) * most % all.size();
    std::rotate(all.begin(), all.begin() + static_cast<ptrdiff_t>(first), all.end());
    all.resize(most);
  }
}

bool IsIdle(const Snapshot& snapshot, const DeviceView& view, const DeviceLoad& load) {
  return view.device.connected() && !view.device.drained() &&
         view.device.running_attempt_id().empty() && load.free_at <= snapshot.now;
}

// The devices on which the plan of the queue starts no job now.
std::vector<size_t> FreeDevices(const Snapshot& snapshot, const FleetLoads& loads) {
  std::vector<size_t> devices;
  for (size_t i = 0; i < loads.size(); ++i) {
    if (IsIdle(snapshot, snapshot.devices[i], loads[i])) {
      devices.push_back(i);
    }
  }
  std::sort(devices.begin(), devices.end(), [&snapshot](size_t a, size_t b) {
    const auto name = [&snapshot](size_t i) {
      const v1::DeviceInfo& info = snapshot.devices[i].device.info();
      return std::tie(info.name(), info.device_id());
    };
    return name(a) < name(b);
  });
  TakeTurns(snapshot.sequence.value(), kFreeDevicesMax, devices);
  return devices;
}

// First the attempts that are handing over, then the others by length of their rest.
std::vector<const RunningRest*> RestsInOrder(const Snapshot& snapshot) {
  std::vector<const RunningRest*> rests;
  for (const RunningRest& rest : snapshot.running) {
    rests.push_back(&rest);
  }
  const auto by_name = [](const RunningRest& rest) {
    return std::make_tuple(rest.attempt.value().size(), absl::string_view(rest.attempt.value()));
  };
  std::sort(rests.begin(), rests.end(), [&](const RunningRest* a, const RunningRest* b) {
    return std::make_tuple(!a->leaves, by_name(*a)) < std::make_tuple(!b->leaves, by_name(*b));
  });
  const auto stays = std::find_if(rests.begin(), rests.end(),
                                  [](const RunningRest* rest) { return !rest->leaves; });
  std::vector<const RunningRest*> others(stays, rests.end());
  rests.erase(stays, rests.end());
  TakeTurns(snapshot.sequence.value(), kRestsMax, others);
  std::stable_sort(others.begin(), others.end(), [](const RunningRest* a, const RunningRest* b) {
    return a->remaining > b->remaining;
  });
  rests.insert(rests.end(), others.begin(), others.end());
  return rests;
}

class MoveFinder {
 public:
  MoveFinder(const Snapshot& snapshot, FleetLoads loads)
      : snapshot_(snapshot),
        loads_(std::move(loads)),
        free_(FreeDevices(snapshot, loads_)),
        asked_(loads_.size(), false),
        fleet_(snapshot, {.asked = &asked_}) {
    for (const size_t device : free_) {
      asked_[device] = true;
    }
  }

  [[nodiscard]] bool HasFreeDevice() const { return !free_.empty(); }

  // The move; its device is then taken. nullopt: the rest stays.
  std::optional<GainfulMove> Find(const RunningRest& rest) {
    const absl::StatusOr<WorkAmount> work = WorkOfJob(rest.job, *snapshot_.profiles);
    if (!work.ok()) {
      return std::nullopt;
    }
    const EvaluatedDevices evaluated =
        fleet_.EvaluateDevices(rest.job, *work, LoadsAfter(rest.hand_over));
    fleet_.Complete(rest.job);
    for (size_t i = 0; i < static_cast<size_t>(evaluated.feasible); ++i) {
      const Option& option = *evaluated.options[i];
      if (!StartsInTime(rest, option)) {
        continue;
      }
      if (rest.leaves) {
        Take(rest, option);
        return std::nullopt;
      }
      if (option.probe || IsWide(*option.prediction)) {
        continue;
      }
      const Costs costs = CostsOf(rest, option);
      if (costs.gain_is_worth_it()) {
        Take(rest, option);
        return Described(rest, option, costs);
      }
    }
    return std::nullopt;
  }

 private:
  // The loads in which no run may begin before the checkpoint has arrived.
  const FleetLoads& LoadsAfter(absl::Duration hand_over) {
    later_ = loads_;
    for (const size_t device : free_) {
      DeviceLoad& load = later_.Mutable(device);
      load.free_at = std::max(load.free_at, snapshot_.now + hand_over);
    }
    return later_;
  }

  // Whether the rest would not wait for other work of the device.
  static bool StartsInTime(const RunningRest& rest, const Option& option) {
    return option.run.start_in_seconds <=
           absl::ToDoubleSeconds(rest.hand_over) + kStartRoundingSeconds;
  }

  [[nodiscard]] Costs CostsOf(const RunningRest& rest, const Option& option) const {
    const ObjectiveRow& objective = ObjectiveOf(rest.job.spec.objective());
    const double waited = rest.job.WaitedSeconds(snapshot_.now);
    const double patience =
        PatienceRatioPerHour(LimitsFor(snapshot_.policies, fleet_.InfoOf(option)));
    const auto cost = [&](double marginal_joules, double start, double finish) {
      const RunStart one{.start_in_seconds = start,
                         .finish_in_seconds = std::max(0.0, finish),
                         .marginal_joules = std::max(0.0, marginal_joules)};
      return CostOf(objective, one, waited, patience);
    };
    const v1::Prediction& prediction = *option.prediction;
    const double start = option.run.start_in_seconds;
    const double transfer = prediction.time_scale() * prediction.fetch_seconds();
    const double rest_alone = option.run.marginal_joules - prediction.fetch_energy_joules();
    Costs costs;
    costs.here = cost(rest.marginal.value(), 0, absl::ToDoubleSeconds(rest.remaining));
    costs.there = cost(rest_alone, 0, option.run.finish_in_seconds - start - transfer);
    costs.way = cost(option.run.marginal_joules + rest.hand_over_energy.value(), start,
                     option.run.finish_in_seconds) -
                costs.there;
    const v1::Interval& run = prediction.run_seconds();
    costs.there_upper = costs.there * (run.mean() > 0 ? std::max(1.0, run.high() / run.mean()) : 1);
    return costs;
  }

  [[nodiscard]] GainfulMove Described(const RunningRest& rest, const Option& option,
                                      const Costs& costs) const {
    const v1::DeviceInfo& there = fleet_.InfoOf(option);
    const ObjectiveRow& objective = ObjectiveOf(rest.job.spec.objective());
    return {.attempt = rest.attempt,
            .device = DeviceId(there.device_id()),
            .reason = absl::StrCat("moves to ", there.name(), ": its rest takes ",
                                   objective.format(costs.there), " there and ",
                                   objective.format(costs.here), " here; checkpoint and transfer ",
                                   objective.format(costs.way)),
            .leaves = snapshot_.now + rest.hand_over,
            .begin = snapshot_.now + absl::Seconds(option.run.start_in_seconds),
            .end = snapshot_.now + absl::Seconds(option.run.finish_in_seconds)};
  }

  void Take(const RunningRest& rest, const Option& option) {
    const size_t device = option.run.device;
    SetLoad(device,
            WithRun(loads_[device], snapshot_.devices[device].device,
                    {.job = rest.job,
                     .prediction = *option.prediction,
                     .begin = snapshot_.now + absl::Seconds(option.run.start_in_seconds),
                     .end = snapshot_.now + absl::Seconds(option.run.finish_in_seconds)}),
            loads_);
    HoldAntiAffinity(snapshot_, rest.job, device, loads_);
  }

  const Snapshot& snapshot_;
  FleetLoads loads_;
  std::vector<size_t> free_;
  std::vector<bool> asked_;
  FleetView fleet_;
  FleetLoads later_;
};

}  // namespace

std::vector<GainfulMove> MovesByGain(const Snapshot& snapshot, FleetLoads loads,
                                     const std::set<AttemptId>& stay) {
  std::vector<GainfulMove> moves;
  if (snapshot.running.empty()) {
    return moves;
  }
  MoveFinder finder(snapshot, std::move(loads));
  if (!finder.HasFreeDevice()) {
    return moves;
  }
  for (const RunningRest* const rest : RestsInOrder(snapshot)) {
    if (moves.size() == kMovesOfAPlanMax) {
      break;
    }
    if (stay.contains(rest->attempt) || (!rest->leaves && rest->remaining < kRestMin)) {
      continue;
    }
    if (std::optional<GainfulMove> move = finder.Find(*rest); move.has_value()) {
      moves.push_back(*std::move(move));
    }
  }
  return moves;
}

}  // namespace wattle::scheduler
