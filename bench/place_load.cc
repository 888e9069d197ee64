// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Load generator of ./dev bench place. Draws small fleets with real sun, plans them with the
// shipped planner and with four lists, checks each plan with CheckPlan, and prints one JSON
// document: the instance for the solver, and each plan's cost.
//
//   wattle-place-load SUN SEED BOARDS JOBS        SUN: W/m2 of each hour of a year, one a line
//   wattle-place-load --time BOARDS JOBS SEED     seconds of one PlanQueue on a drawn fleet
//
// The shipped planner decides starts only. So it is asked as the coordinator asks it: at each half
// hour, with the charge that the packs really have then, the jobs that are known then, and the
// boards that are busy then. The truth is the mean of the planner's own prediction.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "base/check.h"
#include "scheduler/place/fleet_for_test.h"
#include "scheduler/place/place.h"
#include "scheduler/place/selector.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/timetable/check_plan.h"
#include "scheduler/timetable/earliest_start.h"

namespace wattle::scheduler {
namespace {

using timetable::CheckPlan;
using timetable::Instance;
using timetable::InstanceJob;
using timetable::JobOption;
using timetable::kHour;
using timetable::kMains;
using timetable::Millijoules;
using timetable::Milliwatts;
using timetable::Pack;
using timetable::PackSpec;
using timetable::Planned;
using timetable::Seconds;
using timetable::Timeline;

constexpr Seconds kSlot = kHour / 2;  // Plans start at full half hours, as the solver's do.
constexpr Seconds kHorizon = 96 * kSlot;
constexpr Seconds kBytesEvery = 6 * kHour;  // How often a plan is made twice and compared.
constexpr int kTypes = 4;
constexpr double kReserve = 0.3;
const std::array<const char*, 2> kModes = {"10W", "20W"};

class Dice {
 public:
  explicit Dice(uint64_t seed) : generator_(seed) {}
  int Below(int bound) { return static_cast<int>(generator_() % static_cast<uint64_t>(bound)); }
  double Between(double low, double high) {
    return low + (high - low) * static_cast<double>(generator_() >> 11) * 0x1.0p-53;
  }

 private:
  std::mt19937_64 generator_;
};

// A drawn fleet, as the planner sees it and as plain numbers. Moments of the instance are seconds
// since `kTestNow`.
struct Fleet {
  ProfileTable profiles;
  std::vector<DeviceView> devices;
  std::vector<JobView> jobs;
  std::vector<v1::Policy> policies;
  Instance instance;
  std::vector<Millijoules> left_out_price;  // Of each job.
};

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

// The row of one kind of job on one board in one mode. One unit of work takes `seconds` on the
// board of the size 1.
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
        // The second mode is faster, and takes more joules for a unit.
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

// The job's ways to run, by the planner's own predictions.
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
                               .cost = joules});
    }
  }
}

PackSpec DrawPack(const v1::Device& device, const std::vector<double>& sun, size_t first_hour,
                  Dice& dice) {
  PackSpec pack;
  const Joules capacity = FromWattHours(device.info().battery_capacity_wh());
  pack.capacity = timetable::MillijoulesDown(capacity);
  pack.charge = timetable::MillijoulesDown(capacity * device.heartbeat().state_of_charge_ratio());
  pack.idle = timetable::MilliwattsUp(Watts(device.info().idle_power_watts()));
  pack.floor = {{.from = 0, .charge = timetable::MillijoulesUp(capacity * kReserve)}};
  // A panel of 15 to 60 W peak, of which 0.8 arrives in the pack.
  const double panel = dice.Between(15, 60) * 0.8;
  std::vector<Milliwatts>& hours = pack.harvest.emplace_back();
  for (Seconds hour = 0; hour < kHorizon / kHour; ++hour) {
    const double irradiance = sun[(first_hour + static_cast<size_t>(hour)) % sun.size()];
    hours.push_back(timetable::MilliwattsDown(Watts(panel * irradiance / 1000)));
  }
  return pack;
}

// The boards, their rows and packs, and jobs without deadlines.
Fleet DrawFleet(Dice& dice, const std::vector<double>& sun, int boards, int jobs) {
  Fleet fleet;
  v1::Policy& policy = fleet.policies.emplace_back();
  policy.set_name("keep");
  policy.set_reserve_state_of_charge_ratio(kReserve);
  const auto first_hour = static_cast<size_t>(dice.Below(8760));
  for (int board = 0; board < boards; ++board) {
    const DeviceView& view = fleet.devices.emplace_back(DrawDevice(board, dice));
    int pack = kMains;
    if (view.device.heartbeat().has_battery()) {
      pack = static_cast<int>(fleet.instance.packs.size());
      fleet.instance.packs.push_back(DrawPack(view.device, sun, first_hour, dice));
    }
    fleet.instance.devices.push_back({.pack = pack});
  }
  MeasureAll(dice, fleet);
  for (int index = 0; index < jobs; ++index) {
    JobView& job = fleet.jobs.emplace_back(DrawJob(index, dice));
    InstanceJob& plain = fleet.instance.jobs.emplace_back();
    plain.released = dice.Below(3) == 0 ? 0 : kSlot * dice.Below(60);
    job.submitted = kTestNow + absl::Seconds(plain.released);
  }
  return fleet;
}

// The ways of each job, and for two jobs of three a deadline of 1.3 to 6 times its shortest run.
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
    // 60 Wh beyond its dearest run, twice that for a job of priority 50.
    fleet.left_out_price.push_back(dearest + (job.spec.priority() > 0 ? 2 : 1) * 216'000'000);
  }
}

// A hundredth of the joules for each hour of waiting.
Millijoules CostAt(const InstanceJob& job, const JobOption& option, Seconds start) {
  return option.cost + option.cost / 100 * ((start - job.released) / kSlot) / 2;
}

// ---- The shipped planner, event by event.

struct Running {
  int job = 0;
  JobOption option;
  Seconds begin = 0;
  [[nodiscard]] Seconds end() const { return begin + option.draw.length; }
};

// The packs as they are, second by second.
class Truth {
 public:
  explicit Truth(const Fleet& fleet) : fleet_(fleet) {
    for (const PackSpec& pack : fleet.instance.packs) {
      charges_.push_back(pack.charge);
    }
  }
  void Start(Running running) { running_.push_back(running); }
  [[nodiscard]] Millijoules charge(int pack) const { return charges_[static_cast<size_t>(pack)]; }
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
      }
    }
  }

 private:
  const Fleet& fleet_;
  std::vector<Millijoules> charges_;
  std::vector<Running> running_;
};

Snapshot SnapshotAt(const Fleet& fleet, const Truth& truth, const std::vector<Planned>& plan,
                    Seconds now) {
  Snapshot snapshot = MakeSnapshot(fleet.devices, fleet.profiles);
  snapshot.now = kTestNow + absl::Seconds(now);
  snapshot.policies = fleet.policies;
  for (size_t device = 0; device < snapshot.devices.size(); ++device) {
    DeviceView& view = snapshot.devices[device];
    const int pack = fleet.instance.devices[device].pack;
    if (pack != kMains) {
      const PackSpec& spec = fleet.instance.packs[static_cast<size_t>(pack)];
      view.device.mutable_heartbeat()->set_state_of_charge_ratio(
          static_cast<double>(truth.charge(pack)) / static_cast<double>(spec.capacity));
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

int CountDifferent(const std::vector<QueuePlacement>& plan,
                   const std::vector<QueuePlacement>& again) {
  WATTLE_CHECK(plan.size() == again.size(), "each job has a placement");
  int different = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    different += plan[i].placement.SerializeAsString() != again[i].placement.SerializeAsString();
  }
  return different;
}

std::vector<Planned> PlanByShipped(const Fleet& fleet, int& bytes_differ) {
  std::vector<Planned> plan = LeaveAllOut(fleet);
  Truth truth(fleet);
  for (Seconds now = 0; now < kHorizon; now += kSlot) {
    const Snapshot snapshot = SnapshotAt(fleet, truth, plan, now);
    const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
    bytes_differ += now % kBytesEvery == 0 ? CountDifferent(placements, PlanQueue(snapshot)) : 0;
    for (const QueuePlacement& placed : placements) {
      if (placed.placement.device_id().empty() || placed.placement.wait()) {
        continue;
      }
      const auto job = static_cast<size_t>(std::atoi(placed.job.value().c_str() + 1));
      const JobOption* const option = OptionOf(fleet, job, placed);
      WATTLE_CHECK(option != nullptr, "the planner starts a job in one of its ways");
      Place(fleet, *option, now, plan[job]);
      truth.Start({.job = static_cast<int>(job), .option = *option, .begin = now});
    }
    truth.PassSlot(now);
  }
  return plan;
}

// ---- Lists: each job in turn takes its cheapest way among the earliest start of each.

std::optional<Seconds> EarliestSlot(const Timeline& timeline, const Pack* pack,
                                    const InstanceJob& job, const JobOption& option) {
  Seconds after = job.released;
  while (true) {
    const std::optional<Seconds> start = timetable::EarliestStart(
        timeline, pack, option.draw, after, job.deadline.value_or(kHorizon));
    if (!start || *start % kSlot == 0) {
      return start;
    }
    after = (*start / kSlot + 1) * kSlot;
  }
}

std::vector<Planned> PlanByList(const Fleet& fleet, const std::function<double(size_t job)>& rank) {
  const Instance& instance = fleet.instance;
  std::vector<Timeline> timelines(instance.devices.size());
  std::vector<Pack> packs(instance.packs.begin(), instance.packs.end());
  std::vector<Planned> plan = LeaveAllOut(fleet);
  std::vector<size_t> order(plan.size());
  for (size_t job = 0; job < order.size(); ++job) {
    order[job] = job;
  }
  std::stable_sort(order.begin(), order.end(),
                   [&rank](size_t a, size_t b) { return rank(a) < rank(b); });
  for (const size_t job : order) {
    const JobOption* chosen = nullptr;
    Seconds chosen_start = 0;
    for (const JobOption& option : instance.jobs[job].options) {
      const int pack = instance.devices[static_cast<size_t>(option.device)].pack;
      const std::optional<Seconds> start = EarliestSlot(
          timelines[static_cast<size_t>(option.device)],
          pack == kMains ? nullptr : &packs[static_cast<size_t>(pack)], instance.jobs[job], option);
      if (start && (chosen == nullptr || CostAt(instance.jobs[job], option, *start) <
                                             CostAt(instance.jobs[job], *chosen, chosen_start))) {
        chosen = &option;
        chosen_start = *start;
      }
    }
    if (chosen == nullptr) {
      continue;
    }
    Place(fleet, *chosen, chosen_start, plan[job]);
    const auto device = static_cast<size_t>(chosen->device);
    timelines[device].Reserve({.begin = chosen_start,
                               .end = chosen_start + chosen->draw.length,
                               .job = static_cast<int>(job)});
    if (const int pack = instance.devices[device].pack; pack != kMains) {
      packs[static_cast<size_t>(pack)].Add(
          {.job = static_cast<int>(job), .begin = chosen_start, .draw = chosen->draw});
    }
  }
  return plan;
}

// ---- Judgement and output.

nlohmann::json Judge(const Fleet& fleet, const std::vector<Planned>& plan) {
  Millijoules cost = 0;
  int missed = 0;
  int left_out = 0;
  for (const Planned& planned : plan) {
    const InstanceJob& job = fleet.instance.jobs[static_cast<size_t>(planned.job)];
    missed += job.deadline && !planned.in_time ? 1 : 0;
    left_out += planned.device == Planned::kLeftOut ? 1 : 0;
    // A job that ends late is worth no more than one that was left out.
    if (planned.device == Planned::kLeftOut || !planned.in_time) {
      cost += fleet.left_out_price[static_cast<size_t>(planned.job)];
      continue;
    }
    for (const JobOption& option : job.options) {
      if (option.device == planned.device && option.mode == planned.mode) {
        cost += CostAt(job, option, planned.start);
      }
    }
  }
  return {{"cost", cost},
          {"missed", missed},
          {"left_out", left_out},
          {"broken", CheckPlan(fleet.instance, plan).value_or("")}};
}

nlohmann::json InstanceJson(const Fleet& fleet) {
  nlohmann::json json;
  for (const auto& device : fleet.instance.devices) {
    json["devices"].push_back(device.pack);
  }
  json["packs"] = nlohmann::json::array();
  for (const PackSpec& pack : fleet.instance.packs) {
    json["packs"].push_back({{"capacity", pack.capacity},
                             {"charge", pack.charge},
                             {"idle", pack.idle},
                             {"floor", pack.floor[0].charge},
                             {"harvest", pack.harvest[0]}});
  }
  for (size_t job = 0; job < fleet.jobs.size(); ++job) {
    const InstanceJob& plain = fleet.instance.jobs[job];
    nlohmann::json one = {{"released", plain.released},
                          {"deadline", plain.deadline.value_or(kHorizon)},
                          {"has_deadline", plain.deadline.has_value()},
                          {"left_out_price", fleet.left_out_price[job]}};
    for (const JobOption& option : plain.options) {
      one["options"].push_back({{"device", option.device},
                                {"length", option.draw.length},
                                {"power", option.draw.power},
                                {"cost", option.cost}});
    }
    json["jobs"].push_back(one);
  }
  return json;
}

void PrintInstance(uint64_t seed, const std::vector<double>& sun, int boards, int job_count) {
  Dice dice(seed);
  Fleet fleet = DrawFleet(dice, sun, boards, job_count);
  AddWaysAndDeadlines(dice, fleet);
  const std::vector<InstanceJob>& jobs = fleet.instance.jobs;
  const auto deadline = [&jobs](size_t job) {
    return static_cast<double>(jobs[job].deadline.value_or(10 * kHorizon));
  };
  const auto shortest = [&jobs](size_t job) {
    Seconds least = kHorizon;
    for (const JobOption& option : jobs[job].options) {
      least = std::min(least, option.draw.length);
    }
    return static_cast<double>(least);
  };
  int bytes_differ = 0;
  nlohmann::json plans;
  plans["shipped"] = Judge(fleet, PlanByShipped(fleet, bytes_differ));
  plans["priority"] = Judge(fleet, PlanByList(fleet, [&](size_t job) {
                              return static_cast<double>(jobs[job].released) -
                                     kHour * fleet.jobs[job].spec.priority();
                            }));
  plans["edf"] = Judge(fleet, PlanByList(fleet, deadline));
  plans["slack"] =
      Judge(fleet, PlanByList(fleet, [&](size_t job) {
              return deadline(job) - static_cast<double>(jobs[job].released) - shortest(job);
            }));
  plans["longest"] = Judge(fleet, PlanByList(fleet, [&](size_t job) { return -shortest(job); }));
  const nlohmann::json document = {{"seed", seed},
                                   {"instance", InstanceJson(fleet)},
                                   {"plans", plans},
                                   {"bytes_differ", bytes_differ}};
  std::printf("%s\n", document.dump().c_str());
}

void PrintTime(int devices, int jobs, uint64_t seed) {
  Dice dice(seed);
  Fleet fleet = DrawFleet(dice, std::vector<double>(8760, 0), devices, jobs);
  for (JobView& job : fleet.jobs) {
    job.spec.set_deadline_seconds(dice.Between(1, 48) * kHour);
  }
  const Truth truth(fleet);
  const Snapshot snapshot = SnapshotAt(fleet, truth, LeaveAllOut(fleet), 60 * kSlot);
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("%zu %zu %.6f\n", snapshot.devices.size(), placements.size(), seconds.count());
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 4 && arguments[0] == "--time") {
    PrintTime(std::atoi(arguments[1].c_str()), std::atoi(arguments[2].c_str()),
              std::strtoull(arguments[3].c_str(), nullptr, 10));
    return 0;
  }
  if (arguments.size() != 4) {
    std::fprintf(stderr,
                 "usage: wattle-place-load SUN SEED BOARDS JOBS | --time BOARDS JOBS SEED\n");
    return 2;
  }
  std::ifstream file(arguments[0]);
  std::vector<double> sun;
  for (double irradiance = 0; file >> irradiance;) {
    sun.push_back(irradiance);
  }
  if (sun.empty()) {
    std::fprintf(stderr, "%s: has no numbers; wanted the W/m2 of each hour of a year\n",
                 arguments[0].c_str());
    return 1;
  }
  PrintInstance(std::strtoull(arguments[1].c_str(), nullptr, 10), sun,
                std::atoi(arguments[2].c_str()), std::atoi(arguments[3].c_str()));
  return 0;
}

}  // namespace
}  // namespace wattle::scheduler

int main(int count, char** arguments) {
  return wattle::scheduler::Main(std::vector<std::string>(arguments + 1, arguments + count));
}
