// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans the queue job by job. Each job takes its best device, at the time when the device is free
// after the earlier decisions. A waiting job keeps its place on the device, so that no later job
// can delay it.
//
// A pass plans the queue in one order, and a trial is a pass with a changed order or fleet. The
// changes, in the order in which Plan makes them, each with a file:
//   late_jobs.cc       a job that would miss its deadline goes earlier, or an attempt leaves for it
//   start_by_mean.cc   a job that no order brings in time at its upper quantile starts by its mean
//   try_for_others.cc  a job tries an unmeasured board, for the other jobs of its work
//   arrange_queue.cc   keeps the latest plan, or uses a cheaper arrangement of a part of the fleet
//                      that the search found
//   keep_starts.cc     starts of the next hour stay where the latest plan had them
// Only the change of a trial is kept; the last pass explains the plan.
#ifndef WATTLE_SCHEDULER_PLACE_QUEUE_QUEUE_PLANNER_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_QUEUE_QUEUE_PLANNER_INTERNAL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/improve_queue.h"
#include "scheduler/place/place.h"
#include "scheduler/place/promise_internal.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/search_blocks_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"
#include "scheduler/timetable/amounts.h"

namespace wattle::scheduler {

// One plan of one snapshot.
class QueuePlanner {
 public:
  enum class Arranging { kNone, kBySearch };
  explicit QueuePlanner(const Snapshot& snapshot, Arranging arranging = Arranging::kBySearch,
                        const SearchEffort& effort = {}, const EvaluationOptions& evaluating = {});

  // kSearch: only the search's result. A plan that nothing arranged then gets no placements.
  enum class Wanted { kPlacements, kSearch };
  std::vector<QueuePlacement> Plan(Wanted wanted = Wanted::kPlacements);
  // After Plan: answers of the search that CheckPlan refused, and those with an expected gain that
  // the rules of the queue refused.
  [[nodiscard]] int proposals_dropped() const { return proposals_dropped_; }
  // After Plan: whether the arrangement of some part was used.
  [[nodiscard]] bool found_cheaper() const { return found_cheaper_; }
  [[nodiscard]] const FleetLoads& final_loads() const { return final_loads_; }
  // When the running attempt of each device is expected to end, including its rests at the reserve.
  [[nodiscard]] std::vector<absl::Time> FreeAt() const;

 private:
  struct Job {
    const JobView* view;
    int64_t priority;  // Effective.
    absl::StatusOr<WorkAmount> work;
    std::string alike = {};         // Equal for jobs of the same work and objective.
    bool is_hopeless = false;       // No device takes it in time in any order.
    bool probably_in_time = false;  // By the mean of its run, if it goes first.
    // The plan of a settled job: an attempt is released for it, or it tries a device for others.
    // The device is busy for the others until the job, and a released attempt, have ended.
    std::optional<QueuePlacement> decided = std::nullopt;
  };
  using Order = std::vector<size_t>;  // Indices of jobs_.
  struct Arrangement {
    Order order;
    // The device that each of jobs_ must take; nullopt: its best one.
    std::vector<std::optional<size_t>> devices;
    std::vector<bool> stays;  // For each of jobs_: the device is that of the latest plan.
    std::vector<DeadlineBy> deadline_by;  // For each of jobs_.
  };
  // Result of a pass, for each of jobs_.
  struct Outcome {
    std::vector<bool> late;     // The job has a deadline, and other jobs hold it up.
    std::vector<double> costs;  // By its objective; 0: the job has no place, or is settled.
    PlacesOfJobs places;        // No start: the job has no place, or is settled.
    size_t looked_at = 0;       // Jobs visited: fewer than all if the pass ended early.
    bool hurts = false;         // The pass ended at a job that may not be late.
  };
  // Runs on a device, for a pass that makes placements.
  struct Ahead {
    const Job* last = nullptr;  // In the order.
    // The device's attempt and the jobs, in the order of their ends; empty: no job has a place.
    std::vector<RunAhead> runs{};
  };
  // A late job for which a trial is made.
  struct Helped {
    size_t job;
    const std::vector<bool>& late_before;  // In the plan as it is.
  };
  // A part of the fleet, and its search.
  struct Part {
    SearchBlock block;
    Rearrangement search;  // Its jobs are the block's.
  };
  using Promises = std::vector<std::optional<Promise>>;  // For each of jobs_; nullopt: no place.
  // A possible arrangement of a part.
  struct Proposal {
    const Part* part;
    std::vector<Rearrangement::Place> places;  // All jobs of the part, in their order.
    bool expects_gain = false;
    // The plan must get cheaper by more than its cost divided by this number; 0: by any amount.
    int64_t gain_share = 0;
  };

  // Turns of a late job before its own.
  struct EarlierTurns {
    // The turns 1, 2, 4 … places earlier and the first one, as far as the job meets its deadline
    // there; the latest one first.
    std::vector<size_t> in_time{};
    bool is_hopeless = false;  // No device takes it in any order.
  };
  // Bounds on the placements of trials.
  struct LateTrials {
    size_t share;  // Bound for the turns of one late job.
    size_t end;    // Bound at the end of the trials of all late jobs.
  };

  // Passes that look for the jobs, or the parts of the fleet, whose change can be kept.
  static constexpr int kChangePassesMax = 3;
  // Job placements in all trials of a plan: a count instead of a time, so that the same snapshot
  // gives the same plan.
  static constexpr size_t kTrialPlacementsMax = 10'000;

  // Ids are "j" and a number, so they are ordered by length first: "j9" before "j10".
  void SortByTurn();
  // After the first pass: a job without a place that no other job holds up has no place in any
  // order.
  void NoteHopeless(const Outcome& plan);
  // Plans the jobs as arranged. placements: null in a trial. helped: ends the pass where the trial
  // Hurts.
  Outcome Pass(const Arrangement& arrangement, FleetLoads loads,
               std::vector<QueuePlacement>* placements = nullptr, const Helped* helped = nullptr);
  // Evaluates the job on the device that the arrangement gives it.
  EvaluatedDevices EvaluateDevicesAs(const Arrangement& arrangement, size_t index,
                                     const FleetLoads& loads);
  // Gives the next job its place as in a pass.
  void PlaceNext(size_t index, FleetLoads& loads);
  // Whether no device takes the job under these loads, but one might without the jobs that were
  // planned earlier or without the device's attempt.
  [[nodiscard]] bool IsHeldUp(const EvaluatedDevices& evaluated, const FleetLoads& loads) const;
  static QueuePlacement Invalid(const Job& job);
  [[nodiscard]] QueuePlacement PlacementOfJob(const Job& job,
                                              const EvaluatedDevices& evaluated) const;
  // Notes when a job that waits for its device is expected to run there, after which job of the
  // queue, and how long the queue puts it off. ahead: runs of that device, to which the job is
  // added.
  void NotePlace(size_t index, const Option& option, Ahead& ahead, v1::Placement& placement) const;
  // Adds the time spans in which the job begins and ends.
  void NoteSpans(const JobView& job, const Option& chosen, Ahead& ahead,
                 v1::Candidate& shown) const;
  // Gives the job its place on the chosen device.
  void Reserve(const JobView& job, const Option& chosen, FleetLoads& loads) const;
  // Cost of a job's placement in a trial, and of a whole trial.
  [[nodiscard]] size_t PlacementCost() const;
  [[nodiscard]] size_t TrialPlacements() const { return jobs_.size() * PlacementCost(); }
  // end: bound of all placements after the trial.
  [[nodiscard]] bool HasTrialLeft(size_t end) const;
  bool MayTry();

  // Tries each late job once, the first in the order first. These trials use at most half of the
  // budget, and each one leaves a share for the late jobs after it.
  void HelpLateJobs(Outcome& plan);
  // Whether a trial in which this job is late must not replace the plan: the trial is made for this
  // job, or the job only misses its deadline in the trial and has no lower priority.
  [[nodiscard]] bool Hurts(const Helped& helped, size_t job) const;
  // A pass that helps the job; nullopt: it hurts another.
  std::optional<Outcome> TryFor(size_t job, const Arrangement& trial, const FleetLoads& loads,
                                const Outcome& plan);
  // The arrangement with the job moved to this turn.
  [[nodiscard]] Arrangement MovedTo(size_t job, size_t turn) const;
  // Visits the order before the job once.
  EarlierTurns FindEarlierTurns(size_t job, size_t trials_end);
  // Tries the turns in which the job is in time. A job that is late in every order moves to the
  // front, where its reason is found.
  bool PlanEarlier(size_t job, const LateTrials& trials, Outcome& plan);
  // The device's load if its attempt hands over now, and if the attempt's rest follows the job.
  [[nodiscard]] DeviceLoad Released(size_t device, const DeviceLoad& load) const;
  // The load in which the attempt's rest keeps its joules, although it draws them later.
  [[nodiscard]] DeviceLoad WithRest(const Job& job, const Option& chosen) const;
  // Whether the device's attempt may leave for the job.
  [[nodiscard]] bool MayRelease(size_t device, const JobView& job) const;
  // The options if every attempt that may leave for the job had left; of these devices, the
  // cheapest that meets the deadline comes first. nullopt: there is none.
  std::optional<EvaluatedDevices> EvaluateReleases(const Job& job);
  // Releases the attempt whose device suits the job best.
  void ReleaseForJob(size_t index, size_t trials_end, Outcome& plan);

  // Gives each job with a deadline and no place one where its mean is in time, at its own turn or
  // as the first one. Returns whether a job got such a place, or would get one without the others,
  // which changes its reason.
  bool StartByMean(Outcome& plan);
  void StartOneByMean(size_t job, size_t trials_end, Outcome& plan);
  // Whether a device may take the job, as the first one, if the mean of its run is in time.
  bool MayStartByMean(const Job& job);
  // Whether each job that has a place in `before` has one in `after`.
  [[nodiscard]] static bool KeepsPlaces(const Outcome& before, const Outcome& after);
  // The turn after all jobs of the order that came before this one originally.
  [[nodiscard]] size_t OwnTurn(size_t job) const;

  // The jobs of the plan that still wait when the first steps of a probe that starts now are known.
  [[nodiscard]] std::map<std::string, int> WaitingAlike(const Outcome& plan) const;
  // Without trials, a board with a wide prediction and a mean above the least would never run a
  // job, and its true cost would stay unknown. A waiting job goes to such a board if its first
  // steps are worth more to the later jobs of its work than the expected extra cost of the job
  // there.
  bool TryForOthers(Outcome& plan);
  // Settles the job on the choice of `evaluated`, unless another job would then start later.
  void TryOn(size_t index, const EvaluatedDevices& evaluated, Outcome& plan);

  // Whether CheckPlan accepts the placements of the latest pass.
  [[nodiscard]] bool KeepsTheRules(const std::vector<QueuePlacement>& placements) const;
  // The parts that the search covers. The search keeps the promises of this plan.
  std::vector<Part> PartsOf(const Outcome& plan, const Promises& promises);
  // The part as in the latest plan: a job that waited then keeps its device and the order of its
  // start among those jobs. A newer job has the turn that it has job by job. Jobs of a fleet of
  // parts stay on the boards of their part. Empty: no job waited.
  [[nodiscard]] std::vector<Rearrangement::Place> LatestOf(const Part& part,
                                                           const PlacesOfJobs& plan) const;
  // The parts that the latest plan arranged differently.
  [[nodiscard]] std::vector<Proposal> LatestProposals(const std::vector<Part>& parts,
                                                      const PlacesOfJobs& plan) const;
  // The changes that the search proposes, part by part, without those that CheckPlan refuses.
  std::vector<Proposal> Proposals(std::vector<Part>& parts, const Outcome& plan);
  // Whether the search expects the gain that an arrangement needs.
  [[nodiscard]] static bool ExpectsGain(const Part& part, timetable::Millijoules expected,
                                        const Outcome& plan);
  // The arrangement with these parts changed. In a fleet of parts every other job keeps its device,
  // so that no part takes devices from another one.
  [[nodiscard]] Arrangement ArrangedBy(const std::vector<Proposal>& proposals,
                                       const Outcome& plan) const;
  // Keeps the latest plan if it is cheaper than the plan in order, and looks for a cheaper one from
  // there. Returns whether the plan has changed.
  bool Arrange(Outcome& plan);
  // The promises to the jobs of this plan that an arrangement must keep.
  [[nodiscard]] Promises PromisesOf(const Outcome& in_order) const;
  // Applies the proposals that keep the promises and make the plan cheaper. Returns whether any
  // does.
  bool Take(std::vector<Proposal> proposals, const Promises& promises, Outcome& plan);
  // Whether each job with a promise has a place that keeps the promise.
  [[nodiscard]] static bool IsFair(const Order& jobs, const Promises& promises,
                                   const Outcome& after);
  // REQUIRES: the second plan keeps each job's place. A job with a place only in the second plan
  // justifies any price. A job that moved to a device of another part would displace jobs there,
  // which prices do not show.
  [[nodiscard]] static bool IsCheaper(const Proposal& proposal, const Outcome& before,
                                      const Outcome& after);

  // Keeps starts of the next hour where the latest plan had them. If that costs too much, the job
  // that loses most by it moves, and the others are tried again. Returns whether any start was
  // kept.
  bool KeepStarts(Outcome& plan);
  // The device where the job waited in the latest plan; nullopt: none, or the device left.
  [[nodiscard]] std::optional<size_t> LastDeviceOf(const JobView& job) const;
  // For each of jobs_ the device where its start is kept; nullopt: it may move.
  [[nodiscard]] std::vector<std::optional<size_t>> DevicesToKeep(const Outcome& plan) const;

  const Snapshot& snapshot_;
  const Arranging arranging_;
  const SearchEffort effort_;
  FleetView fleet_;
  std::vector<Job> jobs_;
  std::map<std::string, int> jobs_alike_;  // By Job.alike.
  Arrangement arrangement_;
  std::vector<size_t> turns_;  // For each of jobs_: its place in the first order.
  // For jobs_, job by job; empty: not arranged.
  std::vector<std::optional<RunStart>> in_order_;
  FleetLoads loads_;                   // Before the first job.
  FleetLoads final_loads_;             // After the last job of the plan.
  std::vector<QueuePlacement> ended_;  // Profile jobs without a further run.
  std::set<size_t> taken_;             // Devices whose attempts are released.
  size_t trial_placements_ = 0;
  int proposals_dropped_ = 0;
  bool found_cheaper_ = false;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_QUEUE_QUEUE_PLANNER_INTERNAL_H_
