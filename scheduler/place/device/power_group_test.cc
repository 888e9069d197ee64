// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of boards that share a pack or a supply: what is there counts once, what all of them draw
// counts together.
#include "scheduler/place/device/power_group.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr double kIdleWatts = 1;
constexpr double kRunWatts = 10;

// A job of about an hour on each board of this file.
JobView HourJob(const std::string& id) {
  return RealJob(id, 1000);
}

// Boards that ran an hour's job often at 10 W, and a policy that joins them.
struct Boards {
  ProfileTable profiles;
  Snapshot snapshot = MakeSnapshot({}, profiles);

  Boards() {
    v1::Policy policy;
    policy.set_name("north");
    policy.set_reserve_state_of_charge_ratio(0.3);
    policy.mutable_power_group()->set_name("mast");
    snapshot.policies = {policy};
  }
  [[nodiscard]] v1::PowerGroup& group() { return *snapshot.policies[0].mutable_power_group(); }

  DeviceView& Add(const std::string& name) {
    DeviceView view = OrinNano(name);
    view.device.mutable_info()->set_emulated(false);
    view.device.mutable_info()->set_link_bytes_per_second(1e9);
    view.device.mutable_info()->set_idle_power_watts(kIdleWatts);
    view.device.mutable_heartbeat()->add_cached_artifact_ids("m");
    view.device.mutable_heartbeat()->add_cached_artifact_ids("d");
    const JobView job = HourJob("j0");
    const auto work = WorkOf(job.spec, job.inputs, profiles);
    EXPECT_THAT(work, IsOk());
    // Measured often: the interval is narrow.
    for (int i = 0; i < 20; ++i) {
      v1::Receipt receipt = MeasuredReceipt(*work, 3600, kRunWatts);
      for (const v1::ProfileRow& row :
           LearnFromReceipt(profiles, view.device.info(), receipt, kTestNow)) {
        EXPECT_THAT(profiles.Put(row), IsOk());
      }
    }
    snapshot.devices.push_back(std::move(view));
    return snapshot.devices.back();
  }
  // Equal watts in each hour of the day.
  static void SetSun(double watts, DeviceView& view) {
    for (int hour = 0; hour < 24; ++hour) {
      view.device.mutable_ledger()->add_harvest_power_watts_by_hour(watts);
    }
  }
  void Queue(int jobs) {
    for (int i = 1; i <= jobs; ++i) {
      snapshot.queue.push_back(HourJob("j" + std::to_string(i)));
    }
  }
  [[nodiscard]] int StartNow() const {
    int now = 0;
    for (const QueuePlacement& placed : PlanQueue(snapshot)) {
      now += !placed.placement.device_id().empty() && !placed.placement.wait() ? 1 : 0;
    }
    return now;
  }
};

// A pack of 40 Wh at 80 %, reserve 30 %, gauge error 5 %: 14 Wh are left for work. One hour at 10 W
// takes about 11 Wh with the other board's idle draw, two do not fit.
TEST(PowerGroupTest, TwoBoardsOfAPackDoNotSpendItsChargeTwice) {
  for (const double sun_watts : {0.0, 0.5}) {
    SCOPED_TRACE(sun_watts);
    Boards boards;
    for (const char* name : {"a", "b"}) {
      DeviceView& view = boards.Add(name);
      SetBattery(40, 0.7, &view);
      view.device.mutable_info()->set_gauge_error_ratio(0.05);
      if (sun_watts > 0) {
        Boards::SetSun(sun_watts, view);
      }
    }
    boards.Queue(2);
    // Each board has a pack of its own.
    boards.snapshot.policies[0].clear_power_group();
    EXPECT_EQ(boards.StartNow(), 2);
    boards.group().set_name("mast");
    boards.group().set_shared_pack(true);
    EXPECT_EQ(boards.StartNow(), 1);
    // Elsewhere the second board may work.
    boards.snapshot.devices[0].device.mutable_info()->add_labels()->set_key("mast");
    boards.snapshot.policies[0].add_selector("mast");
    EXPECT_EQ(boards.StartNow(), 2);
  }
}

// Sun that would fill the pack of 20 Wh many times over: the pack is full with 20 Wh, and both
// boards see the same charge.
TEST(PowerGroupTest, APackHoldsItsCapacityOnce) {
  Boards boards;
  boards.group().set_shared_pack(true);
  for (const char* name : {"a", "b"}) {
    DeviceView& view = boards.Add(name);
    SetBattery(20, 0.5, &view);
    Boards::SetSun(30, view);
  }
  const QueuePlan plan = PlanQueueWithCharge(boards.snapshot);
  ASSERT_THAT(plan.charge, SizeIs(2));
  ASSERT_GT(plan.charge[0].size(), 24U);
  EXPECT_EQ(plan.charge[0].front().median, 36'000'000);
  EXPECT_EQ(plan.charge[0].back().median, 72'000'000);
  for (size_t hour = 0; hour < plan.charge[0].size(); ++hour) {
    EXPECT_LE(plan.charge[0][hour].high, 72'000'000) << hour;
    EXPECT_EQ(plan.charge[0][hour].median, plan.charge[1][hour].median) << hour;
  }
}

TEST(PowerGroupTest, TheBestGaugeTellsOfThePack) {
  Boards boards;
  boards.group().set_shared_pack(true);
  boards.Add("without");
  DeviceView& coarse = boards.Add("coarse");
  SetBattery(40, 0.9, &coarse);
  coarse.device.mutable_info()->set_gauge_error_ratio(0.2);
  DeviceView& fine = boards.Add("fine");
  SetBattery(40, 0.4, &fine);
  fine.device.mutable_info()->set_gauge_error_ratio(0.01);
  const std::vector<size_t> all = {0, 1, 2};
  EXPECT_EQ(BestGauge(boards.snapshot, all), 2U);
  // 40 % less the reserve, the error and the hour's 10 Wh: nowhere.
  boards.Queue(1);
  EXPECT_EQ(boards.StartNow(), 0);
  const auto plan = PlanJob(boards.snapshot, HourJob("j1"));
  ASSERT_THAT(plan, IsOk());
  for (const v1::Candidate& candidate : plan->candidates()) {
    EXPECT_EQ(candidate.refused_by(), "battery_reserve") << candidate.device_name();
    EXPECT_DOUBLE_EQ(candidate.state_of_charge_ratio(), 0.4) << candidate.device_name();
  }
  // An unreachable gauge only has old values.
  boards.snapshot.devices[2].device.set_unreachable(true);
  EXPECT_EQ(BestGauge(boards.snapshot, all), 1U);
  EXPECT_EQ(boards.StartNow(), 1);
}

// A board that only idles, at 4 W, takes 32 Wh of the pack in the eight hours of a job.
TEST(PowerGroupTest, TheIdleDrawOfTheOtherBoardsCounts) {
  for (const double sun_watts : {0.0, 0.001}) {
    SCOPED_TRACE(sun_watts);
    Boards boards;
    for (const char* name : {"a", "b"}) {
      DeviceView& view = boards.Add(name);
      SetBattery(200, 0.79, &view);
      view.device.mutable_info()->set_gauge_error_ratio(0.01);
      Boards::SetSun(sun_watts, view);
    }
    JobView job = RealJob("j1", 8000);  // About 80 Wh; 96 Wh are above reserve and error.
    boards.snapshot.queue = {job};
    EXPECT_EQ(boards.StartNow(), 1);
    boards.group().set_shared_pack(true);
    boards.snapshot.devices[1].device.set_drained(true);
    boards.snapshot.devices[1].device.mutable_info()->set_idle_power_watts(0.1);
    EXPECT_EQ(boards.StartNow(), 1);
    boards.snapshot.devices[1].device.mutable_info()->set_idle_power_watts(4);
    EXPECT_EQ(boards.StartNow(), 0);
  }
}

// The gauge's board reports 10 W of sun, unaware of the 4 W that the other board draws.
TEST(PowerGroupTest, WhatTheOtherBoardsDrawIsNoMissingSun) {
  const auto charge_after_ten_hours = [](double told_watts, bool is_heard) {
    Boards boards;
    boards.group().set_shared_pack(true);
    for (const char* name : {"a", "b"}) {
      SetBattery(400, 0.5, &boards.Add(name));
    }
    boards.snapshot.devices[0].device.mutable_info()->set_gauge_error_ratio(0.01);
    Boards::SetSun(told_watts, boards.snapshot.devices[0]);
    boards.snapshot.devices[1].device.mutable_info()->set_idle_power_watts(4);
    boards.snapshot.devices[1].device.set_connected(is_heard);
    const QueuePlan plan = PlanQueueWithCharge(boards.snapshot);
    EXPECT_THAT(plan.charge, SizeIs(2));
    return ToWattHours(Joules(static_cast<double>(plan.charge[0].at(10).median) / 1000));
  };
  // An unreachable board may be off.
  EXPECT_NEAR(charge_after_ten_hours(10, true) - charge_after_ten_hours(10, false), 10 * 4, 4);
  // A gauge's reading at night may be noise.
  EXPECT_NEAR(charge_after_ten_hours(0.1, true) - charge_after_ten_hours(0.1, false), 1, 0.1);
}

// A run that its windows never let end is no drain of a century: its windows refuse it.
// A path is one weather of the site, so it is as dark for the second board as for the first.
TEST(PowerGroupTest, BoardsOfASiteHaveTheSameWeather) {
  Boards boards;
  boards.group().set_power_cap_watts(100);
  for (const double watts : {10.0, 20.0}) {
    DeviceView& view = boards.Add(watts < 15 ? "a" : "b");
    SetBattery(100, 0.5, &view);
    view.device.mutable_ledger()->clear_harvest_power_watts_by_hour();
    for (int hour = 0; hour < 24; ++hour) {
      view.device.mutable_ledger()->add_harvest_power_watts_by_hour(hour < 6 ? 0 : watts);
    }
  }
  const std::vector<DeviceLoad> loads = InitialLoads(boards.snapshot);
  const auto& first = loads[0].pack->spec().harvest;
  const auto& second = loads[1].pack->spec().harvest;
  ASSERT_EQ(first.size(), second.size());
  for (size_t path = 0; path < first.size(); ++path) {
    for (size_t hour = 0; hour < first[path].size(); ++hour) {
      ASSERT_LE(std::abs(second[path][hour] - 2 * first[path][hour]), 2) << path << ", " << hour;
    }
  }
}

TEST(PowerGroupTest, WindowsThatNeverOpenAreNamedAndNotThePack) {
  Boards boards;
  boards.group().set_shared_pack(true);
  for (const char* name : {"a", "b"}) {
    SetBattery(200, 1.0, &boards.Add(name));
  }
  for (const auto& [name, window] : {std::pair("early", "07:00-08:00"), {"late", "09:00-10:00"}}) {
    v1::Policy& policy = boards.snapshot.policies.emplace_back();
    policy.set_name(name);
    policy.add_work_windows(window);
  }
  const auto plan = PlanJob(boards.snapshot, HourJob("j1"));
  ASSERT_THAT(plan, IsOk());
  for (const v1::Candidate& candidate : plan->candidates()) {
    EXPECT_EQ(candidate.refused_by(), "work_windows") << candidate.reason();
    EXPECT_THAT(candidate.reason(), HasSubstr("have no time in common"));
  }
}

// 2 W of idle draw and 9 W for each run: 20 W carry two, 19 W carry one.
TEST(PowerGroupTest, AJobWaitsUntilTheSupplyHasPower) {
  Boards boards;
  boards.Add("a");
  boards.Add("b");
  boards.Queue(2);
  boards.group().set_power_cap_watts(20.1);
  EXPECT_EQ(boards.StartNow(), 2);
  boards.group().set_power_cap_watts(19);
  const std::vector<QueuePlacement> placed = PlanQueue(boards.snapshot);
  ASSERT_THAT(placed, SizeIs(2));
  EXPECT_FALSE(placed[0].placement.wait());
  EXPECT_TRUE(placed[1].placement.wait());
  EXPECT_GE(placed[1].placement.best(0).start_in_seconds(),
            placed[0].placement.best(0).finish_in_seconds() - 1);
  // Without any power for it no job runs.
  boards.group().set_power_cap_watts(5);
  const auto plan = PlanJob(boards.snapshot, HourJob("j1"));
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), "");
  EXPECT_EQ(plan->candidates(0).refused_by(), "power_cap");
  EXPECT_TRUE(plan->candidates(0).permanent());
  EXPECT_THAT(plan->candidates(0).reason(),
              HasSubstr("idle at 2.00 W, and their cap is 5.00 W (policy north); feasible with a "
                        "cap of 11.0"));
}

// The attempt that runs on the other board draws as it is expected to.
TEST(PowerGroupTest, RunningWorkCounts) {
  Boards boards;
  boards.Add("a");
  DeviceView& busy = boards.Add("b");
  busy.device.set_running_attempt_id("j0.1");
  busy.free_at = kTestNow + absl::Minutes(30);
  busy.running_power = Watts(kRunWatts);
  boards.Queue(1);
  boards.group().set_power_cap_watts(19);
  const std::vector<QueuePlacement> placed = PlanQueue(boards.snapshot);
  ASSERT_THAT(placed, SizeIs(1));
  EXPECT_TRUE(placed[0].placement.wait());
  EXPECT_NEAR(placed[0].placement.best(0).start_in_seconds(), 1800, 1);
  boards.group().set_power_cap_watts(21);
  EXPECT_EQ(boards.StartNow(), 1);
}

// A place behind a run begins at its mean end. Whether it begins there is decided then: a run that
// takes longer has its watts until it ends.
TEST(PowerGroupTest, NoRunBeginsWhileAnOverdueOneHasItsWatts) {
  Boards boards;
  boards.Add("a");
  DeviceView& busy = boards.Add("b");
  busy.device.set_running_attempt_id("j0.1");
  busy.running_power = Watts(kRunWatts);
  boards.Queue(1);
  boards.group().set_power_cap_watts(19);
  for (const absl::Duration overdue : {absl::ZeroDuration(), absl::Minutes(20)}) {
    boards.snapshot.devices[1].free_at = kTestNow - overdue;
    const std::vector<QueuePlacement> placed = PlanQueue(boards.snapshot);
    EXPECT_TRUE(placed[0].placement.wait());
    EXPECT_EQ(placed[0].placement.best(0).start_in_seconds(), 30);
  }
}

// Only the second board asks for a reserve that a run on the first one would use up.
TEST(PowerGroupTest, TheLargestReserveOfTheBoardsCounts) {
  for (const double sun_watts : {0.0, 0.001}) {
    SCOPED_TRACE(sun_watts);
    Boards boards;
    for (const char* name : {"a", "b"}) {
      DeviceView& view = boards.Add(name);
      SetBattery(40, 0.7, &view);
      view.device.mutable_info()->set_gauge_error_ratio(0.05);
      Boards::SetSun(sun_watts, view);
    }
    boards.group().set_shared_pack(true);
    boards.snapshot.devices[1].device.set_drained(true);
    boards.Queue(1);
    EXPECT_EQ(boards.StartNow(), 1);
    v1::Policy large;
    large.set_name("second");
    large.add_selector("second");
    large.set_reserve_state_of_charge_ratio(0.6);
    boards.snapshot.policies.push_back(large);
    boards.snapshot.devices[1].device.mutable_info()->add_labels()->set_key("second");
    EXPECT_EQ(boards.StartNow(), 0);
  }
}

// Labels that were added later may make two policies select one board.
TEST(PowerGroupTest, ABoardInTwoGroupsTakesNoWork) {
  Boards boards;
  boards.Add("a");
  boards.Queue(1);
  boards.group().set_power_cap_watts(40);
  EXPECT_EQ(boards.StartNow(), 1);
  v1::Policy other;
  other.set_name("south");
  other.mutable_power_group()->set_name("hut");
  other.mutable_power_group()->set_shared_pack(true);
  boards.snapshot.policies.push_back(other);
  const auto plan = PlanJob(boards.snapshot, HourJob("j1"));
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates(0).refused_by(), "guard");
  EXPECT_THAT(plan->candidates(0).reason(), HasSubstr("hut is a second group beside mast"));
}

struct RunTime {
  double begin;
  double end;
};

// Drawn masts of boards under a cap and on a pack without sun: at each begin of a run in the plan
// the boards draw at most the cap, and all runs together leave the reserve.
TEST(PowerGroupTest, NoDrawnPlanPassesTheCapOrSpendsTheReserve) {
  int placed = 0;
  int waited = 0;
  for (unsigned seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 dice(seed);
    const auto real = [&dice](double low, double high) {
      return low + (high - low) * static_cast<double>(dice()) / 4294967296.0;
    };
    Boards boards;
    const double cap = dice() % 3 == 0 ? 0 : real(12, 45);
    const bool shared_pack = cap == 0 || dice() % 2 == 0;
    const double capacity_wh = real(30, 150);
    const double charge = real(0.4, 1);
    boards.group().set_power_cap_watts(cap);
    boards.group().set_shared_pack(shared_pack);
    const int count = 2 + static_cast<int>(dice() % 3);
    for (int i = 0; i < count; ++i) {
      DeviceView& view = boards.Add(std::string(1, static_cast<char>('a' + i)));
      if (shared_pack) {
        SetBattery(capacity_wh, charge, &view);
        view.device.mutable_info()->set_gauge_error_ratio(0.05);
      }
    }
    boards.Queue(2 + static_cast<int>(dice() % 6));
    std::vector<RunTime> runs;
    double spent_joules = 0;
    for (const QueuePlacement& one : PlanQueue(boards.snapshot)) {
      if (one.placement.device_id().empty()) {
        continue;
      }
      const v1::Candidate& chosen = one.placement.best(0);
      runs.push_back({chosen.start_in_seconds(), chosen.finish_in_seconds()});
      spent_joules += chosen.prediction().run_energy_joules().high();
      placed += 1;
      waited += one.placement.wait() ? 1 : 0;
    }
    for (const RunTime& at : runs) {
      double watts = kIdleWatts * count;
      for (const RunTime& run : runs) {
        watts += run.begin <= at.begin && at.begin + 1 < run.end ? kRunWatts - kIdleWatts : 0;
      }
      EXPECT_TRUE(cap == 0 || watts <= cap + 0.05) << watts << " of " << cap;
    }
    if (shared_pack) {
      EXPECT_GE(3600 * capacity_wh * charge - spent_joules,
                runs.empty() ? 0 : 3600 * capacity_wh * 0.3);
    }
    if (HasFailure()) {
      return;
    }
  }
  EXPECT_GT(placed, 200);
  EXPECT_GT(waited, 50);
}

}  // namespace
}  // namespace wattle::scheduler
