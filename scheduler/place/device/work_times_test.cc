// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests boards whose attempt is stopped for a while: they are busy until it ends, and its draw
// counts while it works.
#include "scheduler/place/device/work_times.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr double kIdleWatts = 2;
constexpr double kRunWatts = 10;
// The tests begin at 08:00 UTC.
absl::Time Hour(double hour) {
  return kTestNow + absl::Hours(1) * (hour - 8);
}

// Boards that ran an hour's job often at 10 W, and a policy for each of them.
class WorkTimesTest : public testing::Test {
 protected:
  DeviceView& Add(const std::string& name) {
    DeviceView view = OrinNano(name);
    v1::DeviceInfo& info = *view.device.mutable_info();
    info.set_emulated(false);
    info.set_link_bytes_per_second(1e9);
    info.set_idle_power_watts(kIdleWatts);
    v1::Label& label = *info.add_labels();
    label.set_key("who");
    label.set_value(name);
    const JobView job = RealJob("j0", 1000);
    const auto work = WorkOf(job.spec, job.inputs, profiles_);
    EXPECT_THAT(work, IsOk());
    for (int i = 0; i < 20; ++i) {
      for (const v1::ProfileRow& row :
           LearnFromReceipt(profiles_, info, MeasuredReceipt(*work, 3600, kRunWatts), kTestNow)) {
        EXPECT_THAT(profiles_.Put(row), IsOk());
      }
    }
    snapshot_.devices.push_back(std::move(view));
    v1::Policy& policy = snapshot_.policies.emplace_back();
    policy.set_name("p" + name);
    policy.add_selector("who=" + name);
    return snapshot_.devices.back();
  }
  // The attempt works for so long in all.
  static void Run(absl::Duration work, DeviceView& view) {
    view.device.set_running_attempt_id("j0.1");
    view.free_at = std::max(view.goes_on_at, kTestNow) + work;
    view.running_power = Watts(kRunWatts);
    view.committed_energy = Watts(kRunWatts) * work;
  }
  v1::Policy& policy(size_t of) { return snapshot_.policies[of]; }
  void Group(bool shared_pack, double cap_watts) {
    for (v1::Policy& one : snapshot_.policies) {
      one.mutable_power_group()->set_name("site");
      one.mutable_power_group()->set_shared_pack(shared_pack);
      one.mutable_power_group()->set_power_cap_watts(cap_watts);
    }
  }
  JobView JobFor(const std::string& board, int64_t examples = 1000) {
    JobView job = RealJob("j1", examples);
    job.spec.add_required_labels("who=" + board);
    return job;
  }
  // Hours from now until the job starts on the board; nullopt: no start is known.
  std::optional<double> StartOf(const JobView& job) {
    snapshot_.queue = {job};
    const QueuePlacement placed = PlanQueue(snapshot_).at(0);
    reason_ = placed.placement.reason();
    return placed.placement.device_id().empty()
               ? std::nullopt
               : std::optional(placed.placement.best(0).start_in_seconds() / 3600);
  }

  ProfileTable profiles_;
  Snapshot snapshot_ = MakeSnapshot({}, profiles_);
  std::string reason_;
};

TEST_F(WorkTimesTest, AnAttemptEndsBehindTheNightOfItsWindow) {
  Run(absl::Hours(12), Add("a"));
  EXPECT_EQ(InitialLoads(snapshot_)[0].free_at, Hour(20));
  policy(0).add_work_windows("06:00-18:00");
  EXPECT_EQ(InitialLoads(snapshot_)[0].free_at, Hour(24 + 8));
  EXPECT_NEAR(*StartOf(JobFor("a")), 24, 0.01);
  // No window stops a hand-over.
  snapshot_.devices[0].hands_over = true;
  EXPECT_EQ(InitialLoads(snapshot_)[0].free_at, Hour(20));
}

TEST_F(WorkTimesTest, AnAttemptSpendsTheBudgetOfEachDay) {
  DeviceView& view = Add("a");
  Run(absl::Hours(12), view);
  policy(0).set_daily_energy_budget_wh(60);
  view.device.mutable_heartbeat()->set_has_budget_day(true);
  view.device.mutable_heartbeat()->set_budget_day_energy_joules(20 * 3600);
  // Four hours today, six tomorrow, two on the third day.
  const DeviceLoad load = InitialLoads(snapshot_)[0];
  EXPECT_EQ(load.free_at, Hour(48 + 2));
  const auto spent = [&](double hour) { return BudgetSpent(load, Hour(hour)).value() / 3600; };
  EXPECT_NEAR(spent(23), 60, 0.01);
  EXPECT_NEAR(spent(24), 60, 0.01);
  EXPECT_NEAR(spent(50), 20, 0.01);
  EXPECT_NEAR(spent(72), 0, 0.01);
  // Three hours of the third day are left: a run of five hours takes part of the fourth day's.
  const JobView job = JobFor("a", 5000);
  EXPECT_NEAR(*StartOf(job), 42, 0.01);
}

// 12 kWh at 5 Wh a day.
TEST_F(WorkTimesTest, BehindAnAttemptWithoutAnEndIsNoStart) {
  Add("a");
  policy(0).set_daily_energy_budget_wh(5);
  Run(absl::Hours(1200), snapshot_.devices[0]);
  EXPECT_EQ(StartOf(JobFor("a")), std::nullopt);
  EXPECT_THAT(reason_, HasSubstr("does not end in years under its budget of 5.00 Wh a day"));
}

TEST_F(WorkTimesTest, AnAttemptDrawsWhileItWorks) {
  Add("a");
  Add("b");
  DeviceView& view = snapshot_.devices[0];
  for (DeviceView& board : snapshot_.devices) {
    SetBattery(300, 0.9, &board);
    for (int hour = 0; hour < 24; ++hour) {
      board.device.mutable_ledger()->add_harvest_power_watts_by_hour(hour >= 8 && hour < 16 ? 5
                                                                                            : 0);
    }
  }
  view.goes_on_at = Hour(16);
  policy(0).add_work_windows("06:00-18:00");
  Run(absl::Hours(3), view);
  Group(/*shared_pack=*/true, /*cap_watts=*/40);
  const std::vector<DeviceLoad> loads = InitialLoads(snapshot_);
  EXPECT_EQ(loads[0].free_at, Hour(24 + 7));
  const auto hours = [](timetable::Seconds begin, timetable::Seconds end) {
    return std::make_pair(absl::ToDoubleHours(absl::FromUnixSeconds(begin) - kTestNow) + 8,
                          absl::ToDoubleHours(absl::FromUnixSeconds(end) - kTestNow) + 8);
  };
  std::vector<std::pair<double, double>> pack;
  for (const timetable::Demand& demand : loads[1].pack->demands()) {
    pack.push_back(hours(demand.begin, demand.end()));
    EXPECT_EQ(demand.draw.power, 8000);
  }
  EXPECT_THAT(pack, ElementsAre(Pair(16, 18), Pair(30, 31)));
  std::vector<std::pair<double, double>> supply;
  for (const timetable::SupplyRun& run : loads[1].supply->runs()) {
    supply.push_back(hours(run.begin, run.end()));
    EXPECT_EQ(run.power, 8000);
  }
  EXPECT_THAT(supply, ElementsAre(Pair(16, 18), Pair(30, 31)));
  // Another job's rest comes later, with its whole draw.
  const DeviceLoad without = WithoutAttempt(snapshot_, loads[0], 0, Hour(8));
  EXPECT_THAT(without.pack->demands(), IsEmpty());
  EXPECT_THAT(without.supply->runs(), IsEmpty());
  const DeviceLoad later = WithAttemptLater(snapshot_, without, 0, Hour(17), absl::Hours(3));
  EXPECT_EQ(later.free_at, Hour(24 + 8));
  EXPECT_EQ(later.pack->demands().size(), 2);
  EXPECT_EQ(later.supply->runs().back().end(), absl::ToUnixSeconds(Hour(24 + 8)));
}

// The boards idle at 4 W, and their pack keeps 90 Wh. The paused attempt draws 32 Wh more from
// 20:00 on, and the other board's job 16 Wh now.
TEST_F(WorkTimesTest, APausedAttemptKeepsTheChargeThatThePackBearsOfIt) {
  Add("a");
  Add("b");
  for (size_t i = 0; i < 2; ++i) {
    for (int hour = 0; hour < 24; ++hour) {
      snapshot_.devices[i].device.mutable_ledger()->add_harvest_power_watts_by_hour(0.01);
    }
    policy(i).set_reserve_state_of_charge_ratio(0.3);
  }
  Group(/*shared_pack=*/true, /*cap_watts=*/0);
  snapshot_.devices[0].goes_on_at = Hour(20);
  Run(absl::Hours(4), snapshot_.devices[0]);
  const auto charge = [this](double watt_hours) {
    for (DeviceView& board : snapshot_.devices) {
      SetBattery(300, watt_hours / 300, &board);
      board.device.mutable_info()->set_gauge_error_ratio(0);
    }
  };
  const auto kept_hours = [this] {
    double hours = 0;
    const std::vector<DeviceLoad> loads = InitialLoads(snapshot_);
    for (const timetable::Demand& demand : loads[1].pack->demands()) {
      hours += demand.draw.pausable ? 0 : static_cast<double>(demand.draw.length) / 3600;
    }
    return hours;
  };
  charge(280);
  EXPECT_EQ(kept_hours(), 4);
  EXPECT_EQ(StartOf(JobFor("b", 2000)).value_or(-1), 0);
  // 8 Wh are missing at its end. What is there for it is not there for others.
  charge(90 + 48 + 48 - 8);
  EXPECT_NEAR(kept_hours(), 2.8, 0.1) << "the floor has a margin of 2 %";
  EXPECT_NE(StartOf(JobFor("b", 2000)).value_or(-1), 0);
  const std::vector<DeviceLoad> loads = InitialLoads(snapshot_);
  EXPECT_TRUE(loads[1].pack->demands().back().draw.pausable);
  EXPECT_EQ(loads[1].pack->demands().back().end(), absl::ToUnixSeconds(Hour(24)));
  // The pack cannot supply any of it.
  charge(90 + 40);
  EXPECT_EQ(kept_hours(), 0);
}

// Two boards idle at 4 W, and each run draws 8 W more.
TEST_F(WorkTimesTest, APausedAttemptLeavesItsWattsToTheOthers) {
  Add("a");
  Add("b");
  DeviceView& view = snapshot_.devices[0];
  Group(/*shared_pack=*/false, /*cap_watts=*/15);
  view.goes_on_at = Hour(18);
  Run(absl::Hours(3), view);
  EXPECT_EQ(*StartOf(JobFor("b")), 0);
  // This one would still run when the attempt resumes.
  EXPECT_NEAR(*StartOf(JobFor("b", 11'000)), 13, 0.01);
  EXPECT_THAT(reason_, HasSubstr("the boards of site draw 12.00 W"));
  // A run of the plan leaves its watts to others in the night.
  view.device.clear_running_attempt_id();
  view.goes_on_at = view.free_at = absl::InfinitePast();
  view.committed_energy = Joules(0);
  policy(0).add_work_windows("06:00-18:00");
  JobView first = JobFor("a", 12'000);
  first.id = JobId("j0");
  first.spec.set_priority(100);
  JobView second = JobFor("b", 9'000);
  second.submitted += absl::Seconds(1);
  snapshot_.queue = {first, second};
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot_);
  EXPECT_EQ(plan[0].placement.best(0).start_in_seconds(), 0);
  EXPECT_NEAR(plan[1].placement.best(0).start_in_seconds() / 3600, 10, 0.01);
}

// Behind the running attempt the run would pause for a night. From now on it would not.
TEST_F(WorkTimesTest, ADeadlineIsMissedForGoodOnlyWhereAFreeBoardMissesIt) {
  DeviceView& view = Add("a");
  Run(absl::Hours(9), view);
  policy(0).add_work_windows("06:00-18:00");
  JobView job = JobFor("a", 2000);
  const auto is_permanent = [&](double deadline_hours) {
    job.spec.set_deadline_seconds(deadline_hours * 3600);
    const auto plan = PlanJob(snapshot_, job);
    EXPECT_THAT(plan, IsOk());
    EXPECT_EQ(plan->candidates(0).refused_by(), "deadline");
    return plan->candidates(0).permanent();
  };
  EXPECT_FALSE(is_permanent(4));
  EXPECT_TRUE(is_permanent(1));
  // A stop by the budget gives the same result.
  policy(0).clear_work_windows();
  policy(0).set_daily_energy_budget_wh(100);
  EXPECT_FALSE(is_permanent(4));
  EXPECT_TRUE(is_permanent(1));
  policy(0).set_daily_energy_budget_wh(8);
  EXPECT_TRUE(is_permanent(4)) << "a free board needs days, too";
}

}  // namespace
}  // namespace wattle::scheduler
