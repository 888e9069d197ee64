// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests jobs that run apart: the places of the jobs of one group, and the texts for those without a
// place.
#include "scheduler/place/rules/anti_affinity.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"

namespace wattle::scheduler {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr MeasuredPace kFast = {0.001, 8};
constexpr MeasuredPace kSlow = {0.004, 8};

JobView OfGroup(const std::string& id, const std::string& by = "",
                const std::string& group = "folds") {
  JobView job = RealJob(id, 1000);
  job.spec.mutable_apart()->set_group(group);
  job.spec.mutable_apart()->set_by(by);
  return job;
}

// The board `fast` would do any number of jobs before `slow` has done one.
class AntiAffinityTest : public testing::Test {
 protected:
  AntiAffinityTest() {
    Add(OrinNano("fast"), "north", kFast);
    Add(OrinNano("slow"), "south", kSlow);
  }

  void Add(DeviceView view, const std::string& site, MeasuredPace pace) {
    v1::Label& label = *view.device.mutable_info()->add_labels();
    label.set_key("site");
    label.set_value(site);
    Learn(view, RealJob("j0", 1000), pace, profiles);
    snapshot.devices.push_back(std::move(view));
  }

  // The job counts, as reported by the coordinator, in addition to those of the queue.
  void Holds(const JobView& job, const std::string& device, bool succeeded = false) {
    Group(job).jobs[job.id] = {
        .device = device.empty() ? std::nullopt : std::optional(DeviceId(device)),
        .succeeded = succeeded};
  }
  void Queue(const JobView& job) {
    snapshot.queue.push_back(job);
    if (job.spec.has_apart()) {
      Group(job).jobs.insert({job.id, {}});
    }
  }
  AntiAffinityGroup& Group(const JobView& job) {
    AntiAffinityGroup& group = snapshot.anti_affinity[AntiAffinityGroupOf(job.spec)];
    group.anti_affinity = job.spec.apart();
    group.places = PlacesOf(group.anti_affinity, snapshot.devices);
    return group;
  }

  ProfileTable profiles;
  Snapshot snapshot = MakeSnapshot({}, profiles);
};

TEST_F(AntiAffinityTest, JobsOfAGroupGoToBoardsOfTheirOwn) {
  Queue(RealJob("j1", 1000));
  Queue(RealJob("j2", 1000));
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 waits for id-fast"));
  snapshot.queue.clear();
  Queue(OfGroup("j1"));
  Queue(OfGroup("j2"));
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 on id-slow"));
  // Another group, or the same name in another project, is independent.
  snapshot.queue[1].spec.mutable_apart()->set_group("others");
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 waits for id-fast"));
  snapshot.queue[1].spec.mutable_apart()->set_group("folds");
  snapshot.queue[1].spec.set_project("school");
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 waits for id-fast"));
  snapshot.queue[1].spec.set_project("default");
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 on id-slow"));
}

TEST_F(AntiAffinityTest, BoardsWithOneValueOfTheLabelAreOnePlace) {
  Add(OrinNano("near"), "north", kFast);
  Queue(OfGroup("j1"));
  Queue(OfGroup("j2"));
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 on id-near"));
  for (JobView& job : snapshot.queue) {
    job.spec.mutable_apart()->set_by("site");
  }
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast", "j2 on id-slow"));
  for (JobView& job : snapshot.queue) {
    job.spec.mutable_apart()->set_by("class");  // Every board has it.
  }
  EXPECT_EQ(PlanQueue(snapshot)[1].placement.device_id(), "");
}

TEST_F(AntiAffinityTest, ARunningAndASucceededJobKeepTheirBoards) {
  const JobView held = OfGroup("j1", "site");
  Queue(OfGroup("j2", "site"));
  Holds(held, "id-fast");
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j2 on id-slow"));
  Add(OrinNano("near"), "north", kFast);
  for (const bool succeeded : {false, true}) {
    Holds(held, "id-fast", succeeded);
    const auto plan = PlanJob(snapshot, snapshot.queue[0]);
    ASSERT_THAT(plan, IsOk());
    const v1::Candidate* const near = FindCandidate(*plan, "near");
    EXPECT_EQ(near->refused_by(), "apart");
    EXPECT_EQ(near->reason(),
              succeeded ? "j1 of its group folds has succeeded on fast, which has the same site; "
                          "feasible once j1 is in the history"
                        : "j1 of its group folds runs or waits on fast, which has the same site; "
                          "feasible once j1 has ended without a result");
    EXPECT_FALSE(near->permanent());
  }
}

TEST_F(AntiAffinityTest, AJobsOwnPlaceDoesNotRefuseIt) {
  const JobView waiting = OfGroup("j1", "site");
  Queue(waiting);
  Holds(waiting, "id-fast");
  EXPECT_THAT(Summary(PlanQueue(snapshot)), ElementsAre("j1 on id-fast"));
}

TEST_F(AntiAffinityTest, AGroupOfMoreJobsThanBoardsSaysHowMany) {
  for (const char* const id : {"j1", "j2", "j3"}) {
    Queue(OfGroup(id));
  }
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot);
  EXPECT_EQ(plan[2].placement.device_id(), "");
  EXPECT_TRUE(plan[2].never);
  EXPECT_THAT(plan[2].placement.reason(),
              AllOf(HasSubstr("of its group folds is planned on it"),
                    HasSubstr("the group has 3 jobs, and the fleet 2 boards")));
  EXPECT_FALSE(plan[1].never);
  // A dry run counts itself.
  snapshot.queue.clear();
  JobView dry = OfGroup("");
  const auto dry_plan = PlanJob(snapshot, dry);
  ASSERT_THAT(dry_plan, IsOk());
  EXPECT_NE(dry_plan->chosen_device_id(), "");
  Holds(OfGroup("j1"), "id-fast");
  Holds(OfGroup("j2"), "id-slow");
  const auto full = PlanJob(snapshot, dry);
  ASSERT_THAT(full, IsOk());
  EXPECT_THAT(full->reason(), HasSubstr("the group has 4 jobs, and the fleet 2 boards"));
}

TEST_F(AntiAffinityTest, ABoardWithoutTheLabelIsNoPlace) {
  Queue(OfGroup("j1", "rack"));
  const std::vector<QueuePlacement> plan = PlanQueue(snapshot);
  EXPECT_TRUE(plan[0].never);
  EXPECT_THAT(plan[0].placement.reason(),
              HasSubstr("lacks the label rack, by which its group folds is apart"));
}

// A job with a deadline goes first, and takes the board that its mate had.
TEST_F(AntiAffinityTest, ALateJobGoesBeforeItsMate) {
  Queue(OfGroup("j1"));
  Queue(OfGroup("j2"));
  snapshot.queue[1].spec.set_deadline_seconds(900);
  snapshot.queue[1].submitted = kTestNow;
  EXPECT_THAT(Summary(PlanQueue(snapshot)), UnorderedElementsAre("j1 on id-slow", "j2 on id-fast"));
}

// The search would let both wait for the fast board, and each attempt gains by a move to it.
TEST_F(AntiAffinityTest, ARestDoesNotMoveToThePlaceOfItsMate) {
  Add(OrinNano("slower"), "west", {0.008, 8});
  const auto rest = [&](const std::string& id, const std::string& on) {
    RunningRest one;
    one.attempt = AttemptId(id + ".1");
    one.device = DeviceId(on);
    one.job = OfGroup(id, "site");
    one.job.avoided_devices = {one.device};
    one.remaining = absl::Hours(8);
    one.marginal = Joules(8 * 3600 * 8.0);
    Holds(one.job, on);
    for (DeviceView& view : snapshot.devices) {
      if (view.device.info().device_id() == on) {
        view.device.set_running_attempt_id(id + ".1");
        view.free_at = kTestNow + absl::Hours(8);
      }
    }
    return one;
  };
  snapshot.running = {rest("j1", "id-slow")};
  EXPECT_EQ(PlanQueueAndMoves(snapshot).moves.size(), 1u);
  Holds(OfGroup("j5", "site"), "id-fast", /*succeeded=*/true);
  for (const GainfulMove& move : PlanQueueAndMoves(snapshot).moves) {
    EXPECT_NE(move.device.value(), "id-fast");
  }
  // Two rests do not move to one place either.
  Group(OfGroup("j1", "site")).jobs.clear();
  Add(OrinNano("near"), "north", kFast);
  snapshot.running = {rest("j1", "id-slow"), rest("j2", "id-slower")};
  EXPECT_EQ(PlanQueueAndMoves(snapshot).moves.size(), 1u);
}

}  // namespace
}  // namespace wattle::scheduler
