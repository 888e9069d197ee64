// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include "bench/drawn_fleet.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/work.h"

namespace wattle::bench {
namespace {

using scheduler::DeviceView;
using scheduler::JobView;
using scheduler::kTestNow;
using scheduler::MakeDevice;
using scheduler::MarginalEnergyJoules;
using scheduler::Predict;
using scheduler::RealJob;
using scheduler::SetBattery;
using scheduler::TotalSeconds;
using scheduler::WorkAmount;
using scheduler::WorkOf;
using timetable::InstanceJob;
using timetable::JobOption;
using timetable::kHour;
using timetable::kMains;
using timetable::Millijoules;
using timetable::Milliwatts;
using timetable::PackSpec;
using timetable::Seconds;

constexpr int kTypes = 4;
constexpr double kReserve = 0.3;

JobView DrawJob(int index, Dice& dice) {
  JobView job = RealJob(absl::StrCat("j", index), 400 + dice.Below(4400));
  const int type = dice.Below(kTypes);
  job.inputs[0].artifact.set_artifact_id(absl::StrCat("m", type));
  job.inputs[0].artifact.mutable_model_shape()->set_layers(3 * (type + 1));
  job.spec.mutable_finetune()->set_batch_size(8);
  job.spec.mutable_finetune()->set_sequence_length(256);
  job.spec.set_priority(50 * dice.Below(2));
  return job;
}

DeviceView DrawDevice(int index, Dice& dice) {
  DeviceView view = MakeDevice(absl::StrCat("class-", index), absl::StrCat("d", index));
  v1::DeviceInfo& info = *view.device.mutable_info();
  info.set_idle_power_watts(dice.Between(1, 2));
  info.set_power_mode(kModes[0]);
  info.set_sets_power_modes(dice.Below(2) == 0);
  for (const char* mode : kModes) {
    info.add_power_modes()->set_name(mode);
  }
  if (dice.Below(5) < 3) {
    SetBattery(dice.Between(60, 150), dice.Between(0.4, 1), &view);
    info.set_gauge_error_ratio(0.001);
  }
  v1::Heartbeat& heartbeat = *view.device.mutable_heartbeat();
  for (int type = 0; type < kTypes; ++type) {
    heartbeat.add_cached_artifact_ids(absl::StrCat("m", type));
  }
  heartbeat.add_cached_artifact_ids("d");
  return view;
}

// The row of one kind of job on one board in one mode. One unit of work takes `seconds` on a board
// of size 1.
v1::ProfileRow RowFor(const v1::DeviceInfo& device, const WorkAmount& work, double seconds,
                      double watts) {
  v1::ProfileRow row;
  row.set_device_class(device.device_class());
  row.set_device_id(device.device_id());
  row.set_emulated(true);
  row.set_power_mode(device.power_mode());
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  *row.mutable_signature() = work.signature;
  row.set_unit(work.unit);
  row.set_idle_power_watts(device.idle_power_watts());
  row.set_units_per_example(work.units / work.examples);
  row.set_units_per_step(work.units / work.steps);
  const auto set = [](double value, v1::Statistic* statistic) {
    statistic->set_mean(value);
    statistic->set_min(value);
    statistic->set_max(value);
    statistic->set_count(25);
  };
  set(seconds, row.mutable_seconds_per_unit());
  set(watts, row.mutable_power_watts());
  set(watts * seconds, row.mutable_energy_joules_per_unit());
  return row;
}

void MeasureAll(Dice& dice, Fleet& fleet) {
  for (const DeviceView& view : fleet.devices) {
    const double speed = dice.Between(0.5, 2);
    const double watts = dice.Between(5, 12);
    for (int type = 0; type < kTypes; ++type) {
      JobView job = RealJob("j", 1000);
      job.inputs[0].artifact.mutable_model_shape()->set_layers(3 * (type + 1));
      job.spec.mutable_finetune()->set_batch_size(8);
      job.spec.mutable_finetune()->set_sequence_length(256);
      const WorkAmount work = WorkOf(job.spec, job.inputs, fleet.profiles).value();
      const double rate = dice.Between(0.7, 1.4) * (type + 1) * 0.012 / speed;
      for (size_t mode = 0; mode < kModes.size(); ++mode) {
        v1::DeviceInfo info = view.device.info();
        info.set_power_mode(kModes[mode]);
        // The second mode is faster, but needs more joules for a unit.
        const double faster = mode == 0 ? 1 : dice.Between(1.3, 1.6);
        const double more = mode == 0 ? 1 : faster * dice.Between(1.1, 1.5);
        WATTLE_CHECK(
            fleet.profiles
                .Put(RowFor(info, work, rate / faster, info.idle_power_watts() + watts * more))
                .ok(),
            "a drawn row is valid");
      }
    }
  }
}

// The job's options to run, from the planner's own predictions.
void AddOptions(const Fleet& fleet, const JobView& job, InstanceJob& plain) {
  const WorkAmount work = WorkOf(job.spec, job.inputs, fleet.profiles).value();
  for (size_t device = 0; device < fleet.devices.size(); ++device) {
    v1::Device in_mode = fleet.devices[device].device;
    const size_t modes = in_mode.info().sets_power_modes() ? kModes.size() : 1;
    for (size_t mode = 0; mode < modes; ++mode) {
      in_mode.mutable_info()->set_power_mode(kModes[mode]);
      const v1::Prediction prediction = Predict(fleet.profiles, in_mode, work, job.inputs);
      const Seconds length = timetable::SecondsUp(
          absl::Seconds(TotalSeconds(prediction, prediction.run_seconds().mean())));
      const Millijoules joules = timetable::MillijoulesUp(Joules(MarginalEnergyJoules(prediction)));
      plain.options.push_back({.device = static_cast<int>(device),
                               .mode = static_cast<int>(mode),
                               .draw = {.length = length, .power = (joules + length - 1) / length},
                               .cost = joules,
                               .cost_per_hour = joules / 100});
    }
  }
}

PackSpec DrawPack(const v1::Device& device, const std::vector<double>& sun, size_t first_hour,
                  Dice& dice, std::vector<Milliwatts>& past) {
  PackSpec pack;
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  pack.capacity = timetable::MillijoulesDown(capacity);
  pack.charge = timetable::MillijoulesDown(capacity * device.heartbeat().state_of_charge_ratio());
  pack.idle = timetable::MilliwattsUp(Watts(device.info().idle_power_watts()));
  pack.floor = {{.from = 0, .charge = timetable::MillijoulesUp(capacity * kReserve)}};
  // A panel of 15 to 60 W peak, of which 80 % arrives in the pack.
  const double panel = dice.Between(15, 60) * 0.8;
  std::vector<Milliwatts>& hours = pack.harvest.emplace_back();
  for (Seconds hour = -kPastHours; hour < kHorizon / kHour; ++hour) {
    const double irradiance =
        sun[(first_hour + sun.size() + static_cast<size_t>(hour)) % sun.size()];
    (hour < 0 ? past : hours)
        .push_back(timetable::MilliwattsDown(Watts(panel * irradiance / 1000)));
  }
  return pack;
}

}  // namespace

Fleet DrawFleet(Dice& dice, const std::vector<double>& sun, int boards, int jobs) {
  Fleet fleet;
  v1::Policy& policy = fleet.policies.emplace_back();
  policy.set_name("keep");
  policy.set_reserve_state_of_charge_ratio(kReserve);
  // The jobs of an instance run without a break. Under a policy with windows runs do not rest, so
  // the planner gets a window that never closes.
  policy.add_work_windows("00:00-24:00");
  const auto first_hour = static_cast<size_t>(dice.Below(8760));
  for (int board = 0; board < boards; ++board) {
    const DeviceView& view = fleet.devices.emplace_back(DrawDevice(board, dice));
    int pack = kMains;
    if (view.device.heartbeat().has_battery()) {
      pack = static_cast<int>(fleet.instance.packs.size());
      fleet.instance.packs.push_back(
          DrawPack(view.device, sun, first_hour, dice, fleet.past_harvest.emplace_back()));
    }
    fleet.instance.devices.push_back({.pack = pack});
  }
  fleet.instance.end = kHorizon;
  fleet.instance.start_step = kSlot;
  MeasureAll(dice, fleet);
  for (int index = 0; index < jobs; ++index) {
    JobView& job = fleet.jobs.emplace_back(DrawJob(index, dice));
    InstanceJob& plain = fleet.instance.jobs.emplace_back();
    plain.released = dice.Below(3) == 0 ? 0 : kSlot * dice.Below(60);
    job.submitted = kTestNow + absl::Seconds(plain.released);
  }
  return fleet;
}

void AddWaysAndDeadlines(Dice& dice, Fleet& fleet) {
  for (size_t index = 0; index < fleet.jobs.size(); ++index) {
    JobView& job = fleet.jobs[index];
    InstanceJob& plain = fleet.instance.jobs[index];
    AddOptions(fleet, job, plain);
    Millijoules dearest = 0;
    Seconds shortest = kHorizon;
    for (const JobOption& option : plain.options) {
      dearest = std::max(dearest, option.cost);
      shortest = std::min(shortest, option.draw.length);
    }
    if (dice.Below(3) < 2) {
      const auto allowed =
          static_cast<Seconds>(static_cast<double>(shortest) * dice.Between(1.3, 6));
      plain.deadline = plain.released + (allowed / kSlot + 1) * kSlot;
      job.spec.set_deadline_seconds(static_cast<double>(*plain.deadline - plain.released));
    }
    // 60 Wh above its most expensive run, twice that for a job of priority 50.
    plain.left_out_price = dearest + (job.spec.priority() > 0 ? 2 : 1) * 216'000'000;
  }
}

}  // namespace wattle::bench
