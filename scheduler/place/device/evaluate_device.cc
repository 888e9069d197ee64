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

#include "absl/container/inlined_vector.h"

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/rules/memory_rule_internal.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"

namespace wattle::scheduler {
namespace {

// Evaluates the rules of the load for a probe: a start of a run whose prediction is too wide to be
// planned on. The run has to end in time at its lower end, and its battery has to supply its mean:
// the guard keeps the reserve whatever the run draws. A refusal is permanent only if it holds at
// the lower end too. finish_lower: replaces DeviceEvaluation's upper end by the run's lower
// quantile.
Verdict CheckProbe(const DeviceEvaluation& on, double finish_lower) {
  const auto with_upper_end = [&](double (v1::Interval::*end)() const) {
    return AskAboutProbe(on, finish_lower, end, [](const DeviceEvaluation& probe) {
      return CheckRules(RuleScope::kLoad, probe);
    });
  };
  Verdict verdict = with_upper_end(&v1::Interval::mean);
  if (verdict.permanent() && !with_upper_end(&v1::Interval::low).permanent()) {
    verdict.answer = Verdict::Answer::kNotNow;
  }
  return verdict;
}

// The deciding verdict of two: a permanent refusal first; among equals that of the earlier rule.
Verdict Stricter(const Verdict& a, const Verdict& b) {
  if (a.ok() || b.ok()) {
    return a.ok() ? b : a;
  }
  return std::make_tuple(!a.permanent(), a.rule) < std::make_tuple(!b.permanent(), b.rule) ? a : b;
}

// Index in Rules().
size_t DeadlineRuleIndex() {
  static const size_t kIndex = [] {
    const absl::Span<const Rule> rules = Rules();
    return static_cast<size_t>(
        std::find_if(rules.begin(), rules.end(),
                     [](const Rule& rule) { return rule.name == "deadline"; }) -
        rules.begin());
  }();
  return kIndex;
}

// Shortens the run to the steps after the job's checkpoint. A run whose checkpoint has all steps
// still makes one step.
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

// Whether the wait for this start uses more than half of the job's spare time before its deadline.
// Runs, links and sun differ from plans, so such a start is soon too late.
bool IsTight(const JobView& job, absl::Time now, double start_in_seconds,
             double finish_in_seconds_upper) {
  const double left = job.spec.deadline_seconds() - job.WaitedSeconds(now);
  const double spare = left - (finish_in_seconds_upper - start_in_seconds);
  return job.spec.deadline_seconds() > 0 && start_in_seconds > 0 && start_in_seconds > spare / 2;
}

std::vector<policy::Limits> LimitsOfDevices(const Snapshot& snapshot) {
  std::vector<policy::Limits> limits;
  limits.reserve(snapshot.devices.size());
  for (const DeviceView& view : snapshot.devices) {
    limits.push_back(LimitsFor(snapshot.policies, view.device.info()));
  }
  return limits;
}

std::vector<policy::OpenTimes> WindowsOfDevices(const std::vector<policy::Limits>& limits) {
  std::vector<policy::OpenTimes> windows;
  windows.reserve(limits.size());
  for (const policy::Limits& one : limits) {
    windows.emplace_back(one.windows);
  }
  return windows;
}

std::vector<std::optional<LinkTimes>> LinksOfDevices(const Snapshot& snapshot,
                                                     const std::vector<policy::Limits>& limits) {
  std::vector<std::optional<LinkTimes>> links;
  links.reserve(snapshot.devices.size());
  for (size_t i = 0; i < snapshot.devices.size(); ++i) {
    links.push_back(LinkTimes::Of(snapshot.devices[i].device, limits[i]));
  }
  return links;
}

std::vector<size_t> NameRanksOf(const Snapshot& snapshot) {
  std::vector<size_t> by_name(snapshot.devices.size());
  std::iota(by_name.begin(), by_name.end(), size_t{0});
  std::sort(by_name.begin(), by_name.end(), [&snapshot](size_t a, size_t b) {
    const auto name = [&snapshot](size_t i) {
      const v1::DeviceInfo& info = snapshot.devices[i].device.info();
      return std::tie(info.name(), info.device_id());
    };
    return std::make_pair(name(a), a) < std::make_pair(name(b), b);
  });
  std::vector<size_t> ranks(by_name.size());
  for (size_t rank = 0; rank < by_name.size(); ++rank) {
    ranks[by_name[rank]] = rank;
  }
  return ranks;
}

}  // namespace

Verdict CheckRules(RuleScope scope, const DeviceEvaluation& on, std::optional<size_t> but) {
  Verdict counts{.answer = Verdict::Answer::kOk};
  const absl::Span<const Rule> rules = Rules();
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].scope != scope || i == but) {
      continue;
    }
    const std::optional<Refusal> refusal = rules[i].check(on);
    if (refusal.has_value() && refusal->permanent) {
      return {.answer = Verdict::Answer::kNever, .rule = i};
    }
    if (refusal.has_value() && counts.ok()) {
      counts = {.answer = Verdict::Answer::kNotNow, .rule = i};
    }
  }
  return counts;
}

absl::StatusOr<WorkAmount> WorkOfJob(const JobView& job, const ProfileTable& table) {
  absl::StatusOr<WorkAmount> work = WorkOf(job.spec, job.inputs, table);
  if (work.ok() && job.profile_point.has_value()) {
    KeepNothing(*work);
  }
  return work;
}

FleetView::FleetView(const Snapshot& snapshot, EvaluationOptions options)
    : snapshot_(snapshot),
      options_(options),
      limits_(LimitsOfDevices(snapshot)),
      windows_(WindowsOfDevices(limits_)),
      links_(LinksOfDevices(snapshot, limits_)),
      name_ranks_(NameRanksOf(snapshot)),
      other_modes_(snapshot.devices.size()) {}

FleetView::Modes FleetView::DescribeDevice(const Asked& asked, size_t device) const {
  if (options_.asked != nullptr && !(*options_.asked)[device]) {
    return {};
  }
  Modes modes = DescribeModes(asked.job, asked.work, asked.models, device);
  const DeviceLoad no_load;
  const Verdict verdict = VerdictOfDevice(On(device, asked.job, no_load), modes.front());
  for (Described& mode : modes) {
    mode.verdict = Stricter(mode.verdict, verdict);
  }
  return modes;
}

Verdict FleetView::VerdictOfDevice(const JobOnDevice& on, const Described& any_mode) const {
  return CheckRules(RuleScope::kDevice, DeviceEvaluationOf(on, any_mode, *any_mode.prediction));
}

FleetView::Described FleetView::Describe(const JobView& job, const WorkAmount& work,
                                         const std::vector<ModelWork>& models, size_t device,
                                         const v1::Device& in_mode) const {
  const DeviceView& view = snapshot_.devices[device];
  const v1::DeviceInfo& info = in_mode.info();
  Described described{.mode = {.power_mode = info.power_mode(),
                               .on_cpu = info.accelerator() != view.device.info().accelerator()}};
  std::optional<ComparablePrediction> chosen =
      ChooseModel(job, models, *snapshot_.profiles, in_mode, &described.mode);
  ComparablePrediction predicted =
      chosen.has_value() ? *std::move(chosen)
                         : PredictToCompare(*snapshot_.profiles, in_mode, work, job.inputs);
  v1::Prediction& prediction = predicted.prediction;
  // The prediction covers the whole job, but the run begins at the checkpoint.
  LeaveOutDoneSteps(job, work, prediction);
  if (job.checkpoint_bytes > 0) {
    AddCheckpointFetch(in_mode, job.checkpoint_bytes, &prediction);
  }
  if (job.models.empty() && job.peak_memory.cores_bytes > 0) {
    prediction.set_peak_memory_bytes(PeakMemoryOn(info, job.peak_memory));
  }
  if (in_mode.heartbeat().has_heat_model()) {
    described.hot = HotRunOf(in_mode, HeatLimitFor(in_mode, limits_[device]), prediction,
                             predicted.rows_celsius_max);
  }
  described.warm_start_seconds = predicted.warm_start_seconds;
  described.marginal_joules = MarginalEnergyJoules(prediction);
  // Only the run's joules are uncertain, not those of fetch and start.
  described.deviation = described.marginal_joules > 0
                            ? predicted.own_energy_deviation * prediction.net_energy_joules() /
                                  described.marginal_joules
                            : 0;
  described.prediction = std::make_shared<const v1::Prediction>(std::move(prediction));
  // Rules of the mode ask about a start now, on the board at its present heat.
  const std::optional<v1::Prediction> hot = HotNow(described, device);
  const DeviceLoad no_load;
  described.verdict = CheckRules(
      RuleScope::kMode,
      DeviceEvaluationOf(On(device, job, no_load), described, hot ? *hot : *described.prediction));
  return described;
}

std::optional<v1::Prediction> FleetView::HotNow(const Described& described, size_t device) const {
  if (!described.hot.has_value()) {
    return std::nullopt;
  }
  const v1::Device& board = snapshot_.devices[device].device;
  const std::optional<HeatLimit> limit = HeatLimitFor(board, limits_[device]);
  return Stretched(*described.hot, *described.prediction, HeatNow(board, limit, snapshot_.now));
}

FleetView::JobOnDevice FleetView::On(size_t device, const JobView& job,
                                     const DeviceLoad& load) const {
  return {.device = device,
          .job = job,
          .view = snapshot_.devices[device],
          .limits = limits_[device],
          .windows = windows_[device],
          .load = load};
}

FleetView::JobOnDevice FleetView::On(size_t device, const JobView& job, const DeviceLoad& load,
                                     const Shape& shape) const {
  JobOnDevice on = On(device, job, load);
  on.steps = shape.steps;
  on.deadline_by = shape.deadline_by;
  return on;
}

DeviceEvaluation FleetView::DeviceEvaluationOf(const JobOnDevice& on, const Described& described,
                                               const v1::Prediction& now) const {
  return {.snapshot = snapshot_,
          .job = on.job,
          .device = on.view,
          .limits = on.limits,
          .windows = on.windows,
          .prediction = now,
          .dry_run = options_.dry_run,
          .mode = described.mode};
}

DeviceEvaluation FleetView::DeviceEvaluationOf(const JobOnDevice& on, const Described& described,
                                               const Option& option) const {
  DeviceEvaluation evaluated = DeviceEvaluationOf(on, described, *option.prediction);
  evaluated.alone = described.prediction.get();
  evaluated.start_in_seconds = option.run.start_in_seconds;
  evaluated.finish_in_seconds_upper = option.finish_in_seconds_upper;
  evaluated.finish_in_seconds_mean = option.run.finish_in_seconds;
  if (!IsWide(*option.prediction)) {  // The first steps of a probe decide better than its mean.
    evaluated.deadline_by = on.deadline_by;
  }
  evaluated.steps = on.steps;
  evaluated.load = &on.load;
  return evaluated;
}

Option FleetView::BeginInMode(const JobOnDevice& on, const Modes& modes, size_t mode) const {
  const Described& described = modes[mode];
  Option option{.run = {.device = on.device}, .mode = mode};
  PlaceInGap(on, described, option);
  option.run.marginal_joules = option.prediction == described.prediction
                                   ? described.marginal_joules
                                   : MarginalEnergyJoules(*option.prediction);
  option.cost = CostOf(ObjectiveOf(on.job.spec.objective()), option.run,
                       on.job.WaitedSeconds(snapshot_.now), PatienceRatioPerHour(on.limits));
  return option;
}

void FleetView::NoteFeasible(const JobOnDevice& on, const Described& described,
                             Option& option) const {
  option.tight =
      on.deadline_by == DeadlineBy::kMean ||
      IsTight(on.job, snapshot_.now, option.run.start_in_seconds, option.finish_in_seconds_upper);
  const bool waiting_costs_extra = ObjectiveOf(on.job.spec.objective()).waiting_costs_extra;
  // A tight start ranks by its end, which the deviation of its cost does not describe.
  option.deviation = waiting_costs_extra && !option.tight ? described.deviation : 0;
}

Option FleetView::PlaceInMode(const JobOnDevice& on, const Modes& modes, size_t mode,
                              std::optional<absl::Time>* allowed_from) const {
  const Described& described = modes[mode];
  Option option = BeginInMode(on, modes, mode);
  const DeviceEvaluation evaluated = DeviceEvaluationOf(on, described, option);
  Verdict verdict = CheckRules(RuleScope::kLoad, evaluated);
  bool probe = false;
  // A wide prediction often fails at its upper end, so the run may still start as a probe.
  if (!verdict.ok() && IsWide(*option.prediction)) {
    verdict = CheckProbe(evaluated, FinishLower(on, option));
    probe = verdict.ok();
  }
  option.verdict = Stricter(verdict, described.verdict);
  if (!option.feasible()) {
    const Rule& rule = Rules()[option.verdict.rule];
    if (allowed_from != nullptr && !option.verdict.permanent() && rule.allowed_from != nullptr) {
      *allowed_from = rule.allowed_from(evaluated);
    }
    return option;
  }
  option.probe = probe;
  NoteFeasible(on, described, option);
  return option;
}

void FleetView::BeginOn(const JobOnDevice& on, const Modes& modes, BegunOnDevice& begun) const {
  begun.modes.clear();
  for (size_t mode = 0; mode < modes.size(); ++mode) {
    Option& option = begun.modes.emplace_back(BeginInMode(on, modes, mode));
    option.verdict = CheckRules(RuleScope::kLoad, DeviceEvaluationOf(on, modes[mode], option),
                                DeadlineRuleIndex());
  }
}

Option FleetView::WithDeadline(const JobOnDevice& on, const Described& described,
                               const Option& begun) const {
  Option option = begun;
  const size_t rule = DeadlineRuleIndex();
  const auto refusal = Rules()[rule].check(DeviceEvaluationOf(on, described, option));
  if (refusal.has_value()) {
    option.verdict =
        Stricter(option.verdict,
                 {.answer = refusal->permanent ? Verdict::Answer::kNever : Verdict::Answer::kNotNow,
                  .rule = rule});
  }
  option.verdict = Stricter(option.verdict, described.verdict);
  if (option.feasible()) {
    NoteFeasible(on, described, option);
  }
  return option;
}

// The present mode is kept unless another one is cheaper by more than the error of both
// predictions, or the present one is refused. Without any feasible mode, a temporary refusal is
// preferred for display.
size_t FleetView::ChooseMode(absl::Span<const Option> modes) {
  size_t choice = 0;
  for (size_t i = 1; i < modes.size(); ++i) {
    const Option& one = modes[i];
    const Option& best = modes[choice];
    if (one.feasible() != best.feasible()) {
      choice = one.feasible() ? i : choice;
    } else if (!one.feasible()) {
      choice = best.verdict.permanent() && !one.verdict.permanent() ? i : choice;
    } else if (one.probe != best.probe) {
      choice = one.probe ? choice : i;
    } else if (one.tight != best.tight) {
      choice = one.tight ? choice : i;
    } else if (one.rank() < best.rank()) {
      choice = i;
    }
  }
  // Changing the mode must pay beyond the error of the predictions.
  return modes[0].feasible() && modes[0].probe == modes[choice].probe &&
                 modes[0].tight == modes[choice].tight && EqualWithinError(modes[choice], modes[0])
             ? 0
             : choice;
}

Option FleetView::PlaceAt(const JobOnDevice& on, const Modes& modes, BegunOnDevice* begun) const {
  if (modes.empty()) {  // The device is not evaluated.
    return {.run = {.device = on.device}};
  }
  absl::InlinedVector<Option, 4> placed;
  for (size_t mode = 0; mode < modes.size(); ++mode) {
    // A wide prediction may become a probe, which depends on the deadline.
    const bool shares = begun != nullptr && !IsWide(*begun->modes[mode].prediction);
    placed.push_back(shares ? WithDeadline(on, modes[mode], begun->modes[mode])
                            : PlaceInMode(on, modes, mode));
  }
  return std::move(placed[ChooseMode(placed)]);
}

bool FleetView::ComesBefore(const Shape& shape, size_t a, size_t b) const {
  const auto rank = [&](size_t i) {
    const Option& one = shape.options[i];
    return one.feasible() ? std::make_tuple(false, one.probe, one.tight, one.rank(),
                                            one.run.finish_in_seconds, name_ranks_[i])
                          : std::make_tuple(true, false, false, 0.0, 0.0, name_ranks_[i]);
  };
  return rank(a) < rank(b);
}

// Deviations are standard deviations of the logarithm. Costs of 0 have none and are simply equal.
bool FleetView::EqualWithinError(const Option& cheaper, const Option& other) {
  return cheaper.rank() > 0 &&
         std::log(other.rank() / cheaper.rank()) < std::hypot(cheaper.deviation, other.deviation);
}

EvaluatedDevices FleetView::EvaluateDevices(const JobView& job, const WorkAmount& work,
                                            const FleetLoads& loads, DeadlineBy deadline_by) {
  Shape& shape = ShapeOf(job, work, loads, deadline_by);
  EvaluatedDevices evaluated = EvaluateDevicesIn(job, shape);
  CompleteChoice(job, evaluated, shape);
  return evaluated;
}

EvaluatedDevices FleetView::EvaluateDevicesIn(const JobView& job, const Shape& shape) const {
  EvaluatedDevices evaluated;
  if (job.spec.deadline_seconds() > 0) {
    evaluated.deadline_in_seconds = job.spec.deadline_seconds() - job.WaitedSeconds(snapshot_.now);
  }
  evaluated.options.reserve(shape.order.size());
  for (const size_t i : shape.order) {
    evaluated.options.push_back(&shape.options[i]);
    evaluated.feasible += shape.options[i].feasible() ? 1 : 0;
  }
  return evaluated;
}

const Option* Chosen(const EvaluatedDevices& evaluated) {
  return evaluated.feasible > 0 ? evaluated.options.front() : nullptr;
}

}  // namespace wattle::scheduler
