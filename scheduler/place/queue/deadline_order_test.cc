// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that a deadline is a reason to go first, and to take a board from an attempt.
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/busy_fleet_for_test.h"
#include "scheduler/place/testing/drawn_large_fleet_for_test.h"
#include "scheduler/place/testing/event_loop_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::SizeIs;

JobView WithDeadline(JobView job, absl::Duration deadline, int priority = 0) {
  job.spec.set_deadline_seconds(absl::ToDoubleSeconds(deadline));
  job.spec.set_priority(priority);
  return job;
}

TEST(DeadlineOrderTest, TheJobThatCanWaitLetsTheOtherGoFirst) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, JobOf("j1", absl::Hours(4)));
  loop.Arrive(0, WithDeadline(JobOf("j2", absl::Hours(1)), absl::Hours(2)));
  const auto outcomes = loop.Run();
  EXPECT_FALSE(outcomes.at("j2").failed);
  EXPECT_LT(outcomes.at("j2").ended, 2);
  EXPECT_LT(outcomes.at("j1").ended, 5.2);
}

// The job without a deadline was submitted first. Each job could end in time after the other, so
// only a later job may need the hours.
TEST(DeadlineOrderTest, ADeadlineOfTodayComesFirstAlsoWhereItIsInNoDanger) {
  const auto first = [](absl::Duration deadline, int priority_of_other) -> std::string {
    EventLoop loop;
    loop.Add(OrinNano(), 1);
    loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(1)), absl::ZeroDuration(), 50));
    loop.Arrive(0,
                WithDeadline(JobOf("j2", absl::Hours(2)), absl::ZeroDuration(), priority_of_other));
    loop.Arrive(0.1, WithDeadline(JobOf("j3", absl::Hours(2)), deadline));
    const auto outcomes = loop.Run();
    return outcomes.at("j2").ended < outcomes.at("j3").ended ? "j2" : "j3";
  };
  EXPECT_EQ(first(absl::Hours(8), 0), "j3");
  EXPECT_EQ(first(absl::Hours(8), 3), "j3") << "an hour for each point of priority";
  EXPECT_EQ(first(absl::Hours(8), 5), "j2");
  EXPECT_EQ(first(absl::Hours(24), 0), "j2") << "a later deadline puts nobody behind those without";
}

TEST(DeadlineOrderTest, AJobGoesNoEarlierThanItsDeadlineNeeds) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(1)), absl::Hours(0), 50));
  loop.Arrive(0, WithDeadline(JobOf("j2", absl::Hours(4)), absl::Hours(0), 40));
  loop.Arrive(0, WithDeadline(JobOf("j3", absl::Hours(1)), absl::Hours(4)));
  const auto outcomes = loop.Run();
  EXPECT_LT(outcomes.at("j1").ended, 1.2);
  EXPECT_LT(outcomes.at("j3").ended, 2.4);
}

// The jobs share the prediction of their work, but no verdict.
TEST(DeadlineOrderTest, JobsOfOneWorkHaveTheirOwnDeadlines) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(1)), absl::Minutes(30)));
  loop.Arrive(0, WithDeadline(JobOf("j2", absl::Hours(1)), absl::Hours(9)));
  loop.Arrive(0, JobOf("j3", absl::Hours(1)));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(3));
  for (const QueuePlacement& placed : plan) {
    EXPECT_EQ(placed.never, placed.job.value() == "j1") << placed.job.value();
    EXPECT_EQ(placed.placement.device_id().empty(), placed.job.value() == "j1");
  }
}

TEST(DeadlineOrderTest, NoJobOfHigherPriorityMissesItsDeadlineForAnother) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(2)), absl::Hours(3), 10));
  loop.Arrive(0, WithDeadline(JobOf("j2", absl::Hours(2)), absl::Hours(3)));
  const auto outcomes = loop.Run();
  EXPECT_LT(outcomes.at("j1").ended, 3);
  EXPECT_TRUE(outcomes.at("j2").failed);
}

TEST(DeadlineOrderTest, ARunningAttemptLeavesItsBoardForADeadlineAndGoesOn) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, JobOf("j1", absl::Hours(20)));
  loop.Arrive(1, WithDeadline(JobOf("j2", absl::Minutes(30)), absl::Hours(3), 100));
  const auto outcomes = loop.Run();
  EXPECT_FALSE(outcomes.at("j2").failed);
  EXPECT_LT(outcomes.at("j2").ended, 2);
  EXPECT_THAT(outcomes.at("j1").starts, SizeIs(2));
  EXPECT_LT(outcomes.at("j1").ended, 21.5);  // The hour before is not lost.
}

TEST(DeadlineOrderTest, NoAttemptLeavesForALowerPriorityOrWithoutNeed) {
  for (const bool lower : {false, true}) {
    EventLoop loop;
    loop.Add(OrinNano(), 1);
    loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(5)), absl::Hours(0), 10));
    loop.Arrive(1, WithDeadline(JobOf("j2", absl::Minutes(30)), absl::Hours(lower ? 3 : 8),
                                lower ? 5 : 100));
    const auto outcomes = loop.Run();
    EXPECT_THAT(outcomes.at("j1").starts, SizeIs(1)) << lower;
    EXPECT_EQ(outcomes.at("j2").failed, lower);
  }
}

TEST(DeadlineOrderTest, NoAttemptLeavesThatWouldMissItsOwnDeadline) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  loop.Arrive(0, WithDeadline(JobOf("j1", absl::Hours(4)), absl::Hours(5)));
  loop.Arrive(1, WithDeadline(JobOf("j2", absl::Hours(1)), absl::Hours(2), 100));
  const auto outcomes = loop.Run();
  EXPECT_THAT(outcomes.at("j1").starts, SizeIs(1));
  EXPECT_LT(outcomes.at("j1").ended, 5);
  EXPECT_TRUE(outcomes.at("j2").failed);
}

// j1 and each of the next 44 jobs would meet their deadlines if planned separately, but no two of
// them together. The last job may go before all.
TEST(DeadlineOrderTest, HopelessJobsUseUpNoTrialsOfAnother) {
  EventLoop loop;
  loop.Add(OrinNano(), 1);
  for (int job = 1; job <= 45; ++job) {
    loop.Arrive(0, WithDeadline(JobOf("j" + std::to_string(job), absl::Hours(2)), absl::Hours(3.7),
                                /*priority=*/10));
  }
  for (int job = 46; job < 346; ++job) {
    loop.Arrive(0, JobOf("j" + std::to_string(job), absl::Minutes(30)));
  }
  loop.Arrive(0, WithDeadline(JobOf("j400", absl::Hours(1)), absl::Hours(4), -10));
  const std::vector<QueuePlacement> plan = loop.FirstPlan();
  ASSERT_THAT(plan, SizeIs(346));
  for (const QueuePlacement& placed : plan) {
    const bool is_hopeless = placed.job != JobId("j1") && placed.job.value().size() <= 3 &&
                             std::stoi(placed.job.value().substr(1)) <= 45;
    EXPECT_EQ(placed.placement.device_id().empty(), is_hopeless) << placed.job.value();
  }
}

// The board is busy for too long for 300 jobs, in any order. The last job may go before all. The
// result must not depend on whether another job holds the 300 up before that, or comes after them.
TEST(DeadlineOrderTest, JobsThatNoOrderHelpsCostAPlacementEach) {
  for (const int priority_of_first : {20, 5}) {
    SCOPED_TRACE(priority_of_first);
    ProfileTable profiles;
    Snapshot snapshot = MakeSnapshot({OrinNano()}, profiles);
    Learn(snapshot.devices[0], TenHourJob("j0", 12), {0.01, 10}, profiles);
    snapshot.devices[0].free_at = kTestNow + absl::Hours(3);
    const auto add = [&snapshot](int number, absl::Duration deadline, int priority) {
      snapshot.queue.push_back(
          WithDeadline(TenHourJob("j" + std::to_string(number), 12), deadline, priority));
    };
    add(1, absl::ZeroDuration(), priority_of_first);
    for (int job = 2; job <= 301; ++job) {
      add(job, absl::Hours(12), 10);
    }
    for (int job = 302; job <= 350; ++job) {
      add(job, absl::ZeroDuration(), 0);
    }
    add(400, absl::Hours(20), -10);
    for (const QueuePlacement& placed : PlanQueue(snapshot)) {
      const int number = std::stoi(placed.job.value().substr(1));
      EXPECT_EQ(placed.placement.device_id().empty(), number >= 2 && number <= 301) << number;
    }
  }
}

// j101 to j220 would each be in time before j100, on whose board the last job would then be late.
// Each trial for one of them therefore goes through the whole queue.
TEST(DeadlineOrderTest, LateJobsLeaveTheSearchHalfOfTheTrials) {
  ProfileTable profiles;
  Snapshot snapshot = BusyFleet(std::mt19937(1), profiles);
  const auto label = [](v1::DeviceInfo& info, const std::string& site) {
    v1::Label& one = *info.add_labels();
    one.set_key("site");
    one.set_value(site);
  };
  for (DeviceView& view : snapshot.devices) {
    label(*view.device.mutable_info(), "hall");
  }
  for (JobView& job : snapshot.queue) {
    job.spec.add_required_labels("site=hall");
  }
  snapshot.devices.push_back(OrinNano("z"));
  label(*snapshot.devices.back().device.mutable_info(), "mast");
  Learn(snapshot.devices.back(), TenHourJob("j0", 12), {0.01, 10}, profiles);
  for (int number = 100; number <= 221; ++number) {
    const double hours = number == 100 ? 0 : number == 221 ? 24 : 15;
    snapshot.queue.push_back(WithDeadline(TenHourJob("j" + std::to_string(number), 12),
                                          absl::Hours(hours), number == 100 ? 10 : 0));
    snapshot.queue.back().spec.add_required_labels("site=mast");
  }
  const auto price = [](const Runs& runs) {
    double total = 0;
    for (const auto& [job, run] : runs) {
      total += run.cost();
    }
    return total;
  };
  const Runs in_order = RunsOf(PlanQueueInOrder(snapshot));
  const Runs arranged = RunsOf(PlanQueue(snapshot));
  EXPECT_THAT(in_order, SizeIs(62));
  EXPECT_THAT(arranged, SizeIs(62));
  EXPECT_LT(price(arranged), 0.99 * price(in_order));
}

// Unlike boards, jobs with and without deadlines, all at once.
TEST(DeadlineOrderTest, RandomQueuesMissFewDeadlines) {
  constexpr unsigned kSeed = 32;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 dice(kSeed);
  const auto between = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(dice()) / 4294967296.0;
  };
  int missed = 0;
  int deadlines = 0;
  for (int instance = 0; instance < 12; ++instance) {
    EventLoop loop;
    for (int i = 0; i < 5; ++i) {
      loop.Add(OrinNano("b" + std::to_string(i)), between(0.5, 2));
    }
    for (int j = 1; j <= 20; ++j) {
      const absl::Duration length = absl::Hours(between(0.5, 4));
      JobView job = JobOf("j" + std::to_string(j), length, v1::OBJECTIVE_TIME);
      if (dice() % 20 < 12) {
        ++deadlines;
        job = WithDeadline(std::move(job), 3 * length + absl::Hours(between(1, 10)));
      }
      loop.Arrive(0, std::move(job));
    }
    for (const auto& [id, outcome] : loop.Run()) {
      missed += outcome.failed ? 1 : 0;
    }
  }
  EXPECT_LE(missed, deadlines / 40) << "of " << deadlines;
}

}  // namespace
}  // namespace wattle::scheduler
