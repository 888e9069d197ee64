// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which jobs are put off for the joules of the queue, and for how long.
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/promise_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/drawn_large_fleet_for_test.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kHour = 3600;
constexpr absl::Duration kBound = absl::Hours(12);
constexpr double kNever = std::numeric_limits<double>::infinity();

struct PromiseCase {
  const char* name;
  v1::Objective objective;
  int priority;
  double deadline_hours;  // 0: none.
  double waited_hours;
  double latest_start_hours;
  double latest_finish_hours;
};

// Job by job the job runs from 3 h to 7 h.
class PromiseTest : public testing::TestWithParam<PromiseCase> {};

TEST_P(PromiseTest, IsExact) {
  const PromiseCase& one = GetParam();
  JobView job = RealJob("j1", 100, one.objective);
  job.spec.set_priority(one.priority);
  job.spec.set_deadline_seconds(one.deadline_hours * kHour);
  job.submitted = kTestNow - absl::Hours(one.waited_hours);
  const RunStart in_order{.start_in_seconds = 3 * kHour, .finish_in_seconds = 7 * kHour};
  const Promise promise = PromiseTo(job, kTestNow, in_order);
  EXPECT_DOUBLE_EQ(promise.latest_start, one.latest_start_hours * kHour);
  EXPECT_DOUBLE_EQ(promise.latest_finish, one.latest_finish_hours * kHour);

  RunStart run{.start_in_seconds = promise.latest_start, .finish_in_seconds = 0};
  EXPECT_TRUE(Keeps(promise, run));
  run.start_in_seconds += 1.5;  // A second is rounding.
  EXPECT_FALSE(Keeps(promise, run));
  run = {.start_in_seconds = 0, .finish_in_seconds = promise.latest_finish + 1.5};
  EXPECT_EQ(Keeps(promise, run), promise.latest_finish == kNever);
}

INSTANTIATE_TEST_SUITE_P(
    Jobs, PromiseTest,
    testing::Values(
        PromiseCase{"FewestJoules", v1::OBJECTIVE_ENERGY, 0, 0, 0, 12, kNever},
        PromiseCase{"NoObjective", v1::OBJECTIVE_UNSPECIFIED, 0, 0, 0, 12, kNever},
        PromiseCase{"EnergyDelayProduct", v1::OBJECTIVE_EDP, 0, 0, 0, 12, kNever},
        PromiseCase{"LowPriority", v1::OBJECTIVE_ENERGY, -100, 0, 0, 12, kNever},
        PromiseCase{"BoundCountsFromTheSubmission", v1::OBJECTIVE_ENERGY, 0, 0, 8, 4, kNever},
        PromiseCase{"BehindTheBoundItKeepsItsStart", v1::OBJECTIVE_ENERGY, 0, 0, 9.5, 3, kNever},
        PromiseCase{"EarliestEnd", v1::OBJECTIVE_TIME, 0, 0, 0, 3, 7},
        PromiseCase{"HighPriority", v1::OBJECTIVE_ENERGY, 1, 0, 0, 3, kNever},
        PromiseCase{"HighPriorityWithDeadline", v1::OBJECTIVE_ENERGY, 1, 20, 0, 3, 7},
        PromiseCase{"EarliestEndWithDeadline", v1::OBJECTIVE_TIME, 0, 20, 0, 3, 7},
        PromiseCase{"Deadline", v1::OBJECTIVE_ENERGY, 0, 20, 2, 3, 12.5},
        PromiseCase{"DeadlineThatItMisses", v1::OBJECTIVE_ENERGY, 0, 8, 2, 3, 7}),
    [](const testing::TestParamInfo<PromiseCase>& test) { return test.param.name; });

TEST(PromiseOfADryRunTest, CountsFromNow) {
  JobView job = RealJob("j1", 100);
  job.submitted = absl::InfinitePast();
  EXPECT_DOUBLE_EQ(PromiseTo(job, kTestNow, {}).latest_start, 12 * kHour);
}

// One board. The cheap job, "j1", and the hungry ones run for about 10 h; a hungry one takes three
// times the joules, so its waiting costs three times as much.
class PutOffTest : public testing::Test {
 protected:
  PutOffTest() {
    snapshot_ = MakeSnapshot({OrinNano("a")}, profiles_);
    snapshot_.queue = {TenHourJob("j1", 12), TenHourJob("j2", 6)};
    for (int run = 0; run < 10; ++run) {  // Measured often: the interval is narrow.
      Learn(snapshot_.devices[0], snapshot_.queue[0], {0.01, 10}, profiles_);
      Learn(snapshot_.devices[0], snapshot_.queue[1], {0.01, 30}, profiles_);
    }
  }
  JobView& cheap() { return snapshot_.queue[0]; }
  // The job's placement in the plan.
  v1::Placement PlacementOf(const std::string& job) const {
    for (const QueuePlacement& placed : PlanQueue(snapshot_)) {
      if (placed.job.value() == job) {
        return placed.placement;
      }
    }
    ADD_FAILURE() << job << " is not in the plan";
    return {};
  }
  // The end of a hungry job that starts now, in hours.
  double HungryHours() {
    Snapshot alone = snapshot_;
    alone.queue.erase(alone.queue.begin());
    return PlanQueue(alone)[0].placement.best(0).finish_in_seconds() / kHour;
  }

  ProfileTable profiles_;
  Snapshot snapshot_;
};

TEST_F(PutOffTest, AJobIsPutOffForTheJoulesOfAnotherAndTold) {
  const v1::Placement placement = PlacementOf("j1");
  EXPECT_TRUE(placement.wait());
  EXPECT_EQ(placement.behind_job_id(), "j2");
  EXPECT_THAT(placement.waits_for(), HasSubstr("put off 10 h"));
  EXPECT_FALSE(PlacementOf("j2").wait());
  EXPECT_THAT(PlacementOf("j2").waits_for(), IsEmpty());
}

TEST_F(PutOffTest, NotBeyondTheBoundSinceItsSubmission) {
  const absl::Duration spare = kBound - absl::Hours(HungryHours());
  ASSERT_GT(spare, absl::Hours(1));
  cheap().submitted = kTestNow - spare + absl::Minutes(1);
  EXPECT_TRUE(PlacementOf("j1").wait());
  cheap().submitted = kTestNow - spare - absl::Minutes(1);
  EXPECT_FALSE(PlacementOf("j1").wait());
  EXPECT_THAT(PlacementOf("j2").waits_for(), IsEmpty());  // The job waits for its turn.
}

TEST_F(PutOffTest, AJobThatIsWantedSoonIsNot) {
  cheap().spec.set_priority(1);
  EXPECT_FALSE(PlacementOf("j1").wait());
  cheap().spec.set_priority(0);
  cheap().spec.set_objective(v1::OBJECTIVE_TIME);
  EXPECT_FALSE(PlacementOf("j1").wait());
}

// Behind the hungry job it would still be in time.
TEST_F(PutOffTest, AJobWithADeadlineIsNot) {
  for (const double runs : {4, 40}) {
    cheap().spec.set_deadline_seconds(runs * HungryHours() * kHour);
    EXPECT_FALSE(PlacementOf("j1").wait()) << runs;
  }
}

// A hungry job of five hours always arrives before the board is free. Job by job j1 starts first.
TEST_F(PutOffTest, IsNotRepeatedWithoutEnd) {
  std::vector<JobView> jobs = {cheap()};
  for (int number = 2; number <= 9; ++number) {
    JobView hungry = snapshot_.queue[1];
    hungry.id = JobId("j" + std::to_string(number));
    hungry.inputs[1].artifact.mutable_dataset()->set_examples(9'000);
    hungry.submitted = kTestNow + absl::Hours(4.5) * (number - 2);
    jobs.push_back(hungry);
  }
  std::map<std::string, absl::Duration> starts;  // From the begin.
  absl::Time now = kTestNow;
  while (starts.size() < jobs.size()) {
    snapshot_.now = now;
    snapshot_.queue.clear();
    for (const JobView& job : jobs) {
      if (job.submitted <= now && !starts.contains(job.id.value())) {
        snapshot_.queue.push_back(job);
      }
    }
    absl::Time next = now + absl::Minutes(30);
    for (const QueuePlacement& placed : PlanQueue(snapshot_)) {
      ASSERT_FALSE(placed.placement.device_id().empty());
      if (!placed.placement.wait()) {
        starts[placed.job.value()] = now - kTestNow;
        next = now + absl::Seconds(placed.placement.best(0).finish_in_seconds());
      }
    }
    now = next;
  }
  EXPECT_GT(starts["j1"], starts["j3"]);  // Put off twice.
  EXPECT_LE(starts["j1"], kBound + absl::Seconds(1));
}

}  // namespace
}  // namespace wattle::scheduler
