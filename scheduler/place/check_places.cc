// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/check_places.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "policy/burst_power.h"
#include "scheduler/place/fleet_instance_internal.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/instance.h"

namespace wattle::scheduler {
namespace {

using timetable::InstanceDevice;
using timetable::kMains;
using timetable::kNoCap;
using timetable::Seconds;
using timetable::UnixSecondsUp;

std::vector<size_t> AllOf(const Snapshot& snapshot) {
  std::vector<size_t> devices(snapshot.devices.size());
  std::iota(devices.begin(), devices.end(), size_t{0});
  return devices;
}

Seconds UnixSecondsDown(absl::Time moment) {
  return absl::ToUnixSeconds(moment);
}

// Each run is stated up to three times, each time on a device of its own instance: where it runs,
// what it draws from the pack, and what from the supply. The three have lengths of their own: a
// paused run draws for less time than it has the board, and a supply bears the burst.
class PlacesInstance {
 public:
  PlacesInstance(const Snapshot& snapshot, const std::vector<DeviceLoad>& loads)
      : snapshot_(snapshot), loads_(loads), fleet_(snapshot, loads, AllOf(snapshot)) {
    for (InstanceDevice& device : fleet_.instance.devices) {
      power_.push_back(std::exchange(device, {.closed = device.closed}));
    }
    for (size_t i = 0; i < snapshot.devices.size(); ++i) {
      devices_.emplace(snapshot.devices[i].device.info().device_id(), i);
    }
  }

  // Errors: a place that is none.
  std::optional<std::string> Add(const JobPlace& one) {
    const v1::Placement& placement = one.placed.placement;
    if (placement.device_id().empty()) {
      return std::nullopt;
    }
    const auto device = devices_.find(placement.device_id());
    const v1::Candidate& run = placement.best(0);
    if (device == devices_.end() || !std::isfinite(run.start_in_seconds()) ||
        !std::isfinite(run.finish_in_seconds()) || run.start_in_seconds() < 0 ||
        run.finish_in_seconds() < run.start_in_seconds()) {
      return absl::StrCat("option: ", one.job.id.value(), " runs on device ", placement.device_id(),
                          " from ", run.start_in_seconds(), " to ", run.finish_in_seconds(),
                          " seconds");
    }
    AddPlace(one.job, device->second, run);
    AddDraw(one.job, device->second, run);
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::string> Check() const {
    return timetable::CheckPlan(fleet_.instance, plan_);
  }

 private:
  [[nodiscard]] absl::Time At(double in_seconds) const {
    return snapshot_.now + absl::Seconds(in_seconds);
  }

  timetable::InstanceJob& AddRun(int device, Seconds begin, const timetable::Draw& draw) {
    const int job = static_cast<int>(plan_.size());
    plan_.push_back({.job = job, .device = device, .start = begin, .in_time = true});
    timetable::InstanceJob& one = fleet_.instance.jobs.emplace_back();
    one.released = UnixSecondsDown(snapshot_.now);
    one.options.push_back({.device = device, .draw = draw});
    return one;
  }

  // On a board of its own, which draws from the same pack or supply.
  void AddDrawingRun(const InstanceDevice& power, Seconds begin, const timetable::Draw& draw) {
    const int device = static_cast<int>(fleet_.instance.devices.size());
    fleet_.instance.devices.push_back(power);
    AddRun(device, begin, draw);
  }

  void AddPlace(const JobView& job, size_t device, const v1::Candidate& run) {
    // The moments went through double seconds.
    constexpr absl::Duration kRounding = absl::Milliseconds(1);
    const Seconds begin = UnixSecondsUp(At(run.start_in_seconds()) + kRounding);
    const Seconds length = UnixSecondsDown(At(run.finish_in_seconds())) - begin;
    auto board = static_cast<int>(device);
    if (length < 1) {  // It has no whole second of the board: the next run may begin in the same.
      board = static_cast<int>(fleet_.instance.devices.size());
      fleet_.instance.devices.emplace_back();
    }
    timetable::InstanceJob& one = AddRun(board, begin, {.length = std::max<Seconds>(1, length)});
    one.group = fleet_.GroupOf(job.spec);
    // The first steps of a run that is to be probed tell whether it meets its deadline.
    if (job.spec.deadline_seconds() > 0 && !run.probe()) {
      one.deadline = UnixSecondsDown(
          At(job.spec.deadline_seconds() - job.WaitedSeconds(snapshot_.now)) + kRounding);
    }
  }

  void AddDraw(const JobView& job, size_t device, const v1::Candidate& run) {
    const InstanceDevice& power = power_[device];
    const v1::Device& board = snapshot_.devices[device].device;
    const Seconds begin = UnixSecondsUp(At(run.start_in_seconds()));
    const std::optional<timetable::Draw> draw =
        DrawOf(board, policy::StepsOf(job.spec), run.prediction());
    if (power.pack != kMains && draw.has_value()) {
      const timetable::PackSpec& pack = fleet_.instance.packs[static_cast<size_t>(power.pack)];
      const Seconds horizon =
          pack.first_hour + timetable::kHour * static_cast<Seconds>(pack.harvest.front().size());
      if (begin + draw->length > horizon) {  // No sun is known for it, and no rule of it counts.
        fleet_.instance.settled.push_back({.pack = power.pack, .begin = begin, .draw = *draw});
      } else {
        AddDrawingRun({.pack = power.pack}, begin, *draw);
      }
    }
    if (power.supply != kNoCap) {
      const timetable::Milliwatts burst =
          SupplyPowerOf(board, policy::BurstPower(run.prediction()));
      for (const timetable::SupplyRun& piece : SupplyRunsOf(
               loads_[device], At(run.start_in_seconds()), At(run.finish_in_seconds()), burst)) {
        AddDrawingRun({.supply = power.supply}, piece.begin,
                      {.length = piece.length, .power = piece.power});
      }
    }
  }

  const Snapshot& snapshot_;
  const std::vector<DeviceLoad>& loads_;
  FleetInstance fleet_;
  std::vector<InstanceDevice> power_;  // Of each board of the snapshot.
  std::map<std::string, size_t> devices_;
  std::vector<timetable::Planned> plan_;
};

}  // namespace

std::optional<std::string> CheckPlaces(const Snapshot& snapshot,
                                       const std::vector<DeviceLoad>& loads,
                                       absl::Span<const JobPlace> places) {
  PlacesInstance instance(snapshot, loads);
  for (const JobPlace& one : places) {
    if (std::optional<std::string> broken = instance.Add(one)) {
      return broken;
    }
  }
  return instance.Check();
}

std::optional<std::string> CheckPlaces(const Snapshot& snapshot,
                                       absl::Span<const QueuePlacement> plan) {
  std::map<JobId, const JobView*> jobs;
  for (const JobView& job : snapshot.queue) {
    jobs.emplace(job.id, &job);
  }
  std::vector<JobPlace> places;
  for (const QueuePlacement& placed : plan) {
    places.push_back({*jobs.at(placed.job), placed});
  }
  return CheckPlaces(snapshot, InitialLoads(snapshot), places);
}

}  // namespace wattle::scheduler
