// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Considers all devices for a job: predictions, rules, costs, order. PlanJob and PlanQueue use it.
// One thread at a time.
#ifndef WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "policy/limits.h"
#include "scheduler/place/device_load.h"
#include "scheduler/place/link_times.h"
#include "scheduler/place/model_choice_internal.h"
#include "scheduler/place/objective.h"
#include "scheduler/place/rule.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/heat.h"
#include "scheduler/predict/work.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// The amount of work of the job; of a run of a profile job without what it does not keep. Errors:
// as WorkOf.
absl::StatusOr<WorkAmount> WorkOfJob(const JobView& job, const ProfileTable& table);

// All devices as candidates for one job. The first candidate is the choice, if it is feasible.
//
// A candidate that a rule allows only as a probe comes behind every other feasible one: a board
// whose speed is known to do is better than one that may.
//
// The rule of choice: the least cost (objective.h), by the means of the predictions; among equal
// costs the earliest end, then name and id. A start for which the job waits longer than half of the
// time that it can spare until its deadline comes behind every other one; among such the earliest
// end wins.
//
// A device whose worker may set power modes (DeviceInfo.sets_power_modes) stands for its best mode,
// and one that offers its cores beside its accelerator (offers_cpu) for the better of the two. The
// present mode, on the accelerator, stays unless another way is cheaper by more than the combined
// standard deviation of both predictions, or the present one is refused, as by a deadline: a way
// that nobody measured has a cost by rules of thumb.
struct Considered {
  // The choice, then the other feasible candidates, cheapest first, then the refused ones by name.
  // The FleetView owns them.
  std::vector<const v1::Candidate*> candidates;
  std::vector<size_t> devices;  // Each candidate's index in Snapshot::devices.
  int feasible = 0;
  double deadline_in_seconds = 0;  // Wall; 0: the job has none.
  bool arranged = false;  // The plan as a whole is cheaper with this choice than with the cheapest.
  bool stays = false;  // With `arranged`: the choice is that of the latest plan, and near enough.
  int jobs_alike = 1;  // Of the queue, with the same work and objective; this one among them.
  // The choice is a device whose prediction is wide, for the sake of the other jobs alike.
  std::optional<v1::ProbeValue> trial = std::nullopt;
};

struct ConsiderOptions {
  bool dry_run = false;
  // Whether each device is looked at; any other one is refused without a reason. Null: all are.
  const std::vector<bool>* asked = nullptr;
};

// Considers the fleet for one job after the other. Jobs of one shape (the same work, requirements
// and inputs) differ only by the plan's decisions between them. FleetView therefore keeps the
// candidates of a shape and recomputes only devices whose load changed. A long queue of few shapes
// costs little more than its shapes.
class FleetView {
 public:
  // snapshot: must outlive the view and must not change.
  FleetView(const Snapshot& snapshot, ConsiderOptions options);

  // Considers every device for the job under the loads (in the order of Snapshot::devices). The
  // pointers of the answer are valid until the next call.
  Considered Consider(const JobView& job, const WorkAmount& work,
                      const std::vector<DeviceLoad>& loads);
  // As Consider. A device that refuses the job now, until a known time, stands with its earliest
  // start if the job is worth the wait: the start costs less than the choice, the price of waiting
  // included. Where no device takes the job now, each such device stands so, and the one that ends
  // first is the choice. Looks at a bounded number of jobs and devices since BeginPass.
  void BeginPass() { later_jobs_ = later_devices_ = 0; }
  Considered ConsiderNowOrLater(const JobView& job, const WorkAmount& work,
                                const std::vector<DeviceLoad>& loads);
  // As ConsiderNowOrLater, but the choice is this device, if it takes the job now or at a known
  // time.
  Considered ConsiderOn(size_t device, const JobView& job, const WorkAmount& work,
                        const std::vector<DeviceLoad>& loads);
  // The job's earliest start on each of `devices`, in the order of Snapshot::devices; null: another
  // device, or it refuses the job, and no end of that is known. Bounded as ConsiderNowOrLater. The
  // pointers are valid until the next call.
  std::vector<const v1::Candidate*> Starts(const JobView& job, const WorkAmount& work,
                                           const std::vector<DeviceLoad>& loads,
                                           absl::Span<const size_t> devices);
  // Whether the candidates of all jobs so far are kept, so that another pass costs little.
  [[nodiscard]] bool keeps_all() const { return keeps_all_; }

 private:
  // The sort key of a candidate, computed once.
  struct Rank {
    bool feasible = false;
    bool probe = false;  // Candidate.probe.
    bool tight = false;  // The start is dangerously late for the job's deadline.
    double cost = 0;     // By the objective; of a tight start the end.
    double finish_in_seconds = 0;
    // Standard deviation of the logarithm of the cost; 0 if the objective tells any two costs
    // apart.
    double deviation = 0;
  };
  // The part of a candidate that does not depend on the plan's load of the device.
  struct Described {
    v1::Candidate candidate;
    double deviation = 0;           // Standard deviation of the logarithm of the marginal joules.
    double warm_start_seconds = 0;  // As ComparablePrediction's.
    std::optional<HotRun> hot;  // The candidate's prediction is that of a board that stays cool.
    std::shared_ptr<const LinkTimes> link;  // Null: it carries artifacts at any time.
    // The refusal that counts among the rules of the scope kDevice, and its row in Rules().
    std::optional<Refusal> refusal;
    size_t refusing_rule = 0;
  };
  struct JobOnDevice {
    const JobView& job;
    const DeviceView& view;
    const policy::Limits& limits;  // The device's.
    const DeviceLoad& load;
  };
  // A device in its present power mode, then in the others that its worker may set; in each on its
  // own processor, then on the cores beside it.
  using Modes = std::vector<Described>;
  // A candidate at its earliest start behind a refusal; nullopt: no such start is known.
  struct RankedCandidate {
    v1::Candidate candidate;
    Rank rank;
  };
  using LaterStart = std::optional<RankedCandidate>;
  struct Shape {
    // In the order of Snapshot::devices, like loads and ranks.
    std::shared_ptr<const std::vector<Modes>> described;
    std::vector<v1::Candidate> candidates;
    std::vector<DeviceLoad> loads;
    std::vector<Rank> ranks;
    std::vector<size_t> order;
    std::vector<std::optional<LaterStart>> later;  // nullopt: not looked for under this load.
  };

  // The job's shape under the loads.
  Shape& ShapeOf(const JobView& job, const WorkAmount& work, const std::vector<DeviceLoad>& loads);
  [[nodiscard]] Considered ConsiderIn(const JobView& job, const Shape& shape) const;
  Considered ConsiderNowOrLaterIn(const JobView& job, const std::vector<DeviceLoad>& loads,
                                  Shape& shape);
  // Computes everything that depends on the load: the start, the battery, the rules, the rank.
  void PlaceAt(const JobView& job, size_t device, const DeviceLoad& load, Shape& shape) const;
  // allowed_from: gets the earliest start that the refusing rule may allow; null: not asked.
  Rank PlaceInMode(const JobOnDevice& on, const Described& described, v1::Candidate& candidate,
                   std::optional<absl::Time>* allowed_from = nullptr) const;
  // Sets the candidate's start to the first gap that holds the run, with the way of its files and
  // with its board's heat. Returns its end at the upper quantile in wall seconds from now.
  double PlaceInGap(const JobOnDevice& on, const Described& described,
                    v1::Candidate& candidate) const;
  // The end at the lower quantile from the candidate's start, in wall seconds from now.
  [[nodiscard]] double FinishLower(const JobOnDevice& on, const v1::Candidate& candidate) const;
  // The job's earliest start on the device; null: none is known.
  const v1::Candidate* StartOn(size_t device, const JobView& job, const DeviceLoad& load,
                               Shape& shape);
  // The devices that refuse the job now and have a later start: all where no device takes the job
  // now, else those that would cost less than the choice without the wait, the cheapest ones first.
  std::vector<size_t> DevicesWithLaterStarts(const Considered& now, const JobView& job,
                                             const std::vector<DeviceLoad>& loads, Shape& shape);
  [[nodiscard]] LaterStart StartLater(const JobOnDevice& on, const Modes& modes) const;
  [[nodiscard]] LaterStart StartLaterInMode(const JobOnDevice& on, const Described& mode) const;
  // Index of the mode that a device would run the job in. REQUIRES: the present mode is the first.
  static size_t ChooseMode(const std::vector<v1::Candidate>& modes, const std::vector<Rank>& ranks);
  static bool EqualWithinError(const Rank& cheaper, const Rank& other);
  static bool ComesBefore(const Shape& shape, size_t a, size_t b);
  // The devices, described for the job's work, which other jobs may have.
  std::shared_ptr<const std::vector<Modes>> DescribedFor(const JobView& job,
                                                         const WorkAmount& work);
  [[nodiscard]] Modes DescribeModes(const JobView& job, const WorkAmount& work,
                                    const std::vector<ModelWork>& models, size_t device) const;
  // in_mode: the view's device with the power mode and the processor that are asked about.
  [[nodiscard]] Described Describe(const JobView& job, const WorkAmount& work,
                                   const std::vector<ModelWork>& models, size_t device,
                                   const v1::Device& in_mode) const;

  const Snapshot& snapshot_;
  const ConsiderOptions options_;
  const std::vector<policy::Limits> limits_;                   // Of each device.
  const std::vector<std::shared_ptr<const LinkTimes>> links_;  // As Described's, likewise.
  std::map<std::string, Shape> shapes_;
  // By work. Jobs that differ by their objective or their deadline alone have one work.
  std::map<std::string, std::shared_ptr<const std::vector<Modes>>> described_;
  bool keeps_all_ = true;
  size_t later_jobs_ = 0;
  size_t later_devices_ = 0;
};

// The choice: the first candidate if it is feasible; else null.
const v1::Candidate* Chosen(const Considered& considered);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_
