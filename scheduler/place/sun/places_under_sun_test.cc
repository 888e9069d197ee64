// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that each waiting job has a place: what is refused now for its charge, its window or its
// budget keeps what it needs at its earliest start, and other jobs fill gaps only.
#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/testing/event_loop_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/predict/predict.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

v1::Policy Reserve(double share) {
  v1::Policy policy;
  policy.set_name("north");
  policy.set_reserve_state_of_charge_ratio(share);
  return policy;
}

// Runs do not rest at a reserve where windows stop them too.
v1::Policy WithoutRests(v1::Policy policy) {
  policy.add_work_windows("00:00-24:00");
  return policy;
}

JobView WithPriority(JobView job, int priority) {
  job.spec.set_priority(priority);
  return job;
}

constexpr double kBegin = 8;  // Begin of the event loop, o'clock.

TEST(PlacesUnderSunTest, SmallJobsDoNotEatTheChargeThatALargeOneWaitsFor) {
  EventLoop loop;
  loop.SetPolicies({Reserve(0.3)});
  loop.Add(OrinNano(),
           {.capacity_wh = 40, .charge_wh = 13, .idle_watts = 1.5, .watts_by_hour = DaySun(51)});
  loop.Arrive(0, WithPriority(JobOf("j1", absl::Hours(1)), 50));
  for (int small = 0; small < 4 * 24 * 3; ++small) {
    loop.Arrive(0.25 * small, JobOf("j" + std::to_string(small + 2), absl::Hours(0.08)));
  }
  auto outcomes = loop.Run();
  ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
  EXPECT_LT(outcomes["j1"].starts[0].second, 24);
  int ended = 0;
  for (const auto& [id, outcome] : outcomes) {
    ended += outcome.ended >= 0 ? 1 : 0;
  }
  EXPECT_GT(ended, 30);
  EXPECT_GE(loop.LeastWorkingWh(0), 12);
}

TEST(PlacesUnderSunTest, AJobThatNoFullPackHoldsStartsInTheMorning) {
  EventLoop loop;
  loop.Add(OrinNano(),
           {.capacity_wh = 50, .charge_wh = 20, .idle_watts = 1.5, .watts_by_hour = DaySun(173)});
  loop.Arrive(12, JobOf("j1", absl::Hours(5.4)));  // 54 Wh, at 20:00.
  auto outcomes = loop.Run();
  ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
  EXPECT_GE(kBegin + outcomes["j1"].starts[0].second, 24 + 4);
  EXPECT_LE(kBegin + outcomes["j1"].starts[0].second, 24 + 12);
  EXPECT_GT(loop.LeastWorkingWh(0), 0);
}

TEST(PlacesUnderSunTest, WithoutAKnownSunAJobThatNoFullPackHoldsIsNeverFeasible) {
  EventLoop loop;
  loop.Add(OrinNano(), {.capacity_wh = 50, .charge_wh = 50, .idle_watts = 1.5});
  loop.Arrive(0, JobOf("j1", absl::Hours(5.4)));
  EXPECT_THAT(loop.Run()["j1"].starts, SizeIs(0));
}

// Nearly empty, and days as dark as one of 32 never fill the pack: there is no start to promise.
TEST(PlacesUnderSunTest, AJobThatAFullPackHoldsByDayIsNotRefusedForGood) {
  for (const double watt_hours : {90.0, 10.0}) {
    SCOPED_TRACE(watt_hours);
    EventLoop loop;
    loop.Add(OrinNano(), {.capacity_wh = 50,
                          .charge_wh = 5,
                          .idle_watts = 1.5,
                          .watts_by_hour = DaySun(watt_hours)});
    loop.Arrive(0, JobOf("j1", absl::Hours(5.4)));  // 54 Wh.
    const std::vector<QueuePlacement> plan = loop.FirstPlan();
    ASSERT_THAT(plan, SizeIs(1));
    EXPECT_EQ(plan[0].placement.device_id(), "");
    EXPECT_EQ(plan[0].never, watt_hours < 20) << plan[0].placement.reason();
  }
}

// The first job rests by night and works beyond the pack's horizon. The second one begins after it:
// the sun of that day is unknown, and a bright day would suffice.
TEST(PlacesUnderSunTest, AJobBehindWorkOfManyDaysIsNotRefusedForGood) {
  EventLoop loop;
  loop.SetPolicies({Reserve(0.3)});
  loop.Add(OrinNano(),
           {.capacity_wh = 50, .charge_wh = 40, .idle_watts = 1.5, .watts_by_hour = DaySun(90)});
  loop.Arrive(0, WithPriority(JobOf("j1", absl::Hours(60)), 50));
  loop.Arrive(0, JobOf("j2", absl::Hours(5.4)));  // 54 Wh.
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(2));
  EXPECT_FALSE(plan[1].never) << plan[1].placement.reason();
  EXPECT_THAT(plan[1].placement.reason(),
              HasSubstr("feasible by day once brighter days filled it"));
}

// On its first day a board has seen only some hours: dark ones, and perhaps the first sun.
TEST(PlacesUnderSunTest, OnTheFirstDayNoJobIsTooLargeForGood) {
  for (const double morning : {0.0, 12.0}) {
    for (const double noon : {-1.0, 0.0}) {  // -1: not seen yet.
      SCOPED_TRACE(testing::Message() << morning << ", " << noon);
      std::array<double, 24> watts{};
      watts[8] = morning;
      watts[12] = noon;
      EventLoop loop;
      loop.Add(OrinNano(),
               {.capacity_wh = 50, .charge_wh = 50, .idle_watts = 1.5, .watts_by_hour = watts});
      loop.Arrive(0, JobOf("j1", absl::Hours(5.4)));  // 54 Wh.
      const std::vector<QueuePlacement> plan = loop.FirstPlan();
      ASSERT_THAT(plan, SizeIs(1));
      EXPECT_EQ(plan[0].placement.device_id(), "");
      EXPECT_EQ(plan[0].never, noon >= 0);
      EXPECT_EQ(absl::StrContains(plan[0].placement.reason(), "not seen a whole day"), noon < 0)
          << plan[0].placement.reason();
    }
  }
}

// The charge comes with the sun, some hours after the job. An hour's wait is worth 1 % of the
// joules.
TEST(PlacesUnderSunTest, AJobWaitsForChargeWhereTheFreeBoardCostsMore) {
  for (const double speed : {0.33, 0.999}) {  // Speed of the board on mains.
    SCOPED_TRACE(speed);
    EventLoop loop;
    loop.SetPolicies({WithoutRests(Reserve(0.3))});
    loop.Add(
        OrinNano("mast"),
        {.capacity_wh = 60, .charge_wh = 18.2, .idle_watts = 1.5, .watts_by_hour = DaySun(120)});
    DeviceView mains = OrinNano("mains");
    mains.device.mutable_info()->set_idle_power_watts(1.5);
    loop.Add(std::move(mains), speed);
    loop.Arrive(0, JobOf("j1", absl::Hours(1)));
    auto outcomes = loop.Run();
    ASSERT_THAT(outcomes["j1"].starts, SizeIs(1));
    const auto& [board, hour] = outcomes["j1"].starts[0];
    EXPECT_EQ(board, speed < 0.5 ? "mast" : "mains");
    EXPECT_EQ(hour > 0.5, speed < 0.5) << hour;
    EXPECT_GE(loop.LeastWorkingWh(0), 18);
  }
}

// An oracle apart from Pack: the charge minute by minute under so much of the expected sun.
double LeastChargeWh(const EventLoop::Sun& sun, double share, double start_hour, double end_hour,
                     double gross_watts) {
  double charge = sun.charge_wh;
  double least = sun.capacity_wh;
  for (int minute = 0; minute < 60 * end_hour; ++minute) {
    const bool works = minute >= 60 * start_hour;
    const auto hour = static_cast<size_t>(kBegin + minute / 60) % 24;
    const double net = share * sun.watts_by_hour[hour] - (works ? gross_watts : sun.idle_watts);
    charge = std::clamp(charge + net / 60, 0.0, sun.capacity_wh);
    least = works ? std::min(least, charge) : least;
  }
  return least;
}

TEST(PlacesUnderSunTest, AStartKeepsTheReserveOnADarkDay) {
  int later = 0;
  int never = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 dice(seed);
    const auto between = [&](double low, double high) {
      return low + (high - low) * static_cast<double>(dice()) / 4294967296.0;
    };
    EventLoop::Sun sun{.capacity_wh = between(20, 100),
                       .idle_watts = between(0.5, 3),
                       .watts_by_hour = DaySun(between(20, 250))};
    sun.charge_wh = between(0.2, 1) * sun.capacity_wh;
    EventLoop loop;
    loop.SetPolicies({WithoutRests(Reserve(0.3))});
    loop.Add(OrinNano(), sun);
    loop.Arrive(0, JobOf("j1", absl::Hours(between(0.2, 9))));
    const std::vector<QueuePlacement> plan = loop.FirstPlan();
    ASSERT_THAT(plan, SizeIs(1));
    const v1::Placement& placement = plan[0].placement;
    if (placement.device_id().empty()) {
      ++never;
      continue;
    }
    later += placement.wait() ? 1 : 0;
    const v1::Candidate& chosen = placement.best(0);
    const double start = chosen.start_in_seconds() / 3600;
    const double length =
        TotalSeconds(chosen.prediction(), chosen.prediction().run_seconds().mean()) / 3600;
    const v1::Interval& joules = chosen.prediction().run_energy_joules();
    const double deviation = (joules.high() - joules.mean()) / 1.645;
    // A board without runs may break the reserve in three of the 64 paths, so one of these keeps
    // it: the four darkest, each with its quantile of the joules.
    double least = 0;
    for (const auto& [share, deviations] : {std::pair(0.177, -0.917), std::pair(0.240, 0.699),
                                            std::pair(0.310, -0.424), std::pair(0.369, 1.366)}) {
      const double gross = (joules.mean() + deviations * deviation) / 3600 / length;
      least = std::max(least, LeastChargeWh(sun, share, start, start + length, gross));
    }
    EXPECT_GE(least, 0.3 * sun.capacity_wh) << placement.reason();
  }
  EXPECT_GT(later, 20);
  EXPECT_LT(never, 150);
}

// Two boards differ only in the outcomes of earlier runs: the one whose runs were paused plans more
// cautiously.
TEST(PlacesUnderSunTest, ABoardThatWasStoppedPlansMoreCarefully) {
  const auto start = [](double charge_wh, int64_t stopped) {
    DeviceView board = OrinNano();
    board.runs_ended = 20;
    board.runs_stopped_by_charge = stopped;
    EventLoop loop;
    loop.SetPolicies({Reserve(0.3)});
    loop.Add(std::move(board), {.capacity_wh = 60,
                                .charge_wh = charge_wh,
                                .idle_watts = 1.5,
                                .watts_by_hour = DaySun(400)});
    loop.Arrive(0, JobOf("j1", absl::Hours(3)));
    const v1::Placement placement = loop.FirstPlan().at(0).placement;
    return placement.device_id().empty() ? std::numeric_limits<double>::infinity()
                                         : placement.best(0).start_in_seconds();
  };
  int later = 0;
  for (double charge_wh = 18; charge_wh < 60; charge_wh += 3) {
    EXPECT_LE(start(charge_wh, 0), start(charge_wh, 1)) << charge_wh << " Wh";
    EXPECT_LE(start(charge_wh, 1), start(charge_wh, 5)) << charge_wh << " Wh";
    later += start(charge_wh, 0) < start(charge_wh, 5) ? 1 : 0;
  }
  EXPECT_GT(later, 0);
}

TEST(PlacesUnderSunTest, AWaitForChargeNamesItsForecast) {
  DeviceView board = OrinNano();
  board.sun_forecast = SunForecast{.name = "weather",
                                   .first_hour = absl::ToUnixSeconds(kTestNow) / 3600,
                                   .power = std::vector<timetable::Milliwatts>(72, 30000),
                                   .trust = 600};
  EventLoop loop;
  loop.SetPolicies({Reserve(0.3)});
  loop.Add(std::move(board),
           {.capacity_wh = 60, .charge_wh = 18.2, .idle_watts = 1.5, .watts_by_hour = DaySun(120)});
  loop.Arrive(0, JobOf("j1", absl::Hours(5)));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_THAT(plan[0].placement.reason(),
              testing::HasSubstr("the sun of past days (40 %) and forecast weather (60 %)"));
}

// More risk may only make a start earlier: less sun is needed in fewer paths.
TEST(PlacesUnderSunTest, MoreRiskStartsEarlier) {
  double before = std::numeric_limits<double>::infinity();
  double careful = 0;
  double bold = 0;
  for (const double risk : {0.001, 0.02, 0.1, 0.5}) {
    EventLoop loop;
    v1::Policy policy = WithoutRests(Reserve(0.3));
    policy.set_sun_risk_ratio(risk);
    loop.SetPolicies({policy});
    loop.Add(OrinNano(),
             {.capacity_wh = 40, .charge_wh = 16, .idle_watts = 1.5, .watts_by_hour = DaySun(150)});
    loop.Arrive(0, JobOf("j1", absl::Hours(1.5)));
    const std::vector<QueuePlacement> plan = loop.FirstPlan();
    ASSERT_FALSE(plan[0].placement.device_id().empty());
    const double start = plan[0].placement.best(0).start_in_seconds();
    EXPECT_LE(start, before) << risk;
    before = start;
    (risk == 0.001 ? careful : bold) = start;
  }
  EXPECT_LT(bold, careful);
}

// A drawn board with a pack, half of them with a work window, and jobs of all sizes at once. The
// first job in the order can lose its place to no other job; a later one can lose its place to a
// job ahead of it whose charge comes sooner than expected.
TEST(PlacesUnderSunTest, NoJobDelaysTheOneInFront) {
  int ended = 0;
  for (unsigned seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 dice(seed);
    const auto between = [&](double low, double high) {
      return low + (high - low) * static_cast<double>(dice()) / 4294967296.0;
    };
    EventLoop loop;
    v1::Policy policy = WithoutRests(Reserve(0.3));
    if (dice() % 2 == 0) {
      policy.add_work_windows("12:00-04:00");
    }
    loop.SetPolicies({policy});
    const double capacity = between(30, 80);
    loop.Add(OrinNano(), {.capacity_wh = capacity,
                          .charge_wh = between(0.2, 0.6) * capacity,
                          .idle_watts = between(0.5, 2),
                          .watts_by_hour = DaySun(between(60, 200))});
    for (int job = 1; job <= 10; ++job) {
      loop.Arrive(0, WithPriority(JobOf("j" + std::to_string(job), absl::Hours(between(0.1, 2))),
                                  static_cast<int>(dice() % 3) * 100));
    }
    loop.ExpectFirstPlaceToHold();
    for (const auto& [id, outcome] : loop.Run()) {
      ended += outcome.ended >= 0 ? 1 : 0;
    }
    EXPECT_GE(loop.LeastWorkingWh(0), 0.3 * capacity);
  }
  EXPECT_GE(ended, 150);
}

// j1 waits for charge and draws much; j2 draws next to nothing and runs for hours. j2 may run in
// front of j1's place if its upper quantile ends by then, and not if it ends within the next
// second.
TEST(PlacesUnderSunTest, ARunThatEndsASecondLaterGoesBehindThePlace) {
  ProfileTable profiles;
  DeviceView board = OrinNano();
  SetBattery(100, 0.4, &board);
  v1::DeviceInfo& info = *board.device.mutable_info();
  info.set_idle_power_watts(1);
  info.set_link_bytes_per_second(1e12);
  for (const double watts : DaySun(160)) {
    board.device.mutable_ledger()->add_harvest_power_watts_by_hour(watts);
  }
  board.device.mutable_heartbeat()->add_cached_artifact_ids("m");
  board.device.mutable_heartbeat()->add_cached_artifact_ids("d");
  const auto frugal = [](int64_t examples) {
    JobView job = RealJob("j2", examples);
    *job.inputs[0].artifact.mutable_model_shape() = Gpt2Shape(2);
    return job;
  };
  const JobView large = RealJob("j1", 4000);
  for (int i = 0; i < 20; ++i) {  // Measured often: the interval is narrow.
    Learn(board, large, {0.018, 10}, profiles);
    Learn(board, frugal(4000), {0.0002, 1.1}, profiles);
  }
  Snapshot snapshot = MakeSnapshot({board}, profiles);
  snapshot.policies = {WithoutRests(Reserve(0.3))};
  const auto starts = [&snapshot](std::vector<JobView> queue) {
    snapshot.queue = std::move(queue);
    std::vector<double> seconds;
    for (const QueuePlacement& placed : PlanQueue(snapshot)) {
      seconds.push_back(placed.placement.best(0).start_in_seconds());
    }
    return seconds;
  };
  const double place = starts({large}).at(0);
  ASSERT_GT(place, 3600);
  const auto upper = [&](int64_t examples) {
    const v1::Prediction prediction =
        PlanJob(snapshot, frugal(examples))->candidates(0).prediction();
    return TotalSeconds(prediction, prediction.run_seconds().high());
  };
  int64_t fits = 1;
  for (int64_t step = int64_t{1} << 22; step > 0; step /= 2) {
    fits += upper(fits + step) <= place ? step : 0;
  }
  ASSERT_LE(upper(fits), place);
  ASSERT_LT(upper(fits + 1), place + 0.9);
  EXPECT_EQ(starts({large, frugal(fits)}), (std::vector<double>{place, 0}));
  const std::vector<double> behind = starts({large, frugal(fits + 1)});
  EXPECT_EQ(behind.at(0), place);
  EXPECT_GT(behind.at(1), place);
}

// One job on one device with a window or a budget.
class OneDevice {
 public:
  explicit OneDevice(v1::Policy policy) {
    policy.set_name("north");
    snapshot_ = MakeSnapshot({OrinNano()}, profiles_);
    snapshot_.policies = {std::move(policy)};
    snapshot_.devices[0].device.mutable_heartbeat()->add_cached_artifact_ids("m");
    snapshot_.devices[0].device.mutable_heartbeat()->add_cached_artifact_ids("d");
  }
  Snapshot& snapshot() { return snapshot_; }
  [[nodiscard]] std::vector<QueuePlacement> Plan(std::vector<JobView> queue) {
    snapshot_.queue = std::move(queue);
    return PlanQueue(snapshot_);
  }
  [[nodiscard]] double StartHour(const QueuePlacement& placed) const {
    return (placed.placement.expected_start_unix_seconds() -
            absl::ToDoubleSeconds(kTestNow - absl::UnixEpoch())) /
           3600;
  }

 private:
  ProfileTable profiles_ = ProfileTable::Priors();
  Snapshot snapshot_;
};

TEST(PlacesUnderSunTest, AClosedWindowGivesAPlaceAtItsOpening) {
  v1::Policy policy;
  policy.add_work_windows("20:00-06:00");
  OneDevice fleet(policy);
  const std::vector<QueuePlacement> plan = fleet.Plan({RealJob("j1", 2000), RealJob("j2", 2000)});
  ASSERT_THAT(plan, SizeIs(2));
  EXPECT_TRUE(plan[0].placement.wait());
  EXPECT_EQ(fleet.StartHour(plan[0]), 12);  // 20:00, seen from 08:00.
  EXPECT_THAT(plan[0].placement.waits_for(), HasSubstr("work may run"));
  EXPECT_THAT(plan[0].placement.reason(), HasSubstr("waits 12 h"));
  EXPECT_GT(fleet.StartHour(plan[1]), 12);  // Behind the first one.
  EXPECT_EQ(plan[1].placement.behind_job_id(), "j1");
}

TEST(PlacesUnderSunTest, ASpentBudgetGivesAPlaceOnTheNextDay) {
  v1::Policy policy;
  policy.set_daily_energy_budget_wh(50);
  OneDevice fleet(policy);
  fleet.snapshot().devices[0].device.mutable_heartbeat()->set_budget_day_energy_joules(49.9 * 3600);
  const std::vector<QueuePlacement> plan = fleet.Plan({RealJob("j1", 2000)});
  ASSERT_THAT(plan, SizeIs(1));
  EXPECT_TRUE(plan[0].placement.wait());
  EXPECT_EQ(fleet.StartHour(plan[0]), 16);  // Midnight, seen from 08:00.
  EXPECT_THAT(plan[0].placement.waits_for(), HasSubstr("of the day's 50.00 Wh"));
}

TEST(PlacesUnderSunTest, APlaceSpendsTheBudgetOfItsDay) {
  OneDevice free_of_budget{v1::Policy()};
  const double joules = free_of_budget.Plan({RealJob("j1", 2000)})[0]
                            .placement.best(0)
                            .prediction()
                            .run_energy_joules()
                            .high();
  v1::Policy policy;
  policy.set_daily_energy_budget_wh(0.95 * joules / 3600);
  OneDevice fleet(policy);
  fleet.snapshot().devices[0].device.mutable_heartbeat()->set_budget_day_energy_joules(joules);
  const std::vector<QueuePlacement> plan = fleet.Plan({RealJob("j1", 2000), RealJob("j2", 2000)});
  EXPECT_EQ(fleet.StartHour(plan[0]), 16);
  EXPECT_GE(fleet.StartHour(plan[1]), 16 + 24);  // The first one may spend the whole day's.

  // Each job waits for a day of its own.
  std::vector<JobView> queue;
  for (int job = 1; job <= 65; ++job) {
    queue.push_back(RealJob("j" + std::to_string(job), 2000));
  }
  const std::vector<QueuePlacement> days = fleet.Plan(std::move(queue));
  ASSERT_THAT(days, SizeIs(65));
  EXPECT_TRUE(days[63].placement.wait());
  EXPECT_EQ(days[64].placement.device_id(), "");
  EXPECT_THAT(days[64].placement.reason(),
              HasSubstr("; 64 jobs that wait for their time are planned before it"));
}

}  // namespace
}  // namespace wattle::scheduler
