// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plans the queue job by job. Each job takes its best device, at the time when the device is free
// after the decisions before. A waiting job keeps its place on the device, so that no later job can
// push it back.
//
// A pass plans the queue in one order, and a trial is a pass whose order or fleet is changed. The
// changes, in the order in which Plan makes them, each with a file:
//   late_jobs.cc       a job that would miss its deadline goes earlier, or an attempt leaves for it
//   start_by_mean.cc   a job that no order brings in time at its upper quantile starts by its mean
//   try_for_others.cc  a job tries a board that nobody measured, for the other jobs of its work
//   arrange_queue.cc   the latest plan goes on, or the search found a cheaper arrangement of a part
//                      of the fleet
//   keep_starts.cc    starts of the next hour stay where the latest plan had them
// What is kept of a trial is the change; the last pass explains the plan.
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

  // kSearch: what the search found. No placement is made of a plan that nothing arranged.
  enum class Wanted { kPlacements, kSearch };
  std::vector<QueuePlacement> Plan(Wanted wanted = Wanted::kPlacements);
  // After Plan. Answers of the search that CheckPlan refused, and those for which it expected a
  // gain that the rules of the queue refused.
  [[nodiscard]] int proposals_dropped() const { return proposals_dropped_; }
  // After Plan. Whether the search's arrangement of some part was taken.
  [[nodiscard]] bool found_cheaper() const { return found_cheaper_; }
  [[nodiscard]] const FleetLoads& final_loads() const { return final_loads_; }
  // When the running attempt of each device is expected to end, its rests at the reserve included.
  [[nodiscard]] std::vector<absl::Time> FreeAt() const;

 private:
  struct Job {
    const JobView* view;
    int64_t priority;  // Effective.
    absl::StatusOr<WorkAmount> work;
    std::string alike = {};    // Equal for jobs of the same work and objective.
    bool is_hopeless = false;  // No device takes it in time in any order, so none makes it late.
    bool probably_in_time = false;  // By the mean of its run, as the first one.
    // The plan of a job that is settled: an attempt is released for it, or it tries a device for
    // others. The device is busy for the others until the job, and a released attempt, have ended.
    std::optional<QueuePlacement> decided = std::nullopt;
  };
  using Order = std::vector<size_t>;  // Indices of jobs_.
  struct Arrangement {
    Order order;
    // The device that each of jobs_ is to take; nullopt: its best one.
    std::vector<std::optional<size_t>> devices;
    std::vector<bool> stays;              // Each of jobs_: the device is that of the latest plan.
    std::vector<DeadlineBy> deadline_by;  // Of each of jobs_.
  };
  // Of a pass, for each of jobs_.
  struct Outcome {
    std::vector<bool> late;     // It has a deadline and is held up by others.
    std::vector<double> costs;  // By its objective; 0: the job has no place, or is settled.
    PlacesOfJobs places;        // None: the job has no place, or is settled.
    size_t looked_at = 0;       // Jobs: fewer than all where the pass ended early.
    bool hurts = false;         // The pass ended at a job that may not be late.
  };
  // On a device, of a pass whose placements are asked for.
  struct Ahead {
    const Job* last = nullptr;  // Of the order.
    // The device's attempt and the jobs, in the order of their ends; empty: no job has a place.
    std::vector<RunAhead> runs{};
  };
  // A late job for which a trial is made.
  struct Helped {
    size_t job;
    const std::vector<bool>& late_before;  // In the plan as it is.
  };
  // A part of the fleet, and the search that looks at it.
  struct Part {
    SearchBlock block;
    Rearrangement search;  // Its jobs are the block's.
  };
  using Promises = std::vector<std::optional<Promise>>;  // Of each of jobs_; nullopt: no place.
  // How a part may be arranged.
  struct Proposal {
    const Part* part;
    std::vector<Rearrangement::Place> places;  // All jobs of the part, in their order.
    bool expects_gain = false;
    // The plan with it is cheaper by more than its cost over this number; 0: just cheaper.
    int64_t gain_share = 0;
  };

  // Turns of a late job in front of its own.
  struct EarlierTurns {
    // Of those 1, 2, 4 … places earlier and of the first one, those in which it meets its deadline;
    // the latest one first.
    std::vector<size_t> in_time{};
    bool is_hopeless = false;  // No device takes it in any order.
  };
  // Placements of the plan's trials.
  struct LateTrials {
    size_t share;  // That the turns of one late job may use.
    size_t end;    // How many there may be behind the trials of all late jobs.
  };

  // Passes that look for the jobs, or the parts of the fleet, whose change holds.
  static constexpr int kChangePassesMax = 3;
  // Jobs that all trials of a plan may place, together: a count and no time, so that the same
  // snapshot gives the same plan.
  static constexpr size_t kTrialPlacementsMax = 10'000;

  // Ids are "j" and a number, so they are ordered by length first: "j9" before "j10".
  void SortByTurn();
  // After the first pass: a job without a place that no other job holds up has none in any order.
  void NoteHopeless(const Outcome& plan);
  // Plans the jobs as arranged. placements: null in a trial. helped: ends where the trial Hurts.
  Outcome Pass(const Arrangement& arrangement, FleetLoads loads,
               std::vector<QueuePlacement>* placements = nullptr, const Helped* helped = nullptr);
  // Evaluates the job on its device of the arrangement.
  EvaluatedDevices EvaluateDevicesAs(const Arrangement& arrangement, size_t index,
                                     const FleetLoads& loads);
  // Gives the next job its place as a pass does.
  void PlaceNext(size_t index, FleetLoads& loads);
  // Whether no device takes the job under these loads, and one might without the jobs that were
  // planned before it or without the device's attempt.
  [[nodiscard]] bool IsHeldUp(const EvaluatedDevices& evaluated, const FleetLoads& loads) const;
  static QueuePlacement Invalid(const Job& job);
  [[nodiscard]] QueuePlacement PlacementOfJob(const Job& job,
                                              const EvaluatedDevices& evaluated) const;
  // Says when a job that waits for its device is expected to run there, behind which job of the
  // queue, and for how long the queue puts it off. ahead: of that device; gets the job.
  void NotePlace(size_t index, const Option& option, Ahead& ahead, v1::Placement& placement) const;
  // Adds between which moments the job runs.
  void NoteSpans(const JobView& job, const Option& chosen, Ahead& ahead,
                 v1::Candidate& shown) const;
  // Gives the job its place on the chosen device.
  void Reserve(const JobView& job, const Option& chosen, FleetLoads& loads) const;
  // What a job's placement in a trial costs, and a whole trial.
  [[nodiscard]] size_t PlacementCost() const;
  [[nodiscard]] size_t TrialPlacements() const { return jobs_.size() * PlacementCost(); }
  // end: how many placements there may be behind the trial.
  [[nodiscard]] bool HasTrialLeft(size_t end) const;
  bool MayTry();

  // Looks at each late job once, the first in the order first. They leave half of the trials to
  // what comes after them, and each one its share to the late jobs behind it.
  void HelpLateJobs(Outcome& plan);
  // Whether a trial in which this job is late may not replace the plan: it is the one for which the
  // trial is made, or misses its deadline for that without being of a lower priority.
  [[nodiscard]] bool Hurts(const Helped& helped, size_t job) const;
  // A pass for the job; nullopt: it hurts.
  std::optional<Outcome> TryFor(size_t job, const Arrangement& trial, const FleetLoads& loads,
                                const Outcome& plan);
  // The arrangement with another turn for the job.
  [[nodiscard]] Arrangement MovedTo(size_t job, size_t turn) const;
  // Goes once through the order in front of the job.
  EarlierTurns FindEarlierTurns(size_t job, size_t trials_end);
  // Tries the turns in which the job is in time. One that no order helps comes first, where it is
  // told why.
  bool PlanEarlier(size_t job, const LateTrials& trials, Outcome& plan);
  // The device's load if its attempt hands over now, and if the attempt's rest follows the job.
  [[nodiscard]] DeviceLoad Released(size_t device, const DeviceLoad& load) const;
  // The joules of the attempt's rest count as before, although they are drawn later.
  [[nodiscard]] DeviceLoad WithRest(const Job& job, const Option& chosen) const;
  // Whether the device's attempt may leave for the job.
  [[nodiscard]] bool MayRelease(size_t device, const JobView& job) const;
  // The options as if each attempt that may leave for the job had left; the cheapest of these
  // devices that meets the deadline comes first. nullopt: there is none.
  std::optional<EvaluatedDevices> EvaluateReleases(const Job& job);
  // Releases the attempt whose device serves the job best.
  void ReleaseForJob(size_t index, size_t trials_end, Outcome& plan);

  // Gives each job that has a deadline and no place one where its mean is in time, at its own turn
  // or as the first one. Returns whether a job has one, or would have one without the others: its
  // reason has changed then.
  bool StartByMean(Outcome& plan);
  void StartOneByMean(size_t job, size_t trials_end, Outcome& plan);
  // Whether a device may take the job, as the first one, where the mean of its run is in time.
  bool MayStartByMean(const Job& job);
  // Whether each job that has a place in `before` has one in `after`.
  [[nodiscard]] static bool KeepsPlaces(const Outcome& before, const Outcome& after);
  // Behind all jobs of the order that had their turn before this one at first.
  [[nodiscard]] size_t OwnTurn(size_t job) const;

  // The jobs of the plan that still wait when a probe that starts now has told.
  [[nodiscard]] std::map<std::string, int> WaitingAlike(const Outcome& plan) const;
  // A board whose prediction is wide and whose mean is not the least would never run a job, and
  // nobody would learn whether it is the better one. A waiting job goes there if its first steps
  // are worth more to the jobs of its work behind it than the job is expected to cost more there.
  bool TryForOthers(Outcome& plan);
  // Settles the job on the choice of `evaluated`, unless another job starts later for that.
  void TryOn(size_t index, const EvaluatedDevices& evaluated, Outcome& plan);

  // Whether CheckPlan finds no fault with the placements of the latest pass.
  [[nodiscard]] bool KeepsTheRules(const std::vector<QueuePlacement>& placements) const;
  // The parts that the search looks at. It keeps the promises of this plan.
  std::vector<Part> PartsOf(const Outcome& plan, const Promises& promises);
  // The part as the latest plan had it: a job that waited then has its device, and the turn of its
  // start among those that waited. A job that came since has the turn that it has job by job. Jobs
  // of a fleet of parts stay on the boards of their part. Empty: no job waited.
  [[nodiscard]] std::vector<Rearrangement::Place> LatestOf(const Part& part,
                                                           const PlacesOfJobs& plan) const;
  // The parts that the latest plan had in another way than this one.
  [[nodiscard]] std::vector<Proposal> LatestProposals(const std::vector<Part>& parts,
                                                      const PlacesOfJobs& plan) const;
  // What the search would change, part by part. Drops what CheckPlan refuses.
  std::vector<Proposal> Proposals(std::vector<Part>& parts, const Outcome& plan);
  // Whether the search expects the gain for which an arrangement is taken.
  [[nodiscard]] static bool ExpectsGain(const Part& part, timetable::Millijoules expected,
                                        const Outcome& plan);
  // The arrangement with these parts changed. Of a fleet of parts every other job keeps its device,
  // so that no part takes from another one.
  [[nodiscard]] Arrangement ArrangedBy(const std::vector<Proposal>& proposals,
                                       const Outcome& plan) const;
  // Lets the latest plan go on where it is cheaper than the plan in order, and looks for a cheaper
  // one from there. Returns whether the plan has changed.
  bool Arrange(Outcome& plan);
  // What an arrangement may not take from the jobs of this plan.
  [[nodiscard]] Promises PromisesOf(const Outcome& in_order) const;
  // Takes the proposals that keep the promises and make the plan cheaper. Returns whether any does.
  bool Take(std::vector<Proposal> proposals, const Promises& promises, Outcome& plan);
  // Whether each of the jobs that is promised a place has one that keeps the promise.
  [[nodiscard]] static bool IsFair(const Order& jobs, const Promises& promises,
                                   const Outcome& after);
  // REQUIRES: the second plan keeps each job's place. A job that has a place in it alone is worth
  // any price. A job on a device of another part took from it, which no price tells.
  [[nodiscard]] static bool IsCheaper(const Proposal& proposal, const Outcome& before,
                                      const Outcome& after);

  // Leaves starts of the next hour where the latest plan had them. If that costs too much, the job
  // that loses most by it moves, and the others are tried again. Returns whether any start stays.
  bool KeepStarts(Outcome& plan);
  // The device where the latest plan had the job wait; nullopt: nowhere, or the device left.
  [[nodiscard]] std::optional<size_t> LastDeviceOf(const JobView& job) const;
  // For each of jobs_ the device where its start stays; nullopt: it may move.
  [[nodiscard]] std::vector<std::optional<size_t>> DevicesToKeep(const Outcome& plan) const;

  const Snapshot& snapshot_;
  const Arranging arranging_;
  const SearchEffort effort_;
  FleetView fleet_;
  std::vector<Job> jobs_;
  std::map<std::string, int> jobs_alike_;  // By Job.alike.
  Arrangement arrangement_;
  std::vector<size_t> turns_;  // Of each of jobs_: its place in the first order.
  // Of jobs_, job by job; empty: not arranged.
  std::vector<std::optional<RunStart>> in_order_;
  FleetLoads loads_;                   // Before the first job.
  FleetLoads final_loads_;             // Behind the last job of the plan.
  std::vector<QueuePlacement> ended_;  // Profile jobs without a further run.
  std::set<size_t> taken_;             // Devices whose attempts are released.
  size_t trial_placements_ = 0;
  int proposals_dropped_ = 0;
  bool found_cheaper_ = false;
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_QUEUE_QUEUE_PLANNER_INTERNAL_H_
