// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Computes predictions, rules and costs of jobs on every device.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "scheduler/battery/charge.h"
#include "scheduler/place/apart.h"
#include "scheduler/place/consider_internal.h"
#include "scheduler/place/memory_rule_internal.h"
#include "scheduler/place/rule.h"
#include "scheduler/place/selector.h"
#include "scheduler/place/way_of_files.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"

namespace wattle::scheduler {
namespace {

// The refusal that counts among the rules of `scope`: the first permanent one, else the first.
std::optional<Refusal> CheckRules(RuleScope scope, const Consideration& on, size_t* refusing_rule) {
  std::optional<Refusal> counts;
  const absl::Span<const Rule> rules = Rules();
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].scope != scope) {
      continue;
    }
    std::optional<Refusal> refusal = rules[i].check(on);
    if (refusal.has_value() && (!counts.has_value() || refusal->permanent)) {
      counts = std::move(refusal);
      *refusing_rule = i;
      if (counts->permanent) {
        return counts;
      }
    }
  }
  return counts;
}

// Asks the rules of the load about a probe: a start of a run whose prediction is too wide to be
// planned on. The run has to end in time at its lower end, and its battery has to hold its mean:
// the guard keeps the reserve whatever the run draws. A refusal is for good only if it holds at the
// lower end too. finish_lower: as Consideration's upper end, at the run's lower quantile.
std::optional<Refusal> CheckProbe(const Consideration& on, double finish_lower,
                                  size_t* refusing_rule) {
  const auto with_upper_end = [&](double (v1::Interval::*end)() const, size_t* rule) {
    v1::Prediction prediction = on.prediction;
    for (v1::Interval* const interval :
         {prediction.mutable_run_seconds(), prediction.mutable_run_energy_joules()}) {
      interval->set_high((interval->*end)());
    }
    return CheckRules(RuleScope::kLoad,
                      Consideration{.snapshot = on.snapshot,
                                    .job = on.job,
                                    .device = on.device,
                                    .limits = on.limits,
                                    .prediction = prediction,
                                    .dry_run = on.dry_run,
                                    .candidate = on.candidate,
                                    .start_in_seconds = on.start_in_seconds,
                                    .finish_in_seconds_upper = finish_lower,
                                    .probes = true,
                                    .load = on.load},
                      rule);
  };
  std::optional<Refusal> refusal = with_upper_end(&v1::Interval::mean, refusing_rule);
  if (refusal.has_value() && refusal->permanent) {
    size_t rule = 0;
    const std::optional<Refusal> at_best = with_upper_end(&v1::Interval::low, &rule);
    refusal->permanent = at_best.has_value() && at_best->permanent;
  }
  return refusal;
}

// Warns of a reserve that nothing guards.
void WarnOfReserve(const policy::Limits& limits, const DeviceView& view, v1::Candidate* candidate) {
  if (limits.reserve && limits.refuses_missing_gauge.empty() && !HasGauge(view.device)) {
    candidate->add_warnings(absl::StrCat("policy ", limits.reserve->policy,
                                         " keeps a reserve, and this device has no battery gauge: "
                                         "its reserve is not guarded"));
  }
}

// device: the one whose gauge counts.
void DescribeBattery(const v1::Device& device, const DeviceLoad& load, v1::Candidate* candidate) {
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
      ChargeAfter(BatteryState{capacity, charge, load.committed + load.promised_by_others}, demand)
          .value(),
      0.0, 1.0));
}

// Jobs of one key are the same to every prediction and to every rule but that of the deadline.
std::string WorkKey(const JobView& job) {
  v1::JobSpec spec = job.spec;
  if (!spec.has_quality_floor()) {  // With which the objective chooses the model.
    spec.clear_objective();
  }
  spec.clear_name();
  spec.clear_owner();
  spec.clear_priority();
  spec.clear_deadline_seconds();
  spec.clear_apart();  // It is of each job, and changes no prediction: ShapeOf.
  std::string key = spec.SerializeAsString();
  absl::StrAppend(&key, "|", job.peak_memory_bytes, "|", job.checkpoint_step, "|",
                  job.checkpoint_bytes);
  if (job.profile_point.has_value()) {
    absl::StrAppend(&key, "|in ", job.profile_point->power_mode());
  }
  if (spec.energy_budget_wh() > 0) {
    absl::StrAppend(&key, "|", job.spent.value());
  }
  for (const DeviceId& avoided : job.avoided_devices) {
    absl::StrAppend(&key, "|", avoided.value());
  }
  for (const DeviceId& avoided : job.avoided_accelerators) {
    absl::StrAppend(&key, "|accelerator ", avoided.value());
  }
  for (const InputView& input : job.inputs) {
    const std::string artifact = input.artifact.SerializeAsString();
    absl::StrAppend(&key, "|", input.field, "=", artifact.size(), ":", artifact);
  }
  for (const ModelView& model : job.models) {
    const std::string artifact = model.artifact.SerializeAsString();
    absl::StrAppend(&key, "|", model.is_parent, model.peak_memory_bytes, ":", model.reference, ":",
                    artifact.size(), ":", artifact);
  }
  return key;
}

// Jobs of one work and one key are the same to every rule, and with one objective also to the plan.
std::string DeadlineKey(const JobView& job) {
  return job.spec.deadline_seconds() > 0 ? absl::StrCat("|", job.spec.deadline_seconds(), " after ",
                                                        absl::ToUnixNanos(job.submitted))
                                         : "";
}

// Shortens the run to what is left of it behind the job's checkpoint. A run that ends at its
// checkpoint still makes a step.
void LeaveOutDoneSteps(const JobView& job, const WorkAmount& work, v1::Prediction& prediction) {
  if (job.checkpoint_step <= 0 || work.steps <= 0) {
    return;
  }
  const double left =
      std::max(work.steps - static_cast<double>(job.checkpoint_step), 1.0) / work.steps;
  if (left >= 1) {
    return;
  }
  for (v1::Interval* const interval :
       {prediction.mutable_run_seconds(), prediction.mutable_run_energy_joules()}) {
    interval->set_mean(left * interval->mean());
    interval->set_low(left * interval->low());
    interval->set_high(left * interval->high());
  }
  prediction.set_net_energy_joules(left * prediction.net_energy_joules());
  prediction.set_work_units(left * prediction.work_units());
}

// Whether the wait for this start uses more than half of the time that the job can spare until its
// deadline. Runs, links and sun differ from plans, and such a start is then soon too late.
bool IsTight(const JobView& job, absl::Time now, double start_in_seconds,
             double finish_in_seconds_upper) {
  const double left = job.spec.deadline_seconds() - job.WaitedSeconds(now);
  const double spare = left - (finish_in_seconds_upper - start_in_seconds);
  return job.spec.deadline_seconds() > 0 && start_in_seconds > 0 && start_in_seconds > spare / 2;
}

v1::PowerModeChoice ChoiceOfMode(const v1::Candidate& candidate) {
  v1::PowerModeChoice choice;
  choice.set_power_mode(candidate.power_mode());
  choice.set_on_cpu(candidate.on_cpu());
  choice.set_feasible(candidate.feasible());
  choice.set_reason(candidate.reason());
  choice.set_run_seconds(candidate.prediction().run_seconds().mean());
  choice.set_run_energy_joules(candidate.prediction().run_energy_joules().mean());
  choice.set_marginal_energy_joules(candidate.marginal_energy_joules());
  choice.set_finish_in_seconds(candidate.finish_in_seconds());
  choice.set_provenance(candidate.prediction().provenance());
  return choice;
}

// Candidates that a view keeps, about 60 MiB. Beyond this number the view forgets all shapes.
constexpr size_t kCandidatesKept = 40'000;
// Likewise of the devices described for works, which take half of a candidate's time: about 120
// MiB.
constexpr size_t kDescribedKept = 100'000;

std::vector<policy::Limits> LimitsOfDevices(const Snapshot& snapshot) {
  std::vector<policy::Limits> limits;
  limits.reserve(snapshot.devices.size());
  for (const DeviceView& view : snapshot.devices) {
    limits.push_back(LimitsFor(snapshot.policies, view.device.info()));
  }
  return limits;
}

std::vector<std::shared_ptr<const LinkTimes>> LinksOfDevices(
    const Snapshot& snapshot, const std::vector<policy::Limits>& limits) {
  std::vector<std::shared_ptr<const LinkTimes>> links;
  links.reserve(snapshot.devices.size());
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    const std::optional<LinkTimes> times = LinkTimes::Of(snapshot.devices[i].device, limits[i]);
    links.push_back(times.has_value() ? std::make_shared<const LinkTimes>(*times) : nullptr);
  }
  return links;
}

}  // namespace

absl::StatusOr<WorkAmount> WorkOfJob(const JobView& job, const ProfileTable& table) {
  absl::StatusOr<WorkAmount> work = WorkOf(job.spec, job.inputs, table);
  if (work.ok() && job.profile_point.has_value()) {
    KeepNothing(*work);
  }
  return work;
}

FleetView::FleetView(const Snapshot& snapshot, ConsiderOptions options)
    : snapshot_(snapshot),
      options_(options),
      limits_(LimitsOfDevices(snapshot)),
      links_(LinksOfDevices(snapshot, limits_)) {}

std::shared_ptr<const std::vector<FleetView::Modes>> FleetView::DescribedFor(
    const JobView& job, const WorkAmount& work) {
  const std::string key = WorkKey(job);
  if (const auto known = described_.find(key); known != described_.end()) {
    return known->second;
  }
  if (described_.size() * snapshot_.devices.size() > kDescribedKept) {
    described_.clear();
  }
  std::vector<Modes> described;
  described.reserve(snapshot_.devices.size());
  const std::vector<ModelWork> models = WorksOfModels(job, *snapshot_.profiles);
  for (size_t i = 0; i < snapshot_.devices.size(); ++i) {
    const bool asked = options_.asked == nullptr || (*options_.asked)[i];
    described.push_back(asked ? DescribeModes(job, work, models, i) : Modes());
  }
  return described_[key] = std::make_shared<const std::vector<Modes>>(std::move(described));
}

FleetView::Described FleetView::Describe(const JobView& job, const WorkAmount& work,
                                         const std::vector<ModelWork>& models, size_t device,
                                         const v1::Device& in_mode) const {
  const DeviceView& view = snapshot_.devices[device];
  const v1::DeviceInfo& info = in_mode.info();
  Described described;
  v1::Candidate& candidate = described.candidate;
  candidate.set_device_id(info.device_id());
  candidate.set_device_name(info.name());
  candidate.set_device_class(view.device.info().device_class());
  candidate.set_emulated(info.emulated());
  candidate.set_power_mode(info.power_mode());
  candidate.set_on_cpu(info.accelerator() != view.device.info().accelerator());
  std::optional<ComparablePrediction> chosen =
      ChooseModel(job, models, *snapshot_.profiles, in_mode, &candidate);
  ComparablePrediction predicted =
      chosen.has_value() ? *std::move(chosen)
                         : PredictToCompare(*snapshot_.profiles, in_mode, work, job.inputs);
  v1::Prediction& prediction = *candidate.mutable_prediction();
  prediction = std::move(predicted.prediction);
  LeaveOutDoneSteps(job, work, prediction);
  if (job.checkpoint_bytes > 0) {
    AddCheckpointFetch(in_mode, job.checkpoint_bytes, &prediction);
  }
  if (job.models.empty() && job.peak_memory_bytes > 0) {
    prediction.set_peak_memory_bytes(PeakMemoryOn(info, job.peak_memory_bytes));
  }
  std::optional<v1::Prediction> hot;  // Of a start now.
  if (in_mode.heartbeat().has_heat_model()) {
    const std::optional<HeatLimit> limit = HeatLimitFor(in_mode, limits_[device]);
    described.hot = HotRunOf(in_mode, limit, prediction, predicted.rows_celsius_max);
    if (described.hot.has_value()) {
      hot = Stretched(*described.hot, prediction, HeatNow(in_mode, limit, snapshot_.now));
    }
  }
  const double marginal = MarginalEnergyJoules(prediction);
  candidate.set_marginal_energy_joules(marginal);
  described.warm_start_seconds = predicted.warm_start_seconds;
  described.link = links_[device];
  // Only the run's joules are uncertain, not those of fetch and start.
  described.deviation =
      marginal > 0 ? predicted.own_energy_deviation * prediction.net_energy_joules() / marginal : 0;
  WarnOfReserve(limits_[device], view, &candidate);
  described.refusal = CheckRules(RuleScope::kDevice,
                                 Consideration{.snapshot = snapshot_,
                                               .job = job,
                                               .device = view,
                                               .limits = limits_[device],
                                               .prediction = hot ? *hot : prediction,
                                               .dry_run = options_.dry_run,
                                               .candidate = &candidate},
                                 &described.refusing_rule);
  return described;
}

FleetView::Rank FleetView::PlaceInMode(const JobOnDevice& on, const Described& described,
                                       v1::Candidate& candidate,
                                       std::optional<absl::Time>* allowed_from) const {
  const auto& [job, view, limits, load] = on;
  if (candidate.prediction().fetch_seconds() != described.candidate.prediction().fetch_seconds() ||
      candidate.prediction().start_seconds() != described.candidate.prediction().start_seconds()) {
    *candidate.mutable_prediction() = described.candidate.prediction();  // As under no load.
  }
  const double finish_upper = PlaceInGap(on, described, candidate);
  candidate.set_marginal_energy_joules(MarginalEnergyJoules(candidate.prediction()));
  if (candidate.start_in_seconds() > 0) {
    candidate.set_waits_for(view.waits_for);
  }
  const ObjectiveRow& objective = ObjectiveOf(job.spec.objective());
  candidate.set_cost(
      CostOf(objective, candidate, job.WaitedSeconds(snapshot_.now), PatienceRatioPerHour(limits)));
  DescribeBattery(GaugeDevice(snapshot_, view, load), load, &candidate);
  const Consideration considered{.snapshot = snapshot_,
                                 .job = job,
                                 .device = view,
                                 .limits = limits,
                                 .prediction = candidate.prediction(),
                                 .dry_run = options_.dry_run,
                                 .candidate = &candidate,
                                 .start_in_seconds = candidate.start_in_seconds(),
                                 .finish_in_seconds_upper = finish_upper,
                                 .load = &load};
  size_t refusing_rule = 0;
  std::optional<Refusal> refusal = CheckRules(RuleScope::kLoad, considered, &refusing_rule);
  bool probe = false;
  if (refusal.has_value() && IsWide(candidate.prediction())) {
    refusal = CheckProbe(considered, FinishLower(on, candidate), &refusing_rule);
    probe = !refusal.has_value();
  }
  // A permanent refusal of either scope counts; among equals the refusal of the earlier rule.
  if (described.refusal.has_value() &&
      (!refusal.has_value() ||
       std::make_tuple(!described.refusal->permanent, described.refusing_rule) <
           std::make_tuple(!refusal->permanent, refusing_rule))) {
    refusal = described.refusal;
    refusing_rule = described.refusing_rule;
  }
  candidate.set_feasible(!refusal.has_value());
  candidate.set_refused_by(refusal ? std::string(Rules()[refusing_rule].name) : "");
  candidate.set_reason(refusal ? refusal->reason : "");
  candidate.set_permanent(refusal && refusal->permanent);
  candidate.set_probe(probe && candidate.feasible());
  if (!candidate.feasible()) {
    const Rule& rule = Rules()[refusing_rule];
    if (allowed_from != nullptr && !refusal->permanent && rule.allowed_from != nullptr) {
      *allowed_from = rule.allowed_from(considered);
    }
    return {};
  }
  const bool tight = IsTight(job, snapshot_.now, candidate.start_in_seconds(), finish_upper);
  return {.feasible = true,
          .probe = candidate.probe(),
          .tight = tight,
          .cost = tight ? candidate.finish_in_seconds() : candidate.cost(),
          .finish_in_seconds = candidate.finish_in_seconds(),
          .deviation = objective.waiting_costs_extra && !tight ? described.deviation : 0};
}

// The present mode stays unless another one is cheaper by more than the error of both predictions,
// or the present one is refused. Without any feasible mode a refusal that may pass is shown.
size_t FleetView::ChooseMode(const std::vector<v1::Candidate>& modes,
                             const std::vector<Rank>& ranks) {
  size_t choice = 0;
  for (size_t i = 1; i < modes.size(); ++i) {
    if (ranks[i].feasible != ranks[choice].feasible) {
      choice = ranks[i].feasible ? i : choice;
    } else if (!ranks[i].feasible) {
      choice = modes[choice].permanent() && !modes[i].permanent() ? i : choice;
    } else if (ranks[i].probe != ranks[choice].probe) {
      choice = ranks[i].probe ? choice : i;
    } else if (ranks[i].tight != ranks[choice].tight) {
      choice = ranks[i].tight ? choice : i;
    } else if (ranks[i].cost < ranks[choice].cost) {
      choice = i;
    }
  }
  return ranks[0].feasible && ranks[0].probe == ranks[choice].probe &&
                 ranks[0].tight == ranks[choice].tight && EqualWithinError(ranks[choice], ranks[0])
             ? 0
             : choice;
}

void FleetView::PlaceAt(const JobView& job, size_t device, const DeviceLoad& load,
                        Shape& shape) const {
  const DeviceView& view = snapshot_.devices[device];
  const Modes& modes = (*shape.described)[device];
  const JobOnDevice on{.job = job, .view = view, .limits = limits_[device], .load = load};
  shape.loads[device] = load;
  shape.later[device].reset();
  if (modes.empty()) {
    return;  // The device is not asked.
  }
  if (modes.size() == 1) {
    v1::Candidate& candidate = shape.candidates[device];
    shape.ranks[device] = PlaceInMode(on, modes.front(), candidate);
    candidate.set_sets_power_mode(candidate.power_mode() != view.device.info().power_mode());
    return;
  }
  std::vector<v1::Candidate> candidates;
  std::vector<Rank> ranks;
  for (const Described& mode : modes) {
    candidates.push_back(mode.candidate);
    ranks.push_back(PlaceInMode(on, mode, candidates.back()));
  }
  const size_t choice = ChooseMode(candidates, ranks);
  shape.ranks[device] = ranks[choice];
  v1::Candidate& chosen = shape.candidates[device];
  chosen = candidates[choice];
  const v1::DeviceInfo& info = view.device.info();
  chosen.set_sets_power_mode(chosen.power_mode() != info.power_mode());
  std::vector<const v1::Candidate*> others;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i != choice) {
      others.push_back(&candidates[i]);
    }
  }
  const auto listed = [&info](const v1::Candidate* other) {
    return std::find_if(info.power_modes().begin(), info.power_modes().end(),
                        [&](const auto& mode) { return mode.name() == other->power_mode(); });
  };
  std::stable_sort(others.begin(), others.end(),
                   [&](const auto* a, const auto* b) { return listed(a) < listed(b); });
  for (const v1::Candidate* const other : others) {
    *chosen.add_other_power_modes() = ChoiceOfMode(*other);
  }
}

bool FleetView::ComesBefore(const Shape& shape, size_t a, size_t b) {
  const auto rank = [&shape](size_t i) {
    const Rank& one = shape.ranks[i];
    const v1::Candidate& candidate = shape.candidates[i];
    return std::make_tuple(!one.feasible, one.probe, one.tight, one.cost, one.finish_in_seconds,
                           absl::string_view(candidate.device_name()),
                           absl::string_view(candidate.device_id()), i);
  };
  return rank(a) < rank(b);
}

// Deviations are standard deviations of the logarithm. Costs of 0 have none and are simply equal.
bool FleetView::EqualWithinError(const Rank& cheaper, const Rank& other) {
  return cheaper.cost > 0 &&
         std::log(other.cost / cheaper.cost) < std::hypot(cheaper.deviation, other.deviation);
}

FleetView::Shape& FleetView::ShapeOf(const JobView& job, const WorkAmount& work,
                                     const std::vector<DeviceLoad>& loads) {
  std::string key = absl::StrCat(job.spec.objective(), "|", WorkKey(job), DeadlineKey(job));
  if (job.spec.objective() == v1::OBJECTIVE_EDP) {
    absl::StrAppend(&key, "|", absl::ToUnixNanos(job.submitted));  // The cost includes the waiting.
  }
  if (job.spec.has_apart()) {  // The job's own place does not refuse it.
    absl::StrAppend(&key, "|apart ", job.id.value(), " ", ApartGroupOf(job.spec));
  }
  const auto before = [](const Shape& in) {
    return [&in](size_t a, size_t b) { return ComesBefore(in, a, b); };
  };
  if (const auto known = shapes_.find(key); known != shapes_.end()) {
    Shape& shape = known->second;
    for (size_t i = 0; i < loads.size(); ++i) {
      if (shape.loads[i] == loads[i]) {
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
    keeps_all_ = false;
    shapes_.clear();
  }
  Shape& shape = shapes_[key];
  shape.loads.resize(loads.size());
  shape.ranks.resize(loads.size());
  shape.order.resize(loads.size());
  shape.later.resize(loads.size());
  std::iota(shape.order.begin(), shape.order.end(), size_t{0});
  shape.described = DescribedFor(job, work);
  shape.candidates.clear();
  shape.candidates.reserve(loads.size());
  for (const Modes& modes : *shape.described) {
    shape.candidates.push_back(modes.empty() ? v1::Candidate() : modes.front().candidate);
  }
  for (size_t i = 0; i < loads.size(); ++i) {
    PlaceAt(job, i, loads[i], shape);
  }
  std::sort(shape.order.begin(), shape.order.end(), before(shape));
  return shape;
}

Considered FleetView::Consider(const JobView& job, const WorkAmount& work,
                               const std::vector<DeviceLoad>& loads) {
  return ConsiderIn(job, ShapeOf(job, work, loads));
}

Considered FleetView::ConsiderIn(const JobView& job, const Shape& shape) const {
  Considered considered;
  considered.devices = shape.order;
  if (job.spec.deadline_seconds() > 0) {
    considered.deadline_in_seconds = job.spec.deadline_seconds() - job.WaitedSeconds(snapshot_.now);
  }
  considered.candidates.reserve(shape.order.size());
  for (const size_t i : considered.devices) {
    considered.candidates.push_back(&shape.candidates[i]);
    considered.feasible += shape.ranks[i].feasible ? 1 : 0;
  }
  return considered;
}

const v1::Candidate* Chosen(const Considered& considered) {
  return considered.feasible > 0 ? considered.candidates.front() : nullptr;
}

}  // namespace wattle::scheduler
