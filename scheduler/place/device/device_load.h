// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a device has to do already, at one point of a plan: when it is free, the runs that have a
// place behind that time, and the charge of its battery under all of them. Pure.
//
// A place never moves for a job that is planned later. Such a job may run in the gap in front of a
// place if its upper quantile ends before the place begins, and if the place keeps its charge. That
// is conservative backfill.
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

// The place of a run that begins behind the time when the device is free.
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

  std::string group;  // As AntiAffinityGroupOf.
  JobId job;
  size_t device = 0;  // Where it is: this device, or one with the same value of a label.
  How how = How::kOpen;

  bool operator==(const AntiAffinityHold& other) const = default;
};

// The link of the boards with one value of the label site, on which few of them fetch at once.
struct SiteLink {
  std::string site;
  std::vector<size_t> devices;
  timetable::Supply turns;  // A fetch draws 1 of the turns.
  int fetches = 0;          // Of this plan.
};

struct DeviceLoad {
  // With the pauses of its runs.
  absl::Time free_at;
  // By the snapshot's policies; null: its runs have no pauses.
  std::shared_ptr<const WorkTimes> times;
  // Of a board with a daily budget, by the budget's day: the joules that work has drawn, as far as
  // they are reported, and those that all runs below are still expected to draw.
  std::map<int64_t, Joules> joules_of_day;
  // Gross joules that the runs until free_at are still expected to draw.
  Joules committed;
  BoardHeat heat;  // At the end of these runs. Of a board without a heat model: nothing.
  std::vector<Reservation> reserved;  // In order of time; they do not overlap.
  // The charge under all these runs and the sun of past days. Null: no sun is known, and the
  // charge then only falls.
  std::shared_ptr<const timetable::Pack> pack;
  // Of a board that shares its pack or its supply; the boards of a group have the same pack and
  // supply here. Null: the board has its power to itself.
  std::shared_ptr<const PowerGroup> group;
  std::optional<size_t> gauge;  // The board whose gauge tells of a shared pack; nullopt: itself.
  Joules promised_by_others;    // As Promised, of the other boards of a shared pack.
  Watts idle_of_others;         // Likewise.
  std::shared_ptr<const timetable::Supply> supply;  // Null: nothing bounds what it draws.
  std::vector<AntiAffinityHold> anti_affinity;
  std::shared_ptr<const SiteLink> link;  // Null: no other board is in the way of a fetch.
  // The artifacts that runs bring, and from when on; those that are there already are not told.
  std::map<std::string, absl::Time> files;

  bool operator==(const DeviceLoad& other) const = default;
};

// The loads of a fleet, in the order of Snapshot::devices. Copies share the loads that did not
// change, so a pass over the queue costs what it changes.
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
  // To change the load of one device, in these loads alone.
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

// A run that a plan gives a place.
struct PlannedRun {
  const JobView& job;
  const v1::Prediction& prediction;
  absl::Time begin;
  absl::Time end;  // By the mean.
};

// The load with one run more. It has the board and the watts of its supply until its mean end, so
// places behind it begin when they are expected to. The rules ask for a new run to its upper end,
// so that it delays no place. Whether the place then begins is asked again at that moment.
// REQUIRES: the run fits (FleetView places it).
DeviceLoad WithRun(const DeviceLoad& load, const v1::Device& device, const PlannedRun& run);

// The load of the device (its index in Snapshot::devices) whose attempt hands over until `free_at`
// and then draws nothing more. REQUIRES: as InitialLoads has it.
DeviceLoad WithoutAttempt(const Snapshot& snapshot, const DeviceLoad& load, size_t device,
                          absl::Time free_at);
// The load with that attempt again, which goes on at `begin` for `work` more.
// REQUIRES: nothing is reserved behind free_at.
DeviceLoad WithAttemptLater(const Snapshot& snapshot, const DeviceLoad& load, size_t device,
                            absl::Time begin, absl::Duration work);

// Gives the device a new load, and the other boards of its pack and supply what they share of it.
void SetLoad(size_t device, std::shared_ptr<const DeviceLoad> load, FleetLoads& loads);
void SetLoad(size_t device, DeviceLoad load, FleetLoads& loads);

// The device whose gauge, capacity and sun count for the view.
const v1::Device& GaugeDevice(const Snapshot& snapshot, const DeviceView& view,
                              const DeviceLoad& load);

// What a run from `begin` to `end` draws from the board's supply: nothing while its windows are
// closed. When a budget is spent is not known before, so its pauses count as work.
std::vector<timetable::SupplyRun> SupplyRunsOf(const DeviceLoad& load, absl::Time begin,
                                               absl::Time end, timetable::Milliwatts power);

// What a run of so many gross watts adds to the idle draw of the device.
timetable::Milliwatts SupplyPowerOf(const v1::Device& device, Watts mean);

// All joules that are promised: of the runs until free_at, and of those behind.
Joules Promised(const DeviceLoad& load);

// What a run draws from the device's pack: its mean with its deviation, and what its guard holds
// back. A run with rests (v1::Prediction.rest_seconds) is pausable.
// nullopt: longer than any plan looks ahead.
std::optional<timetable::Draw> DrawOf(const v1::Device& device, const policy::SpecSteps& steps,
                                      const v1::Prediction& prediction);
// Likewise, as if it never rested.
std::optional<timetable::Draw> WholeDrawOf(const v1::Device& device, const policy::SpecSteps& steps,
                                           const v1::Prediction& prediction);

// What bounds the device's temperature, its policies included.
std::optional<HeatLimit> HeatLimitFor(const v1::Device& device, const policy::Limits& limits);
// How warm the board is at `start`, after the runs that have a place before it. REQUIRES: the
// device knows its heat model.
BoardHeat HeatAt(const v1::Device& device, const DeviceLoad& load, absl::Time start);

// The joules of the daily budget that work has drawn by `start`, as far as they are reported, plus
// the joules that the device's runs of that day are still expected to draw. 0 without a budget.
Joules BudgetSpent(const DeviceLoad& load, absl::Time start);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_DEVICE_LOAD_H_
