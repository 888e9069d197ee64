// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Random fleets and jobs, valid and invalid: no placement breaks a rule, every job is placed or has
// a reason, every number is finite, and the same snapshot gives the same plan.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "policy/limits.h"
#include "policy/open_times.h"
#include "policy/work_pieces.h"
#include "scheduler/place/check_places.h"
#include "scheduler/place/device/transfer_schedule.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/anti_affinity.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/pauses_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

class Dice {
 public:
  explicit Dice(unsigned seed) : generator_(seed) {}
  int Below(int n) { return static_cast<int>(generator_() % static_cast<unsigned>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  double Real(double low, double high) {
    return low + (high - low) * static_cast<double>(generator_()) / 4294967296.0;
  }

 private:
  std::mt19937 generator_;
};

DeviceView RandomDevice(int index, Dice* dice) {
  const char* const kClasses[] = {"jetson-xavier-nx", "jetson-orin-nano", "raspberry-pi-5",
                                  "generic-x86-64", ""};
  DeviceView view = MakeDevice(kClasses[dice->Below(5)], "d" + std::to_string(index));
  v1::DeviceInfo& info = *view.device.mutable_info();
  info.set_emulated(dice->OneIn(2));
  info.set_time_scale(dice->OneIn(3) ? 0 : dice->Real(0.001, 2));
  info.set_memory_bytes(dice->OneIn(5) ? 0 : int64_t{1} << (28 + dice->Below(7)));
  info.set_cores(dice->Below(9));
  info.set_cache_quota_bytes(dice->OneIn(2) ? 0 : int64_t{1} << (20 + dice->Below(12)));
  info.set_throughput_flops_datasheet(dice->OneIn(2) ? 0 : dice->Real(1e9, 1e13));
  info.set_link_bytes_per_second(dice->OneIn(3) ? 0 : dice->Real(1e3, 1e8));
  if (dice->OneIn(10)) {
    info.clear_engine_version();
  }
  if (dice->OneIn(2)) {
    v1::Label& label = *info.add_labels();
    label.set_key("site");
    label.set_value(dice->OneIn(2) ? "north" : "south");
  }
  view.device.set_connected(!dice->OneIn(10));
  view.device.set_drained(dice->OneIn(10));
  if (dice->OneIn(2)) {
    SetBattery(dice->Real(1, 500), dice->Real(0, 1), &view);
  }
  view.device.mutable_heartbeat()->set_has_temperature(dice->OneIn(2));
  view.device.mutable_heartbeat()->set_temperature_celsius(dice->Real(20, 95));
  view.device.mutable_heartbeat()->set_idle_power_watts(dice->OneIn(2) ? 0 : dice->Real(1, 20));
  if (dice->OneIn(3)) {
    view.device.set_running_attempt_id("j0.1");
    view.free_at = kTestNow + absl::Seconds(dice->Below(40000) - 5000);
    view.committed_energy = Joules(dice->Real(0, 2e5));
  }
  return view;
}

JobView RandomJob(int index, Dice* dice) {
  const auto objective = static_cast<v1::Objective>(dice->Below(4));
  JobView job = RealJob("j" + std::to_string(index), 1 + dice->Below(20000), objective);
  v1::FinetuneSpec& finetune = *job.spec.mutable_finetune();
  finetune.set_epochs(dice->Below(4));
  finetune.set_batch_size(dice->OneIn(8) ? -1 : dice->Below(33));
  finetune.set_sequence_length(dice->OneIn(2) ? 0 : 1 + dice->Below(2000));
  finetune.set_gradient_accumulation_steps(dice->Below(5));
  finetune.set_limit_examples(dice->OneIn(3) ? dice->Below(100) : 0);
  v1::ModelShape& shape = *job.inputs[0].artifact.mutable_model_shape();
  shape.set_layers(dice->Below(25));
  shape.set_heads(1 + dice->Below(12));
  shape.set_width(shape.heads() * (1 + dice->Below(100)));
  if (dice->OneIn(12)) {
    job.spec = PublishedSpec(12, objective);
    job.inputs.clear();
  } else if (dice->OneIn(12)) {
    job.spec.mutable_generate()->set_model("m");
    job.spec.mutable_generate()->set_max_new_tokens(dice->Below(2000));
    job.spec.mutable_generate()->add_prompts("the fleet");
  } else if (dice->OneIn(12)) {
    job.spec.mutable_quantize()->set_model("m");
  } else if (dice->OneIn(12)) {
    job.spec.mutable_evaluate()->set_model("m");
    job.spec.mutable_evaluate()->set_data("d");
  }
  job.submitted = kTestNow - absl::Seconds(dice->Below(100000));
  job.spec.set_priority(dice->Below(201) - 100);
  job.spec.set_deadline_seconds(dice->OneIn(2) ? 0 : dice->Real(0, 3e5));
  if (dice->OneIn(4)) {
    job.spec.add_required_labels(dice->OneIn(2) ? "site" : "site=north");
  }
  if (dice->OneIn(4)) {
    job.avoided_devices.emplace_back("id-d" + std::to_string(dice->Below(6)));
  }
  job.peak_memory.cores_bytes = dice->OneIn(3) ? 0 : int64_t{1} << (26 + dice->Below(9));
  return job;
}

void ExpectFinite(const v1::Candidate& candidate) {
  const v1::Prediction& prediction = candidate.prediction();
  for (const double value :
       {prediction.run_seconds().mean(), prediction.run_seconds().low(),
        prediction.run_seconds().high(), prediction.run_energy_joules().mean(),
        prediction.run_energy_joules().high(), prediction.mean_power_watts(),
        prediction.net_energy_joules(), prediction.fetch_seconds(), prediction.start_seconds(),
        prediction.checkpoint_seconds(), prediction.upload_seconds(), candidate.cost(),
        candidate.start_in_seconds(), candidate.finish_in_seconds(),
        candidate.marginal_energy_joules()}) {
    EXPECT_TRUE(std::isfinite(value) && value >= 0) << candidate.ShortDebugString();
  }
}

// Checks the rules by a second implementation, written from their definitions.
void ExpectKeepsRules(const Snapshot& snapshot, const JobView& job, const v1::Candidate& chosen,
                      double committed_joules) {
  for (const DeviceView& view : snapshot.devices) {
    const v1::DeviceInfo& info = view.device.info();
    if (info.device_id() != chosen.device_id()) {
      continue;
    }
    EXPECT_TRUE(view.device.connected() && !view.device.drained());
    EXPECT_FALSE(info.engine_version().empty());
    if (info.memory_bytes() > 0) {
      EXPECT_LE(static_cast<double>(job.peak_memory.cores_bytes),
                static_cast<double>(info.memory_bytes()));
    }
    for (const DeviceId& avoided : job.avoided_devices) {
      EXPECT_NE(avoided.value(), info.device_id());
    }
    const v1::Prediction& prediction = chosen.prediction();
    const v1::Interval& seconds = prediction.run_seconds();
    // For a probe the lower end has to meet the deadline, and the battery has to supply the mean.
    const double sooner =
        chosen.probe() ? prediction.time_scale() * (seconds.mean() - seconds.low()) : 0;
    if (chosen.probe()) {
      EXPECT_GT(std::pow(seconds.high() / seconds.mean(), 2), 3);
    }
    // Only the plan states which pauses a shorter run avoids.
    const policy::Limits limits = LimitsFor(snapshot.policies, info);
    const bool pauses = !limits.windows.empty() || limits.budget.has_value();
    if (job.spec.deadline_seconds() > 0 && !(chosen.probe() && pauses)) {
      EXPECT_LE(
          absl::ToDoubleSeconds(snapshot.now - job.submitted) + chosen.finish_in_seconds() - sooner,
          job.spec.deadline_seconds() + 1e-6);
    }
    const v1::Policy& policy = snapshot.policies[0];
    if (view.device.heartbeat().has_temperature()) {
      EXPECT_LT(view.device.heartbeat().temperature_celsius(), policy.max_temperature_celsius());
    }
    const v1::Interval& joules = prediction.run_energy_joules();
    if (view.device.heartbeat().has_battery()) {
      const double left = view.device.heartbeat().state_of_charge_ratio() -
                          (committed_joules + (chosen.probe() ? joules.mean() : joules.high())) /
                              (3600 * info.battery_capacity_wh());
      EXPECT_GE(left, policy.reserve_state_of_charge_ratio() - 1e-9);
    }
    return;
  }
  ADD_FAILURE() << "placed on a device that is not there: " << chosen.device_id();
}

// Lets some jobs run apart, and some jobs of their groups be there already. Dice of its own, so
// that all else of a seed stays as it is.
void SetAntiAffinity(unsigned seed, Snapshot& snapshot) {
  Dice dice(seed + 1'000'000);
  const char* const kLabels[] = {"", "", "site", "class"};
  const std::string by = kLabels[dice.Below(4)];
  const auto join = [&](v1::JobSpec& spec) -> AntiAffinityGroup& {
    spec.mutable_apart()->set_group(dice.OneIn(2) ? "a" : "b");
    spec.mutable_apart()->set_by(by);
    AntiAffinityGroup& group = snapshot.anti_affinity[AntiAffinityGroupOf(spec)];
    group.anti_affinity = spec.apart();
    group.places = PlacesOf(group.anti_affinity, snapshot.devices);
    return group;
  };
  for (JobView& job : snapshot.queue) {
    if (dice.OneIn(2)) {
      join(job.spec).jobs[job.id] = {};
    }
  }
  for (int i = dice.Below(3); i > 0 && !snapshot.devices.empty(); --i) {
    v1::JobSpec spec;
    const int device = dice.Below(static_cast<int>(snapshot.devices.size()));
    join(spec).jobs[JobId("k" + std::to_string(i))] = {
        .device = DeviceId(snapshot.devices[static_cast<size_t>(device)].device.info().device_id()),
        .succeeded = dice.OneIn(2)};
  }
}

// Names a device's place by its own labels.
std::string PlaceName(const Snapshot& snapshot, const std::string& device, const std::string& by) {
  for (const DeviceView& view : snapshot.devices) {
    const v1::DeviceInfo& info = view.device.info();
    if (info.device_id() != device || by.empty()) {
      continue;
    }
    if (by == "class") {
      return "class " + info.device_class();
    }
    for (const v1::Label& label : info.labels()) {
      if (label.key() == by) {
        return by + " " + label.value();
      }
    }
    return "none";
  }
  return device;
}

// Returns how many jobs of a group have a place.
int ExpectApart(const Snapshot& snapshot, const std::vector<QueuePlacement>& placements) {
  std::map<std::string, std::string> taken;  // Group and place; the job there.
  int placed = 0;
  const auto take = [&](const std::string& job, const v1::Apart& apart, const std::string& device) {
    const std::string place = PlaceName(snapshot, device, apart.by());
    if (place != "none" || job[0] != 'k') {
      const auto [other, is_free] = taken.emplace(apart.group() + ": " + place, job);
      // Jobs of before the plan may share a place: their board got another label.
      EXPECT_TRUE(is_free || job[0] == 'k') << job << " and " << other->second << " on " << place;
    }
    EXPECT_TRUE(place != "none" || job[0] == 'k') << job << " on a board without the label";
  };
  for (const auto& [key, group] : snapshot.anti_affinity) {
    for (const auto& [id, job] : group.jobs) {
      if (job.device.has_value()) {
        take(id.value(), group.anti_affinity, job.device->value());
      }
    }
  }
  for (const QueuePlacement& one : placements) {
    for (const JobView& job : snapshot.queue) {
      if (job.id == one.job && job.spec.has_apart() && !one.placement.device_id().empty()) {
        take(job.id.value(), job.spec.apart(), one.placement.device_id());
        ++placed;
      }
    }
  }
  return placed;
}

void ExpectSound(const Snapshot& snapshot, const std::vector<QueuePlacement>& placements) {
  std::map<std::string, double> busy_until;
  std::map<std::string, double> committed;
  for (const DeviceView& view : snapshot.devices) {
    const std::string& id = view.device.info().device_id();
    busy_until[id] = absl::ToDoubleSeconds(view.free_at - snapshot.now);
    committed[id] = view.committed_energy.value();
  }
  for (const QueuePlacement& placed : placements) {
    const v1::Placement& placement = placed.placement;
    EXPECT_FALSE(placement.reason().empty());
    if (placement.device_id().empty()) {
      continue;
    }
    ASSERT_GT(placement.best_size(), 0);
    const v1::Candidate& chosen = placement.best(0);
    EXPECT_EQ(chosen.device_id(), placement.device_id());
    EXPECT_EQ(placement.wait(), chosen.start_in_seconds() > 0);
    EXPECT_GE(chosen.start_in_seconds(), busy_until[chosen.device_id()] - 1e-6);
    for (const v1::Candidate& candidate : placement.best()) {
      ExpectFinite(candidate);
    }
    for (const JobView& job : snapshot.queue) {
      if (job.id == placed.job) {
        ExpectKeepsRules(snapshot, job, chosen, committed[chosen.device_id()]);
      }
    }
    busy_until[chosen.device_id()] = chosen.finish_in_seconds();
    committed[chosen.device_id()] += chosen.prediction().run_energy_joules().high();
  }
}

// Confirms that no device can ever run the job: none would if it were free from now on and had
// nothing else to do. Where that is for the deadline, even such a run must miss it.
void ExpectNever(const Snapshot& snapshot, const JobView& job) {
  for (const DeviceView& view : snapshot.devices) {
    Snapshot alone = snapshot;
    alone.devices = {view};
    DeviceView& free = alone.devices.front();
    free.device.clear_running_attempt_id();
    free.free_at = free.goes_on_at = absl::InfinitePast();
    free.committed_energy = Joules(0);
    const auto plan = PlanJob(alone, job);
    if (!plan.ok() || job.spec.finetune().has_model_shape()) {
      return;  // There is no such work, or only for dry runs.
    }
    const v1::Candidate& candidate = plan->candidates(0);
    EXPECT_FALSE(candidate.feasible()) << candidate.ShortDebugString();
    if (candidate.refused_by() != "deadline") {
      continue;
    }
    const v1::Prediction& run = candidate.prediction();
    const double seconds = IsWide(run) ? TotalSeconds(run, run.run_seconds().low())
                                       : TotalSeconds(run, run.run_seconds().high()) +
                                             SlowTransferSeconds(free.device, run);
    const policy::Limits limits = LimitsFor(snapshot.policies, view.device.info());
    const absl::Time end =
        policy::FinishUnder(policy::OpenTimes(limits.windows), limits.budget,
                            {.start = snapshot.now,
                             .work = absl::Seconds(run.time_scale() * seconds),
                             .draw = Watts(run.mean_power_watts() / run.time_scale()),
                             .spent = Joules(view.device.heartbeat().budget_day_energy_joules())});
    EXPECT_GT(end, job.submitted + absl::Seconds(job.spec.deadline_seconds() - 1e-3))
        << candidate.ShortDebugString();
  }
}

TEST(PlanFuzzTest, NoRuleIsBrokenAndEveryJobHasAnAnswer) {
  const ProfileTable priors = ProfileTable::Priors();
  int placed = 0;
  int refused = 0;
  int apart = 0;
  int never = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Snapshot snapshot = MakeSnapshot({}, priors);
    const int devices = dice.Below(7);
    for (int i = 0; i < devices; ++i) {
      snapshot.devices.push_back(RandomDevice(i, &dice));
    }
    const int jobs = dice.Below(12);
    for (int i = 0; i < jobs; ++i) {
      snapshot.queue.push_back(RandomJob(i, &dice));
    }
    v1::Policy policy;
    policy.set_name("p");
    policy.set_reserve_state_of_charge_ratio(dice.Real(0, 0.6));
    policy.set_max_temperature_celsius(dice.Real(50, 100));
    snapshot.policies = {policy};
    SetAntiAffinity(seed, snapshot);
    AddPauses(std::mt19937(seed + 2'000'000), snapshot);

    const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
    const std::optional<std::string> broken = CheckPlaces(snapshot, placements);
    EXPECT_EQ(broken, std::nullopt) << *broken;
    for (size_t i = 0; i < placements.size(); ++i) {
      const auto job =
          std::find_if(snapshot.queue.begin(), snapshot.queue.end(),
                       [&](const JobView& one) { return one.id == placements[i].job; });
      if (placements[i].never && !job->spec.has_apart()) {  // Mates may be on its boards for good.
        SCOPED_TRACE(placements[i].placement.reason());
        ExpectNever(snapshot, *job);
        ++never;
      }
    }
    apart += ExpectApart(snapshot, placements);
    ASSERT_EQ(placements.size(), snapshot.queue.size());
    ExpectSound(snapshot, placements);
    const std::vector<QueuePlacement> again = PlanQueue(snapshot);
    for (size_t i = 0; i < placements.size(); ++i) {
      EXPECT_EQ(placements[i].placement.SerializeAsString(),
                again[i].placement.SerializeAsString());
      (placements[i].placement.device_id().empty() ? refused : placed) += 1;
    }
    for (const JobView& job : snapshot.queue) {
      const auto plan = PlanJob(snapshot, job);
      if (plan.ok()) {
        EXPECT_EQ(plan->candidates_size(), devices);
      } else {
        EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
    if (HasFailure()) {
      return;
    }
  }
  // The random cases include both outcomes.
  EXPECT_GT(placed, 100);
  EXPECT_GT(refused, 100);
  EXPECT_GT(apart, 50);
  EXPECT_GT(never, 50);
}

// Possible harvests in a ledger: none, hours, or nonsense.
void AddHarvest(DeviceView* view, Dice* dice) {
  const double kNonsense[] = {std::nan(""), HUGE_VAL, -HUGE_VAL, -1, 0, 1e300};
  const int hours = dice->OneIn(5) ? dice->Below(30) : 24;
  const bool nonsense = dice->OneIn(4);
  for (int hour = 0; hour < hours; ++hour) {
    view->device.mutable_ledger()->add_harvest_power_watts_by_hour(
        nonsense && dice->OneIn(8) ? kNonsense[dice->Below(6)] : dice->Real(0, 60));
  }
  if (dice->OneIn(2)) {
    view->device.mutable_info()->set_time_scale(1);
  }
}

// Runs of one device do not overlap, and none begins before the device is free.
void ExpectNoOverlap(const Snapshot& snapshot, const std::vector<QueuePlacement>& placements) {
  std::map<std::string, std::vector<std::pair<double, double>>> runs;
  for (const DeviceView& view : snapshot.devices) {
    const double busy = absl::ToDoubleSeconds(view.free_at - snapshot.now);
    if (busy > 0) {
      runs[view.device.info().device_id()].emplace_back(0, busy);
    }
  }
  for (const QueuePlacement& placed : placements) {
    if (placed.placement.device_id().empty()) {
      continue;
    }
    const v1::Candidate& chosen = placed.placement.best(0);
    ExpectFinite(chosen);
    EXPECT_EQ(placed.placement.wait(), chosen.start_in_seconds() > 0);
    runs[chosen.device_id()].emplace_back(chosen.start_in_seconds(), chosen.finish_in_seconds());
  }
  for (auto& [device, intervals] : runs) {
    std::sort(intervals.begin(), intervals.end());
    for (size_t i = 1; i < intervals.size(); ++i) {
      EXPECT_GE(intervals[i].first, intervals[i - 1].second - 1e-3) << device;
    }
  }
}

TEST(PlanFuzzTest, PlacesUnderSunWindowsAndBudgetsDoNotOverlap) {
  const ProfileTable priors = ProfileTable::Priors();
  int later = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Dice dice(seed);
    Snapshot snapshot = MakeSnapshot({}, priors);
    for (int i = dice.Below(5); i >= 0; --i) {
      snapshot.devices.push_back(RandomDevice(i, &dice));
      AddHarvest(&snapshot.devices.back(), &dice);
    }
    for (int i = dice.Below(12); i >= 0; --i) {
      snapshot.queue.push_back(RandomJob(i, &dice));
    }
    v1::Policy policy;
    policy.set_name("p");
    policy.set_reserve_state_of_charge_ratio(dice.Real(0, 0.6));
    policy.set_sun_risk_ratio(dice.OneIn(2) ? 0 : dice.Real(0, 0.5));
    policy.set_daily_energy_budget_wh(dice.OneIn(2) ? 0 : dice.Real(0.01, 200));
    if (dice.OneIn(3)) {
      policy.add_work_windows("18:00-04:00");
    }
    snapshot.policies = {policy};
    SetAntiAffinity(seed, snapshot);
    const std::vector<QueuePlacement> placements = PlanQueue(snapshot);
    ExpectNoOverlap(snapshot, placements);
    ExpectApart(snapshot, placements);
    const std::vector<QueuePlacement> again = PlanQueue(snapshot);
    for (size_t i = 0; i < placements.size(); ++i) {
      EXPECT_EQ(placements[i].placement.SerializeAsString(),
                again[i].placement.SerializeAsString());
      later += placements[i].refused_until_start.empty() ? 0 : 1;
    }
    if (HasFailure()) {
      return;
    }
  }
  EXPECT_GT(later, 30);
}

}  // namespace
}  // namespace wattle::scheduler
