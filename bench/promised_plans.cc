// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "bench/promised_plans.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "bench/fleet_of_instance.h"
#include "scheduler/fleet_plan/plan_fleet.h"
#include "scheduler/solve/solver.h"
#include "scheduler/timetable/improve.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::bench {
namespace {

using timetable::Instance;
using timetable::InstanceJob;
using timetable::JobOption;
using timetable::Planned;
using timetable::Schedule;

bool IsLeftOut(const Schedule& schedule, size_t job) {
  return schedule.planned(job).device == Planned::kLeftOut;
}

int LeftOut(const Schedule& schedule) {
  int left_out = 0;
  for (size_t job = 0; job < schedule.plan().size(); ++job) {
    left_out += IsLeftOut(schedule, job) ? 1 : 0;
  }
  return left_out;
}

// As scheduler/place/queue/late_jobs.cc helps a job: 1, 2, 4 … places earlier.
void HelpLate(const Instance& instance, size_t job, std::vector<size_t>& order, Schedule& list) {
  const auto at = std::find(order.begin(), order.end(), job) - order.begin();
  for (ptrdiff_t steps = 1; at > 0; steps *= 2) {
    const ptrdiff_t to = std::max<ptrdiff_t>(at - steps, 0);
    std::vector<size_t> trial = order;
    std::rotate(trial.begin() + to, trial.begin() + at, trial.begin() + at + 1);
    Schedule helped = InsertInOrder(instance, trial);
    if (!IsLeftOut(helped, job) && LeftOut(helped) < LeftOut(list)) {
      order = std::move(trial);
      list = std::move(helped);
      return;
    }
    if (to == 0) {
      return;
    }
  }
}

Schedule ListOf(const Instance& instance) {
  std::vector<size_t> order(instance.jobs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Schedule list = InsertInOrder(instance, order);
  for (size_t job = 0; job < instance.jobs.size(); ++job) {
    if (IsLeftOut(list, job)) {
      HelpLate(instance, job, order, list);
    }
  }
  return list;
}

const JobOption* OptionAt(const InstanceJob& job, int device, int mode) {
  const auto option =
      std::find_if(job.options.begin(), job.options.end(),
                   [&](const JobOption& one) { return one.device == device && one.mode == mode; });
  return option == job.options.end() ? nullptr : &*option;
}

// No job of the list starts later, and none with a deadline ends later.
Instance WithPromises(Instance instance, const Schedule& list) {
  for (size_t job = 0; job < instance.jobs.size(); ++job) {
    InstanceJob& one = instance.jobs[job];
    const Planned& planned = list.planned(job);
    if (const JobOption* const option = OptionAt(one, planned.device, planned.mode)) {
      one.latest_start = planned.start;
      one.deadline =
          one.deadline ? std::optional(planned.start + option->draw.length) : std::nullopt;
    }
  }
  return instance;
}

Schedule Mended(const Instance& promised, const fleet_plan::FleetPlan& plan) {
  Schedule mended(promised);
  for (size_t job = 0; job < promised.jobs.size(); ++job) {
    const InstanceJob& one = promised.jobs[job];
    const std::optional<fleet_plan::Option>& place = plan.places[job];
    const JobOption* const option =
        place ? OptionAt(one, place->device, place->form.mode) : nullptr;
    if (option != nullptr && place->start <= one.latest_start.value_or(place->start) &&
        place->start + option->draw.length <= one.deadline.value_or(promised.end)) {
      mended.Put(job, *option, place->start);
    }
  }
  for (size_t job = 0; job < promised.jobs.size(); ++job) {
    if (IsLeftOut(mended, job)) {
      mended.Insert(job);
    }
  }
  return mended;
}

}  // namespace

void PrintPromised(const Instance& instance, int moves) {
  const Schedule list = ListOf(instance);
  const fleet_plan::FleetPlan plan =
      PlanFleet(FleetOf(instance), solve::BuiltInSolver(),
                {.buckets = 24, .ways_max = 64, .iterations_max = 100'000});
  const Instance promised = WithPromises(instance, list);
  const auto print = [&list](const char* name, const Schedule& schedule) {
    std::printf("%s %.2f %d; ", name,
                100 * static_cast<double>(schedule.cost()) / static_cast<double>(list.cost()),
                LeftOut(schedule));
  };
  const Schedule mended = Mended(promised, plan);
  print("list", list);
  print("fleet pass", ScheduleOf(instance, plan.places));
  print("search", Improve(instance, list, {.moves = moves, .seed = 1}));
  std::printf("with promises: ");
  print("fleet pass", mended);
  print("fleet pass and search", Improve(promised, mended, {.moves = moves, .seed = 1}));
  Schedule standing(promised);
  for (size_t job = 0; job < promised.jobs.size(); ++job) {
    const Planned& planned = list.planned(job);
    if (const JobOption* const option =
            OptionAt(promised.jobs[job], planned.device, planned.mode)) {
      standing.Put(job, *option, planned.start);
    }
  }
  print("search", Improve(promised, standing, {.moves = moves, .seed = 1}));
  std::printf("\n");
}

}  // namespace wattle::bench
