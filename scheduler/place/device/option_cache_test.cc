// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A plan caches results about a job on a device. The plan must be the same if it evaluates each
// device again for each job, in each pass.
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "scheduler/place/queue/queue_planner_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

class DrawnQueue {
 public:
  explicit DrawnQueue(unsigned seed) : generator_(seed) {
    snapshot_.now = kTestNow;
    snapshot_.profiles = &profiles_;
    DrawPolicies();
    const int devices = 2 + Below(8);
    for (int i = 0; i < devices; ++i) {
      DrawDevice(i);
    }
    const int jobs = 4 + Below(20);
    const int works = 1 + Below(8);
    for (int i = 0; i < jobs; ++i) {
      DrawJob(i, works);
    }
  }
  [[nodiscard]] const Snapshot& snapshot() const { return snapshot_; }
  [[nodiscard]] size_t OptionsKept() { return static_cast<size_t>(Below(100)); }

 private:
  int Below(int bound) { return static_cast<int>(generator_() % static_cast<unsigned>(bound)); }
  double Between(double low, double high) { return low + (high - low) * Below(1000) / 1000; }

  void DrawPolicies() {
    v1::Policy& reserve = snapshot_.policies.emplace_back();
    reserve.set_name("reserve");
    reserve.set_reserve_state_of_charge_ratio(0.3);
    v1::Policy& windows = snapshot_.policies.emplace_back();
    windows.set_name("windows");
    windows.add_selector("class=raspberry-pi-5");
    windows.add_work_windows("06:00-20:00");
    windows.set_daily_energy_budget_wh(Between(5, 80));
  }

  void DrawDevice(int index) {
    const char* const classes[] = {"jetson-orin-nano", "jetson-xavier-nx", "raspberry-pi-5"};
    DeviceView view = MakeDevice(classes[Below(3)], absl::StrCat("d", index));
    view.device.mutable_info()->set_idle_power_watts(Between(1, 3));
    if (Below(3) == 0) {
      SetBattery(Between(60, 150), Between(0.3, 1), &view);
      for (int hour = 0; hour < 24; ++hour) {
        view.device.mutable_ledger()->add_harvest_power_watts_by_hour(hour / 6 % 3 == 1 ? 12 : 0);
      }
    }
    if (Below(3) == 0) {
      view.device.set_running_attempt_id("j0.1");
      view.free_at = kTestNow + absl::Seconds(Below(9000));
      view.coming_artifact_ids = {"m", "d"};
    }
    snapshot_.devices.push_back(view);
    if (Below(4) != 0) {
      Learn(view, RealJob("j", 1000), {Between(0.002, 0.02), Between(6, 12)}, profiles_);
    }
  }

  void DrawJob(int index, int works) {
    const v1::Objective objectives[] = {v1::OBJECTIVE_ENERGY, v1::OBJECTIVE_ENERGY,
                                        v1::OBJECTIVE_TIME, v1::OBJECTIVE_EDP};
    JobView job =
        RealJob(absl::StrCat("j", index + 1), 300 + 400 * Below(works), objectives[Below(4)]);
    job.submitted = kTestNow - absl::Seconds(Below(5000));
    job.spec.set_deadline_seconds(Below(3) == 0 ? 0 : 3600.0 * (2 + Below(40)));
    job.spec.set_priority(Below(5) == 0 ? 5 : 0);
    if (Below(3) == 0) {
      job.last_place = LastPlace{
          DeviceId(
              snapshot_
                  .devices[static_cast<size_t>(Below(static_cast<int>(snapshot_.devices.size())))]
                  .device.info()
                  .device_id()),
          kTestNow + absl::Seconds(Below(5000))};
    }
    snapshot_.queue.push_back(std::move(job));
  }

  std::mt19937 generator_;
  ProfileTable profiles_;
  Snapshot snapshot_;
};

std::vector<std::string> PlanOf(const Snapshot& snapshot, const EvaluationOptions& evaluating) {
  QueuePlanner planner(snapshot, QueuePlanner::Arranging::kBySearch, {}, evaluating);
  std::vector<std::string> plan;
  for (const QueuePlacement& placed : planner.Plan()) {
    plan.push_back(absl::StrCat(placed.job.value(), ": ", placed.placement.DebugString(),
                                placed.prediction.DebugString(), placed.never, placed.sole));
  }
  plan.push_back(absl::StrCat("dropped: ", planner.proposals_dropped()));
  return plan;
}

TEST(OptionCacheTest, ThePlanIsThatOfAPlannerThatRemembersNothing) {
  constexpr unsigned kQueues = 150;
  for (unsigned seed = 1; seed <= kQueues; ++seed) {
    DrawnQueue drawn(seed);
    // From no option on that is kept whole.
    EvaluationOptions evaluating{.options_kept = drawn.OptionsKept()};
    const std::vector<std::string> remembered = PlanOf(drawn.snapshot(), evaluating);
    evaluating.uses_cache = false;
    ASSERT_EQ(remembered, PlanOf(drawn.snapshot(), evaluating)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace wattle::scheduler
