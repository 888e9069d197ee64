// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "bench/fleet_of_instance.h"

#include <cstddef>

namespace wattle::bench {
namespace {

using fleet_plan::Amount;
using fleet_plan::Fleet;
using fleet_plan::Rate;
using timetable::Instance;
using timetable::InstanceJob;
using timetable::JobOption;

Amount Exactly(int64_t value) {
  return {.low = value, .mean = value, .high = value};
}

// WayOf makes the option of it again.
Rate RateOf(const JobOption& option) {
  const int64_t drawn = option.draw.power * option.draw.length;
  return {.form = {.mode = option.mode},
          .of_a_run = {.seconds = Exactly(option.draw.length),
                       .millijoules = {.low = drawn, .mean = option.cost, .high = drawn}},
          .of_1000_units = {}};
}

}  // namespace

Fleet FleetOf(const Instance& instance) {
  Fleet fleet;
  fleet.now = 0;
  fleet.end = instance.end;
  fleet.start_step = instance.start_step;
  fleet.packs = instance.packs;
  fleet.supplies = instance.supplies;
  for (size_t device = 0; device < instance.devices.size(); ++device) {
    fleet.device_classes.push_back({});
    fleet_plan::Device& one = fleet.devices.emplace_back();
    one.device_class = static_cast<int>(device);
    one.pack = instance.devices[device].pack;
    one.supply = instance.devices[device].supply;
    one.closed = instance.devices[device].closed;
  }
  fleet.rates.resize(instance.jobs.size() * instance.devices.size());
  for (size_t job = 0; job < instance.jobs.size(); ++job) {
    const InstanceJob& one = instance.jobs[job];
    fleet.work_classes.push_back({});
    for (const JobOption& option : one.options) {
      fleet.rates[job * instance.devices.size() + static_cast<size_t>(option.device)].push_back(
          RateOf(option));
    }
    fleet.jobs.push_back({.work_class = static_cast<int>(job),
                          .released = one.released,
                          .deadline = one.deadline,
                          .left_out_price = one.left_out_price});
  }
  return fleet;
}

timetable::Schedule ScheduleOf(const Instance& instance,
                               const std::vector<std::optional<fleet_plan::Option>>& places) {
  timetable::Schedule schedule(instance);
  for (size_t job = 0; job < places.size(); ++job) {
    for (const JobOption& option : instance.jobs[job].options) {
      if (places[job] && places[job]->device == option.device &&
          places[job]->form.mode == option.mode) {
        schedule.Put(job, option, places[job]->start);
      }
    }
  }
  return schedule;
}

}  // namespace wattle::bench
