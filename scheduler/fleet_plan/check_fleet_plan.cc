// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/check_fleet_plan.h"

#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

#include "scheduler/timetable/check_plan.h"

namespace wattle::fleet_plan {
namespace {

using timetable::Instance;
using timetable::InstanceDevice;
using timetable::kHour;
using timetable::kMains;
using timetable::kNoCap;
using timetable::Planned;

std::vector<size_t> Numbers(size_t count) {
  std::vector<size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  return numbers;
}

// The number of an item in a list that grows as numbers are asked for.
template <typename Item>
int NumberIn(int index, const std::vector<Item>& all, std::map<int, int>& numbers,
             std::vector<Item>& some) {
  const auto [number, is_new] = numbers.try_emplace(index, static_cast<int>(some.size()));
  if (is_new) {
    some.push_back(all[static_cast<size_t>(index)]);
  }
  return number->second;
}

void AddDevices(const Fleet& fleet, absl::Span<const size_t> devices, Instance& instance) {
  std::map<int, int> packs;
  std::map<int, int> supplies;
  for (const size_t device : devices) {
    const Device& on = fleet.devices[device];
    InstanceDevice& one = instance.devices.emplace_back();
    one.closed = on.closed;
    one.pack = on.pack == kMains ? kMains : NumberIn(on.pack, fleet.packs, packs, instance.packs);
    one.supply = on.supply == kNoCap
                     ? kNoCap
                     : NumberIn(on.supply, fleet.supplies, supplies, instance.supplies);
  }
}

Planned PlannedAt(const Fleet& fleet, const Option& option, int job, int device) {
  const Job& one = fleet.jobs[static_cast<size_t>(option.job)];
  Planned planned{.job = job,
                  .device = device,
                  .mode = NumberOf(option.form),
                  .start = option.start,
                  .in_time = true};
  const Device& on = fleet.devices[static_cast<size_t>(option.device)];
  for (const Rate* const rate : RatesOn(fleet, on, one.work_class)) {
    if (rate->form == option.form && one.deadline) {
      planned.in_time =
          option.start + WayOf(fleet, one, option.device, *rate).draw.length <= *one.deadline;
    }
  }
  return planned;
}

// The devices that share power, directly or through others. Each device stands in one group.
std::vector<std::vector<size_t>> PowerGroups(const Fleet& fleet) {
  // A pack or a supply leads to its first device; a group to its smallest device.
  std::vector<size_t> first = Numbers(fleet.devices.size());
  const auto group_of = [&first](size_t device) {
    while (first[device] != device) {
      device = first[device];
    }
    return device;
  };
  std::map<std::pair<bool, int>, size_t> shared;
  for (size_t device = 0; device < fleet.devices.size(); ++device) {
    const Device& on = fleet.devices[device];
    for (const std::pair<bool, int>& source : {std::pair(true, on.pack), {false, on.supply}}) {
      if (source.second < 0) {
        continue;
      }
      const size_t other = group_of(shared.try_emplace(source, device).first->second);
      const size_t own = group_of(device);
      first[std::max(own, other)] = std::min(own, other);
    }
  }
  std::map<size_t, std::vector<size_t>> groups;
  for (size_t device = 0; device < fleet.devices.size(); ++device) {
    groups[group_of(device)].push_back(device);
  }
  std::vector<std::vector<size_t>> answer;
  for (auto& [smallest, devices] : groups) {
    answer.push_back(std::move(devices));
  }
  return answer;
}

}  // namespace

Instance InstanceOf(const Fleet& fleet, absl::Span<const size_t> devices,
                    absl::Span<const size_t> jobs) {
  Instance instance{.devices = {}, .packs = {}, .jobs = {}};
  instance.end = fleet.end;
  instance.start_step = fleet.start_step;
  AddDevices(fleet, devices, instance);
  for (const size_t index : jobs) {
    const Job& job = fleet.jobs[index];
    timetable::InstanceJob& one = instance.jobs.emplace_back();
    one.released = job.released;
    one.deadline = job.deadline;
    one.left_out_price = job.left_out_price;
    for (size_t number = 0; number < devices.size(); ++number) {
      const int device = static_cast<int>(devices[number]);
      for (const Rate* const rate :
           RatesOn(fleet, fleet.devices[devices[number]], job.work_class)) {
        if (Check({fleet, job, device, *rate}, Scope::kDevice).answer == Answer::kOk) {
          one.options.push_back(WayOf(fleet, job, device, *rate));
          one.options.back().device = static_cast<int>(number);
        }
      }
    }
  }
  return instance;
}

Instance InstanceOf(const Fleet& fleet) {
  return InstanceOf(fleet, Numbers(fleet.devices.size()), Numbers(fleet.jobs.size()));
}

std::vector<Planned> PlannedOf(const Fleet& fleet, absl::Span<const std::optional<Option>> plan) {
  std::vector<Planned> planned;
  for (size_t job = 0; job < plan.size(); ++job) {
    const int number = static_cast<int>(job);
    planned.push_back(plan[job] ? PlannedAt(fleet, *plan[job], number, plan[job]->device)
                                : Planned{.job = number});
  }
  return planned;
}

std::optional<std::string> CheckFleetPlan(const Fleet& fleet,
                                          absl::Span<const std::optional<Option>> plan) {
  if (plan.size() != fleet.jobs.size()) {
    return absl::StrCat("missing: the fleet has ", fleet.jobs.size(), " jobs, the plan ",
                        plan.size());
  }
  std::vector<std::vector<size_t>> jobs_on(fleet.devices.size());
  for (size_t job = 0; job < plan.size(); ++job) {
    if (!plan[job]) {
      continue;
    }
    if (plan[job]->job != static_cast<int>(job) || plan[job]->device < 0 ||
        static_cast<size_t>(plan[job]->device) >= fleet.devices.size()) {
      return absl::StrCat("option: job ", job, " is planned as job ", plan[job]->job, " on device ",
                          plan[job]->device);
    }
    jobs_on[static_cast<size_t>(plan[job]->device)].push_back(job);
  }
  for (const std::vector<size_t>& devices : PowerGroups(fleet)) {
    std::vector<size_t> jobs;
    std::vector<Planned> planned;
    for (size_t number = 0; number < devices.size(); ++number) {
      for (const size_t job : jobs_on[devices[number]]) {
        planned.push_back(
            PlannedAt(fleet, *plan[job], static_cast<int>(jobs.size()), static_cast<int>(number)));
        jobs.push_back(job);
      }
    }
    if (std::optional<std::string> broken = CheckPlan(InstanceOf(fleet, devices, jobs), planned)) {
      return absl::StrCat("device ", devices.front(), ": ", *broken);
    }
  }
  return std::nullopt;
}

Verdict WhyNoPlace(const Fleet& fleet, const Job& job) {
  Verdict nearest{.answer = Answer::kNever};
  for (size_t device = 0; device < fleet.devices.size(); ++device) {
    for (const Rate* const rate : RatesOn(fleet, fleet.devices[device], job.work_class)) {
      const Verdict verdict =
          Check({fleet, job, static_cast<int>(device), *rate}, Scope::kTrajectory);
      if (verdict.answer == Answer::kOk) {
        return {.answer = Answer::kNotNow, .until = (fleet.now / kHour + 1) * kHour};
      }
      const bool is_nearer = verdict.answer != nearest.answer ? verdict.answer == Answer::kNotNow
                                                              : verdict.rule > nearest.rule;
      nearest = is_nearer ? verdict : nearest;
    }
  }
  return nearest;
}

}  // namespace wattle::fleet_plan
