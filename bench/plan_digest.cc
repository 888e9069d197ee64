// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "bench/plan_digest.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/crc32c.h"
#include "bench/drawn_fleet.h"
#include "bench/fleet_plans.h"
#include "scheduler/place/improve_queue.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"

namespace wattle::bench {
namespace {

using scheduler::AntiAffinityGroup;
using scheduler::AntiAffinityGroupOf;
using scheduler::DeviceView;
using scheduler::JobView;
using scheduler::QueuePlacement;
using scheduler::Snapshot;
using timetable::kHour;

// The W/m2 of each hour of a year with identical days.
std::vector<double> SunOfAlikeDays() {
  std::vector<double> sun;
  for (int hour = 0; hour < 8760; ++hour) {
    sun.push_back(800 * std::max(0.0, std::sin((hour % 24 - 6) * 3.14159265358979 / 12)));
  }
  return sun;
}

bool OneIn(Dice& dice, int n) {
  return dice.Below(n) == 0;
}

void DrawPolicies(Dice& dice, std::vector<v1::Policy>& policies) {
  policies.front().clear_work_windows();
  if (OneIn(dice, 2)) {
    policies.front().add_work_windows(OneIn(dice, 2) ? "00:00-24:00" : "22:00-07:00");
  }
  v1::Policy& group = policies.emplace_back();
  group.set_name("group");
  group.add_selector("site=north");
  if (OneIn(dice, 2)) {
    group.mutable_power_group()->set_name("mast");
    group.mutable_power_group()->set_shared_pack(OneIn(dice, 2));
    group.mutable_power_group()->set_power_cap_watts(OneIn(dice, 2) ? dice.Between(15, 40) : 0);
  }
  v1::Policy& budget = policies.emplace_back();
  budget.set_name("budget");
  budget.add_selector("class=class-1");
  budget.set_daily_energy_budget_wh(dice.Between(5, 60));
  budget.set_max_temperature_celsius(70);
  v1::Policy& link = policies.emplace_back();
  link.set_name("link");
  link.add_selector("class=class-2");
  link.add_work_windows("06:00-20:00");
  link.mutable_link()->set_bytes_per_day(2'000'000'000);
  link.mutable_link()->add_windows("08:00-12:00");
  link.set_patience_ratio_per_hour(dice.Between(0, 0.1));
}

void DrawSun(Dice& dice, DeviceView& view) {
  if (!view.device.heartbeat().has_battery() || OneIn(dice, 4)) {
    return;
  }
  const double peak = dice.Between(5, 30);
  for (int hour = 0; hour < 24; ++hour) {
    view.device.mutable_ledger()->add_harvest_power_watts_by_hour(
        peak * std::max(0.0, std::sin((hour - 6) * 3.14159265358979 / 12)));
  }
}

void DrawAttempt(Dice& dice, int index, DeviceView& view) {
  const std::string job = absl::StrCat("k", index);
  view.device.set_running_attempt_id(job + ".1");
  const absl::Duration left = absl::Seconds(dice.Below(20'000) - 500);
  view.free_at = scheduler::kTestNow + left;
  view.running_power = Watts(dice.Between(4, 12));
  view.committed_energy = view.running_power * std::max(left, absl::ZeroDuration());
  view.coming_artifact_ids = {"d", absl::StrCat("m", dice.Below(4))};
  if (OneIn(dice, 3)) {
    view.releasable = scheduler::ReleasableAttempt{.id = AttemptId(job + ".1"),
                                                   .job = JobId(job),
                                                   .priority = 0,
                                                   .remaining = left,
                                                   .hand_over = absl::Seconds(60),
                                                   .resume = absl::Seconds(60)};
  } else if (OneIn(dice, 4)) {
    view.rests_at_reserve = scheduler::RestsAtReserve();
  }
}

void DrawHeat(Dice& dice, v1::Heartbeat& heartbeat) {
  heartbeat.set_has_temperature(true);
  heartbeat.set_temperature_celsius(dice.Between(30, 68));
  v1::HeatModel& heat = *heartbeat.mutable_heat_model();
  heat.set_ambient_celsius(25);
  heat.set_throttle_celsius(dice.Between(60, 90));
  v1::HeatStage& stage = *heat.add_stages();
  stage.set_kelvin_per_watt(dice.Between(2, 6));
  stage.set_time_constant_seconds(600);
}

void DrawDevice(Dice& dice, int index, DeviceView& view) {
  v1::DeviceInfo& info = *view.device.mutable_info();
  v1::Heartbeat& heartbeat = *view.device.mutable_heartbeat();
  if (OneIn(dice, 2)) {
    v1::Label& label = *info.add_labels();
    label.set_key("site");
    label.set_value(OneIn(dice, 3) ? "north" : "south");
  }
  if (OneIn(dice, 3)) {
    heartbeat.clear_cached_artifact_ids();
  }
  info.set_offers_cpu(OneIn(dice, 4));
  if (info.offers_cpu()) {
    info.set_accelerator("cuda");
  }
  if (OneIn(dice, 8)) {
    DrawHeat(dice, heartbeat);
  }
  view.device.set_connected(!OneIn(dice, 12));
  view.device.set_drained(OneIn(dice, 12));
  DrawSun(dice, view);
  if (OneIn(dice, 3)) {
    DrawAttempt(dice, index, view);
  }
}

// works: the number of amounts of work; jobs of one amount are alike.
void DrawJob(Dice& dice, int works, const Snapshot& snapshot, JobView& job) {
  if (works > 0) {
    job.inputs[1].artifact.mutable_dataset()->set_examples(600 + 400 * dice.Below(works));
  }
  const v1::Objective objectives[] = {v1::OBJECTIVE_ENERGY, v1::OBJECTIVE_ENERGY,
                                      v1::OBJECTIVE_TIME, v1::OBJECTIVE_EDP};
  job.spec.set_objective(objectives[dice.Below(4)]);
  job.submitted = scheduler::kTestNow - absl::Seconds(dice.Below(40'000));
  job.spec.set_deadline_seconds(OneIn(dice, 2) ? 0 : 40'000 + dice.Between(-1, 24) * kHour);
  job.spec.set_priority(OneIn(dice, 4) ? dice.Below(60) - 30 : 0);
  if (OneIn(dice, 8)) {
    job.spec.add_required_labels(OneIn(dice, 2) ? "site" : "site=north");
  }
  if (OneIn(dice, 10)) {
    job.spec.mutable_apart()->set_group("a");
  }
  if (OneIn(dice, 8)) {
    job.checkpoint_step = dice.Below(100);
    job.checkpoint_bytes = 1'000'000'000;
  }
  if (OneIn(dice, 12)) {
    job.spec.set_energy_budget_wh(dice.Between(1, 40));
  }
  const auto any_device = [&] {
    const auto at = static_cast<size_t>(dice.Below(static_cast<int>(snapshot.devices.size())));
    return DeviceId(snapshot.devices[at].device.info().device_id());
  };
  if (OneIn(dice, 8)) {
    job.avoided_devices.push_back(any_device());
  }
  if (OneIn(dice, 3)) {
    job.last_place =
        scheduler::LastPlace{any_device(), scheduler::kTestNow + absl::Seconds(dice.Below(7'200))};
  }
}

Snapshot DrawSnapshot(Dice& dice, Fleet& fleet) {
  DrawPolicies(dice, fleet.policies);
  Snapshot snapshot = FreshSnapshot(fleet);
  snapshot.now = scheduler::kTestNow;
  snapshot.policies = fleet.policies;
  snapshot.devices = fleet.devices;
  const bool alone = OneIn(dice, 4);  // boards like those of the bench
  for (size_t i = 0; i < snapshot.devices.size() && !alone; ++i) {
    DrawDevice(dice, static_cast<int>(i), snapshot.devices[i]);
  }
  snapshot.queue = fleet.jobs;
  const int works = OneIn(dice, 3) ? 0 : 1 + dice.Below(6);
  for (JobView& job : snapshot.queue) {
    DrawJob(dice, works, snapshot, job);
    if (job.spec.has_apart()) {
      AntiAffinityGroup& group = snapshot.anti_affinity[AntiAffinityGroupOf(job.spec)];
      group.anti_affinity = job.spec.apart();
      group.jobs[job.id] = {};
      group.places = scheduler::PlacesOf(group.anti_affinity, snapshot.devices);
    }
  }
  return snapshot;
}

class Digest {
 public:
  void Add(absl::string_view text) {
    crc_ = ExtendCrc32c(crc_, absl::StrCat(text.size(), ":", text));
  }
  void Add(absl::Time time) { Add(absl::StrCat(absl::ToUnixNanos(time))); }
  void Add(const std::vector<QueuePlacement>& plan) {
    for (const QueuePlacement& placed : plan) {
      Add(placed.job.value());
      Add(placed.placement.SerializeAsString());
      Add(placed.prediction.SerializeAsString());
      Add(placed.model_choice.SerializeAsString());
      Add(absl::StrCat(placed.never, placed.power_mode, placed.on_cpu, placed.refused_until_start,
                       placed.releases.value(), placed.sole));
    }
  }
  [[nodiscard]] uint32_t value() const { return crc_; }

 private:
  uint32_t crc_ = 0;
};

uint32_t DigestOfPlan(const Snapshot& snapshot) {
  const scheduler::QueuePlan plan = scheduler::PlanQueueWithCharge(snapshot);
  Digest digest;
  digest.Add(plan.jobs);
  for (const auto& hours : plan.charge) {
    for (const timetable::ChargeQuantiles& one : hours) {
      digest.Add(absl::StrCat(one.low, " ", one.median, " ", one.high));
    }
  }
  for (const absl::Time free_at : plan.free_at) {
    digest.Add(free_at);
  }
  for (const scheduler::GainfulMove& move : plan.moves) {
    digest.Add(move.attempt.value());
  }
  digest.Add(absl::StrCat(scheduler::PlanQueueAndMoves(snapshot).proposals_dropped));
  return digest.value();
}

uint32_t DigestOfSearch(const Snapshot& snapshot) {
  const scheduler::QueueImprovement found =
      scheduler::ImproveQueue(snapshot, {.moves_of_a_job = 50, .moves_max = 2'000, .seed = 2});
  Digest digest;
  for (const auto& [job, place] : found.places) {
    digest.Add(absl::StrCat(job.value(), " ", place.device.value()));
    digest.Add(place.start);
  }
  digest.Add(absl::StrCat(found.proposals_dropped));
  return digest.value();
}

uint32_t DigestOfJobs(const Snapshot& snapshot) {
  Digest digest;
  for (size_t i = 0; i < snapshot.queue.size(); i += 7) {
    const auto plan = scheduler::PlanJobOrStartByMean(snapshot, snapshot.queue[i]);
    digest.Add(plan.ok() ? plan->SerializeAsString() : plan.status().ToString());
  }
  return digest.value();
}

}  // namespace

void PrintDigests(uint64_t seed, int fleets, int boards) {
  const std::vector<double> sun = SunOfAlikeDays();
  for (int i = 0; i < fleets; ++i) {
    const uint64_t own = seed + static_cast<uint64_t>(i);
    Dice dice(own);
    const int devices = 1 + dice.Below(boards);
    const int jobs = 1 + dice.Below(2 * devices + 10);
    Fleet fleet = DrawFleet(dice, sun, devices, jobs);
    const Snapshot snapshot = DrawSnapshot(dice, fleet);
    Digest in_order;
    in_order.Add(scheduler::PlanQueueInOrder(snapshot));
    std::printf("%llu %d %d %08x %08x %08x %08x\n", static_cast<unsigned long long>(own), devices,
                jobs, DigestOfPlan(snapshot), in_order.value(), DigestOfSearch(snapshot),
                DigestOfJobs(snapshot));
    std::fflush(stdout);
  }
}

}  // namespace wattle::bench
