// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predictions, rules and costs of jobs on every device.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

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

// A reserve that nobody guards is told of.
void WarnOfReserve(const Snapshot& snapshot, const DeviceView& view, v1::Candidate* candidate) {
  const policy::Limits limits = LimitsFor(snapshot.policies, view.device.info());
  if (limits.reserve && limits.refuses_missing_gauge.empty() && !HasGauge(view.device)) {
    candidate->add_warnings(absl::StrCat("policy ", limits.reserve->policy,
                                         " keeps a reserve, and this device has no battery gauge: "
                                         "its reserve is not guarded"));
  }
}

void DescribeBattery(const DeviceView& view, const DeviceLoad& load, v1::Candidate* candidate) {
  const v1::Device& device = view.device;
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
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

// What does not depend on the load.
v1::Candidate Describe(const Snapshot& snapshot, const JobView& job, const WorkAmount& work,
                       const DeviceView& view) {
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
  candidate.set_marginal_energy_joules(MarginalEnergyJoules(prediction));
  WarnOfReserve(snapshot, view, &candidate);
  return candidate;
}

// Two jobs of one key are the same to every rule and prediction, and with one objective to the
// plan.
std::string ShapeKey(const JobView& job) {
  v1::JobSpec spec = job.spec;
  spec.clear_objective();
  spec.clear_name();
  spec.clear_owner();
  spec.clear_priority();
  std::string key = spec.SerializeAsString();
  absl::StrAppend(&key, "|", job.peak_memory_bytes);
  if (spec.deadline_seconds() > 0) {
    absl::StrAppend(&key, "|", absl::ToUnixNanos(job.submitted));
  }
  for (const DeviceId& avoided : job.avoided_devices) {
    absl::StrAppend(&key, "|", avoided.value());
  }
  for (const InputView& input : job.inputs) {
    const std::string artifact = input.artifact.SerializeAsString();
    absl::StrAppend(&key, "|", input.field, "=", artifact.size(), ":", artifact);
  }
  return key;
}

bool Same(const DeviceLoad& a, const DeviceLoad& b) {
  return a.free_at == b.free_at && a.committed.value() == b.committed.value();
}

// Candidates that a view keeps, about 60 MiB: beyond it all shapes are forgotten.
constexpr size_t kCandidatesKept = 40'000;

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

void FleetView::PlaceAt(const JobView& job, size_t device, const DeviceLoad& load,
                        Shape& shape) const {
  const DeviceView& view = snapshot_.devices[device];
  v1::Candidate& candidate = shape.candidates[device];
  const v1::Prediction& prediction = candidate.prediction();
  candidate.set_start_in_seconds(
      std::max(0.0, absl::ToDoubleSeconds(load.free_at - snapshot_.now)));
  candidate.set_finish_in_seconds(candidate.start_in_seconds() +
                                  prediction.time_scale() *
                                      TotalSeconds(prediction, prediction.run_seconds().mean()));
  candidate.set_cost(ObjectiveOf(job.spec.objective()).Cost(candidate));
  DescribeBattery(view, load, &candidate);
  const double finish_upper =
      candidate.start_in_seconds() +
      prediction.time_scale() * TotalSeconds(prediction, prediction.run_seconds().high());
  candidate.clear_refused_by();
  candidate.clear_reason();
  candidate.clear_permanent();
  CheckRules(Consideration{.snapshot = snapshot_,
                           .job = job,
                           .device = view,
                           .prediction = prediction,
                           .start_in_seconds = candidate.start_in_seconds(),
                           .finish_in_seconds = candidate.finish_in_seconds(),
                           .finish_in_seconds_upper = finish_upper,
                           .committed = load.committed,
                           .dry_run = options_.dry_run},
             &candidate);
  shape.loads[device] = load;
  shape.ranks[device] = {candidate.feasible(),
                         candidate.feasible() ? ToFourDigits(candidate.cost()) : 0,
                         candidate.feasible() ? candidate.finish_in_seconds() : 0};
}

bool FleetView::ComesBefore(const Shape& shape, size_t a, size_t b) {
  const auto rank = [&shape](size_t i) {
    const Rank& one = shape.ranks[i];
    const v1::Candidate& candidate = shape.candidates[i];
    return std::make_tuple(!one.feasible, one.cost, one.finish_in_seconds,
                           absl::string_view(candidate.device_name()),
                           absl::string_view(candidate.device_id()), i);
  };
  return rank(a) < rank(b);
}

FleetView::Shape& FleetView::ShapeOf(const JobView& job, const WorkAmount& work,
                                     const std::vector<DeviceLoad>& loads) {
  const std::string work_key = ShapeKey(job);
  const std::string key = absl::StrCat(job.spec.objective(), "|", work_key);
  const auto before = [](const Shape& in) {
    return [&in](size_t a, size_t b) { return ComesBefore(in, a, b); };
  };
  if (const auto known = shapes_.find(key); known != shapes_.end()) {
    Shape& shape = known->second;
    for (size_t i = 0; i < loads.size(); ++i) {
      if (Same(shape.loads[i], loads[i])) {
        continue;
      }
      shape.order.erase(std::find(shape.order.begin(), shape.order.end(), i));
      PlaceAt(job, i, loads[i], shape);
      shape.order.insert(std::lower_bound(shape.order.begin(), shape.order.end(), i, before(shape)),
                         i);
    }
    return shape;
  }
  if (shapes_.size() * snapshot_.devices.size() > kCandidatesKept) {
    shapes_.clear();
  }
  Shape& shape = shapes_[key];
  shape.loads.resize(loads.size());
  shape.ranks.resize(loads.size());
  shape.order.resize(loads.size());
  std::iota(shape.order.begin(), shape.order.end(), size_t{0});
  if (described_key_ != work_key) {
    described_key_ = work_key;
    described_.clear();
    for (const DeviceView& device : snapshot_.devices) {
      described_.push_back(Describe(snapshot_, job, work, device));
    }
  }
  shape.candidates = described_;
  for (size_t i = 0; i < loads.size(); ++i) {
    PlaceAt(job, i, loads[i], shape);
  }
  std::sort(shape.order.begin(), shape.order.end(), before(shape));
  return shape;
}

Considered FleetView::Consider(const JobView& job, const WorkAmount& work,
                               const std::vector<DeviceLoad>& loads) {
  const Shape& shape = ShapeOf(job, work, loads);
  Considered considered;
  considered.devices = shape.order;
  considered.candidates.reserve(shape.order.size());
  for (const size_t i : shape.order) {
    considered.candidates.push_back(&shape.candidates[i]);
    considered.feasible += shape.ranks[i].feasible ? 1 : 0;
  }
  return considered;
}

const v1::Candidate* Chosen(const Considered& considered) {
  return considered.feasible > 0 ? considered.candidates.front() : nullptr;
}

}  // namespace wattle::scheduler
