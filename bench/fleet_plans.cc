// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "bench/fleet_plans.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/check.h"
#include "scheduler/place/check_places.h"
#include "scheduler/place/improve_queue.h"
#include "scheduler/place/place.h"
#include "scheduler/place/sun/sun_outlook.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/timetable/harvest_paths.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::bench {
namespace {

using scheduler::DeviceView;
using scheduler::kTestNow;
using scheduler::MakeSnapshot;
using scheduler::PlanQueue;
using scheduler::QueuePlacement;
using scheduler::Snapshot;
using timetable::Instance;
using timetable::InstanceJob;
using timetable::JobOption;
using timetable::kHour;
using timetable::kMains;
using timetable::Millijoules;
using timetable::Milliwatts;
using timetable::PackSpec;
using timetable::Planned;
using timetable::Schedule;
using timetable::Seconds;

constexpr Seconds kBytesEvery = 6 * kHour;   // how often a plan is made twice and compared
constexpr Seconds kLooksAhead = 72 * kHour;  // like the shipped planner without foresight
// Number of the 64 paths; the shipped planner's value for a risk of 2 % on a board without ended
// runs.
constexpr int kBrokenPathsMax = 2;

struct Running {
  int job = 0;
  JobOption option;
  Seconds begin = 0;
  [[nodiscard]] Seconds end() const { return begin + option.draw.length; }
};

// The true state of the packs, second by second.
class Truth {
 public:
  explicit Truth(const Fleet& fleet) : fleet_(fleet) {
    for (const PackSpec& pack : fleet.instance.packs) {
      charges_.push_back(pack.charge);
    }
  }
  void Start(Running running) { running_.push_back(running); }
  [[nodiscard]] Millijoules charge(int pack) const { return charges_[static_cast<size_t>(pack)]; }
  // The coordinator's counts of a board: see DeviceView.
  void TellRuns(int device, Seconds now, DeviceView& view) const {
    for (const Running& running : running_) {
      if (running.option.device == device && running.end() <= now) {
        ++view.runs_ended;
        view.runs_stopped_by_charge += below_floor_.contains(running.job) ? 1 : 0;
      }
    }
  }
  [[nodiscard]] const Running* RunningOn(int device, Seconds at) const {
    for (const Running& running : running_) {
      if (running.option.device == device && running.begin <= at && at < running.end()) {
        return &running;
      }
    }
    return nullptr;
  }
  void PassSlot(Seconds from) {
    for (size_t device = 0; device < fleet_.instance.devices.size(); ++device) {
      const int pack = fleet_.instance.devices[device].pack;
      for (Seconds at = from; pack != kMains && at < from + kSlot; ++at) {
        const PackSpec& spec = fleet_.instance.packs[static_cast<size_t>(pack)];
        const Running* const running = RunningOn(static_cast<int>(device), at);
        Millijoules& charge = charges_[static_cast<size_t>(pack)];
        charge += spec.harvest[0][static_cast<size_t>(at / kHour)] - spec.idle -
                  (running != nullptr ? running->option.draw.power : 0);
        charge = std::clamp<Millijoules>(charge, 0, spec.capacity);
        if (running != nullptr && charge < spec.floor[0].charge) {
          below_floor_.insert(running->job);
        }
      }
    }
  }
  // Jobs that ran below the floor of their pack. The floor of a drawn pack is constant.
  [[nodiscard]] int BelowFloor() const { return static_cast<int>(below_floor_.size()); }

 private:
  const Fleet& fleet_;
  std::vector<Millijoules> charges_;
  std::vector<Running> running_;
  std::set<int> below_floor_;
};

// Hour 0 is the hour of kTestNow.
Milliwatts HarvestIn(const Fleet& fleet, size_t pack, Seconds hour) {
  return hour < 0 ? fleet.past_harvest[pack][static_cast<size_t>(kPastHours + hour)]
                  : fleet.instance.packs[pack].harvest[0][static_cast<size_t>(hour)];
}

// The harvest in W by hour of day that a worker has learned by `now`: each new day halves the
// weight of earlier ones (telemetry/battery/forecast.h).
std::array<double, 24> LearnedHarvest(const Fleet& fleet, size_t pack, Seconds now) {
  std::array<double, 24> watts{};
  const Seconds first = absl::ToUnixSeconds(kTestNow) / kHour;
  for (Seconds hour = 0; hour < 24; ++hour) {
    double weights = 0;
    double& mean = watts[static_cast<size_t>((first + now / kHour + hour) % 24)];
    for (Seconds days = 1; days * 24 <= kPastHours; ++days) {
      const Seconds at = now / kHour + hour - days * 24;
      const double weight = std::exp2(-static_cast<double>(days));
      mean += weight * static_cast<double>(HarvestIn(fleet, pack, at)) / 1000;
      weights += weight;
    }
    mean /= weights;
  }
  return watts;
}

// A worker's report about the sun.
void TellHarvest(const Fleet& fleet, size_t pack, Seconds now, v1::Device& device) {
  v1::EnergyLedger& ledger = *device.mutable_ledger();
  for (const double watts : LearnedHarvest(fleet, pack, now)) {
    ledger.add_harvest_power_watts_by_hour(watts);
  }
  const Seconds first = absl::ToUnixSeconds(kTestNow) / kHour;
  ledger.set_at_unix_seconds(static_cast<double>((first + now / kHour) * kHour));
  v1::RecentHarvest& recent = *device.mutable_heartbeat()->mutable_recent_harvest();
  recent.set_last_hour(first + now / kHour - 1);
  for (Seconds hour = now / kHour - 24; hour < now / kHour; ++hour) {
    recent.add_power_watts(static_cast<float>(HarvestIn(fleet, pack, hour)) / 1000);
  }
}

Snapshot SnapshotAt(const Fleet& fleet, const Truth& truth, const std::vector<Planned>& plan,
                    Seconds now) {
  Snapshot snapshot = MakeSnapshot(fleet.devices, fleet.profiles);
  snapshot.now = kTestNow + absl::Seconds(now);
  snapshot.policies = fleet.policies;
  for (size_t device = 0; device < snapshot.devices.size(); ++device) {
    DeviceView& view = snapshot.devices[device];
    const int pack = fleet.instance.devices[device].pack;
    truth.TellRuns(static_cast<int>(device), now, view);
    if (pack != kMains) {
      const PackSpec& spec = fleet.instance.packs[static_cast<size_t>(pack)];
      view.device.mutable_heartbeat()->set_state_of_charge_ratio(
          static_cast<double>(truth.charge(pack)) / static_cast<double>(spec.capacity));
      TellHarvest(fleet, static_cast<size_t>(pack), now, view.device);
    }
    if (const Running* running = truth.RunningOn(static_cast<int>(device), now)) {
      view.device.set_running_attempt_id(absl::StrCat("j", running->job, ".1"));
      view.device.mutable_info()->set_power_mode(kModes[static_cast<size_t>(running->option.mode)]);
      view.free_at = kTestNow + absl::Seconds(running->end());
      view.committed_energy = (Watts(static_cast<double>(running->option.draw.power) / 1000) +
                               Watts(view.device.info().idle_power_watts())) *
                              absl::Seconds(running->end() - now);
    }
  }
  for (size_t job = 0; job < fleet.jobs.size(); ++job) {
    const InstanceJob& plain = fleet.instance.jobs[job];
    if (plain.released <= now && plan[job].device == Planned::kLeftOut &&
        (!plain.deadline || now < *plain.deadline)) {
      snapshot.queue.push_back(fleet.jobs[job]);
    }
  }
  return snapshot;
}

const JobOption* OptionOf(const Fleet& fleet, size_t job, const QueuePlacement& placed) {
  for (const JobOption& option : fleet.instance.jobs[job].options) {
    const v1::DeviceInfo& info = fleet.devices[static_cast<size_t>(option.device)].device.info();
    const std::string mode = placed.power_mode.empty() ? info.power_mode() : placed.power_mode;
    if (info.device_id() == placed.placement.device_id() &&
        kModes[static_cast<size_t>(option.mode)] == mode) {
      return &option;
    }
  }
  return nullptr;
}

std::vector<Planned> LeaveAllOut(const Fleet& fleet) {
  std::vector<Planned> plan(fleet.jobs.size());
  for (size_t job = 0; job < plan.size(); ++job) {
    plan[job].job = static_cast<int>(job);
  }
  return plan;
}

void Place(const Fleet& fleet, const JobOption& option, Seconds start, Planned& planned) {
  const InstanceJob& job = fleet.instance.jobs[static_cast<size_t>(planned.job)];
  planned.device = option.device;
  planned.mode = option.mode;
  planned.start = start;
  planned.in_time = !job.deadline || start + option.draw.length <= *job.deadline;
}

void Start(const Fleet& fleet, size_t job, const JobOption& option, Seconds now, Truth& truth,
           StartedPlan& started) {
  Place(fleet, option, now, started.plan[job]);
  truth.Start({.job = static_cast<int>(job), .option = option, .begin = now});
  const bool has_pack = fleet.instance.devices[static_cast<size_t>(option.device)].pack != kMains;
  started.runs_on_packs += has_pack ? 1 : 0;
}

int CountDifferent(const std::vector<QueuePlacement>& plan,
                   const std::vector<QueuePlacement>& again) {
  WATTLE_CHECK(plan.size() == again.size(), "each job has a placement");
  int different = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    different += plan[i].placement.SerializeAsString() != again[i].placement.SerializeAsString();
  }
  return different;
}

// The places of waiting jobs, which the coordinator carries from one plan to the next.
using Places = std::map<JobId, scheduler::LastPlace>;

void GivePlaces(const Places& places, Snapshot& snapshot) {
  for (scheduler::JobView& job : snapshot.queue) {
    if (const auto place = places.find(job.id); place != places.end()) {
      job.last_place = place->second;
    }
  }
}

Places PlacesOf(const std::vector<QueuePlacement>& plan) {
  Places places;
  for (const QueuePlacement& placed : plan) {
    if (placed.placement.wait()) {
      places[placed.job] = {.device = DeviceId(placed.placement.device_id()),
                            .start = absl::UnixEpoch() +
                                     absl::Seconds(placed.placement.expected_start_unix_seconds())};
    }
  }
  return places;
}

// The time until the next half hour: a plan of the boards that now work, and the search that
// continues from it.
Places SearchOn(Snapshot snapshot, const Places& places) {
  constexpr scheduler::SearchEffort kBetweenPlans = {
      .moves_of_a_job = 50, .moves_max = 2'000, .seed = 2};
  GivePlaces(places, snapshot);
  Places latest = PlacesOf(PlanQueue(snapshot));
  GivePlaces(latest, snapshot);
  for (auto& [job, place] : scheduler::ImproveQueue(snapshot, kBetweenPlans).places) {
    latest[job] = std::move(place);
  }
  return latest;
}

}  // namespace

Snapshot FreshSnapshot(const Fleet& fleet) {
  return SnapshotAt(fleet, Truth(fleet), LeaveAllOut(fleet), 60 * kSlot);
}

StartedPlan PlanByShipped(const Fleet& fleet) {
  StartedPlan shipped{.plan = LeaveAllOut(fleet), .broken = ""};
  std::vector<Planned>& plan = shipped.plan;
  Truth truth(fleet);
  Places places;
  for (Seconds now = 0; now < kHorizon; now += kSlot) {
    Snapshot snapshot = SnapshotAt(fleet, truth, plan, now);
    GivePlaces(places, snapshot);
    const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
    if (shipped.broken.empty()) {
      shipped.broken = scheduler::CheckPlaces(snapshot, placements).value_or("");
    }
    shipped.bytes_differ +=
        now % kBytesEvery == 0 ? CountDifferent(placements, PlanQueue(snapshot)) : 0;
    for (const QueuePlacement& placed : placements) {
      if (placed.placement.device_id().empty() || placed.placement.wait()) {
        continue;
      }
      const auto job = static_cast<size_t>(std::atoi(placed.job.value().c_str() + 1));
      const JobOption* const option = OptionOf(fleet, job, placed);
      WATTLE_CHECK(option != nullptr, "the planner starts a job in one of its ways");
      if (now + option->draw.length > kHorizon) {
        continue;  // the planner does not know the instance's end
      }
      Start(fleet, job, *option, now, truth, shipped);
    }
    places = SearchOn(SnapshotAt(fleet, truth, plan, now), PlacesOf(placements));
    truth.PassSlot(now);
  }
  shipped.guard_stops = truth.BelowFloor();
  return shipped;
}

Schedule PlanByList(const Fleet& fleet, const std::function<double(size_t job)>& rank) {
  std::vector<size_t> order(fleet.jobs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
  return timetable::InsertInOrder(fleet.instance, order);
}

namespace {

const JobOption& WayOf(const Fleet& fleet, const Planned& planned) {
  const std::vector<JobOption>& options =
      fleet.instance.jobs[static_cast<size_t>(planned.job)].options;
  return *std::find_if(options.begin(), options.end(), [&planned](const JobOption& option) {
    return option.device == planned.device && option.mode == planned.mode;
  });
}

// The sun as known to the shipped planner: the hours until now, and the paths of later ones.
std::vector<std::vector<Milliwatts>> PathsKnownAt(const Fleet& fleet, size_t pack, Seconds now) {
  DeviceView gauge;
  TellHarvest(fleet, pack, now, gauge.device);
  std::vector<std::vector<Milliwatts>> paths = timetable::HarvestPaths(
      scheduler::SunOutlookOf(gauge, std::nullopt, kTestNow + absl::Seconds(now)));
  const std::vector<Milliwatts>& hours = fleet.instance.packs[pack].harvest[0];
  for (std::vector<Milliwatts>& path : paths) {
    path.insert(path.begin(), hours.begin(), hours.begin() + now / kHour);
    path.resize(static_cast<size_t>((kHorizon + kLooksAhead) / kHour));
  }
  return paths;
}

// The instance as known at `now`: the coming sun follows from the previous days, running jobs
// continue, and a waiting job starts now at the earliest. The end of the instance is unknown.
timetable::Instance KnownAt(const Fleet& fleet, absl::Span<const Planned> plan, Seconds now,
                            ListRisk risk) {
  timetable::Instance known = fleet.instance;
  known.end = now + kLooksAhead;
  const Seconds first = absl::ToUnixSeconds(kTestNow) / kHour;
  for (size_t pack = 0; pack < known.packs.size(); ++pack) {
    if (risk == ListRisk::kAsPlanner) {
      known.packs[pack].harvest = PathsKnownAt(fleet, pack, now);
      known.packs[pack].broken_paths_max = kBrokenPathsMax;
      continue;
    }
    const std::array<double, 24> watts = LearnedHarvest(fleet, pack, now);
    std::vector<Milliwatts>& hours = known.packs[pack].harvest[0];
    hours.resize(static_cast<size_t>((kHorizon + kLooksAhead) / kHour));
    for (size_t hour = static_cast<size_t>(now / kHour); hour < hours.size(); ++hour) {
      const size_t of_day = (static_cast<size_t>(first) + hour) % watts.size();
      hours[hour] = timetable::MilliwattsDown(Watts(watts[of_day]));
    }
  }
  for (const Planned& planned : plan) {
    InstanceJob& job = known.jobs[static_cast<size_t>(planned.job)];
    job.released = std::max(job.released, now);
    if (planned.device == Planned::kLeftOut) {
      continue;
    }
    const timetable::Draw draw = WayOf(fleet, planned).draw;
    timetable::InstanceDevice& device = known.devices[static_cast<size_t>(planned.device)];
    device.closed.push_back({.begin = planned.start, .end = planned.start + draw.length});
    known.settled.push_back({.pack = device.pack, .begin = planned.start, .draw = draw});
  }
  return known;
}

}  // namespace

StartedPlan PlanByListAsJobsArrive(const Fleet& fleet,
                                   const std::function<double(size_t job)>& rank, ListRisk risk) {
  StartedPlan started{.plan = LeaveAllOut(fleet), .broken = ""};
  Truth truth(fleet);
  for (Seconds now = 0; now < kHorizon; now += kSlot) {
    std::vector<size_t> order;
    for (size_t job = 0; job < started.plan.size(); ++job) {
      if (fleet.instance.jobs[job].released <= now &&
          started.plan[job].device == Planned::kLeftOut) {
        order.push_back(job);
      }
    }
    std::stable_sort(order.begin(), order.end(),
                     [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
    const timetable::Instance known = KnownAt(fleet, started.plan, now, risk);
    const Schedule schedule = timetable::InsertInOrder(known, order);
    for (const size_t job : order) {
      const Planned& planned = schedule.planned(job);
      if (planned.device == Planned::kLeftOut || planned.start != now) {
        continue;
      }
      if (const JobOption& option = WayOf(fleet, planned); now + option.draw.length <= kHorizon) {
        Start(fleet, job, option, now, truth, started);
      }
    }
    truth.PassSlot(now);
  }
  started.guard_stops = truth.BelowFloor();
  return started;
}

}  // namespace wattle::bench
