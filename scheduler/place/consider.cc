// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predictions, rules and costs of one job on every device.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "absl/strings/str_cat.h"

#include "scheduler/battery/charge.h"
#include "scheduler/place/consider_internal.h"
#include "scheduler/place/constraint.h"
#include "scheduler/place/selector.h"
#include "scheduler/predict/predict.h"

namespace wattle::scheduler {
namespace {

// An attempt that runs past its expected end is taken to need this much longer, again and again.
constexpr absl::Duration kOverdue = absl::Seconds(30);

// `cost` to four digits: closer than that, two devices are the same and time decides.
double ToFourDigits(double cost) {
  if (!(cost > 0) || !std::isfinite(cost)) {
    return cost;
  }
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(cost)));
  return std::round(cost * scale) / scale;
}

void CheckRules(const Consideration& on, v1::Candidate* candidate) {
  candidate->set_feasible(true);
  for (const Constraint* rule : AllConstraints()) {
    const std::optional<Refusal> refusal = rule->Check(on);
    if (!refusal.has_value() || (!candidate->feasible() && !refusal->permanent)) {
      continue;
    }
    candidate->set_feasible(false);
    candidate->set_refused_by(std::string(rule->name()));
    candidate->set_reason(refusal->reason);
    candidate->set_permanent(refusal->permanent);
    if (refusal->permanent) {
      return;
    }
  }
}

void DescribeBattery(const Snapshot& snapshot, const DeviceView& view, const DeviceLoad& load,
                     v1::Candidate* candidate) {
  const v1::Device& device = view.device;
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  const policy::Limits limits = LimitsFor(snapshot.policies, device.info());
  if (limits.reserve && limits.refuses_missing_gauge.empty() && !HasGauge(device)) {
    candidate->add_warnings(absl::StrCat("policy ", limits.reserve->policy,
                                         " keeps a reserve, and this device has no battery gauge: "
                                         "its reserve is not guarded"));
  }
  if (!device.heartbeat().has_battery() || capacity.value() <= 0) {
    return;
  }
  const Fraction charge(device.heartbeat().state_of_charge_ratio());
  const Joules demand = GrossDemand(candidate->prediction(),
                                    Joules(candidate->prediction().run_energy_joules().mean()));
  candidate->set_has_battery(true);
  candidate->set_state_of_charge_ratio(charge.value());
  candidate->set_state_of_charge_after_ratio(std::clamp(
      ChargeAfter(BatteryState{capacity, charge, load.committed}, demand).value(), 0.0, 1.0));
}

v1::Candidate ConsiderDevice(const Snapshot& snapshot, const JobView& job, const WorkAmount& work,
                             const DeviceView& view, const DeviceLoad& load) {
  const v1::DeviceInfo& info = view.device.info();
  v1::Candidate candidate;
  candidate.set_device_id(info.device_id());
  candidate.set_device_name(info.name());
  candidate.set_device_class(info.device_class());
  candidate.set_emulated(info.emulated());
  candidate.set_power_mode(info.power_mode());
  v1::Prediction& prediction = *candidate.mutable_prediction();
  prediction = Predict(*snapshot.profiles, view.device, work, job.inputs);
  if (job.peak_memory_bytes > 0) {
    prediction.set_peak_memory_bytes(job.peak_memory_bytes);
  }
  candidate.set_start_in_seconds(std::max(0.0, absl::ToDoubleSeconds(load.free_at - snapshot.now)));
  candidate.set_finish_in_seconds(candidate.start_in_seconds() +
                                  prediction.time_scale() *
                                      TotalSeconds(prediction, prediction.run_seconds().mean()));
  candidate.set_marginal_energy_joules(MarginalEnergyJoules(prediction));
  candidate.set_cost(ObjectiveOf(job.spec.objective()).Cost(candidate));
  DescribeBattery(snapshot, view, load, &candidate);
  return candidate;
}

}  // namespace

std::vector<DeviceLoad> InitialLoads(const Snapshot& snapshot) {
  std::vector<DeviceLoad> loads;
  loads.reserve(snapshot.devices.size());
  for (const DeviceView& view : snapshot.devices) {
    DeviceLoad load{std::max(view.free_at, snapshot.now), view.committed_energy};
    if (!view.device.running_attempt_id().empty() && view.free_at <= snapshot.now) {
      load.free_at = snapshot.now + kOverdue;
    }
    loads.push_back(load);
  }
  return loads;
}

Considered Consider(const Snapshot& snapshot, const JobView& job, const WorkAmount& work,
                    const std::vector<DeviceLoad>& loads, ConsiderOptions options) {
  std::vector<v1::Candidate> candidates;
  candidates.reserve(snapshot.devices.size());
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    const DeviceView& view = snapshot.devices[i];
    v1::Candidate candidate = ConsiderDevice(snapshot, job, work, view, loads[i]);
    const v1::Prediction& prediction = candidate.prediction();
    const double finish_upper =
        candidate.start_in_seconds() +
        prediction.time_scale() * TotalSeconds(prediction, prediction.run_seconds().high());
    CheckRules(Consideration{.snapshot = snapshot,
                             .job = job,
                             .device = view,
                             .prediction = prediction,
                             .start_in_seconds = candidate.start_in_seconds(),
                             .finish_in_seconds = candidate.finish_in_seconds(),
                             .finish_in_seconds_upper = finish_upper,
                             .committed = loads[i].committed,
                             .dry_run = options.dry_run},
               &candidate);
    candidates.push_back(std::move(candidate));
  }
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto rank = [&candidates](size_t i) {
    const v1::Candidate& candidate = candidates[i];
    const bool feasible = candidate.feasible();
    return std::make_tuple(!feasible, feasible ? ToFourDigits(candidate.cost()) : 0,
                           feasible ? candidate.finish_in_seconds() : 0,
                           absl::string_view(candidate.device_name()),
                           absl::string_view(candidate.device_id()), i);
  };
  std::sort(order.begin(), order.end(), [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
  Considered considered;
  considered.devices = order;
  for (const size_t i : order) {
    considered.feasible += candidates[i].feasible() ? 1 : 0;
    considered.candidates.push_back(std::move(candidates[i]));
  }
  return considered;
}

const v1::Candidate* Chosen(const Considered& considered) {
  return considered.feasible > 0 ? &considered.candidates.front() : nullptr;
}

}  // namespace wattle::scheduler
