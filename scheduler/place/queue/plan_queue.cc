// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/check.h"
#include "scheduler/place/check_places.h"
#include "scheduler/place/explain/explain_internal.h"
#include "scheduler/place/improve_queue.h"
#include "scheduler/place/place.h"
#include "scheduler/place/queue/queue_planner_internal.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// An hour of waiting is worth a point of priority: a job of priority -100 overtakes a new job of
// priority 100 after 200 h.
constexpr absl::Duration kAgeing = absl::Hours(1);
// A job without a deadline, or with a later one, has the turn of a job with this deadline.
constexpr absl::Duration kLatestDeadlineOfATurn = absl::Hours(12);
// In a fleet whose candidates are not cached, each placement of a trial evaluates every device
// again. This many devices then count as one placement.
constexpr size_t kDevicesOfAPlacement = 100;
// A delay against the order job by job is reported from this length on.
constexpr absl::Duration kPutOffTold = absl::Minutes(1);

// The attempts that leave their devices for deadlines.
std::set<AttemptId> ReleasedBy(const std::vector<QueuePlacement>& plan) {
  std::set<AttemptId> released;
  for (const QueuePlacement& placed : plan) {
    if (!placed.releases.value().empty()) {
      released.insert(placed.releases);
    }
  }
  return released;
}

int64_t EffectivePriority(const JobView& job, absl::Time now) {
  if (job.submitted >= now || job.submitted == absl::InfinitePast()) {
    return job.spec.priority();
  }
  return job.spec.priority() + (now - job.submitted) / kAgeing;
}

// Jobs take turns in the order of these times, which never change while a job waits. A deadline
// within hours thus brings a job forward before the deadline is in danger, and leaves time for jobs
// that arrive later.
absl::Time TurnOf(const JobView& job, absl::Time now) {
  const absl::Time submitted = job.submitted == absl::InfinitePast() ? now : job.submitted;
  absl::Duration deadline = kLatestDeadlineOfATurn;
  if (job.spec.deadline_seconds() > 0) {
    deadline = std::min(deadline, absl::Seconds(job.spec.deadline_seconds()));
  }
  return submitted + deadline - kAgeing * job.spec.priority();
}

// Whether every device but the choice refuses the job for good.
bool IsSole(const EvaluatedDevices& evaluated) {
  return evaluated.feasible == 1 &&
         std::all_of(evaluated.options.begin() + 1, evaluated.options.end(),
                     [](const Option* option) { return option->verdict.permanent(); });
}

// Whether the refusal depends on the device's other commitments.
bool DependsOnLoad(const Verdict& verdict) {
  return !verdict.ok() && !verdict.permanent() && Rules()[verdict.rule].scope == RuleScope::kLoad;
}

}  // namespace

QueuePlanner::QueuePlanner(const Snapshot& snapshot, Arranging arranging,
                           const SearchEffort& effort, const EvaluationOptions& evaluating)
    : snapshot_(snapshot),
      arranging_(arranging),
      effort_(effort),
      fleet_(snapshot, evaluating),
      loads_(InitialLoads(snapshot)) {
  std::map<std::string, absl::StatusOr<WorkAmount>> works;
  for (const JobView& job : snapshot.queue) {
    if (job.profile_end.has_value()) {
      QueuePlacement& ended = ended_.emplace_back();
      ended.job = job.id;
      ended.profile_end = job.profile_end;
      continue;
    }
    auto known = works.find(fleet_.WorkKeyOf(job));
    if (known == works.end()) {
      known = works.emplace(fleet_.WorkKeyOf(job), WorkOfJob(job, *snapshot.profiles)).first;
    }
    jobs_.push_back({&job, EffectivePriority(job, snapshot.now), known->second});
    if (const absl::StatusOr<WorkAmount>& work = jobs_.back().work; work.ok()) {
      jobs_.back().alike =
          absl::StrCat(job.spec.objective(), "|", work->signature.SerializeAsString());
      ++jobs_alike_[jobs_.back().alike];
    }
  }
  SortByTurn();
}

std::vector<QueuePlacement> QueuePlanner::Plan(Wanted wanted) {
  std::vector<QueuePlacement> placements;
  // 1. Job by job in order of turn: the baseline for every change.
  Outcome plan = Pass(arrangement_, loads_, wanted == Wanted::kPlacements ? &placements : nullptr);
  NoteHopeless(plan);
  const bool helped = std::find(plan.late.begin(), plan.late.end(), true) != plan.late.end();
  if (helped) {
    HelpLateJobs(plan);
  }
  // 2. Changes for deadlines, and trials for other jobs. The search keeps what they achieve.
  const bool by_mean = StartByMean(plan);
  const bool tried = TryForOthers(plan);
  // 3. Changes for cost. This arrangement is the fallback if they break a rule.
  const Arrangement in_order = arrangement_;
  const bool arranged = arranging_ == Arranging::kBySearch && Arrange(plan);
  const bool stayed = KeepStarts(plan);
  if (wanted == Wanted::kSearch && !arranged && !stayed) {
    return {};
  }
  // 4. Trials make no placements, so a changed plan needs a last pass with explanations.
  if (helped || by_mean || tried || arranged || stayed) {
    placements.clear();
    Pass(arrangement_, loads_, &placements);
  }
  // 5. An independent check guards against errors of the search and the passes.
  if ((arranged || stayed) && !KeepsTheRules(placements)) {
    ++proposals_dropped_;
    found_cheaper_ = false;
    arrangement_ = in_order;
    placements.clear();
    Pass(arrangement_, loads_, &placements);
  }
  placements.insert(placements.end(), ended_.begin(), ended_.end());
  return placements;
}

void QueuePlanner::NoteHopeless(const Outcome& plan) {
  for (size_t i = 0; i < jobs_.size(); ++i) {
    Job& job = jobs_[i];
    job.is_hopeless = job.view->spec.deadline_seconds() > 0 && job.work.ok() && !plan.late[i] &&
                      !plan.places.starts[i].has_value();
  }
}

bool QueuePlanner::KeepsTheRules(const std::vector<QueuePlacement>& placements) const {
  std::vector<JobPlace> places;
  for (size_t at = 0; at < placements.size(); ++at) {
    const Job& job = jobs_[arrangement_.order[at]];
    if (!job.decided.has_value()) {  // Settled jobs are part of the loads.
      places.push_back({*job.view, placements[at]});
    }
  }
  return !effort_.checker(snapshot_, loads_, places).has_value();
}

void QueuePlanner::SortByTurn() {
  const auto rank = [this](size_t i) {
    const JobView& job = *jobs_[i].view;
    return std::make_tuple(TurnOf(job, snapshot_.now), job.submitted, job.id.value().size(),
                           absl::string_view(job.id.value()));
  };
  arrangement_.devices.resize(jobs_.size());
  arrangement_.stays.resize(jobs_.size(), false);
  arrangement_.deadline_by.resize(jobs_.size(), DeadlineBy::kUpperQuantile);
  Order& order = arrangement_.order;
  order.resize(jobs_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
  turns_.resize(jobs_.size());
  for (size_t turn = 0; turn < order.size(); ++turn) {
    turns_[order[turn]] = turn;
  }
}

QueuePlanner::Outcome QueuePlanner::Pass(const Arrangement& arrangement, FleetLoads loads,
                                         std::vector<QueuePlacement>* placements,
                                         const Helped* helped) {
  fleet_.BeginPass();
  Outcome outcome{.late = std::vector<bool>(jobs_.size(), false),
                  .costs = std::vector<double>(jobs_.size(), 0),
                  .places = {.starts = std::vector<std::optional<RunStart>>(jobs_.size()),
                             .usable = std::vector<bool>(loads.size(), false)}};
  std::vector<Ahead> ahead(placements != nullptr ? loads.size() : 0);
  for (const size_t i : arrangement.order) {
    const Job& job = jobs_[i];
    ++outcome.looked_at;
    if (job.decided.has_value() || !job.work.ok()) {
      if (placements != nullptr) {
        placements->push_back(job.decided.has_value() ? *job.decided : Invalid(job));
      }
      continue;
    }
    EvaluatedDevices evaluated = EvaluateDevicesAs(arrangement, i, loads);
    evaluated.jobs_alike = jobs_alike_[job.alike];
    evaluated.stays = arrangement.stays[i];
    evaluated.probably_in_time = job.probably_in_time;
    outcome.late[i] =
        job.view->spec.deadline_seconds() > 0 && !job.is_hopeless && IsHeldUp(evaluated, loads);
    // The trial has failed already, so the rest of the pass would be wasted.
    if (helped != nullptr && outcome.late[i] && Hurts(*helped, i)) {
      outcome.hurts = true;
      return outcome;
    }
    if (placements != nullptr) {
      placements->push_back(PlacementOfJob(job, evaluated));
      if (const Option* const chosen = Chosen(evaluated); chosen != nullptr) {
        NotePlace(i, *chosen, ahead[chosen->run.device], placements->back().placement);
      }
    }
    for (size_t at = 0; at < static_cast<size_t>(evaluated.feasible); ++at) {
      outcome.places.usable[evaluated.options[at]->run.device] = true;
    }
    if (const Option* const chosen = Chosen(evaluated); chosen != nullptr) {
      outcome.places.starts[i] = chosen->run;
      outcome.costs[i] = chosen->cost;
      Reserve(*job.view, *chosen, loads);
    }
  }
  if (placements != nullptr) {
    final_loads_ = std::move(loads);
  }
  return outcome;
}

EvaluatedDevices QueuePlanner::EvaluateDevicesAs(const Arrangement& arrangement, size_t index,
                                                 const FleetLoads& loads) {
  const Job& job = jobs_[index];
  const std::optional<size_t> device = arrangement.devices[index];
  const DeadlineBy by = arrangement.deadline_by[index];
  return device ? fleet_.EvaluateDevice(*device, *job.view, *job.work, loads, by)
                : fleet_.EvaluateDevicesNowOrLater(*job.view, *job.work, loads, by);
}

void QueuePlanner::PlaceNext(size_t index, FleetLoads& loads) {
  const Job& job = jobs_[index];
  if (job.decided.has_value() || !job.work.ok()) {
    return;
  }
  const EvaluatedDevices evaluated = EvaluateDevicesAs(arrangement_, index, loads);
  if (const Option* const chosen = Chosen(evaluated); chosen != nullptr) {
    Reserve(*job.view, *chosen, loads);
  }
}

bool QueuePlanner::IsHeldUp(const EvaluatedDevices& evaluated, const FleetLoads& loads) const {
  if (evaluated.feasible > 0) {
    return false;
  }
  for (const Option* const option : evaluated.options) {
    const size_t device = option->run.device;
    if (DependsOnLoad(option->verdict) &&
        (!(loads[device] == loads_[device]) || snapshot_.devices[device].releasable)) {
      return true;
    }
  }
  return false;
}

QueuePlacement QueuePlanner::Invalid(const Job& job) {
  QueuePlacement placed;
  placed.job = job.view->id;
  placed.placement.set_objective(ObjectiveOf(job.view->spec.objective()).objective);
  placed.placement.set_reason(std::string(job.work.status().message()));
  placed.never = true;
  return placed;
}

QueuePlacement QueuePlanner::PlacementOfJob(const Job& job,
                                            const EvaluatedDevices& evaluated) const {
  QueuePlacement placed;
  placed.job = job.view->id;
  placed.profile_point = job.view->profile_point;
  placed.profile_demand = job.view->profile_demand;
  placed.placement = PlacementOf(fleet_, *job.view, evaluated);
  placed.never = NeverFeasible(evaluated);
  placed.sole = IsSole(evaluated);
  if (const Option* const chosen = Chosen(evaluated); chosen != nullptr) {
    const v1::Candidate& shown = placed.placement.best(0);
    placed.power_mode = shown.power_mode();
    placed.on_cpu = shown.on_cpu();
    placed.prediction = shown.prediction();
    placed.model_choice = shown.model_choice();
    if (chosen->waits_for_rule.has_value()) {
      placed.refused_until_start = std::string(Rules()[*chosen->waits_for_rule].waits_for);
    }
  }
  return placed;
}

void QueuePlanner::NoteSpans(const JobView& job, const Option& chosen, Ahead& ahead,
                             v1::Candidate& shown) const {
  const size_t device = chosen.run.device;
  if (ahead.runs.empty()) {
    ahead.runs.push_back(AttemptAheadOn(snapshot_, device, loads_[device]));
  }
  const auto at = [this](double in_seconds) { return snapshot_.now + absl::Seconds(in_seconds); };
  fleet_.AddSpans(job, chosen, LastAhead(ahead.runs, at(shown.start_in_seconds())), shown);
  RunAhead run{.end = at(shown.finish_in_seconds()), .span = std::nullopt};
  if (shown.finish_high_in_seconds() > 0) {
    run.span = {at(shown.finish_low_in_seconds()), at(shown.finish_high_in_seconds())};
  }
  InsertAhead(run, ahead.runs);
}

void QueuePlanner::NotePlace(size_t index, const Option& option, Ahead& ahead,
                             v1::Placement& placement) const {
  v1::Candidate& chosen = *placement.mutable_best(0);
  const Job* const before = ahead.last;
  ahead.last = &jobs_[index];
  NoteSpans(*jobs_[index].view, option, ahead, chosen);
  if (!placement.wait()) {
    return;
  }
  const double now = absl::ToDoubleSeconds(snapshot_.now - absl::UnixEpoch());
  placement.set_expected_start_unix_seconds(now + chosen.start_in_seconds());
  placement.set_expected_end_unix_seconds(now + chosen.finish_in_seconds());
  if (chosen.start_high_in_seconds() > 0) {
    placement.set_start_low_unix_seconds(now + chosen.start_low_in_seconds());
    placement.set_start_high_unix_seconds(now + chosen.start_high_in_seconds());
  }
  if (chosen.finish_high_in_seconds() > 0) {
    placement.set_end_low_unix_seconds(now + chosen.finish_low_in_seconds());
    placement.set_end_high_unix_seconds(now + chosen.finish_high_in_seconds());
  }
  placement.set_waits_for(chosen.waits_for());
  placement.set_behind_job_id(before == nullptr ? "" : before->view->id.value());
  if (in_order_.empty() || !in_order_[index].has_value()) {
    return;
  }
  const absl::Duration put_off =
      absl::Seconds(chosen.start_in_seconds() - in_order_[index]->start_in_seconds);
  if (put_off > kPutOffTold) {
    placement.set_waits_for(absl::StrCat(placement.waits_for(),
                                         placement.waits_for().empty() ? "" : "; ", "put off ",
                                         FormatElapsed(put_off), " for other jobs of the queue"));
  }
}

void QueuePlanner::Reserve(const JobView& job, const Option& chosen, FleetLoads& loads) const {
  const size_t device = chosen.run.device;
  SetLoad(device,
          WithRun(loads[device], snapshot_.devices[device].device,
                  {.job = job,
                   .prediction = *chosen.prediction,
                   .begin = snapshot_.now + absl::Seconds(chosen.run.start_in_seconds),
                   .end = snapshot_.now + absl::Seconds(chosen.run.finish_in_seconds)}),
          loads);
  HoldAntiAffinity(snapshot_, job, device, loads);
}

size_t QueuePlanner::PlacementCost() const {
  // Without cached candidates a placement costs time in proportion to the fleet.
  return fleet_.keeps_all() ? 1 : std::max<size_t>(1, loads_.size() / kDevicesOfAPlacement);
}

bool QueuePlanner::HasTrialLeft(size_t end) const {
  return trial_placements_ + TrialPlacements() <= end;
}

bool QueuePlanner::MayTry() {
  const bool may = HasTrialLeft(kTrialPlacementsMax);
  trial_placements_ += may ? TrialPlacements() : 0;
  return may;
}

std::vector<absl::Time> QueuePlanner::FreeAt() const {
  std::vector<absl::Time> free_at;
  for (size_t device = 0; device < loads_.size(); ++device) {
    free_at.push_back(loads_[device].free_at);
  }
  return free_at;
}

QueuePlan PlanQueueWithCharge(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  QueuePlanner planner(snapshot);
  QueuePlan plan;
  plan.jobs = planner.Plan();
  const FleetLoads& final_loads = planner.final_loads();
  for (size_t device = 0; device < final_loads.size(); ++device) {
    const DeviceLoad& load = final_loads[device];
    plan.charge.push_back(load.pack == nullptr ? std::vector<timetable::ChargeQuantiles>()
                                               : load.pack->ChargeByHour());
    plan.gauges.push_back(load.gauge.value_or(plan.gauges.size()));
  }
  plan.free_at = planner.FreeAt();
  const FleetLoads loads = InitialLoads(snapshot);
  for (size_t i = 0; i < loads.size(); ++i) {
    plan.attempt_ends.push_back(AttemptAheadOn(snapshot, i, loads[i]).span);
  }
  plan.moves = MovesByGain(snapshot, planner.final_loads(), ReleasedBy(plan.jobs));
  return plan;
}

std::vector<QueuePlacement> PlanQueue(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  return QueuePlanner(snapshot).Plan();
}

QueueAndMoves PlanQueueAndMoves(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  QueuePlanner planner(snapshot);
  QueueAndMoves plan;
  plan.jobs = planner.Plan();
  plan.proposals_dropped = planner.proposals_dropped();
  plan.free_at = planner.FreeAt();
  plan.moves = MovesByGain(snapshot, planner.final_loads(), ReleasedBy(plan.jobs));
  return plan;
}

QueueImprovement ImproveQueue(const Snapshot& snapshot, const SearchEffort& effort) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  QueuePlanner planner(snapshot, QueuePlanner::Arranging::kBySearch, effort);
  const std::vector<QueuePlacement> plan = planner.Plan(QueuePlanner::Wanted::kSearch);
  QueueImprovement improvement{.proposals_dropped = planner.proposals_dropped()};
  if (!planner.found_cheaper()) {
    return improvement;
  }
  for (const QueuePlacement& placed : plan) {
    if (placed.placement.wait()) {
      improvement.places[placed.job] = {
          .device = DeviceId(placed.placement.device_id()),
          .start =
              absl::UnixEpoch() + absl::Seconds(placed.placement.expected_start_unix_seconds())};
    }
  }
  return improvement;
}

std::vector<QueuePlacement> PlanQueueInOrder(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  return QueuePlanner(snapshot, QueuePlanner::Arranging::kNone).Plan();
}

}  // namespace wattle::scheduler
