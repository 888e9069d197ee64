// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Queues that cost less in another arrangement than job by job.
#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/improve_queue.h"
#include "scheduler/place/place.h"
#include "scheduler/place/queue/queue_planner_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/timetable/improve.h"
#include "scheduler/timetable/schedule.h"

namespace wattle::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A fine-tune of 3.6 million tokens: 10 h at 0.01 s a token. The number of layers identifies its
// workload.
JobView LongJob(const std::string& id, int layers) {
  JobView job = RealJob(id, 18'000);
  *job.inputs[0].artifact.mutable_model_shape() = Gpt2Shape(layers);
  return job;
}

class RearrangeTest : public testing::Test {
 protected:
  // Two boards: j1's workload takes 1 % more on b, j2's three times as much.
  Snapshot TwoBoards() {
    Snapshot snapshot = MakeSnapshot({OrinNano("a"), OrinNano("b")}, profiles_);
    snapshot.queue = {LongJob("j1", 12), LongJob("j2", 6)};
    Learn(snapshot.devices[0], snapshot.queue[0], {0.01, 10}, profiles_);
    Learn(snapshot.devices[1], snapshot.queue[0], {0.0101, 10}, profiles_);
    Learn(snapshot.devices[0], snapshot.queue[1], {0.01, 10}, profiles_);
    Learn(snapshot.devices[1], snapshot.queue[1], {0.03, 10}, profiles_);
    return snapshot;
  }

  ProfileTable profiles_;
};

TEST_F(RearrangeTest, AJobLeavesTheBoardThatAnotherJobNeedsMore) {
  Snapshot snapshot = TwoBoards();
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot);
  EXPECT_THAT(Summary(plan), ElementsAre("j1 on id-b", "j2 on id-a"));
  EXPECT_THAT(plan[0].placement.reason(), HasSubstr("a would take"));
  EXPECT_THAT(plan[0].placement.reason(), HasSubstr("serves other jobs of the queue better"));
  EXPECT_THAT(plan[1].placement.reason(), HasSubstr("against b"));
}

// The search ignores windows: it would start j1 on b at once.
TEST_F(RearrangeTest, AnArrangementThatARuleRefusesIsCounted) {
  Snapshot snapshot = TwoBoards();
  for (JobView& job : snapshot.queue) {
    job.spec.set_priority(1);  // None is put off.
  }
  EXPECT_EQ(PlanQueueAndMoves(snapshot).proposals_dropped, 0);
  v1::Label& label = *snapshot.devices[1].device.mutable_info()->add_labels();
  label.set_key("site");
  label.set_value("barn");
  v1::Policy& policy = snapshot.policies.emplace_back();
  policy.set_name("barn");
  policy.add_selector("site=barn");
  policy.add_work_windows("10:00-07:00");  // The time is 08:00.
  const QueueAndMoves plan = PlanQueueAndMoves(snapshot);
  EXPECT_THAT(Summary(plan.jobs), ElementsAre("j1 on id-a", "j2 waits for id-a"));
  EXPECT_EQ(plan.proposals_dropped, 1);
}

// Lets the last job start a second after it must.
timetable::Schedule BreakAPromise(const timetable::Instance& instance, timetable::Schedule begin,
                                  const timetable::SearchBudget& budget) {
  timetable::Schedule best = timetable::Improve(instance, std::move(begin), budget);
  const size_t job = instance.jobs.size() - 1;
  const timetable::Planned planned = best.planned(job);
  best.Remove(job);
  for (const timetable::JobOption& option : instance.jobs[job].options) {
    if (option.device == planned.device && option.mode == planned.mode) {
      best.Put(job, option, *instance.jobs[job].latest_start + 1);
    }
  }
  return best;
}

TEST_F(RearrangeTest, AnAnswerThatCheckPlanRefusesIsDroppedAndCounted) {
  Snapshot snapshot = TwoBoards();
  for (DeviceView& view : snapshot.devices) {
    view.free_at = kTestNow + absl::Hours(2);
  }
  const SearchEffort honest = {.moves_of_a_job = 50, .moves_max = 2000};
  SearchEffort broken = honest;
  broken.improver = BreakAPromise;
  const QueueImprovement found = ImproveQueue(snapshot, honest);
  EXPECT_EQ(found.places.at(JobId("j1")).device.value(), "id-b");
  EXPECT_EQ(found.proposals_dropped, 0);
  const QueueImprovement dropped = ImproveQueue(snapshot, broken);
  EXPECT_THAT(dropped.places, IsEmpty());  // The present plan stays.
  EXPECT_EQ(dropped.proposals_dropped, 1);
}

// Refuses plans in which j1 runs on b.
std::optional<std::string> RefuseB(const Snapshot& /*snapshot*/, const FleetLoads& /*loads*/,
                                   absl::Span<const JobPlace> places) {
  const bool is_on_b = std::any_of(places.begin(), places.end(), [](const JobPlace& one) {
    return one.job.id == JobId("j1") && one.placed.placement.device_id() == "id-b";
  });
  return is_on_b ? std::optional<std::string>("floor: of b") : std::nullopt;
}

// Covers a result of the search, a kept latest plan, and a kept start.
TEST_F(RearrangeTest, APlanThatCheckPlacesRefusesIsDroppedAndCounted) {
  for (const char* way : {"search", "latest", "stays"}) {
    SCOPED_TRACE(way);
    Snapshot snapshot = TwoBoards();
    const absl::Duration wait = absl::Hours(way == std::string("stays") ? 0.5 : 2);
    for (DeviceView& view : snapshot.devices) {
      view.free_at = kTestNow + wait;
    }
    if (way == std::string("stays")) {
      snapshot.queue.pop_back();
      snapshot.queue[0].last_place = {.device = DeviceId("id-b"), .start = kTestNow + wait};
    } else if (way == std::string("latest")) {
      snapshot.queue[0].last_place = {.device = DeviceId("id-b"), .start = kTestNow + wait};
      snapshot.queue[1].last_place = {.device = DeviceId("id-a"), .start = kTestNow + wait};
    }
    QueuePlanner whole(snapshot);
    EXPECT_EQ(whole.Plan()[0].placement.device_id(), "id-b");
    EXPECT_EQ(whole.proposals_dropped(), 0);
    QueuePlanner checked(snapshot, QueuePlanner::Arranging::kBySearch, {.checker = RefuseB});
    EXPECT_EQ(checked.Plan()[0].placement.device_id(), "id-a");
    EXPECT_EQ(checked.proposals_dropped(), 1);
    EXPECT_FALSE(checked.found_cheaper());
  }
}

// In some of the drawn queues the search moves a job.
TEST(RearrangeQueuesTest, TheOrderOfDevicesAndJobsInTheSnapshotPlaysNoPart) {
  int moved = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 generator(seed);
    // A board is the job's best one, nearly so, or bad.
    const auto drawn = [&generator] { return std::array{0.01, 0.0101, 0.03}.at(generator() % 3); };
    ProfileTable profiles;
    Snapshot snapshot = MakeSnapshot({OrinNano("a"), OrinNano("b"), OrinNano("c")}, profiles);
    for (int layers = 1; layers <= 6; ++layers) {
      snapshot.queue.push_back(LongJob("j" + std::to_string(layers), layers));
      for (const DeviceView& device : snapshot.devices) {
        Learn(device, snapshot.queue.back(), {drawn(), 10}, profiles);
      }
    }
    const std::vector<QueuePlacement> plan = PlanQueue(snapshot);
    // Job by job the order is that of their ids.
    moved += std::is_sorted(plan.begin(), plan.end(),
                            [](const auto& one, const auto& other) {
                              return one.job.value() < other.job.value();
                            })
                 ? 0
                 : 1;
    for (int round = 0; round < 3; ++round) {
      std::shuffle(snapshot.devices.begin(), snapshot.devices.end(), generator);
      std::shuffle(snapshot.queue.begin(), snapshot.queue.end(), generator);
      EXPECT_EQ(Summary(PlanQueue(snapshot)), Summary(plan));
    }
  }
  EXPECT_GT(moved, 0);
}

TEST_F(RearrangeTest, AJobWhoseEndCountsKeepsItsBoard) {
  Snapshot snapshot = TwoBoards();
  snapshot.queue[0].spec.set_objective(v1::OBJECTIVE_TIME);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-a", "j2 waits for id-a"));
  snapshot.queue[0].spec.set_objective(v1::OBJECTIVE_ENERGY);
  snapshot.queue[0].spec.set_deadline_seconds(100.0 * 3600);
  snapshot.queue[0].spec.set_priority(1);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-a", "j2 waits for id-a"));
  // The job ends in time on b too.
  snapshot.queue[0].spec.set_priority(0);
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-b", "j2 on id-a"));
}

}  // namespace
}  // namespace wattle::scheduler
