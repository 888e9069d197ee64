// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "scheduler/place/probe_value_internal.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"

namespace wattle::scheduler {
namespace {

// Wall seconds until the result of a probe that starts now: start, warm-up and its steps.
constexpr double kProbeToldSeconds = 60;

// Share of a standard normal distribution below `deviations`.
double NormalBelow(double deviations) {
  return 0.5 * std::erfc(-deviations / std::sqrt(2.0));
}

// For a 90 % interval: 1.645 deviations to each side.
double DeviationOf(const v1::Interval& interval) {
  constexpr double kDeviationsOf90Percent = 3.2897;
  return interval.low() > 0 ? std::log(interval.high() / interval.low()) / kDeviationsOf90Percent
                            : 0;
}

v1::ProbeValue WhatItCosts(const v1::Prediction& prediction, int jobs) {
  v1::ProbeValue value;
  value.set_seconds(std::min(kProbeSecondsMax, prediction.run_seconds().mean()));
  value.set_energy_joules(ProbeDemand(prediction).value());
  value.set_jobs(jobs);
  return value;
}

void SetLoss(double loss, v1::ProbeValue* value) {
  value->set_loss_avoided(loss);
  value->set_value_per_joule(value->energy_joules() > 0 ? loss / value->energy_joules() : 0);
}

}  // namespace

v1::ProbeValue ValueToDeadlines(const Option& probe, double deadline_in_seconds, int jobs) {
  const v1::Prediction& prediction = *probe.prediction;
  v1::ProbeValue value = WhatItCosts(prediction, jobs);
  const double run_seconds =
      (deadline_in_seconds - probe.run.start_in_seconds) / std::max(prediction.time_scale(), 1e-9) -
      TotalSeconds(prediction, /*run_seconds=*/0);
  if (deadline_in_seconds > 0 && run_seconds > 0 && prediction.time_deviation() > 0) {
    const double misses = NormalBelow(-std::log(run_seconds / prediction.run_seconds().mean()) /
                                      prediction.time_deviation());
    SetLoss(jobs * misses * prediction.mean_power_watts() * run_seconds, &value);
  }
  return value;
}

v1::ProbeValue ValueToOthers(const Option& tried, double known_cost, int jobs) {
  const v1::Prediction& prediction = *tried.prediction;
  v1::ProbeValue value = WhatItCosts(prediction, jobs);
  const double mean = tried.cost;
  const double deviation = DeviationOf(prediction.run_energy_joules());
  if (mean <= 0 || known_cost <= 0 || deviation <= 0) {
    return value;
  }
  // E[max(0, known - X)] of a log-normal X with this mean.
  const double upper = std::log(known_cost / mean) / deviation + deviation / 2;
  const double gain = known_cost * NormalBelow(upper) - mean * NormalBelow(upper - deviation);
  value.set_cost_of_trying(std::max(0.0, mean - known_cost));
  SetLoss(jobs * std::max(0.0, mean < known_cost ? gain + mean - known_cost : gain), &value);
  return value;
}

bool WaitsForProbe(const std::optional<RunStart>& start) {
  return start.has_value() && start->start_in_seconds > kProbeToldSeconds;
}

std::vector<bool> DevicesToTry(const Snapshot& snapshot, const PlacesOfJobs& plan) {
  std::set<std::string> learning;
  for (const DeviceView& view : snapshot.devices) {
    if (view.probes) {
      learning.insert(view.device.info().device_class());
    }
  }
  std::vector<bool> free;
  for (const DeviceView& view : snapshot.devices) {
    free.push_back(!learning.contains(view.device.info().device_class()));
  }
  for (const std::optional<RunStart>& start : plan.starts) {
    if (start.has_value()) {
      free[start->device] = false;
    }
  }
  return free;
}

std::optional<size_t> FindTrial(const Snapshot& snapshot, const std::vector<bool>& free,
                                const WaitingPlace& planned, EvaluatedDevices* evaluated) {
  std::optional<size_t> best;  // Index in the options.
  for (size_t i = 0; i < static_cast<size_t>(evaluated->feasible); ++i) {
    const Option& option = *evaluated->options[i];
    const size_t device = option.run.device;
    const bool wide = IsWide(*option.prediction);
    if (device == planned.device && wide) {
      return std::nullopt;
    }
    if (!wide || option.probe || option.run.start_in_seconds > 0 || !free[device] ||
        ProbeDemand(*option.prediction) > snapshot.devices[device].exploration.left) {
      continue;
    }
    const v1::ProbeValue value = ValueToOthers(option, planned.cost, planned.others);
    if (value.loss_avoided() > value.cost_of_trying() &&
        (!best.has_value() || value.value_per_joule() > evaluated->trial->value_per_joule())) {
      best = i;
      evaluated->trial = value;
    }
  }
  if (!best.has_value()) {
    return std::nullopt;
  }
  const auto at = evaluated->options.begin() + static_cast<ptrdiff_t>(*best);
  std::rotate(evaluated->options.begin(), at, at + 1);
  return evaluated->options.front()->run.device;
}

}  // namespace wattle::scheduler
