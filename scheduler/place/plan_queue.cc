// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans the queue job by job. Each job takes its best device, at the time when the device is free
// after the decisions before. A waiting job keeps its place on the device, so that no later job can
// push it back.
//
// A pass plans the queue in one order, and a trial is a pass whose order or fleet is changed: for
// one late job, or because the search found a cheaper arrangement of a part of the fleet
// (rearrange_internal.h, search_blocks_internal.h). What is kept of a trial is the change; the last
// pass explains the plan.
#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/fault_point.h"
#include "scheduler/place/consider_internal.h"
#include "scheduler/place/explain_internal.h"
#include "scheduler/place/place.h"
#include "scheduler/place/probe_value_internal.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/search_blocks_internal.h"
#include "scheduler/place/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"

namespace wattle::scheduler {
namespace {

// Each hour of waiting raises the priority by 1. A job of priority -100 therefore overtakes a new
// job of priority 100 after 200 h.
constexpr absl::Duration kAgeing = absl::Hours(1);
// Jobs that all trials of a plan may place, together: a count and no time, so that the same
// snapshot gives the same plan.
constexpr size_t kTrialPlacementsMax = 10'000;
// Passes that look for the parts of the fleet whose new arrangement is fair and cheaper.
constexpr int kArrangingPassesMax = 3;
// An arrangement is taken for a gain above 1 %: plans that flutter tell people nothing.
constexpr int64_t kGainShare = 100;
int64_t EffectivePriority(const JobView& job, absl::Time now) {
  if (job.submitted >= now || job.submitted == absl::InfinitePast()) {
    return job.spec.priority();
  }
  return job.spec.priority() + (now - job.submitted) / kAgeing;
}

// Gives the job its place on the chosen device.
void ReserveDevice(const JobView& job, const Considered& considered, const Snapshot& snapshot,
                   std::vector<DeviceLoad>* loads) {
  const v1::Candidate& chosen = *considered.candidates.front();
  const size_t device = considered.devices.front();
  SetLoad(device,
          WithRun((*loads)[device], snapshot.devices[device].device,
                  {.spec = job.spec,
                   .prediction = chosen.prediction(),
                   .begin = snapshot.now + absl::Seconds(chosen.start_in_seconds()),
                   .end = snapshot.now + absl::Seconds(chosen.finish_in_seconds())}),
          *loads);
}

// Whether every device but the choice refuses the job for good.
bool IsSole(const Considered& considered) {
  return considered.feasible == 1 &&
         std::all_of(considered.candidates.begin() + 1, considered.candidates.end(),
                     [](const v1::Candidate* candidate) { return candidate->permanent(); });
}

// Whether the refusal depends on what else the device is to do.
bool DependsOnLoad(const v1::Candidate& candidate) {
  if (candidate.feasible() || candidate.permanent()) {
    return false;
  }
  const absl::Span<const Rule> rules = Rules();
  return std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) {
    return rule.scope == RuleScope::kLoad && rule.name == candidate.refused_by();
  });
}

class QueuePlanner {
 public:
  enum class Arranging { kNone, kBySearch };
  explicit QueuePlanner(const Snapshot& snapshot, Arranging arranging = Arranging::kBySearch)
      : snapshot_(snapshot),
        arranging_(arranging),
        fleet_(snapshot, ConsiderOptions{}),
        loads_(InitialLoads(snapshot)) {
    for (const JobView& job : snapshot.queue) {
      if (job.profile_end.has_value()) {
        QueuePlacement& ended = ended_.emplace_back();
        ended.job = job.id;
        ended.profile_end = job.profile_end;
        continue;
      }
      jobs_.push_back(
          {&job, EffectivePriority(job, snapshot.now), WorkOfJob(job, *snapshot.profiles)});
      if (const absl::StatusOr<WorkAmount>& work = jobs_.back().work; work.ok()) {
        jobs_.back().alike =
            absl::StrCat(job.spec.objective(), "|", work->signature.SerializeAsString());
        ++jobs_alike_[jobs_.back().alike];
      }
    }
    SortByPriorityAndAge();
  }

  std::vector<QueuePlacement> Plan() {
    std::vector<QueuePlacement> placements;
    Outcome plan = Pass(arrangement_, loads_, &placements);
    const bool helped = std::find(plan.late.begin(), plan.late.end(), true) != plan.late.end();
    if (helped) {
      HelpLateJobs(plan);
    }
    const bool tried = TryForOthers(plan);
    const bool arranged = arranging_ == Arranging::kBySearch && Arrange(plan);
    if (helped || tried || arranged) {
      placements.clear();
      Pass(arrangement_, loads_, &placements);
    }
    placements.insert(placements.end(), ended_.begin(), ended_.end());
    return placements;
  }

  // After Plan.
  [[nodiscard]] const std::vector<DeviceLoad>& final_loads() const { return final_loads_; }

 private:
  struct Job {
    const JobView* view;
    int64_t priority;  // Effective.
    absl::StatusOr<WorkAmount> work;
    std::string alike = {};  // Equal for jobs of the same work and objective.
    // The plan of a job that is settled: an attempt is released for it, or it tries a device for
    // others. The device is busy for the others until the job, and a released attempt, have ended.
    std::optional<QueuePlacement> decided = std::nullopt;
  };
  using Order = std::vector<size_t>;  // Indices of jobs_.
  struct Arrangement {
    Order order;
    // The device that each of jobs_ is to take; nullopt: its best one.
    std::vector<std::optional<size_t>> devices;
  };
  // Of a pass, for each of jobs_.
  struct Outcome {
    std::vector<bool> late;     // It has a deadline and is held up by others.
    std::vector<double> costs;  // By its objective; 0: the job has no place, or is settled.
    PlacesOfJobs places;        // None: the job has no place, or is settled.
  };
  // A part of the fleet, and how the search would arrange it.
  struct Proposal {
    SearchBlock block;
    Rearrangement search;  // Its jobs are the block's.
    std::vector<Rearrangement::Place> places;
  };

  // Ids are "j" and a number, so they are ordered by length first: "j9" before "j10".
  void SortByPriorityAndAge() {
    const auto rank = [this](size_t i) {
      const JobView& job = *jobs_[i].view;
      return std::make_tuple(-jobs_[i].priority, job.submitted, job.id.value().size(),
                             absl::string_view(job.id.value()));
    };
    arrangement_.devices.resize(jobs_.size());
    Order& order = arrangement_.order;
    order.resize(jobs_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
  }

  // Plans the jobs as arranged. placements: null in a trial.
  Outcome Pass(const Arrangement& arrangement, std::vector<DeviceLoad> loads,
               std::vector<QueuePlacement>* placements = nullptr) {
    fleet_.BeginPass();
    Outcome outcome{.late = std::vector<bool>(jobs_.size(), false),
                    .costs = std::vector<double>(jobs_.size(), 0),
                    .places = {.starts = std::vector<std::optional<RunStart>>(jobs_.size()),
                               .usable = std::vector<bool>(loads.size(), false)}};
    std::vector<const Job*> last(loads.size(), nullptr);  // In the order, on each device.
    for (const size_t i : arrangement.order) {
      const Job& job = jobs_[i];
      if (job.decided.has_value() || !job.work.ok()) {
        if (placements != nullptr) {
          placements->push_back(job.decided.has_value() ? *job.decided : Invalid(job));
        }
        continue;
      }
      const std::optional<size_t> device = arrangement.devices[i];
      Considered considered = device ? fleet_.ConsiderOn(*device, *job.view, *job.work, loads)
                                     : fleet_.ConsiderNowOrLater(*job.view, *job.work, loads);
      considered.jobs_alike = jobs_alike_[job.alike];
      outcome.late[i] = job.view->spec.deadline_seconds() > 0 && IsHeldUp(considered, loads);
      if (placements != nullptr) {
        placements->push_back(PlacementOfJob(job, considered));
        if (considered.feasible > 0) {
          NotePlace(last[considered.devices.front()], placements->back().placement);
        }
      }
      for (size_t at = 0; at < static_cast<size_t>(considered.feasible); ++at) {
        outcome.places.usable[considered.devices[at]] = true;
      }
      if (considered.feasible > 0) {
        outcome.places.starts[i] =
            RunStartOf(considered.devices.front(), *considered.candidates.front());
        outcome.costs[i] = considered.candidates.front()->cost();
        ReserveDevice(*job.view, considered, snapshot_, &loads);
        last[considered.devices.front()] = &job;
      }
    }
    final_loads_ = std::move(loads);
    return outcome;
  }

  // Whether no device takes the job under these loads, and one might without the jobs that were
  // planned before it or without the device's attempt.
  [[nodiscard]] bool IsHeldUp(const Considered& considered,
                              const std::vector<DeviceLoad>& loads) const {
    if (considered.feasible > 0) {
      return false;
    }
    for (size_t i = 0; i < considered.candidates.size(); ++i) {
      const size_t device = considered.devices[i];
      if (DependsOnLoad(*considered.candidates[i]) &&
          (!(loads[device] == loads_[device]) || snapshot_.devices[device].releasable)) {
        return true;
      }
    }
    return false;
  }

  static QueuePlacement Invalid(const Job& job) {
    QueuePlacement placed;
    placed.job = job.view->id;
    placed.placement.set_objective(ObjectiveOf(job.view->spec.objective()).objective);
    placed.placement.set_reason(std::string(job.work.status().message()));
    placed.never = true;
    return placed;
  }

  static QueuePlacement PlacementOfJob(const Job& job, const Considered& considered) {
    QueuePlacement placed;
    placed.job = job.view->id;
    placed.profile_point = job.view->profile_point;
    placed.placement = PlacementOf(considered, ObjectiveOf(job.view->spec.objective()));
    placed.never = NeverFeasible(considered);
    placed.sole = IsSole(considered);
    if (const v1::Candidate* const chosen = Chosen(considered); chosen != nullptr) {
      placed.power_mode = chosen->power_mode();
      placed.prediction = chosen->prediction();
      placed.model_choice = chosen->model_choice();
      for (const Rule& rule : Rules()) {
        if (rule.name == chosen->refused_by()) {
          placed.refused_until_start = std::string(rule.waits_for);
        }
      }
    }
    return placed;
  }

  // Says when a job that waits for its device is expected to run there, and behind which job of the
  // queue; before: null for the first one.
  void NotePlace(const Job* before, v1::Placement& placement) const {
    if (!placement.wait()) {
      return;
    }
    const v1::Candidate& chosen = placement.best(0);
    const double now = absl::ToDoubleSeconds(snapshot_.now - absl::UnixEpoch());
    placement.set_expected_start_unix_seconds(now + chosen.start_in_seconds());
    placement.set_expected_end_unix_seconds(now + chosen.finish_in_seconds());
    placement.set_waits_for(chosen.waits_for());
    placement.set_behind_job_id(before == nullptr ? "" : before->view->id.value());
  }

  // Looks at each late job once, the first in the order first.
  void HelpLateJobs(Outcome& plan) {
    const Order all = arrangement_.order;
    for (const size_t job : all) {
      if (plan.late[job] && !PlanEarlier(job, plan)) {
        ReleaseForJob(job, plan);
      }
    }
  }

  // Whether a trial with this outcome may replace the plan: the job meets its deadline, and whoever
  // misses one for that has a lower priority.
  [[nodiscard]] bool Helps(size_t job, const std::vector<bool>& before,
                           const std::vector<bool>& after) const {
    if (after[job]) {
      return false;
    }
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (after[i] && !before[i] && jobs_[i].priority >= jobs_[job].priority) {
        return false;
      }
    }
    return true;
  }

  [[nodiscard]] bool HasTrialLeft() const {
    return trial_placements_ + jobs_.size() <= kTrialPlacementsMax;
  }
  bool MayTry() {
    const bool may = HasTrialLeft();
    trial_placements_ += jobs_.size();
    return may;
  }

  // Tries the job 1, 2, 4 … places earlier, at last as the first one.
  bool PlanEarlier(size_t job, Outcome& plan) {
    const Order& order = arrangement_.order;
    const auto at = std::find(order.begin(), order.end(), job) - order.begin();
    for (ptrdiff_t steps = 1; at > 0; steps *= 2) {
      const ptrdiff_t to = std::max<ptrdiff_t>(at - steps, 0);
      if (!MayTry()) {
        return false;
      }
      Arrangement trial = arrangement_;
      std::rotate(trial.order.begin() + to, trial.order.begin() + at, trial.order.begin() + at + 1);
      Outcome outcome = Pass(trial, loads_);
      if (Helps(job, plan.late, outcome.late)) {
        arrangement_ = std::move(trial);
        plan = std::move(outcome);
        return true;
      }
      if (to == 0) {
        return false;
      }
    }
    return false;
  }

  // The device's load if its attempt hands over now, and if the attempt's rest follows the job.
  [[nodiscard]] DeviceLoad Released(size_t device, const DeviceLoad& load) const {
    return WithoutAttempt(load, device,
                          snapshot_.now + snapshot_.devices[device].releasable->hand_over);
  }
  // The joules of the attempt's rest count as before, although they are drawn later.
  [[nodiscard]] DeviceLoad WithRest(size_t device, const Job& job,
                                    const v1::Candidate& chosen) const {
    const ReleasableAttempt& attempt = *snapshot_.devices[device].releasable;
    DeviceLoad load = loads_[device];
    load.free_at = snapshot_.now + attempt.hand_over;
    const absl::Time end = snapshot_.now + absl::Seconds(chosen.finish_in_seconds());
    load = WithRun(load, snapshot_.devices[device].device,
                   {.spec = job.view->spec,
                    .prediction = chosen.prediction(),
                    .begin = load.free_at,
                    .end = end});
    load.free_at = end + attempt.resume + attempt.remaining;
    return load;
  }

  // Whether the device's attempt may leave for the job.
  [[nodiscard]] bool MayRelease(size_t device, const JobView& job) const {
    const std::optional<ReleasableAttempt>& attempt = snapshot_.devices[device].releasable;
    return attempt.has_value() && attempt->priority <= job.spec.priority() &&
           !taken_.contains(device);
  }

  // The candidates as if each attempt that may leave for the job had left; the cheapest of these
  // devices that meets the deadline comes first. nullopt: there is none.
  std::optional<Considered> ConsiderReleases(const Job& job) {
    std::vector<DeviceLoad> released = loads_;
    for (size_t device = 0; device < released.size(); ++device) {
      if (MayRelease(device, *job.view)) {
        SetLoad(device, Released(device, released[device]), released);
      }
    }
    Considered considered = fleet_.Consider(*job.view, *job.work, released);
    for (size_t i = 0; i < static_cast<size_t>(considered.feasible); ++i) {
      const size_t device = considered.devices[i];
      if (MayRelease(device, *job.view) &&
          WithRest(device, job, *considered.candidates[i]).free_at <=
              snapshot_.devices[device].releasable->deadline) {
        const auto at = static_cast<ptrdiff_t>(i);
        std::rotate(considered.devices.begin(), considered.devices.begin() + at,
                    considered.devices.begin() + at + 1);
        std::rotate(considered.candidates.begin(), considered.candidates.begin() + at,
                    considered.candidates.begin() + at + 1);
        return considered;
      }
    }
    return std::nullopt;
  }

  // Releases the attempt whose device serves the job best.
  void ReleaseForJob(size_t index, Outcome& plan) {
    Job& job = jobs_[index];
    const auto may_release = [&](size_t device) { return MayRelease(device, *job.view); };
    std::vector<size_t> devices(loads_.size());
    std::iota(devices.begin(), devices.end(), size_t{0});
    if (std::none_of(devices.begin(), devices.end(), may_release) || !MayTry()) {
      return;
    }
    const std::optional<Considered> considered = ConsiderReleases(job);
    if (!considered.has_value()) {
      return;
    }
    const size_t device = considered->devices.front();
    const ReleasableAttempt& attempt = *snapshot_.devices[device].releasable;
    std::vector<DeviceLoad> loads = loads_;
    SetLoad(device, WithRest(device, job, *considered->candidates.front()), loads);
    job.decided = PlacementOfJob(job, *considered);
    job.decided->releases = attempt.id;
    v1::Placement& placement = job.decided->placement;
    NotePlace(nullptr, placement);
    placement.set_releases_attempt_id(attempt.id.value());
    placement.set_reason(absl::StrCat(placement.reason(), "; ", attempt.id.value(),
                                      " leaves the device for this job's deadline and goes on "
                                      "later from its checkpoint"));
    Outcome outcome = Pass(arrangement_, loads);
    if (!Helps(index, plan.late, outcome.late)) {
      job.decided.reset();
      return;
    }
    taken_.insert(device);
    loads_ = std::move(loads);
    plan = std::move(outcome);
  }

  // The jobs of the plan that still wait when a probe that starts now has told.
  [[nodiscard]] std::map<std::string, int> WaitingAlike(const Outcome& plan) const {
    std::map<std::string, int> waiting;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      waiting[jobs_[i].alike] += WaitsForProbe(plan.places.starts[i]) ? 1 : 0;
    }
    return waiting;
  }

  // A board whose prediction is wide and whose mean is not the least would never run a job, and
  // nobody would learn whether it is the better one. A waiting job goes there if its first steps
  // are worth more to the jobs of its work behind it than the job is expected to cost more there.
  bool TryForOthers(Outcome& plan) {
    const std::vector<bool> free = DevicesToTry(snapshot_, plan.places);
    const std::map<std::string, int> waiting = WaitingAlike(plan);
    std::set<std::string> tried;
    const Order all = arrangement_.order;
    for (const size_t i : all) {
      const Job& job = jobs_[i];
      const std::optional<RunStart>& start = plan.places.starts[i];
      const int alike = waiting.at(job.alike);
      if (!WaitsForProbe(start) || alike < 2 || EndCounts(job.view->spec) ||
          tried.contains(job.alike)) {
        continue;
      }
      tried.insert(job.alike);
      fleet_.BeginPass();
      Considered considered = fleet_.ConsiderNowOrLater(*job.view, *job.work, loads_);
      const std::optional<size_t> device =
          FindTrial(snapshot_, free, {start->device, plan.costs[i], alike - 1}, &considered);
      if (device.has_value() && MayTry()) {
        TryOn(i, considered, plan);
      }
    }
    return std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) {
      return job.decided.has_value() && job.decided->releases.value().empty();
    });
  }

  // Settles the job on the choice of `considered`, unless another job starts later for that.
  void TryOn(size_t index, const Considered& considered, Outcome& plan) {
    std::vector<DeviceLoad> loads = loads_;
    ReserveDevice(*jobs_[index].view, considered, snapshot_, &loads);
    jobs_[index].decided = PlacementOfJob(jobs_[index], considered);
    Outcome outcome = Pass(arrangement_, loads);
    Order others = arrangement_.order;
    std::erase(others, index);
    if (outcome.late != plan.late || !IsFair(others, plan, outcome)) {
      jobs_[index].decided.reset();
      return;
    }
    loads_ = std::move(loads);
    plan = std::move(outcome);
  }

  // What the search would change, part by part.
  std::vector<Proposal> Proposals(const Outcome& plan) {
    Order order;
    for (const size_t i : arrangement_.order) {
      if (!jobs_[i].decided.has_value() && jobs_[i].work.ok()) {
        order.push_back(i);
      }
    }
    std::vector<Proposal> proposals;
    for (SearchBlock& block :
         SearchBlocks(snapshot_, loads_, order, plan.places,
                      fleet_.keeps_all() ? FleetParts::kMany : FleetParts::kOne)) {
      Rearrangement search(snapshot_, loads_, block.devices);
      for (const size_t i : block.jobs) {
        const Job& job = jobs_[i];
        search.Add(*job.view, fleet_.Starts(*job.view, *job.work, loads_, block.devices),
                   plan.places.starts[i]);
      }
      Rearrangement::Answer answer = search.Search();
      if (MayGain(block, search, answer.price, plan)) {
        proposals.push_back({std::move(block), std::move(search), std::move(answer.places)});
      }
    }
    return proposals;
  }

  // Whether a pass is worth its time: of a part of a large fleet the search must expect the gain.
  [[nodiscard]] bool MayGain(const SearchBlock& block, const Rearrangement& search,
                             timetable::Millijoules expected, const Outcome& plan) const {
    if (block.devices.size() == loads_.size()) {
      return true;
    }
    timetable::Millijoules total = 0;
    for (size_t job = 0; job < block.jobs.size(); ++job) {
      total += search.PriceOf(job, *plan.places.starts[block.jobs[job]]);
    }
    return total - expected > total / kGainShare;
  }

  // The arrangement with these parts changed. Of a fleet of parts every other job keeps its device,
  // so that no part takes from another one.
  [[nodiscard]] Arrangement ArrangedBy(const std::vector<Proposal>& proposals,
                                       const Outcome& plan) const {
    Arrangement trial = arrangement_;
    trial.order.clear();
    if (proposals.front().block.devices.size() < loads_.size()) {
      for (size_t i = 0; i < jobs_.size(); ++i) {
        const std::optional<RunStart>& start = plan.places.starts[i];
        trial.devices[i] = start.has_value() ? std::optional(start->device) : std::nullopt;
      }
    }
    std::vector<bool> is_arranged(jobs_.size(), false);
    for (const Proposal& proposal : proposals) {
      for (const Rearrangement::Place& place : proposal.places) {
        const size_t i = proposal.block.jobs[place.job];
        trial.order.push_back(i);
        trial.devices[i] = place.device;
        is_arranged[i] = true;
      }
    }
    std::copy_if(arrangement_.order.begin(), arrangement_.order.end(),
                 std::back_inserter(trial.order), [&](size_t i) { return !is_arranged[i]; });
    return trial;
  }

  // Takes the parts of the search's arrangement that make the plan cheaper. Returns whether any
  // does.
  bool Arrange(Outcome& plan) {
    if (!HasTrialLeft()) {
      return false;
    }
    std::vector<Proposal> proposals = Proposals(plan);
    const int passes = WATTLE_FAULT_POINT("one pass for all parts") ? 1 : kArrangingPassesMax;
    for (int pass = 0; pass < passes; ++pass) {
      if (proposals.empty() || !MayTry()) {
        return false;
      }
      Arrangement trial = ArrangedBy(proposals, plan);
      Outcome outcome = Pass(trial, loads_);
      const size_t dropped = std::erase_if(proposals, [&](const Proposal& proposal) {
        return !IsFair(proposal.block.jobs, plan, outcome) || !IsCheaper(proposal, plan, outcome);
      });
      if (dropped > 0) {
        continue;
      }
      if (!IsFair(arrangement_.order, plan, outcome)) {
        return false;
      }
      arrangement_ = std::move(trial);
      plan = std::move(outcome);
      return true;
    }
    return false;
  }

  // Whether none of the jobs pays for another one's joules: each keeps its place, starts no later,
  // and ends no later where the end counts.
  [[nodiscard]] bool IsFair(const Order& jobs, const Outcome& before, const Outcome& after) const {
    constexpr double kRoundingSeconds = 1;
    if (WATTLE_FAULT_POINT("fair parts")) {
      return true;
    }
    return std::all_of(jobs.begin(), jobs.end(), [&](size_t i) {
      const std::optional<RunStart>& one = before.places.starts[i];
      const std::optional<RunStart>& other = after.places.starts[i];
      return !one.has_value() ||
             (other.has_value() &&
              other->start_in_seconds <= one->start_in_seconds + kRoundingSeconds &&
              (!EndCounts(jobs_[i].view->spec) ||
               other->finish_in_seconds <= one->finish_in_seconds + kRoundingSeconds));
    });
  }

  // REQUIRES: IsFair. A job that has a place in the second plan alone is worth any price. A job on
  // a device of another part took from it, which no price tells.
  [[nodiscard]] static bool IsCheaper(const Proposal& proposal, const Outcome& before,
                                      const Outcome& after) {
    const SearchBlock& block = proposal.block;
    timetable::Millijoules total = 0;
    timetable::Millijoules saved = 0;
    bool is_more_placed = false;
    for (size_t job = 0; job < block.jobs.size(); ++job) {
      const std::optional<RunStart>& one = before.places.starts[block.jobs[job]];
      const std::optional<RunStart>& other = after.places.starts[block.jobs[job]];
      if (other.has_value() && std::find(block.devices.begin(), block.devices.end(),
                                         other->device) == block.devices.end()) {
        return false;
      }
      is_more_placed = is_more_placed || (!one.has_value() && other.has_value());
      if (one.has_value()) {
        total += proposal.search.PriceOf(job, *one);
        saved += proposal.search.PriceOf(job, *one) - proposal.search.PriceOf(job, *other);
      }
    }
    return is_more_placed || saved > total / kGainShare;
  }

  const Snapshot& snapshot_;
  const Arranging arranging_;
  FleetView fleet_;
  std::vector<Job> jobs_;
  std::map<std::string, int> jobs_alike_;  // By Job.alike.
  Arrangement arrangement_;
  std::vector<DeviceLoad> loads_;        // Before the first job.
  std::vector<DeviceLoad> final_loads_;  // Behind the last job of the latest pass.
  std::vector<QueuePlacement> ended_;    // Profile jobs without a further run.
  std::set<size_t> taken_;               // Devices whose attempts are released.
  size_t trial_placements_ = 0;
};

}  // namespace

QueuePlan PlanQueueWithCharge(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  QueuePlanner planner(snapshot);
  QueuePlan plan;
  plan.jobs = planner.Plan();
  for (const DeviceLoad& load : planner.final_loads()) {
    plan.charge.push_back(load.pack == nullptr ? std::vector<timetable::ChargeQuantiles>()
                                               : load.pack->ChargeByHour());
    plan.gauges.push_back(load.gauge.value_or(plan.gauges.size()));
  }
  return plan;
}

std::vector<QueuePlacement> PlanQueue(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  return QueuePlanner(snapshot).Plan();
}

FleetPlan PlanQueueAndMoves(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  QueuePlanner planner(snapshot);
  FleetPlan plan;
  plan.jobs = planner.Plan();
  std::set<AttemptId> released;
  for (const QueuePlacement& placed : plan.jobs) {
    if (!placed.releases.value().empty()) {
      released.insert(placed.releases);
    }
  }
  plan.moves = MovesByGain(snapshot, planner.final_loads(), released);
  return plan;
}

std::vector<QueuePlacement> PlanQueueInOrder(const Snapshot& snapshot) {
  WATTLE_CHECK(snapshot.profiles != nullptr, "a plan needs a profile table");
  return QueuePlanner(snapshot, QueuePlanner::Arranging::kNone).Plan();
}

}  // namespace wattle::scheduler
