// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "scheduler/fleet_plan/fleet.h"

namespace wattle::fleet_plan {
namespace {

Amount OfUnits(const Amount& of_a_run, const Amount& of_1000_units, int64_t units) {
  return {.low = Scaled(of_a_run.low, of_1000_units.low, units),
          .mean = Scaled(of_a_run.mean, of_1000_units.mean, units),
          .high = Scaled(of_a_run.high, of_1000_units.high, units)};
}

}  // namespace

Estimate EstimateOf(const Rate& rate, int64_t units) {
  return {.seconds = OfUnits(rate.of_a_run.seconds, rate.of_1000_units.seconds, units),
          .millijoules = OfUnits(rate.of_a_run.millijoules, rate.of_1000_units.millijoules, units)};
}

int NumberOf(const Form& form) {
  return (form.mode * 64 + form.quantization) * 4096 + form.batch;
}

timetable::JobOption WayOf(const Fleet& fleet, const Job& job, int device, const Rate& rate) {
  const Device& on = fleet.devices[static_cast<size_t>(device)];
  const WorkClass& work = fleet.work_classes[static_cast<size_t>(job.work_class)];
  const Estimate run = EstimateOf(rate, job.units);
  const Seconds fetch =
      IsCached(on, work.artifact)
          ? 0
          : (work.artifact_bytes + on.link_bytes_per_second - 1) / on.link_bytes_per_second;
  const Seconds seconds = std::max<Seconds>(1, run.seconds.high);
  const Millijoules cost = run.millijoules.mean + fetch * kFetchPower;
  return {
      .device = device,
      .mode = NumberOf(rate.form),
      .draw = {.length = seconds + fetch, .power = (run.millijoules.high + seconds - 1) / seconds},
      .cost = cost,
      .cost_per_hour = cost * fleet.patience_thousandths_per_hour / 1000};
}

std::vector<const Rate*> RatesOn(const Fleet& fleet, const Device& device, int work_class) {
  std::vector<const Rate*> rates;
  for (const OwnRate& own : device.own) {
    if (own.work_class == work_class) {
      rates.push_back(&own.rate);
    }
  }
  const size_t measured = rates.size();
  for (const Rate& rate : fleet.RatesOf(work_class, device.device_class)) {
    const bool is_replaced =
        std::any_of(rates.begin(), rates.begin() + static_cast<std::ptrdiff_t>(measured),
                    [&rate](const Rate* own) { return own->form == rate.form; });
    if (!is_replaced) {
      rates.push_back(&rate);
    }
  }
  return rates;
}

}  // namespace wattle::fleet_plan
