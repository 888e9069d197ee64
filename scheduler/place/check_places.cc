// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/check_places.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "policy/burst_power.h"
#include "policy/open_times.h"
#include "scheduler/place/device/work_times.h"
#include "scheduler/place/fleet_instance_internal.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/instance.h"

namespace wattle::scheduler {
namespace {

using timetable::InstanceDevice;
using timetable::kMains;
using timetable::kNoCap;
using timetable::Seconds;
using timetable::SettledRun;
using timetable::UnixSecondsUp;

std::vector<size_t> AllOf(const Snapshot& snapshot) {
  std::vector<size_t> devices(snapshot.devices.size());
  std::iota(devices.begin(), devices.end(), size_t{0});
  return devices;
}

Seconds UnixSecondsDown(absl::Time moment) {
  return absl::ToUnixSeconds(moment);
}

// A run of the plan on a pack or a supply. For a probe the rules promise less than the charge that
// later runs of the plan leave it: its joules by their mean, and its time by the lower end.
struct DrawnRun {
  std::vector<SettledRun> promised;
  std::vector<SettledRun> reserved;
  bool is_probe = false;
};

// A pack or a supply, its present draw, and the plan's runs on it.
class PowerJudge {
 public:
  PowerJudge(const timetable::Instance& fleet, const InstanceDevice& device) {
    if (device.pack != kMains) {
      alone_.packs.push_back(fleet.packs[static_cast<size_t>(device.pack)]);
    } else {
      alone_.supplies.push_back(fleet.supplies[static_cast<size_t>(device.supply)]);
    }
    for (const SettledRun& run : fleet.settled) {
      if (run.pack == device.pack && run.supply == device.supply) {
        alone_.settled.push_back(Here(run));
      }
    }
  }

  [[nodiscard]] const timetable::PackSpec& pack() const { return alone_.packs.front(); }
  void AddSettled(const SettledRun& run) { alone_.settled.push_back(Here(run)); }
  // In the order in which the plan took them.
  void Add(DrawnRun run) { runs_.push_back(std::move(run)); }

  // Next to a probe, each run is checked with the other runs that the plan had placed by then.
  std::optional<std::string> Check() {
    for (size_t at = 0; at < runs_.size();) {
      const auto run = runs_.begin() + static_cast<ptrdiff_t>(at);
      const auto end = run->is_probe ? std::next(run) : std::find_if(run, runs_.end(), IsProbe);
      const auto runs =
          absl::MakeConstSpan(runs_).subspan(at, static_cast<size_t>(std::distance(run, end)));
      if (std::optional<std::string> broken = CheckTogether(runs)) {
        return broken;
      }
      for (const DrawnRun& one : runs) {
        for (const SettledRun& piece : one.reserved) {
          AddSettled(piece);
        }
      }
      at += runs.size();
    }
    return std::nullopt;
  }

 private:
  static bool IsProbe(const DrawnRun& run) { return run.is_probe; }
  [[nodiscard]] SettledRun Here(SettledRun run) const {
    run.pack = alone_.packs.empty() ? kMains : 0;
    run.supply = alone_.supplies.empty() ? kNoCap : 0;
    return run;
  }

  // Each piece runs on a separate board that draws from here.
  [[nodiscard]] std::optional<std::string> CheckTogether(absl::Span<const DrawnRun> runs) const {
    timetable::Instance with = alone_;
    std::vector<timetable::Planned> plan;
    for (const DrawnRun& run : runs) {
      for (const SettledRun& promised : run.promised) {
        const SettledRun piece = Here(promised);
        const int index = static_cast<int>(plan.size());
        with.devices.push_back({.pack = piece.pack, .supply = piece.supply});
        with.jobs.push_back({.released = piece.begin});
        with.jobs.back().options.push_back({.device = index, .draw = piece.draw});
        plan.push_back({.job = index, .device = index, .start = piece.begin, .in_time = true});
      }
    }
    return timetable::CheckPlan(with, plan);
  }

  timetable::Instance alone_;
  std::vector<DrawnRun> runs_;
};

// Each run is stated up to three times: where it runs, its draw from the pack, and its draw from
// the supply. The three differ in length: a paused run draws for less time than it occupies the
// board, and a supply must carry the bursts.
class PlacesInstance {
 public:
  PlacesInstance(const Snapshot& snapshot, const FleetLoads& loads)
      : snapshot_(snapshot), loads_(loads), fleet_(snapshot, loads, AllOf(snapshot)) {
    for (InstanceDevice& device : fleet_.instance.devices) {
      power_.push_back(std::exchange(device, {.closed = device.closed}));
    }
    for (size_t i = 0; i < snapshot.devices.size(); ++i) {
      devices_.emplace(snapshot.devices[i].device.info().device_id(), i);
    }
  }

  // Errors: an invalid place.
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

  std::optional<std::string> Check() {
    timetable::Instance boards = std::move(fleet_.instance);
    boards.packs.clear();
    boards.supplies.clear();
    boards.settled.clear();
    for (timetable::InstanceGroup& group : boards.groups) {
      for (const size_t device : copies_) {
        group.places.push_back(group.places[device]);
      }
    }
    if (std::optional<std::string> broken = timetable::CheckPlan(boards, plan_)) {
      return broken;
    }
    for (auto& [key, drawn] : powers_) {
      if (std::optional<std::string> broken = drawn.judge.Check()) {
        return absl::StrCat(*broken, " (of device ", drawn.device_id, ")");
      }
    }
    return std::nullopt;
  }

 private:
  // The checker of a pack or a supply, and the first of its boards that runs a job of the plan.
  struct DrawnPower {
    PowerJudge judge;
    std::string device_id;
  };

  [[nodiscard]] absl::Time At(double in_seconds) const {
    return snapshot_.now + absl::Seconds(in_seconds);
  }

  timetable::InstanceJob& AddRun(int device, Seconds begin, Seconds length) {
    const int job = static_cast<int>(plan_.size());
    plan_.push_back({.job = job, .device = device, .start = begin, .in_time = true});
    timetable::InstanceJob& one = fleet_.instance.jobs.emplace_back();
    one.released = UnixSecondsDown(snapshot_.now);
    one.options.push_back({.device = device, .draw = {.length = std::max<Seconds>(1, length)}});
    return one;
  }
  // Adds a board at the same place that is always free.
  int AddCopyOf(size_t device) {
    copies_.push_back(device);
    fleet_.instance.devices.emplace_back();
    return static_cast<int>(fleet_.instance.devices.size()) - 1;
  }

  void AddPlace(const JobView& job, size_t device, const v1::Candidate& run) {
    // The moments were converted to double seconds.
    constexpr absl::Duration kRounding = absl::Milliseconds(1);
    const Seconds begin = UnixSecondsUp(At(run.start_in_seconds()) + kRounding);
    const Seconds length = UnixSecondsDown(At(run.finish_in_seconds())) - begin;
    // A run without a whole second on the board: the next run may begin in the same second.
    timetable::InstanceJob& one =
        AddRun(length < 1 ? AddCopyOf(device) : static_cast<int>(device), begin, length);
    one.group = fleet_.GroupOf(job.spec);
    if (job.spec.deadline_seconds() <= 0) {
      return;
    }
    const Seconds deadline = UnixSecondsDown(
        At(job.spec.deadline_seconds() - job.WaitedSeconds(snapshot_.now)) + kRounding);
    if (run.probe()) {  // Only its first steps can show whether it meets its deadline, so it may
                        // run.
      AddRun(AddCopyOf(device), begin, UnixSecondsDown(LowerEnd(device, run)) - begin).deadline =
          deadline;
    } else {
      one.deadline = deadline;
    }
  }

  // The end by the lower quantile, but no later than the expected end.
  [[nodiscard]] absl::Time LowerEnd(size_t device, const v1::Candidate& run) const {
    const policy::Limits limits =
        LimitsFor(snapshot_.policies, snapshot_.devices[device].device.info());
    const Joules spent = BudgetSpent(loads_[device], At(run.start_in_seconds()));
    const double end = FinishIn(snapshot_.now, limits, policy::OpenTimes(limits.windows),
                                {run.prediction(), run.start_in_seconds(), spent},
                                run.prediction().run_seconds().low());
    return At(std::min(end, run.finish_in_seconds()));
  }

  void AddDraw(const JobView& job, size_t device, const v1::Candidate& run) {
    const InstanceDevice& power = power_[device];
    if (power.pack != kMains) {
      AddToPack(job, device, run);
    }
    if (power.supply != kNoCap) {
      const auto until = [&](absl::Time end) { return PiecesOnSupply(device, run, end); };
      JudgeOf({.supply = power.supply}, device)
          .Add(
              {.promised = until(run.probe() ? LowerEnd(device, run) : At(run.finish_in_seconds())),
               .reserved = until(At(run.finish_in_seconds())),
               .is_probe = run.probe()});
    }
  }

  void AddToPack(const JobView& job, size_t device, const v1::Candidate& run) {
    const auto draw_of = [&](const v1::Prediction& prediction) {
      return DrawOf(snapshot_.devices[device].device, policy::StepsOf(job.spec), prediction);
    };
    const std::optional<timetable::Draw> draw = draw_of(run.prediction());
    if (!draw.has_value()) {
      return;
    }
    PowerJudge& judge = JudgeOf({.pack = power_[device].pack}, device);
    const timetable::PackSpec& pack = judge.pack();
    const Seconds horizon =
        pack.first_hour + timetable::kHour * static_cast<Seconds>(pack.harvest.front().size());
    SettledRun reserved{.begin = UnixSecondsUp(At(run.start_in_seconds())), .draw = *draw};
    if (reserved.begin + draw->length >
        horizon) {  // The sun is unknown there, and no rule applies.
      judge.AddSettled(reserved);
      return;
    }
    SettledRun promised = reserved;
    if (run.probe()) {
      v1::Prediction mean = run.prediction();
      for (v1::Interval* const one :
           {mean.mutable_run_seconds(), mean.mutable_run_energy_joules()}) {
        one->set_high(one->mean());
      }
      promised.draw = draw_of(mean).value_or(*draw);
    }
    judge.Add({.promised = {promised}, .reserved = {reserved}, .is_probe = run.probe()});
  }

  [[nodiscard]] std::vector<SettledRun> PiecesOnSupply(size_t device, const v1::Candidate& run,
                                                       absl::Time end) const {
    const timetable::Milliwatts burst =
        SupplyPowerOf(snapshot_.devices[device].device, policy::BurstPower(run.prediction()));
    std::vector<SettledRun> pieces;
    for (const timetable::SupplyRun& piece :
         SupplyRunsOf(loads_[device], At(run.start_in_seconds()), end, burst)) {
      pieces.push_back(
          {.begin = piece.begin, .draw = {.length = piece.length, .power = piece.power}});
    }
    return pieces;
  }

  // power: a pack or a supply.
  PowerJudge& JudgeOf(const InstanceDevice& power, size_t device) {
    const auto key = std::make_pair(power.pack, power.supply);
    auto found = powers_.find(key);
    if (found == powers_.end()) {
      found = powers_
                  .emplace(key, DrawnPower{PowerJudge(fleet_.instance, power),
                                           snapshot_.devices[device].device.info().device_id()})
                  .first;
    }
    return found->second.judge;
  }

  const Snapshot& snapshot_;
  const FleetLoads& loads_;
  FleetInstance fleet_;
  std::vector<size_t> copies_;         // Boards that they copy, in order.
  std::vector<InstanceDevice> power_;  // By board of the snapshot.
  std::map<std::string, size_t> devices_;
  std::vector<timetable::Planned> plan_;
  std::map<std::pair<int, int>, DrawnPower>
      powers_;  // By pack and supply, one of which is missing.
};

}  // namespace

std::optional<std::string> CheckPlaces(const Snapshot& snapshot, const FleetLoads& loads,
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
