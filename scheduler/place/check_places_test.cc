// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/check_places.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/pauses_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::StartsWith;

constexpr std::array<int, 3> kLayersOfWork = {3, 6, 12};

JobView FinetuneOf(const std::string& id, int layers) {
  JobView job = RealJob(id, 4000);
  *job.inputs[0].artifact.mutable_model_shape() = Gpt2Shape(layers);
  return job;
}

enum class Works { kRan, kNew };

// Boards that ran every work, or none, under a policy with a reserve of 30 %.
class DrawnBoards {
 public:
  explicit DrawnBoards(unsigned seed, Works works = Works::kRan)
      : dice_(seed), works_(works), snapshot(MakeSnapshot({}, profiles)) {
    v1::Policy& policy = snapshot.policies.emplace_back();
    policy.set_name("mast");
    policy.set_reserve_state_of_charge_ratio(0.3);
    if (dice_() % 2 == 0) {
      policy.mutable_power_group()->set_name("mast");
      policy.mutable_power_group()->set_power_cap_watts(Real(12, 30));
      policy.mutable_power_group()->set_shared_pack(dice_() % 2 == 0);
    }
    const double charge = Real(0.4, 1);
    for (const char* name : {"a", "b", "c"}) {
      AddBoard(name, charge);
    }
    for (int job = 1; job <= 12; ++job) {
      AddJob("j" + std::to_string(job));
    }
  }

 private:
  double Real(double low, double high) {
    return low + (high - low) * static_cast<double>(dice_()) / 4294967296.0;
  }
  void AddBoard(const std::string& name, double charge) {
    DeviceView view = OrinNano(name);
    view.device.mutable_info()->set_idle_power_watts(2);
    SetBattery(120, charge, &view);
    for (int hour = 0; hour < 24; ++hour) {
      view.device.mutable_ledger()->add_harvest_power_watts_by_hour(
          hour < 7 || hour > 18 ? 0 : 4.0 * std::min(hour - 6, 19 - hour));
    }
    for (const int layers : kLayersOfWork) {
      const MeasuredPace pace{Real(0.003, 0.02), Real(7, 14)};
      for (int run = 0; works_ == Works::kRan && run < 5; ++run) {
        Learn(view, FinetuneOf("j0", layers), pace, profiles);
      }
    }
    if (dice_() % 2 == 0) {
      view.device.set_running_attempt_id("j0.1");
      view.free_at = kTestNow + absl::Milliseconds(dice_() % 20'000'000);
      view.running_power = Watts(8);
      view.committed_energy = Watts(8) * (view.free_at - kTestNow);
    }
    snapshot.devices.push_back(std::move(view));
  }
  void AddJob(const std::string& id) {
    snapshot.queue.push_back(FinetuneOf(id, kLayersOfWork.at(dice_() % 3)));
    v1::JobSpec& spec = snapshot.queue.back().spec;
    spec.set_priority(static_cast<int>(dice_() % 3) * 50);
    if (dice_() % 3 == 0) {
      spec.set_deadline_seconds(Real(3600, 200'000));
    }
    if (dice_() % 4 == 0) {
      spec.mutable_apart()->set_group("team");
    }
  }

  std::mt19937 dice_;
  Works works_;
  ProfileTable profiles;

 public:
  Snapshot snapshot;
};

// Sets when the run of a placement begins, and lets it take as long as before.
void BeginAt(double seconds, QueuePlacement& placed) {
  v1::Candidate& run = *placed.placement.mutable_best(0);
  run.set_finish_in_seconds(run.finish_in_seconds() - run.start_in_seconds() + seconds);
  run.set_start_in_seconds(seconds);
}

// A run that begins an hour earlier than the earliest start breaks some rule, mostly.
TEST(CheckPlacesTest, PlansOfDrawnFleetsPassAndEarlierStartsDoNot) {
  int placed = 0;
  int waiting = 0;
  int caught = 0;
  int dropped = 0;
  for (unsigned seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    const DrawnBoards boards(seed);
    std::vector<QueuePlacement> plan = PlanQueue(boards.snapshot);
    const std::optional<std::string> broken = CheckPlaces(boards.snapshot, plan);
    ASSERT_EQ(broken, std::nullopt) << *broken;
    dropped += PlanQueueAndMoves(boards.snapshot).proposals_dropped;
    for (QueuePlacement& one : plan) {
      placed += one.placement.device_id().empty() ? 0 : 1;
      if (one.placement.wait()) {
        ++waiting;
        const QueuePlacement right = one;
        BeginAt(std::max(0.0, one.placement.best(0).start_in_seconds() - 3600), one);
        caught += CheckPlaces(boards.snapshot, plan).has_value() ? 1 : 0;
        one = right;
      }
    }
  }
  RecordProperty("dropped", dropped);
  EXPECT_GT(placed, 1000);
  EXPECT_GT(waiting, 500);
  EXPECT_GT(caught, waiting * 9 / 10);
}

TEST(CheckPlacesTest, PlansOfBoardsWithPausesPass) {
  int waiting = 0;
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    DrawnBoards boards(seed);
    AddPauses(std::mt19937(seed + 2'000'000), boards.snapshot);
    const std::vector<QueuePlacement> plan = PlanQueue(boards.snapshot);
    const std::optional<std::string> broken = CheckPlaces(boards.snapshot, plan);
    ASSERT_EQ(broken, std::nullopt) << *broken;
    for (const QueuePlacement& one : plan) {
      waiting += one.placement.wait() ? 1 : 0;
    }
  }
  EXPECT_GT(waiting, 300);
}

// The pack of a probe has to supply its mean, and its deadline has to hold at its lower end. Other
// runs must meet stricter bounds.
TEST(CheckPlacesTest, ProbesAreJudgedByWhatTheyPromise) {
  int probes = 0;
  int too_wide = 0;
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    const DrawnBoards boards(seed, Works::kNew);
    std::vector<QueuePlacement> plan = PlanQueue(boards.snapshot);
    const std::optional<std::string> broken = CheckPlaces(boards.snapshot, plan);
    ASSERT_EQ(broken, std::nullopt) << *broken;
    for (QueuePlacement& one : plan) {
      if (!one.placement.device_id().empty() && one.placement.best(0).probe()) {
        ++probes;
        one.placement.mutable_best(0)->set_probe(false);
      }
    }
    too_wide += CheckPlaces(boards.snapshot, plan).has_value() ? 1 : 0;
  }
  EXPECT_GT(probes, 200);
  EXPECT_GT(too_wide, 20);
}

// One board for two jobs of one hour and a pack that suffices for both.
class CheckPlacesRulesTest : public testing::Test {
 protected:
  CheckPlacesRulesTest() {
    DeviceView board = OrinNano("a");
    board.device.mutable_info()->set_idle_power_watts(1);
    SetBattery(100, 0.5, &board);
    for (int hour = 0; hour < 24; ++hour) {
      board.device.mutable_ledger()->add_harvest_power_watts_by_hour(0.1);
    }
    Learn(board, FinetuneOf("j1", 3), {0.0045, 10}, profiles_);
    snapshot_ = MakeSnapshot({board}, profiles_);
    snapshot_.queue = {FinetuneOf("j1", 3), FinetuneOf("j2", 3)};
    snapshot_.policies.emplace_back().set_name("keep");
    plan_ = PlanQueue(snapshot_);
    EXPECT_THAT(Summary(plan_), testing::ElementsAre("j1 on id-a", "j2 waits for id-a"));
    EXPECT_EQ(Check(), "nothing");
  }
  [[nodiscard]] std::string Check() const {
    return CheckPlaces(snapshot_, plan_).value_or("nothing");
  }

  ProfileTable profiles_;
  Snapshot snapshot_;
  std::vector<QueuePlacement> plan_;
};

TEST_F(CheckPlacesRulesTest, TwoRunsAtOnceOverlap) {
  BeginAt(plan_[1].placement.best(0).start_in_seconds() - 2, plan_[1]);
  EXPECT_THAT(Check(), StartsWith("overlap"));
}

TEST_F(CheckPlacesRulesTest, ABusyBoardIsClosed) {
  snapshot_.devices[0].free_at = kTestNow + absl::Seconds(2);
  EXPECT_THAT(Check(), StartsWith("window"));
}

TEST_F(CheckPlacesRulesTest, ADeadlineHoldsToTheSecond) {
  const double end = plan_[1].placement.best(0).finish_in_seconds();
  snapshot_.queue[1].spec.set_deadline_seconds(end);
  EXPECT_EQ(Check(), "nothing");
  snapshot_.queue[1].spec.set_deadline_seconds(end - 1);
  EXPECT_THAT(Check(), StartsWith("deadline"));
}

TEST_F(CheckPlacesRulesTest, TheReserveIsKept) {
  snapshot_.policies[0].set_reserve_state_of_charge_ratio(0.45);
  EXPECT_THAT(Check(), StartsWith("floor"));
}

TEST_F(CheckPlacesRulesTest, ACapIsKept) {
  v1::PowerGroup& group = *snapshot_.policies[0].mutable_power_group();
  group.set_name("mast");
  group.set_power_cap_watts(9);
  EXPECT_THAT(Check(), StartsWith("power_cap"));
}

// The run lasts for an hour with a draw of about 10 W, and may take twice as long or six times.
TEST_F(CheckPlacesRulesTest, AProbeKeepsTheReserveWithItsMeanAndTheDeadlineWithItsLowerEnd) {
  plan_.pop_back();
  snapshot_.queue.pop_back();
  v1::Candidate& run = *plan_[0].placement.mutable_best(0);
  for (v1::Interval* const one : {run.mutable_prediction()->mutable_run_seconds(),
                                  run.mutable_prediction()->mutable_run_energy_joules()}) {
    one->set_low(one->mean() / 2);
    one->set_high(6 * one->mean());
  }
  snapshot_.policies[0].set_reserve_state_of_charge_ratio(0.2);
  EXPECT_THAT(Check(), StartsWith("floor"));
  run.set_probe(true);
  EXPECT_EQ(Check(), "nothing");
  snapshot_.policies[0].set_reserve_state_of_charge_ratio(0.45);
  EXPECT_THAT(Check(), StartsWith("floor"));
  snapshot_.policies[0].set_reserve_state_of_charge_ratio(0.2);
  snapshot_.queue[0].spec.set_deadline_seconds(0.6 * run.finish_in_seconds());
  EXPECT_EQ(Check(), "nothing");
  snapshot_.queue[0].spec.set_deadline_seconds(0.4 * run.finish_in_seconds());
  EXPECT_THAT(Check(), StartsWith("deadline"));
}

TEST_F(CheckPlacesRulesTest, JobsOfAGroupRunApart) {
  for (JobView& job : snapshot_.queue) {
    job.spec.mutable_apart()->set_group("team");
  }
  EXPECT_THAT(Check(), StartsWith("apart"));
}

TEST_F(CheckPlacesRulesTest, RunsOfLessThanASecondRunApartToo) {
  for (JobView& job : snapshot_.queue) {
    job.spec.mutable_apart()->set_group("team");
  }
  for (QueuePlacement& placed : plan_) {
    v1::Candidate& run = *placed.placement.mutable_best(0);
    run.set_finish_in_seconds(run.start_in_seconds() + 0.2);
  }
  EXPECT_THAT(Check(), StartsWith("apart"));
}

TEST_F(CheckPlacesRulesTest, AStartThatIsNoTimeIsNone) {
  for (const double seconds :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1.0}) {
    const QueuePlacement right = plan_[0];
    BeginAt(seconds, plan_[0]);
    EXPECT_THAT(Check(), StartsWith("option"));
    plan_[0] = right;
  }
  plan_[1].placement.set_device_id("id-gone");
  EXPECT_THAT(Check(), StartsWith("option"));
}

}  // namespace
}  // namespace wattle::scheduler
