// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/fleet_planner.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "scheduler/timetable/plan_cost.h"

namespace wattle::fleet_plan {
namespace {

using timetable::JobOption;
using timetable::kHour;
using timetable::kMains;
using timetable::kNoCap;

constexpr int kClosed = -1;  // The job of a closed interval in a timeline.

// No run by the rate draws less on the whole, whatever its size and whatever it fetches: the mean
// of its parts is no less than the least of them.
Milliwatts LeastPower(const Rate& rate) {
  Milliwatts least = kFetchPower;
  for (const Estimate& part : {rate.of_a_run, rate.of_1000_units}) {
    if (part.seconds.high > 0) {
      least = std::min(least, part.millijoules.high / (part.seconds.high + 1));
    }
  }
  return least;
}

}  // namespace

FleetPlanner::FleetPlanner(const Fleet& fleet)
    : fleet_(&fleet),
      ways_(WaysOf(fleet)),
      devices_(fleet.devices.size()),
      packs_(fleet.packs.begin(), fleet.packs.end()),
      supplies_(fleet.supplies.begin(), fleet.supplies.end()),
      on_pack_(fleet.packs.size()),
      on_supply_(fleet.supplies.size()),
      lightest_(fleet.device_classes.size(), {.length = fleet.end, .power = kFetchPower}),
      least_units_(fleet.work_classes.size(), INT64_MAX) {
  for (size_t device = 0; device < devices_.size(); ++device) {
    const Device& on = fleet.devices[device];
    if (on.pack != kMains) {
      on_pack_[static_cast<size_t>(on.pack)].push_back(device);
    }
    if (on.supply != kNoCap) {
      on_supply_[static_cast<size_t>(on.supply)].push_back(device);
    }
  }
  for (size_t pool = 0; pool < ways_.pools.size(); ++pool) {
    pools_.emplace_back(ways_.pools[pool].size());
    for (size_t slot = 0; slot < ways_.pools[pool].size(); ++slot) {
      devices_[static_cast<size_t>(ways_.pools[pool][slot])].slots.push_back({pool, slot});
    }
  }
  KnowJobs();
  for (size_t device = 0; device < devices_.size(); ++device) {
    ReadDevice(device);
  }
}

void FleetPlanner::KnowJobs() {
  bool fell = false;
  for (size_t job = plan_.size(); job < fleet_->jobs.size(); ++job) {
    plan_.emplace_back();
    costs_.push_back(fleet_->jobs[job].left_out_price);
    cost_ += costs_.back();
    fell |= MakeLighter(fleet_->jobs[job]);
  }
  for (size_t device = 0; fell && device < devices_.size(); ++device) {
    devices_[device].earliest = fleet_->now;
    Refresh(device);
  }
}

bool FleetPlanner::MakeLighter(const Job& job) {
  const auto work_class = static_cast<size_t>(job.work_class);
  if (job.units >= least_units_[work_class]) {
    return false;
  }
  least_units_[work_class] = job.units;
  bool fell = false;
  const auto lower = [&](const Rate& rate, int device_class) {
    Lightest& lightest = lightest_[static_cast<size_t>(device_class)];
    const Lightest before = lightest;
    lightest.length =
        std::clamp<Seconds>(EstimateOf(rate, job.units).seconds.high, 1, lightest.length);
    lightest.power = std::min(LeastPower(rate), lightest.power);
    fell |= lightest.length < before.length || lightest.power < before.power;
  };
  for (const ClassWay& way : ways_.of_work[work_class].by_class) {
    lower(*way.rate, way.device_class);
  }
  for (const OwnWay& way : ways_.of_work[work_class].own) {
    lower(*way.rate, fleet_->devices[static_cast<size_t>(way.device)].device_class);
  }
  return fell;
}

void FleetPlanner::ReadDevice(size_t device) {
  State& state = devices_[device];
  state.timeline = timetable::Timeline();
  for (const timetable::Interval& closed : fleet_->devices[device].closed) {
    state.timeline.Reserve({.begin = closed.begin, .end = closed.end, .job = kClosed});
  }
  state.earliest = fleet_->now;
  Refresh(device);
}

void FleetPlanner::Refresh(size_t device) {
  State& state = devices_[device];
  if (state.earliest != Pool::kNever) {
    const Lightest& lightest = lightest_[static_cast<size_t>(fleet_->devices[device].device_class)];
    state.earliest = timetable::EarliestStart(state.timeline, PowerOf(device),
                                              {.length = lightest.length, .power = lightest.power},
                                              state.earliest, fleet_->end)
                         .value_or(Pool::kNever);
  }
  for (const auto& [pool, slot] : state.slots) {
    pools_[pool].Set(slot, state.earliest);
  }
}

timetable::PowerSource FleetPlanner::PowerOf(size_t device) const {
  const Device& on = fleet_->devices[device];
  return {
      .pack = on.pack == kMains ? nullptr : &packs_[static_cast<size_t>(on.pack)],
      .supply = on.supply == kNoCap ? nullptr : &supplies_[static_cast<size_t>(on.supply)],
  };
}

std::vector<size_t> FleetPlanner::SharingPower(size_t device) const {
  std::vector<size_t> sharing = {device};
  for (size_t next = 0; next < sharing.size(); ++next) {
    const Device& on = fleet_->devices[sharing[next]];
    const auto add = [&sharing](const std::vector<size_t>& others) {
      for (const size_t other : others) {
        if (std::find(sharing.begin(), sharing.end(), other) == sharing.end()) {
          sharing.push_back(other);
        }
      }
    };
    if (on.pack != kMains) {
      add(on_pack_[static_cast<size_t>(on.pack)]);
    }
    if (on.supply != kNoCap) {
      add(on_supply_[static_cast<size_t>(on.supply)]);
    }
  }
  return sharing;
}

Millijoules FleetPlanner::LeastCost(const Job& job, const Rate& rate, Seconds start) const {
  const Millijoules cost = EstimateOf(rate, job.units).millijoules.mean;
  return cost +
         cost * fleet_->patience_thousandths_per_hour / 1000 * (start - job.released) / kHour;
}

void FleetPlanner::AskPool(const Job& job, const Rate& rate, int index, Choice& best) {
  if (index == ClassWay::kNoPool) {
    return;
  }
  Pool& pool = pools_[static_cast<size_t>(index)];
  const WorkClass& work = fleet_->work_classes[static_cast<size_t>(job.work_class)];
  std::vector<size_t>& hidden = hidden_;
  hidden.clear();
  for (int asked = 0; asked < kAsked && pool.earliest() != Pool::kNever;) {
    if (LeastCost(job, rate, std::max(pool.earliest(), job.released)) >= best.cost) {
      break;
    }
    const size_t slot = pool.EarliestSlot();
    const int device = ways_.pools[static_cast<size_t>(index)][slot];
    const Device& on = fleet_->devices[static_cast<size_t>(device)];
    if ((work.wanted_labels & ~on.labels) == 0 && !IsMeasuredOn(on, job.work_class, rate.form)) {
      AskDevice(job, rate, device, best);
      ++asked;
    }
    pool.Set(slot, Pool::kNever);
    hidden.push_back(slot);
  }
  for (const size_t slot : hidden) {
    pool.Set(slot,
             devices_[static_cast<size_t>(ways_.pools[static_cast<size_t>(index)][slot])].earliest);
  }
}

void FleetPlanner::AskDevice(const Job& job, const Rate& rate, int device, Choice& best) const {
  const State& state = devices_[static_cast<size_t>(device)];
  const JobOption way = WayOf(*fleet_, job, device, rate);
  const timetable::InstanceJob waits{.released = job.released};
  const Seconds latest_end = std::min(job.deadline.value_or(fleet_->end), fleet_->end);
  Seconds after = std::max(job.released, state.earliest);
  while (CostAt(waits, way, after) < best.cost) {
    const std::optional<Seconds> start = timetable::EarliestStart(
        state.timeline, PowerOf(static_cast<size_t>(device)), way.draw, after, latest_end);
    if (!start) {
      return;
    }
    if (*start % fleet_->start_step == 0) {
      if (const Millijoules cost = CostAt(waits, way, *start); cost < best.cost) {
        best = {.rate = &rate, .device = device, .start = *start, .cost = cost, .draw = way.draw};
      }
      return;
    }
    after = (*start / fleet_->start_step + 1) * fleet_->start_step;
  }
}

void FleetPlanner::Place(size_t index) {
  KnowJobs();
  WATTLE_CHECK(!plan_[index].has_value(), "a job runs once");
  const Job& job = fleet_->jobs[index];
  Choice best{.cost = job.left_out_price};
  const WaysOfWork& ways = ways_.of_work[static_cast<size_t>(job.work_class)];
  for (const ClassWay& way : ways.by_class) {
    AskPool(job, *way.rate, way.with_artifact, best);
    AskPool(job, *way.rate, way.with_labels, best);
  }
  for (const OwnWay& way : ways.own) {
    const Seconds earliest = devices_[static_cast<size_t>(way.device)].earliest;
    if (earliest != Pool::kNever &&
        LeastCost(job, *way.rate, std::max(earliest, job.released)) < best.cost) {
      AskDevice(job, *way.rate, way.device, best);
    }
  }
  if (best.rate != nullptr) {
    Reserve(index, best);
  }
}

void FleetPlanner::Reserve(size_t index, const Choice& choice) {
  const auto device = static_cast<size_t>(choice.device);
  const int job = static_cast<int>(index);
  plan_[index] = {
      .job = job, .device = choice.device, .form = choice.rate->form, .start = choice.start};
  cost_ += choice.cost - costs_[index];
  costs_[index] = choice.cost;
  devices_[device].timeline.Reserve(
      {.begin = choice.start, .end = choice.start + choice.draw.length, .job = job});
  const Device& on = fleet_->devices[device];
  if (on.pack != kMains) {
    packs_[static_cast<size_t>(on.pack)].Add(
        {.job = job, .begin = choice.start, .draw = choice.draw});
  }
  if (on.supply != kNoCap) {
    supplies_[static_cast<size_t>(on.supply)].Add({.job = job,
                                                   .begin = choice.start,
                                                   .length = choice.draw.length,
                                                   .power = choice.draw.power});
  }
  for (const size_t one : SharingPower(device)) {
    Refresh(one);
  }
}

void FleetPlanner::TakeOut(size_t index) {
  if (!plan_[index].has_value()) {
    return;
  }
  const auto device = static_cast<size_t>(plan_[index]->device);
  const int job = static_cast<int>(index);
  devices_[device].timeline.Release(job);
  const Device& on = fleet_->devices[device];
  if (on.pack != kMains) {
    packs_[static_cast<size_t>(on.pack)].Remove(job);
  }
  if (on.supply != kNoCap) {
    supplies_[static_cast<size_t>(on.supply)].Remove(job);
  }
  plan_[index].reset();
  cost_ += fleet_->jobs[index].left_out_price - costs_[index];
  costs_[index] = fleet_->jobs[index].left_out_price;
  for (const size_t one : SharingPower(device)) {
    devices_[one].earliest = fleet_->now;
    Refresh(one);
  }
}

std::vector<size_t> FleetPlanner::ChangeDevice(size_t device) {
  std::vector<size_t> lost;
  const std::vector<size_t> sharing = SharingPower(device);
  for (const size_t one : sharing) {
    const std::vector<timetable::Busy> busy(devices_[one].timeline.busy().begin(),
                                            devices_[one].timeline.busy().end());
    for (const timetable::Busy& interval : busy) {
      if (interval.job != kClosed) {
        lost.push_back(static_cast<size_t>(interval.job));
        TakeOut(lost.back());
      }
    }
  }
  for (const size_t one : sharing) {
    const Device& on = fleet_->devices[one];
    if (on.pack != kMains) {
      const auto pack = static_cast<size_t>(on.pack);
      packs_[pack] = timetable::Pack(fleet_->packs[pack]);
    }
    if (on.supply != kNoCap) {
      const auto supply = static_cast<size_t>(on.supply);
      supplies_[supply] = timetable::Supply(fleet_->supplies[supply]);
    }
  }
  for (const size_t one : sharing) {
    ReadDevice(one);
  }
  return lost;
}

std::vector<size_t> PlanningOrder(const Fleet& fleet) {
  // Of each work class, its quickest rate.
  std::vector<const Rate*> quickest(fleet.work_classes.size(), nullptr);
  for (size_t i = 0; i < fleet.rates.size(); ++i) {
    const Rate*& best = quickest[i / fleet.device_classes.size()];
    for (const Rate& rate : fleet.rates[i]) {
      const bool is_quicker =
          best == nullptr || rate.of_1000_units.seconds.mean < best->of_1000_units.seconds.mean;
      best = is_quicker ? &rate : best;
    }
  }
  const auto key = [&](size_t index) {
    const Job& job = fleet.jobs[index];
    const Rate* const rate = quickest[static_cast<size_t>(job.work_class)];
    const Seconds run = rate == nullptr ? 0 : EstimateOf(*rate, job.units).seconds.mean;
    return std::tuple(job.deadline ? *job.deadline - run : Pool::kNever, -job.priority,
                      job.released, index);
  };
  std::vector<decltype(key(0))> keys;
  for (size_t job = 0; job < fleet.jobs.size(); ++job) {
    keys.push_back(key(job));
  }
  std::sort(keys.begin(), keys.end());
  std::vector<size_t> order;
  for (const auto& one : keys) {
    order.push_back(std::get<3>(one));
  }
  return order;
}

FleetPlanner PlanInOrder(const Fleet& fleet, absl::Span<const size_t> order) {
  FleetPlanner planner(fleet);
  for (const size_t job : order) {
    planner.Place(job);
  }
  return planner;
}

}  // namespace wattle::fleet_plan
