// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Evaluates all devices for a job: predictions, rules, costs, order. PlanJob and PlanQueue use it.
// One thread at a time.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_EVALUATE_DEVICE_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_EVALUATE_DEVICE_INTERNAL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "policy/limits.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/device_mode.h"
#include "scheduler/place/device/link_times.h"
#include "scheduler/place/device/model_choice_internal.h"
#include "scheduler/place/device/objective.h"
#include "scheduler/place/device/option.h"
#include "scheduler/place/queue/start_spans.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/heat.h"
#include "scheduler/predict/work.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// The amount of work of the job; of a run of a profile job without what it does not keep. Errors:
// as WorkOf.
absl::StatusOr<WorkAmount> WorkOfJob(const JobView& job, const ProfileTable& table);

// All devices as options for one job. The first option is the choice, if it is feasible.
//
// An option that a rule allows only as a probe comes behind every other feasible one: a board
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
//
// Where the mean of a run must meet the deadline, the earliest end wins, whatever it costs.
struct EvaluatedDevices {
  // The choice, then the other feasible options, cheapest first, then the refused ones by name. The
  // FleetView owns them.
  std::vector<const Option*> options = {};
  int feasible = 0;
  double deadline_in_seconds = 0;  // Wall; 0: the job has none.
  bool arranged = false;  // The plan as a whole is cheaper with this choice than with the cheapest.
  bool stays = false;  // With `arranged`: the choice is that of the latest plan, and near enough.
  bool probably_in_time = false;  // With no option: the mean of a run is, without the other jobs.
  // So many jobs had a start behind a refusal looked for, and this one has not for that.
  size_t planned_before = 0;
  int jobs_alike = 1;  // Of the queue, with the same work and objective; this one among them.
  // The choice is a device whose prediction is wide, for the sake of the other jobs alike.
  std::optional<v1::ProbeValue> trial = std::nullopt;
};

struct EvaluationOptions {
  bool dry_run = false;
  // Whether each device is looked at; any other one is refused without a reason. Null: all are.
  const std::vector<bool>* asked = nullptr;
  // Whether an answer may come from an earlier one. The answers are the same: tests compare both.
  bool uses_cache = true;
  // Options that a view keeps whole. The shapes behind this number lose their predictions, and
  // their later starts are looked for each time: a pass asks for the jobs in one order, so whatever
  // made room for them would be asked for again before it is used.
  size_t options_kept = 40'000;
};

// Evaluates the fleet for one job after the other. Jobs of one shape (the same work, requirements
// and inputs) differ only by the plan's decisions between them. FleetView therefore keeps the
// options of a shape and recomputes only devices whose load changed. A long queue of few shapes
// costs little more than its shapes. It holds numbers; CandidateOf makes the message of an option
// that is shown, and asks the rules again for their sentences.
//
// Of the shapes behind the first ones it keeps only the numbers, and neither predictions nor
// what the devices are for the work. These are made again of the few devices that need them: the
// choice, what is shown, and those whose load changed.
class FleetView {
 public:
  // snapshot: must outlive the view and must not change.
  FleetView(const Snapshot& snapshot, EvaluationOptions options);

  // Evaluates every device for the job under the loads (in the order of Snapshot::devices). The
  // pointers of the answer are valid until the next call. The choice has its prediction, each other
  // option may lack it: Complete.
  EvaluatedDevices EvaluateDevices(const JobView& job, const WorkAmount& work,
                                   const FleetLoads& loads,
                                   DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // As EvaluateDevices. A device that refuses the job now, until a known time, stands with its
  // earliest start if the job is worth the wait: the start costs less than the choice, the price of
  // waiting included. Where no device takes the job now, each such device stands so, and the one
  // that ends first is the choice. Looks at a bounded number of jobs and devices since BeginPass.
  void BeginPass() { later_jobs_ = later_devices_ = 0; }
  EvaluatedDevices EvaluateDevicesNowOrLater(const JobView& job, const WorkAmount& work,
                                             const FleetLoads& loads,
                                             DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // As EvaluateDevicesNowOrLater, but the choice is this device, if it takes the job now or at a
  // known time.
  EvaluatedDevices EvaluateDevice(size_t device, const JobView& job, const WorkAmount& work,
                                  const FleetLoads& loads,
                                  DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // The job's earliest start on each of `devices`, in the order of Snapshot::devices; null: another
  // device, or it refuses the job, and no end of that is known. Bounded as
  // EvaluateDevicesNowOrLater. The pointers are valid until the next call. They have their
  // predictions.
  std::vector<const Option*> Starts(const JobView& job, const WorkAmount& work,
                                    const FleetLoads& loads, absl::Span<const size_t> devices,
                                    DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // Jobs of one key have one amount of work, and are the same to every prediction and to every rule
  // but that of the deadline. The reference is valid until the next call.
  const std::string& WorkKeyOf(const JobView& job);
  // Gives each feasible option of the latest answer its prediction. REQUIRES: `job` is its job.
  void Complete(const JobView& job);
  // The option as people see it, with the other modes of its device or without.
  // REQUIRES: the option is of the latest answer, and `job` is that answer's job.
  enum class OtherModes { kLeaveOut, kShow };
  [[nodiscard]] v1::Candidate CandidateOf(const JobView& job, const Option& of,
                                          OtherModes others) const;
  // Tells between which moments the option begins and ends, where that is known. ahead: what comes
  // before it on its device. REQUIRES: as CandidateOf, whose answer `candidate` is.
  void AddSpans(const JobView& job, const Option& option, const RunAhead& ahead,
                v1::Candidate& candidate) const;
  [[nodiscard]] const v1::DeviceInfo& InfoOf(const Option& option) const {
    return snapshot_.devices[option.run.device].device.info();
  }
  // Whether the options of all jobs so far are kept whole.
  [[nodiscard]] bool keeps_all() const { return keeps_all_; }

 private:
  // A mode of a device, and what does not depend on the plan's load of the device.
  struct Described {
    DeviceMode mode;
    std::shared_ptr<const v1::Prediction> prediction = nullptr;
    double marginal_joules = 0;
    double deviation = 0;           // Standard deviation of the logarithm of the marginal joules.
    double warm_start_seconds = 0;  // As ComparablePrediction's.
    // The prediction is that of a board that stays cool.
    std::optional<HotRun> hot = std::nullopt;
    Verdict verdict = {};  // Of the rules of the scopes kDevice and kMode.
  };
  struct JobOnDevice {
    size_t device = 0;  // In Snapshot::devices.
    const JobView& job;
    const DeviceView& view;
    const policy::Limits& limits;      // The device's.
    const policy::OpenTimes& windows;  // Of the limits, for work.
    const DeviceLoad& load;
    policy::SpecSteps steps{};  // As the job's spec has them. For a rule of the load alone.
    DeadlineBy deadline_by = DeadlineBy::kUpperQuantile;
  };
  // A device in its present power mode, then in the others that its worker may set; in each on its
  // own processor, then on the cores beside it.
  using Modes = std::vector<Described>;
  // The earliest start behind a refusal; nullopt: none is known.
  using LaterStart = std::optional<Option>;
  // What jobs that differ by their deadlines alone have in common on a device: their start in each
  // of its modes, with the verdict of all rules of the load but that of the deadline.
  struct BegunOnDevice {
    std::shared_ptr<const DeviceLoad> load = nullptr;  // Null: not asked for.
    absl::InlinedVector<Option, 2> modes = {};
  };
  struct Begun {
    int shapes = 0;
    std::vector<BegunOnDevice> devices = {};  // Empty: no second shape asked.
  };
  struct Shape {
    Begun* begun = nullptr;  // Null: it shares with no other.
    // In the order of Snapshot::devices, like loads. Null: not kept (ModesOf).
    std::shared_ptr<const std::vector<Modes>> described;
    policy::SpecSteps steps;
    DeadlineBy deadline_by = DeadlineBy::kUpperQuantile;
    bool is_whole = true;  // Its options keep their predictions, and its later starts stay.
    std::vector<Option> options;
    FleetLoads loads;
    std::vector<size_t> order;
    std::map<size_t, LaterStart> later;  // By device; none: not looked for under this load.
  };
  // What one call asks about.
  struct Asked {
    const JobView& job;
    const WorkAmount& work;
    const std::vector<ModelWork> models;
  };

  // The job's shape under the loads.
  Shape& ShapeOf(const JobView& job, const WorkAmount& work, const FleetLoads& loads,
                 DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  [[nodiscard]] EvaluatedDevices EvaluateDevicesIn(const JobView& job, const Shape& shape) const;
  EvaluatedDevices EvaluateDevicesNowOrLaterIn(const JobView& job, const FleetLoads& loads,
                                               Shape& shape);
  [[nodiscard]] JobOnDevice On(size_t device, const JobView& job, const DeviceLoad& load) const;
  // Likewise for the rules of the load.
  [[nodiscard]] JobOnDevice On(size_t device, const JobView& job, const DeviceLoad& load,
                               const Shape& shape) const;
  // An empty shape, kept if there is room.
  Shape& NewShape(std::string key);
  // Places the devices whose load changed, and puts them in order.
  void PlaceChanged(const Asked& asked, const FleetLoads& loads, Shape& shape);
  // Computes everything that depends on the load: the start, the battery, the rules, the cost.
  // begun: what another job's start may tell; null: nothing.
  Option PlaceAt(const JobOnDevice& on, const Modes& modes, BegunOnDevice* begun = nullptr) const;
  // The start of the device's mode without rules, and the cost of it.
  [[nodiscard]] Option BeginInMode(const JobOnDevice& on, const Modes& modes, size_t mode) const;
  // PlaceInMode by a start that jobs with other deadlines share. REQUIRES: no wide prediction.
  [[nodiscard]] Option WithDeadline(const JobOnDevice& on, const Described& described,
                                    const Option& begun) const;
  void BeginOn(const JobOnDevice& on, const Modes& modes, BegunOnDevice& begun) const;
  // Finishes a feasible option.
  void NoteFeasible(const JobOnDevice& on, const Described& described, Option& option) const;
  // The device's starts that the shape shares with others; null: none.
  BegunOnDevice* BegunAt(const JobOnDevice& on, const Modes& modes,
                         const std::shared_ptr<const DeviceLoad>& load, Begun* begun) const;
  // The starts that the shape shares with others; null: none.
  Begun* BegunFor(const JobView& job);
  // The device as the shape's job finds it. The reference is valid until the next call.
  const Modes& ModesOf(const JobView& job, const Shape& shape, size_t device) const;
  // The option with its prediction, which an option of a shape that is not whole may lack.
  [[nodiscard]] Option WithPrediction(const JobView& job, const Shape& shape,
                                      const Option& option) const;
  // Gives the choice its prediction.
  void CompleteChoice(const JobView& job, const EvaluatedDevices& evaluated, Shape& shape) const;
  // The device's mode of this index. allowed_from: gets the earliest start that the refusing rule
  // may allow; null: not asked.
  Option PlaceInMode(const JobOnDevice& on, const Modes& modes, size_t mode,
                     std::optional<absl::Time>* allowed_from = nullptr) const;
  // Sets the option's start to the first gap that holds the run, with its transfers and with
  // its board's heat.
  void PlaceInGap(const JobOnDevice& on, const Described& described, Option& option) const;
  // The end at the lower quantile from the option's start, in wall seconds from now.
  [[nodiscard]] double FinishLower(const JobOnDevice& on, const Option& option) const;
  // What the rules of the load are asked about the option.
  [[nodiscard]] DeviceEvaluation DeviceEvaluationOf(const JobOnDevice& on,
                                                    const Described& described,
                                                    const Option& option) const;
  // Likewise of the rules of the scope kMode. `on` is of any load.
  [[nodiscard]] DeviceEvaluation DeviceEvaluationOf(const JobOnDevice& on,
                                                    const Described& described,
                                                    const v1::Prediction& now) const;
  // Of the rules of the scope kDevice, which ask neither for mode nor prediction.
  [[nodiscard]] Verdict VerdictOfDevice(const JobOnDevice& on, const Described& any_mode) const;
  // The prediction of a start now on the board as warm as it is; nullopt: as the mode has it.
  [[nodiscard]] std::optional<v1::Prediction> HotNow(const Described& described,
                                                     size_t device) const;
  // Why the refused option is refused.
  [[nodiscard]] std::string ReasonOf(const JobOnDevice& on, const Described& described,
                                     const Option& option) const;
  // The candidate without what an option waits for, and without the device's other modes.
  [[nodiscard]] v1::Candidate CandidateAt(const JobOnDevice& on, const Described& described,
                                          const Option& option) const;
  void AddOtherModes(const JobOnDevice& on, const Modes& modes, size_t shown,
                     v1::Candidate& candidate) const;
  // Adds the charge now, at the start and at the end of the run. with_sun: the paths of a pack are
  // followed; without, the candidate of a board with such a pack tells no charge.
  void AddCharge(const JobOnDevice& on, const Option& option, bool with_sun,
                 v1::Candidate& candidate) const;
  // Between which moments the option starts; nullopt: not known.
  [[nodiscard]] std::optional<TimeSpan> StartSpan(const JobOnDevice& on, const Option& option,
                                                  const RunAhead& ahead) const;
  // The job's earliest start on the device; null: none is known.
  const Option* StartOn(size_t device, const JobView& job, const DeviceLoad& load, Shape& shape);
  // The devices that refuse the job now and have a later start: all where no device takes the job
  // now, else those that would cost less than the choice without the wait, the cheapest ones first.
  std::vector<size_t> DevicesWithLaterStarts(const EvaluatedDevices& now, const JobView& job,
                                             const FleetLoads& loads, Shape& shape);
  [[nodiscard]] LaterStart StartLater(const JobOnDevice& on, const Shape& shape) const;
  [[nodiscard]] LaterStart StartLaterInMode(const JobOnDevice& on, const Shape& shape,
                                            size_t mode) const;
  // Index of the mode that a device would run the job in. REQUIRES: the present mode is the first.
  static size_t ChooseMode(absl::Span<const Option> modes);
  static bool EqualWithinError(const Option& cheaper, const Option& other);
  [[nodiscard]] bool ComesBefore(const Shape& shape, size_t a, size_t b) const;
  // The devices, described for the job's work, which other jobs may have. Null: there is no room to
  // keep them.
  std::shared_ptr<const std::vector<Modes>> DescribedFor(const Asked& asked);
  // One of them.
  [[nodiscard]] Modes DescribeDevice(const Asked& asked, size_t device) const;
  [[nodiscard]] std::string KeyWithoutDeadline(const JobView& job);
  [[nodiscard]] Modes DescribeModes(const JobView& job, const WorkAmount& work,
                                    const std::vector<ModelWork>& models, size_t device) const;
  // The device in each of the other power modes that its worker may set.
  const std::vector<v1::Device>& OtherModesOf(size_t index) const;
  // in_mode: the view's device with the power mode and the processor that are asked about.
  [[nodiscard]] Described Describe(const JobView& job, const WorkAmount& work,
                                   const std::vector<ModelWork>& models, size_t device,
                                   const v1::Device& in_mode) const;

  const Snapshot& snapshot_;
  const EvaluationOptions options_;
  const std::vector<policy::Limits> limits_;           // Of each device.
  const std::vector<policy::OpenTimes> windows_;       // Likewise, for work.
  const std::vector<std::optional<LinkTimes>> links_;  // Likewise; nullopt: they carry at any time.
  const std::vector<size_t> name_ranks_;               // Likewise: its place by name, then by id.
  mutable std::vector<std::optional<std::vector<v1::Device>>> other_modes_;  // nullopt: not asked.
  std::map<std::string, Shape> shapes_;
  std::map<std::string, Begun> begun_;  // By the key of a shape without its deadline.
  size_t whole_shapes_ = 0;
  Shape passing_;            // That is not kept.
  Shape* latest_ = nullptr;  // Of the latest answer.
  // By work. Jobs that differ by their objective or their deadline alone have one work.
  std::map<std::string, std::shared_ptr<const std::vector<Modes>>> described_;
  // Of the snapshot's queue; empty: not asked for yet.
  std::vector<std::string> work_keys_;
  std::string other_work_key_;  // Of another job.
  // Of the latest answer's shape, where it does not keep them: its work, and devices.
  WorkAmount passing_work_;
  mutable std::map<size_t, Modes> passing_modes_;
  bool keeps_all_ = true;
  size_t later_jobs_ = 0;
  size_t later_devices_ = 0;
};

// The choice: the first option if it is feasible; else null.
const Option* Chosen(const EvaluatedDevices& evaluated);

// The verdict that counts among the rules of `scope`: the first permanent refusal, else the first.
// but: a rule that is not asked.
Verdict CheckRules(RuleScope scope, const DeviceEvaluation& on, std::optional<size_t> but = {});
// As DeviceEvaluation's probes: the question to a rule of the load about a start of a run whose
// prediction is too wide to be planned on. finish_lower: the run's end at its lower quantile.
// end: which end of the joules has to be borne.
template <typename Ask>
auto AskAboutProbe(const DeviceEvaluation& on, double finish_lower,
                   double (v1::Interval::*end)() const, const Ask& ask) {
  v1::Prediction prediction = on.prediction;
  v1::Prediction alone = on.alone != nullptr ? *on.alone : on.prediction;
  for (v1::Prediction* const one : {&prediction, &alone}) {
    for (v1::Interval* const interval :
         {one->mutable_run_seconds(), one->mutable_run_energy_joules()}) {
      interval->set_high((interval->*end)());
    }
  }
  return ask(DeviceEvaluation{.snapshot = on.snapshot,
                              .job = on.job,
                              .device = on.device,
                              .limits = on.limits,
                              .windows = on.windows,
                              .prediction = prediction,
                              .alone = &alone,
                              .dry_run = on.dry_run,
                              .mode = on.mode,
                              .explains = on.explains,
                              .start_in_seconds = on.start_in_seconds,
                              .finish_in_seconds_upper = finish_lower,
                              .probes = true,
                              .steps = on.steps,
                              .load = on.load});
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_EVALUATE_DEVICE_INTERNAL_H_
