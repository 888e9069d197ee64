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

// The amount of work of the job; for a run of a profile job without the parts that such a run
// skips. Errors: those of WorkOf.
absl::StatusOr<WorkAmount> WorkOfJob(const JobView& job, const ProfileTable& table);

// All devices as options for one job. The first option is the choice, if it is feasible.
//
// An option that a rule allows only as a probe comes after every other feasible one: a board whose
// speed is known to suffice is better than one that might.
//
// The choice has the least cost (objective.h) by the means of the predictions; ties go to the
// earliest end, then to name and id. A start for which the job waits longer than half of its spare
// time before the deadline comes after every other one; among such starts the earliest end wins.
//
// A device whose worker may set power modes (DeviceInfo.sets_power_modes) is represented by its
// best mode, and a device that offers its cores beside its accelerator (offers_cpu) by the better
// of the two. The present mode on the accelerator is kept unless another way is cheaper by more
// than the combined standard deviation of both predictions, or the present one is refused, for
// example by a deadline: the cost of an unmeasured way follows only from rules of thumb.
//
// If the mean of a run decides about the deadline, the earliest end wins at any cost.
struct EvaluatedDevices {
  // The choice, then the other feasible options, cheapest first, then the refused ones by name. The
  // FleetView owns the options.
  std::vector<const Option*> options = {};
  int feasible = 0;
  double deadline_in_seconds = 0;  // Wall; 0: the job has none.
  bool arranged = false;  // The plan as a whole is cheaper with this choice than with the cheapest.
  bool stays = false;  // With `arranged`: the choice is that of the latest plan, and cheap enough.
  bool probably_in_time = false;  // With no option: by its mean, without the other jobs.
  // If not 0: the search for later starts ended at its bound after this many jobs, before this one.
  size_t planned_before = 0;
  int jobs_alike = 1;  // Jobs of the queue with the same work and objective, including this one.
  // The choice has a wide prediction and is tried for the benefit of the other jobs alike.
  std::optional<v1::ProbeValue> trial = std::nullopt;
};

struct EvaluationOptions {
  bool dry_run = false;
  // Whether each device is evaluated; any other one is refused without a reason. Null: all are.
  const std::vector<bool>* asked = nullptr;
  // Whether the view may reuse earlier answers. Results do not depend on it: tests compare both.
  bool uses_cache = true;
  // Options that a view keeps whole. Shapes beyond this number lose their predictions, and their
  // later starts are recomputed each time: a pass visits the jobs in one order, so an evicted shape
  // would be needed again before its replacement is used.
  size_t options_kept = 40'000;
};

// Evaluates the fleet for one job after the other. Jobs of one shape (the same work, requirements
// and inputs) differ only by the plan's decisions between them. FleetView therefore keeps the
// options of a shape and recomputes only devices whose load changed. The cost of a long queue with
// few shapes is little more than that of its shapes. The view holds numbers; CandidateOf makes the
// message of an option that is shown, and evaluates the rules again for their sentences.
//
// For shapes beyond the first ones the view keeps only the numbers. Predictions and descriptions of
// devices are recomputed for the few devices that need them: the choice, shown options, and devices
// whose load changed.
class FleetView {
 public:
  // snapshot: must outlive the view and must not change.
  FleetView(const Snapshot& snapshot, EvaluationOptions options);

  // Evaluates every device for the job under the loads (in the order of Snapshot::devices). The
  // pointers of the answer are valid until the next call. The choice has its prediction; the other
  // options may lack it until Complete.
  EvaluatedDevices EvaluateDevices(const JobView& job, const WorkAmount& work,
                                   const FleetLoads& loads,
                                   DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // Extends EvaluateDevices: a device that refuses the job until a known time is represented by its
  // earliest start if the start costs less than the choice, including the price of waiting. If no
  // device takes the job now, every such device is represented so, and the one that ends first is
  // the choice. Evaluates a bounded number of jobs and devices since BeginPass.
  void BeginPass() { later_jobs_ = later_devices_ = 0; }
  EvaluatedDevices EvaluateDevicesNowOrLater(const JobView& job, const WorkAmount& work,
                                             const FleetLoads& loads,
                                             DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // EvaluateDevicesNowOrLater with this device as the choice, if the device takes the job now or at
  // a known time.
  EvaluatedDevices EvaluateDevice(size_t device, const JobView& job, const WorkAmount& work,
                                  const FleetLoads& loads,
                                  DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // The job's earliest start on each of `devices`, in the order of Snapshot::devices; null: another
  // device, or a refusal without a known end. Bounded like EvaluateDevicesNowOrLater. The pointers
  // are valid until the next call. All starts have their predictions.
  std::vector<const Option*> Starts(const JobView& job, const WorkAmount& work,
                                    const FleetLoads& loads, absl::Span<const size_t> devices,
                                    DeadlineBy deadline_by = DeadlineBy::kUpperQuantile);
  // Jobs with equal keys have the same amount of work, and the same outcome under every prediction
  // and every rule except that of the deadline. The reference is valid until the next call.
  const std::string& WorkKeyOf(const JobView& job);
  // Gives each feasible option of the latest answer its prediction. REQUIRES: the answer is about
  // `job`.
  void Complete(const JobView& job);
  // The option as shown to people, with or without the other modes of its device. REQUIRES: the
  // option is from the latest answer, which is about `job`.
  enum class OtherModes { kLeaveOut, kShow };
  [[nodiscard]] v1::Candidate CandidateOf(const JobView& job, const Option& of,
                                          OtherModes others) const;
  // Adds the time spans in which the option begins and ends, if known. ahead: the run before it on
  // its device. REQUIRES: those of CandidateOf, which returned `candidate`.
  void AddSpans(const JobView& job, const Option& option, const RunAhead& ahead,
                v1::Candidate& candidate) const;
  [[nodiscard]] const v1::DeviceInfo& InfoOf(const Option& option) const {
    return snapshot_.devices[option.run.device].device.info();
  }
  // Whether the options of all jobs so far are kept whole.
  [[nodiscard]] bool keeps_all() const { return keeps_all_; }

 private:
  // A mode of a device, and everything that does not depend on the plan's load of the device.
  struct Described {
    DeviceMode mode;
    std::shared_ptr<const v1::Prediction> prediction = nullptr;
    double marginal_joules = 0;
    double deviation = 0;           // Standard deviation of the logarithm of the marginal joules.
    double warm_start_seconds = 0;  // See ComparablePrediction.
    // Set if the prediction assumes a board that stays cool.
    std::optional<HotRun> hot = std::nullopt;
    Verdict verdict = {};  // By the rules of the scopes kDevice and kMode.
  };
  struct JobOnDevice {
    size_t device = 0;  // In Snapshot::devices.
    const JobView& job;
    const DeviceView& view;
    const policy::Limits& limits;      // The device's.
    const policy::OpenTimes& windows;  // From the limits, for work.
    const DeviceLoad& load;
    policy::SpecSteps steps{};  // By the job's spec. Only for rules of the load.
    DeadlineBy deadline_by = DeadlineBy::kUpperQuantile;
  };
  // A device in its present power mode, then in the others that its worker may set; in each mode on
  // its own processor, then on the cores beside it.
  using Modes = std::vector<Described>;
  // The earliest start after a refusal; nullopt: unknown.
  using LaterStart = std::optional<Option>;
  // Results on a device that jobs share which differ only by their deadlines: the start in each of
  // its modes, with the verdict of all rules of the load except that of the deadline.
  struct BegunOnDevice {
    std::shared_ptr<const DeviceLoad> load = nullptr;  // Null: not evaluated yet.
    absl::InlinedVector<Option, 2> modes = {};
  };
  struct Begun {
    int shapes = 0;
    std::vector<BegunOnDevice> devices = {};  // Empty: no second shape has asked.
  };
  struct Shape {
    Begun* begun = nullptr;  // Null: shared with no other shape.
    // In the order of Snapshot::devices, as loads. Null: not kept (ModesOf).
    std::shared_ptr<const std::vector<Modes>> described;
    policy::SpecSteps steps;
    DeadlineBy deadline_by = DeadlineBy::kUpperQuantile;
    bool is_whole = true;  // Its options keep their predictions, and its later starts stay.
    std::vector<Option> options;
    FleetLoads loads;
    std::vector<size_t> order;
    std::map<size_t, LaterStart> later;  // By device; no entry: not searched under this load.
  };
  // The question of one call.
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
  // The device's data for rules of the load.
  [[nodiscard]] JobOnDevice On(size_t device, const JobView& job, const DeviceLoad& load,
                               const Shape& shape) const;
  // An empty shape, kept if there is room.
  Shape& NewShape(std::string key);
  // Evaluates the devices whose load changed again, and sorts them.
  void PlaceChanged(const Asked& asked, const FleetLoads& loads, Shape& shape);
  // Computes everything that depends on the load: the start, the battery, the rules, the cost.
  // begun: starts shared with another job, for reuse; null: none.
  Option PlaceAt(const JobOnDevice& on, const Modes& modes, BegunOnDevice* begun = nullptr) const;
  // The start in the device's mode without rules, and its cost.
  [[nodiscard]] Option BeginInMode(const JobOnDevice& on, const Modes& modes, size_t mode) const;
  // PlaceInMode with a start that jobs with other deadlines share. REQUIRES: no wide prediction.
  [[nodiscard]] Option WithDeadline(const JobOnDevice& on, const Described& described,
                                    const Option& begun) const;
  void BeginOn(const JobOnDevice& on, const Modes& modes, BegunOnDevice& begun) const;
  // Finishes a feasible option.
  void NoteFeasible(const JobOnDevice& on, const Described& described, Option& option) const;
  // The device's starts that the shape shares with others; null if there are none.
  BegunOnDevice* BegunAt(const JobOnDevice& on, const Modes& modes,
                         const std::shared_ptr<const DeviceLoad>& load, Begun* begun) const;
  // The starts that the shape shares with others; null if there are none.
  Begun* BegunFor(const JobView& job);
  // The device described for the shape's job. The reference is valid until the next call.
  const Modes& ModesOf(const JobView& job, const Shape& shape, size_t device) const;
  // The option with its prediction, which may be missing if the shape is not whole.
  [[nodiscard]] Option WithPrediction(const JobView& job, const Shape& shape,
                                      const Option& option) const;
  // Gives the choice its prediction.
  void CompleteChoice(const JobView& job, const EvaluatedDevices& evaluated, Shape& shape) const;
  // Evaluates the mode with this index. allowed_from: receives the earliest start that the refusing
  // rule may allow; null: not wanted.
  Option PlaceInMode(const JobOnDevice& on, const Modes& modes, size_t mode,
                     std::optional<absl::Time>* allowed_from = nullptr) const;
  // Sets the option's start to the first gap that holds the run with its transfers and its board's
  // heat.
  void PlaceInGap(const JobOnDevice& on, const Described& described, Option& option) const;
  // The end at the lower quantile from the option's start, in wall seconds from now.
  [[nodiscard]] double FinishLower(const JobOnDevice& on, const Option& option) const;
  // The input of the rules of the load for the option.
  [[nodiscard]] DeviceEvaluation DeviceEvaluationOf(const JobOnDevice& on,
                                                    const Described& described,
                                                    const Option& option) const;
  // The input of the rules of the scope kMode. `on` may have any load.
  [[nodiscard]] DeviceEvaluation DeviceEvaluationOf(const JobOnDevice& on,
                                                    const Described& described,
                                                    const v1::Prediction& now) const;
  // By the rules of the scope kDevice, which use neither mode nor prediction.
  [[nodiscard]] Verdict VerdictOfDevice(const JobOnDevice& on, const Described& any_mode) const;
  // The prediction of a start now on the board at its present heat; nullopt: the mode's own
  // applies.
  [[nodiscard]] std::optional<v1::Prediction> HotNow(const Described& described,
                                                     size_t device) const;
  // Why the option was refused.
  [[nodiscard]] std::string ReasonOf(const JobOnDevice& on, const Described& described,
                                     const Option& option) const;
  // The candidate without the reason for its wait, and without the device's other modes.
  [[nodiscard]] v1::Candidate CandidateAt(const JobOnDevice& on, const Described& described,
                                          const Option& option) const;
  void AddOtherModes(const JobOnDevice& on, const Modes& modes, size_t shown,
                     v1::Candidate& candidate) const;
  // Adds the charge now, at the start and at the end of the run. with_sun: follows the paths of a
  // pack; without, the candidate of a board with such a pack shows no charge.
  void AddCharge(const JobOnDevice& on, const Option& option, bool with_sun,
                 v1::Candidate& candidate) const;
  // The time span in which the option starts; nullopt: unknown.
  [[nodiscard]] std::optional<TimeSpan> StartSpan(const JobOnDevice& on, const Option& option,
                                                  const RunAhead& ahead) const;
  // The job's earliest start on the device; null if unknown.
  const Option* StartOn(size_t device, const JobView& job, const DeviceLoad& load, Shape& shape);
  // The devices that refuse the job now and have a later start: all of them if no device takes the
  // job now, else those that would cost less than the choice without the wait, cheapest first.
  std::vector<size_t> DevicesWithLaterStarts(const EvaluatedDevices& now, const JobView& job,
                                             const FleetLoads& loads, Shape& shape);
  [[nodiscard]] LaterStart StartLater(const JobOnDevice& on, const Shape& shape) const;
  [[nodiscard]] LaterStart StartLaterInMode(const JobOnDevice& on, const Shape& shape,
                                            size_t mode) const;
  // Index of the mode in which a device would run the job. REQUIRES: the present mode is the first.
  static size_t ChooseMode(absl::Span<const Option> modes);
  static bool EqualWithinError(const Option& cheaper, const Option& other);
  [[nodiscard]] bool ComesBefore(const Shape& shape, size_t a, size_t b) const;
  // The devices, described for the job's work, which other jobs may share. Null: no room to keep
  // them.
  std::shared_ptr<const std::vector<Modes>> DescribedFor(const Asked& asked);
  // Describes one of the devices.
  [[nodiscard]] Modes DescribeDevice(const Asked& asked, size_t device) const;
  [[nodiscard]] std::string KeyWithoutDeadline(const JobView& job);
  [[nodiscard]] Modes DescribeModes(const JobView& job, const WorkAmount& work,
                                    const std::vector<ModelWork>& models, size_t device) const;
  // The device in each of the other power modes that its worker may set.
  const std::vector<v1::Device>& OtherModesOf(size_t index) const;
  // in_mode: the view's device with the power mode and the processor to evaluate.
  [[nodiscard]] Described Describe(const JobView& job, const WorkAmount& work,
                                   const std::vector<ModelWork>& models, size_t device,
                                   const v1::Device& in_mode) const;

  const Snapshot& snapshot_;
  const EvaluationOptions options_;
  const std::vector<policy::Limits> limits_;           // By device.
  const std::vector<policy::OpenTimes> windows_;       // By device, for work.
  const std::vector<std::optional<LinkTimes>> links_;  // By device; nullopt: links without limits.
  const std::vector<size_t> name_ranks_;               // By device: its rank by name, then by id.
  mutable std::vector<std::optional<std::vector<v1::Device>>>
      other_modes_;  // nullopt: unknown yet.
  std::map<std::string, Shape> shapes_;
  std::map<std::string, Begun> begun_;  // By the key of a shape without its deadline.
  size_t whole_shapes_ = 0;
  Shape passing_;            // The latest shape that is not kept.
  Shape* latest_ = nullptr;  // Shape of the latest answer.
  // By work, which jobs share that differ only by objective or deadline.
  std::map<std::string, std::shared_ptr<const std::vector<Modes>>> described_;
  // By job of the snapshot's queue; empty: not computed yet.
  std::vector<std::string> work_keys_;
  std::string other_work_key_;  // Key of a job outside the queue.
  // Work and devices of the latest answer's shape, if the shape does not keep them.
  WorkAmount passing_work_;
  mutable std::map<size_t, Modes> passing_modes_;
  bool keeps_all_ = true;
  size_t later_jobs_ = 0;
  size_t later_devices_ = 0;
};

// The choice: the first option if it is feasible; null otherwise.
const Option* Chosen(const EvaluatedDevices& evaluated);

// The deciding verdict of the rules of `scope`: the first permanent refusal, else the first
// refusal. but: a rule to skip.
Verdict CheckRules(RuleScope scope, const DeviceEvaluation& on, std::optional<size_t> but = {});
// Asks a rule of the load about a start whose prediction is too wide to be planned on
// (DeviceEvaluation::probes). finish_lower: the run's end at its lower quantile. end: which end of
// the joules the battery must supply.
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
