// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The commitments of a device at one point of a plan: when it is free, the runs that have a place
// after that time, and the charge of its battery under all of them. Pure.
//
// A place never moves for a job that is planned later. Such a job may run in the gap before a place
// if its upper quantile ends before the place begins, and if the place keeps its charge. This is
// conservative backfill.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_LOAD_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "policy/held_back.h"
#include "policy/limits.h"
#include "scheduler/place/device/power_group.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/heat.h"
#include "scheduler/timetable/pack.h"
#include "scheduler/timetable/supply.h"
#include "units/id.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// The place of a run that begins after the device becomes free.
struct Reservation {
  absl::Time begin;
  absl::Time end;
  Joules demand;  // Gross, at the upper quantile.
  Watts power{};  // Gross, before heat slows the run down.

  bool operator==(const Reservation& other) const = default;
};

// A job that keeps the others of its group off a device (anti_affinity.h).
struct AntiAffinityHold {
  enum class How { kOpen, kSucceeded, kPlanned };

  std::string group;  // See AntiAffinityGroupOf.
  JobId job;
  size_t device = 0;  // This device, or one in the same place.
  How how = How::kOpen;

  bool operator==(const AntiAffinityHold& other) const = default;
};

// The link of the boards with one value of the label site, on which only a few fetch at once.
struct SiteLink {
  std::string site;
  std::vector<size_t> devices;
  timetable::Supply turns;  // A fetch draws 1 of the turns.
  int fetches = 0;          // Fetches of this plan.
};

struct DeviceLoad {
  // Includes the pauses of its runs.
  absl::Time free_at;
  // From the snapshot's policies; null: its runs have no pauses.
  std::shared_ptr<const WorkTimes> times;
  // For a board with a daily budget, by day of the budget: the joules that work has drawn, as far
  // as reported, plus those that all runs below are still expected to draw.
  std::map<int64_t, Joules> joules_of_day;
  // Gross joules that the runs before free_at are still expected to draw.
  Joules committed;
  BoardHeat heat;  // At the end of these runs. Empty for a board without a heat model.
  std::vector<Reservation> reserved;  // In order of time, without overlap.
  // The charge under all these runs and the sun of past days. Null: the sun is unknown, so the
  // charge only falls.
  std::shared_ptr<const timetable::Pack> pack;
  // Set for a board that shares its pack or supply; the boards of a group have the same pack and
  // supply here. Null: the board shares neither.
  std::shared_ptr<const PowerGroup> group;
  std::optional<size_t> gauge;  // The board whose gauge measures a shared pack; nullopt: this one.
  Joules promised_by_others;    // Promised, summed over the other boards of a shared pack.
  Watts idle_of_others;         // Idle draw of those boards.
  std::shared_ptr<const timetable::Supply> supply;  // Null: the draw is unbounded.
  std::vector<AntiAffinityHold> anti_affinity;
  std::shared_ptr<const SiteLink> link;  // Null: no other board delays a fetch.
  // The artifacts that runs will bring, with the time of arrival; those that are already on the
  // board are omitted.
  std::map<std::string, absl::Time> files;

  bool operator==(const DeviceLoad& other) const = default;
};

// The loads of a fleet, in the order of Snapshot::devices. Copies share unchanged loads, so the
// cost of a pass over the queue depends on what it changes.
class FleetLoads {
 public:
  FleetLoads() = default;
  FleetLoads(std::vector<DeviceLoad> loads) {  // NOLINT(google-explicit-constructor)
    loads_.reserve(loads.size());
    for (DeviceLoad& load : loads) {
      loads_.push_back(std::make_shared<const DeviceLoad>(std::move(load)));
    }
  }

  [[nodiscard]] size_t size() const { return loads_.size(); }
  const DeviceLoad& operator[](size_t device) const { return *loads_[device]; }
  [[nodiscard]] const std::shared_ptr<const DeviceLoad>& Shared(size_t device) const {
    return loads_[device];
  }
  void Set(size_t device, std::shared_ptr<const DeviceLoad> load) {
    loads_[device] = std::move(load);
  }
  // For a change to one device in these loads only.
  DeviceLoad& Mutable(size_t device) {
    auto own = std::make_shared<DeviceLoad>(*loads_[device]);
    DeviceLoad& load = *own;
    loads_[device] = std::move(own);
    return load;
  }

 private:
  std::vector<std::shared_ptr<const DeviceLoad>> loads_;
};

// The loads before the first job of a plan, in the order of Snapshot::devices.
std::vector<DeviceLoad> InitialLoads(const Snapshot& snapshot);

// A run with a place in a plan.
struct PlannedRun {
  const JobView& job;
  const v1::Prediction& prediction;
  absl::Time begin;
  absl::Time end;  // By the mean.
};

// The load with one more run. The run occupies the board and its share of the supply until its mean
// end, so that places after it begin when they are expected to. The rules check a new run up to its
// upper end, so it delays no place. Whether the place may then begin is checked again at that
// moment. REQUIRES: the run fits (FleetView places it).
DeviceLoad WithRun(const DeviceLoad& load, const v1::Device& device, const PlannedRun& run);

// The load of the device (an index in Snapshot::devices) whose attempt hands over until `free_at`
// and draws nothing afterwards. REQUIRES: the load is unchanged since InitialLoads.
DeviceLoad WithoutAttempt(const Snapshot& snapshot, const DeviceLoad& load, size_t device,
                          absl::Time free_at);
// The load with that attempt added again: its remaining `work` begins at `begin`. REQUIRES: nothing
// is reserved after free_at.
DeviceLoad WithAttemptLater(const Snapshot& snapshot, const DeviceLoad& load, size_t device,
                            absl::Time begin, absl::Duration work);

// Gives the device a new load, and updates the shared parts in the other boards of its pack and
// supply.
void SetLoad(size_t device, std::shared_ptr<const DeviceLoad> load, FleetLoads& loads);
void SetLoad(size_t device, DeviceLoad load, FleetLoads& loads);

// The device whose gauge, capacity and sun apply to the view.
const v1::Device& GaugeDevice(const Snapshot& snapshot, const DeviceView& view,
                              const DeviceLoad& load);

// The draw of a run from `begin` to `end` from the board's supply: nothing while its windows are
// closed. The time at which a budget is spent cannot be foreseen, so pauses for it count as work.
std::vector<timetable::SupplyRun> SupplyRunsOf(const DeviceLoad& load, absl::Time begin,
                                               absl::Time end, timetable::Milliwatts power);

// Power that a run of `mean` gross watts adds to the idle draw of the device.
timetable::Milliwatts SupplyPowerOf(const v1::Device& device, Watts mean);

// All promised joules: of the runs until free_at, and of those after it.
Joules Promised(const DeviceLoad& load);

// The draw of a run from the device's pack: its mean with its deviation, and the charge that its
// guard holds back. A run with rests (v1::Prediction.rest_seconds) is pausable. nullopt: the run is
// longer than any plan looks ahead.
std::optional<timetable::Draw> DrawOf(const v1::Device& device, const policy::SpecSteps& steps,
                                      const v1::Prediction& prediction);
// The draw of the run if it never rested.
std::optional<timetable::Draw> WholeDrawOf(const v1::Device& device, const policy::SpecSteps& steps,
                                           const v1::Prediction& prediction);

// Bounds of the device's temperature, including its policies.
std::optional<HeatLimit> HeatLimitFor(const v1::Device& device, const policy::Limits& limits);
// Heat of the board at `start`, after the runs that have a place before it. REQUIRES: the device's
// heat model is known.
BoardHeat HeatAt(const v1::Device& device, const DeviceLoad& load, absl::Time start);

// The joules of the daily budget that work has drawn by `start`, as far as they are reported, plus
// the joules that the device's runs of that day are still expected to draw. 0 without a budget.
Joules BudgetSpent(const DeviceLoad& load, absl::Time start);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_LOAD_H_
