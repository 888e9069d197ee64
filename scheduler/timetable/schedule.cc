// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/timetable/schedule.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "scheduler/timetable/plan_cost.h"

namespace wattle::timetable {
namespace {

// The job index of a device's closed intervals in its timeline, and of runs that draw already.
constexpr int kClosed = -1;
constexpr int kSettled = -1;

}  // namespace

Schedule::Schedule(const Instance& instance)
    : instance_(&instance),
      timelines_(instance.devices.size()),
      packs_(instance.packs.begin(), instance.packs.end()),
      supplies_(instance.supplies.begin(), instance.supplies.end()),
      plan_(instance.jobs.size()),
      costs_(instance.jobs.size()) {
  for (const InstanceGroup& group : instance.groups) {
    taken_.emplace_back(instance.devices.size(), 0);
    WATTLE_CHECK(group.places.size() == instance.devices.size(), "each device is in a place");
  }
  for (size_t device = 0; device < instance.devices.size(); ++device) {
    for (const Interval& closed : instance.devices[device].closed) {
      timelines_[device].Reserve({.begin = closed.begin, .end = closed.end, .job = kClosed});
    }
  }
  for (const SettledRun& run : instance.settled) {
    if (run.pack != kMains) {
      packs_[static_cast<size_t>(run.pack)].Add(
          {.job = kSettled, .begin = run.begin, .draw = run.draw});
    }
    if (run.supply != kNoCap) {
      supplies_[static_cast<size_t>(run.supply)].Add({.job = kSettled,
                                                      .begin = run.begin,
                                                      .length = run.draw.length,
                                                      .power = run.draw.power});
    }
  }
  for (size_t job = 0; job < plan_.size(); ++job) {
    plan_[job].job = static_cast<int>(job);
    costs_[job] = instance.jobs[job].left_out_price;
    cost_ += costs_[job];
  }
}

int* Schedule::TakenBy(const InstanceJob& job, int device) {
  if (job.group == kBesideAny) {
    return nullptr;
  }
  const auto group = static_cast<size_t>(job.group);
  const int place = instance_->groups[group].places[static_cast<size_t>(device)];
  return &taken_[group][static_cast<size_t>(place)];
}

PowerSource Schedule::PowerOf(size_t device) const {
  const InstanceDevice& on = instance_->devices[device];
  return {
      .pack = on.pack == kMains ? nullptr : &packs_[static_cast<size_t>(on.pack)],
      .supply = on.supply == kNoCap ? nullptr : &supplies_[static_cast<size_t>(on.supply)],
  };
}

Seconds Schedule::EarliestOnGrid(const InstanceJob& job, const JobOption& option) const {
  const auto device = static_cast<size_t>(option.device);
  const PowerSource power = PowerOf(device);
  const Seconds latest_end = std::min(job.deadline.value_or(instance_->end), instance_->end);
  const Seconds step = instance_->start_step;
  Seconds after = job.released;
  while (true) {
    const std::optional<Seconds> start =
        EarliestStart(timelines_[device], power, option.draw, after, latest_end);
    if (!start.has_value() || *start > job.latest_start.value_or(*start)) {
      return kNever;
    }
    if (*start % step == 0) {
      return *start;
    }
    // A start between two grid points may not fit at the next one, so the search repeats from
    // there.
    after = (*start / step + 1) * step;
  }
}

void Schedule::Insert(size_t index, uint64_t skipped) {
  WATTLE_CHECK(plan_[index].device == Planned::kLeftOut, "a job runs once");
  const InstanceJob& job = instance_->jobs[index];
  const JobOption* chosen = nullptr;
  Seconds chosen_start = 0;
  Millijoules chosen_cost = job.left_out_price;
  for (size_t i = 0; i < job.options.size(); ++i) {
    const JobOption& option = job.options[i];
    const bool is_skipped = i < 64 && ((skipped >> i) & 1) != 0;
    // Waiting only adds to the cost.
    if (is_skipped || CostAt(job, option, job.released) >= chosen_cost) {
      continue;
    }
    if (const int* const taken = TakenBy(job, option.device); taken != nullptr && *taken > 0) {
      continue;
    }
    // Looked up last, because following the pack's paths is the expensive part.
    const Seconds start = EarliestOnGrid(job, option);
    if (start != kNever && CostAt(job, option, start) < chosen_cost) {
      chosen = &option;
      chosen_start = start;
      chosen_cost = CostAt(job, option, start);
    }
  }
  if (chosen != nullptr) {
    Put(index, *chosen, chosen_start);
  }
}

void Schedule::Put(size_t index, const JobOption& option, Seconds start) {
  WATTLE_CHECK(plan_[index].device == Planned::kLeftOut, "a job runs once");
  const auto device = static_cast<size_t>(option.device);
  const int number = static_cast<int>(index);
  plan_[index] = {
      .job = number, .device = option.device, .mode = option.mode, .start = start, .in_time = true};
  timelines_[device].Reserve({.begin = start, .end = start + option.draw.length, .job = number});
  if (const int pack = instance_->devices[device].pack; pack != kMains) {
    packs_[static_cast<size_t>(pack)].Add({.job = number, .begin = start, .draw = option.draw});
  }
  if (const int supply = instance_->devices[device].supply; supply != kNoCap) {
    supplies_[static_cast<size_t>(supply)].Add(
        {.job = number, .begin = start, .length = option.draw.length, .power = option.draw.power});
  }
  if (int* const taken = TakenBy(instance_->jobs[index], option.device); taken != nullptr) {
    ++*taken;
  }
  const Millijoules cost = CostAt(instance_->jobs[index], option, start);
  cost_ += cost - costs_[index];
  costs_[index] = cost;
}

void Schedule::Remove(size_t index) {
  Planned& planned = plan_[index];
  if (planned.device == Planned::kLeftOut) {
    return;
  }
  const auto device = static_cast<size_t>(planned.device);
  timelines_[device].Release(planned.job);
  if (const int pack = instance_->devices[device].pack; pack != kMains) {
    packs_[static_cast<size_t>(pack)].Remove(planned.job);
  }
  if (const int supply = instance_->devices[device].supply; supply != kNoCap) {
    supplies_[static_cast<size_t>(supply)].Remove(planned.job);
  }
  if (int* const taken = TakenBy(instance_->jobs[index], planned.device); taken != nullptr) {
    --*taken;
  }
  planned = {.job = planned.job};
  cost_ += instance_->jobs[index].left_out_price - costs_[index];
  costs_[index] = instance_->jobs[index].left_out_price;
}

Schedule InsertInOrder(const Instance& instance, absl::Span<const size_t> order) {
  Schedule schedule(instance);
  for (const size_t job : order) {
    schedule.Insert(job);
  }
  return schedule;
}

}  // namespace wattle::timetable
