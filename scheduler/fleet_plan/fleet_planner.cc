// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/fleet_planner.h"

#include <algorithm>
#include <array>
#include <limits>
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

// Lower bound of any run's power at this rate: the mean over a run's parts is at least the smallest
// part.
Milliwatts LeastPower(const Rate& rate) {
  std::optional<Milliwatts> least;
  for (const Estimate& part : {rate.of_a_run, rate.of_1000_units}) {
    if (part.seconds.high > 0) {
      const Milliwatts power = part.millijoules.high / (part.seconds.high + 1);
      least = std::min(least.value_or(power), power);
    }
  }
  return least.value_or(0);
}

// The shortest run of each bucket, in seconds.
constexpr auto kShortest = [] {
  std::array<Seconds, FleetPlanner::kBuckets> shortest{1, 60};
  for (size_t bucket = 2; bucket < shortest.size(); ++bucket) {
    shortest[bucket] = shortest[bucket - 1] * 3 / 2;
  }
  return shortest;
}();

Seconds LatestEnd(const Fleet& fleet, const Job& job) {
  return std::min(job.deadline.value_or(fleet.end), fleet.end);
}

// Lower bound of CostAt.
Millijoules LeastCost(const Fleet& fleet, const Job& job, Millijoules joules, Seconds start) {
  return joules +
         joules * fleet.patience_thousandths_per_hour / 1000 * (start - job.released) / kHour;
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
      least_power_(fleet.device_classes.size(), std::numeric_limits<Milliwatts>::max()) {
  for (size_t device = 0; device < devices_.size(); ++device) {
    const Device& on = fleet.devices[device];
    if (on.pack != kMains) {
      on_pack_[static_cast<size_t>(on.pack)].push_back(device);
    }
    if (on.supply != kNoCap) {
      on_supply_[static_cast<size_t>(on.supply)].push_back(device);
    }
  }
  for (const WaysOfWork& work : ways_.of_work) {
    const auto lower = [this](const Rate& rate, int device_class) {
      Milliwatts& least = least_power_[static_cast<size_t>(device_class)];
      // The bound of a device must hold for every run of its class, so it uses the lowest power of
      // all.
      least = std::min(least, LeastPower(rate));
    };
    for (const ClassWay& way : work.by_class) {
      lower(*way.rate, way.device_class);
    }
    for (const OwnWay& way : work.own) {
      lower(*way.rate, fleet.devices[static_cast<size_t>(way.device)].device_class);
    }
  }
  pools_.resize(ways_.pools.size());
  for (size_t pool = 0; pool < ways_.pools.size(); ++pool) {
    for (size_t slot = 0; slot < ways_.pools[pool].size(); ++slot) {
      devices_[static_cast<size_t>(ways_.pools[pool][slot])].slots.emplace_back(pool, slot);
    }
  }
  for (size_t device = 0; device < devices_.size(); ++device) {
    ReadDevice(device);
  }
}

void FleetPlanner::KnowJobs() {
  for (size_t job = plan_.size(); job < fleet_->jobs.size(); ++job) {
    plan_.emplace_back();
    costs_.push_back(fleet_->jobs[job].left_out_price);
    cost_ += costs_.back();
  }
}

void FleetPlanner::ReadDevice(size_t device) {
  timetable::Timeline& timeline = devices_[device].timeline;
  timeline = timetable::Timeline();
  for (const timetable::Interval& closed : fleet_->devices[device].closed) {
    timeline.Reserve({.begin = closed.begin, .end = closed.end, .job = kClosed});
  }
  NoteChange(device, /*may_start_earlier=*/true);
}

void FleetPlanner::NoteChange(size_t device, bool may_start_earlier) {
  State& state = devices_[device];
  ++state.changes;
  if (!may_start_earlier) {
    return;
  }
  // Freed time may allow any earlier start, so all bounds of the device start over.
  state.bounds.fill({.start = fleet_->now});
  for (const auto& [pool, slot] : state.slots) {
    for (Pool& of_bucket : pools_[pool]) {
      if (!of_bucket.empty()) {
        of_bucket.Set(slot, fleet_->now);
      }
    }
  }
}

size_t FleetPlanner::BucketOf(Seconds length) {
  size_t bucket = 0;
  while (bucket + 1 < kBuckets && kShortest[bucket + 1] <= length) {
    ++bucket;
  }
  return bucket;
}

Seconds FleetPlanner::BoundOf(size_t device, size_t bucket) {
  State& state = devices_[device];
  Bound& bound = state.bounds[bucket];
  if (bound.as_of != state.changes && bound.start != Pool::kNever) {
    const auto device_class = static_cast<size_t>(fleet_->devices[device].device_class);
    const timetable::Draw lightest{.length = kShortest[bucket],
                                   .power = least_power_[device_class]};
    // Reserved work only grows between two resets, so the search resumes at the former bound.
    bound.start = timetable::EarliestStart(state.timeline, PowerOf(device), lightest, bound.start,
                                           fleet_->end)
                      .value_or(Pool::kNever);
    bound.as_of = state.changes;
  }
  return bound.start;
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

void FleetPlanner::AskPool(const Job& job, const ClassWay& way, Fetching fetching, Choice& best) {
  const int index = fetching == Fetching::kNothing ? way.with_artifact : way.with_labels;
  if (index == ClassWay::kNoPool) {
    return;
  }
  const WorkClass& work = fleet_->work_classes[static_cast<size_t>(job.work_class)];
  const Seconds length = way.needs.SecondsOf(job.units);
  const Millijoules joules = way.needs.MillijoulesOf(job.units);
  const auto least_cost = [&](Seconds start) {
    return LeastCost(*fleet_, job, joules, std::max(start, job.released));
  };
  const size_t bucket = BucketOf(length);
  const std::vector<int>& devices = ways_.pools[static_cast<size_t>(index)];
  Pool& pool = pools_[static_cast<size_t>(index)][bucket];
  if (pool.empty()) {
    pool = Pool(devices.size(), fleet_->now);
  }
  const Seconds latest_start = LatestEnd(*fleet_, job) - length;
  hidden_.clear();
  for (int asked = 0; asked < kAsked;) {
    const Seconds earliest = pool.earliest();
    // The pool is sorted by the bound, so no later device can be cheaper.
    if (earliest > latest_start || least_cost(earliest) >= best.priced) {
      break;
    }
    const size_t slot = pool.EarliestSlot();
    const int device = devices[slot];
    // Bounds are refreshed lazily, only when a device reaches the front.
    if (const Seconds bound = BoundOf(static_cast<size_t>(device), bucket); bound > earliest) {
      pool.Set(slot, bound);
      continue;
    }
    const Device& on = fleet_->devices[static_cast<size_t>(device)];
    if ((work.wanted_labels & ~on.labels) == 0 &&
        !IsMeasuredOn(on, job.work_class, way.rate->form)) {
      AskDevice(job, *way.rate, device, earliest, best);
      ++asked;
    }
    pool.Set(slot, Pool::kNever);
    // Removed from the tree until all devices of this job are asked, so that the next one comes to
    // the front.
    hidden_.emplace_back(slot, earliest);
  }
  for (const auto& [slot, time] : hidden_) {
    pool.Set(slot, time);
  }
}

void FleetPlanner::AskOwn(const Job& job, const OwnWay& way, Choice& best) {
  const Seconds length = way.needs.SecondsOf(job.units);
  const Millijoules joules = way.needs.MillijoulesOf(job.units);
  if (LeastCost(*fleet_, job, joules, job.released) >= best.priced) {
    return;
  }
  const Seconds bound = BoundOf(static_cast<size_t>(way.device), BucketOf(length));
  if (bound <= LatestEnd(*fleet_, job) - length) {
    AskDevice(job, *way.rate, way.device, bound, best);
  }
}

void FleetPlanner::AskDevice(const Job& job, const Rate& rate, int device, Seconds after,
                             Choice& best) const {
  const timetable::Timeline& timeline = devices_[static_cast<size_t>(device)].timeline;
  const JobOption way = WayOf(*fleet_, job, device, rate);
  const timetable::InstanceJob waits{.released = job.released};
  after = std::max(after, job.released);
  while (CostAt(waits, way, after) < best.priced) {
    const std::optional<Seconds> start = timetable::EarliestStart(
        timeline, PowerOf(static_cast<size_t>(device)), way.draw, after, LatestEnd(*fleet_, job));
    if (!start) {
      return;
    }
    if (*start % fleet_->start_step != 0) {
      after = (*start / fleet_->start_step + 1) * fleet_->start_step;
      continue;
    }
    const Millijoules cost = CostAt(waits, way, *start);
    const Millijoules priced =
        cost + (prices_ == nullptr ? 0 : prices_->Of(device, way.draw, *start));
    if (priced < best.priced) {
      best = {.rate = &rate,
              .device = device,
              .start = *start,
              .cost = cost,
              .priced = priced,
              .draw = way.draw};
    }
    if (prices_ == nullptr) {
      return;
    }
    // A later bucket may be worth the wait.
    const auto next = static_cast<Seconds>(prices_->BucketAt(*start)) + 1;
    after = prices_->begin + next * prices_->bucket_length;
    if (after <= *start) {
      return;
    }
  }
}

void FleetPlanner::Place(size_t index) {
  KnowJobs();
  WATTLE_CHECK(!plan_[index].has_value(), "a job runs once");
  const Job& job = fleet_->jobs[index];
  Choice best{.priced = job.left_out_price};
  const WaysOfWork& ways = ways_.of_work[static_cast<size_t>(job.work_class)];
  // The ways are sorted by the joules of their units; the fixed joules of a run come on top.
  const auto is_dearer = [&](const Needs& needs) {
    return Scaled(0, needs.millijoules.second, job.units) >= best.priced;
  };
  for (const ClassWay& way : ways.by_class) {
    if (is_dearer(way.needs)) {
      break;
    }
    AskPool(job, way, Fetching::kNothing, best);
    AskPool(job, way, Fetching::kMaybe, best);
  }
  for (const OwnWay& way : ways.own) {
    if (is_dearer(way.needs)) {
      break;
    }
    AskOwn(job, way, best);
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
    NoteChange(one, /*may_start_earlier=*/false);
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
    NoteChange(one, /*may_start_earlier=*/true);
  }
}

std::vector<size_t> FleetPlanner::ChangeDevice(size_t device) {
  std::vector<size_t> lost;
  // A changed pack or supply affects every device on it, directly or through others.
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
  // The quickest rate of each work class.
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
    // Jobs with a deadline by their latest start; the others follow by priority, then release.
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

FleetPlanner PlanInOrder(const Fleet& fleet, absl::Span<const size_t> order, const Prices* prices) {
  FleetPlanner planner(fleet);
  planner.SetPrices(prices);
  for (const size_t job : order) {
    planner.Place(job);
  }
  // With prices a job may have been left out although its place is still free.
  planner.SetPrices(nullptr);
  for (const size_t job : order) {
    if (prices != nullptr && !planner.place(job)) {
      planner.Place(job);
    }
  }
  return planner;
}

}  // namespace wattle::fleet_plan
