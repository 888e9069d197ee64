// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/plan_improver.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/testing/busy_fleet_for_test.h"

namespace wattle::runtime {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

// A plan for which the search finds a cheaper one: of jobs that may not be put off.
class PlanImproverTest : public testing::Test {
 protected:
  core::PlanToImprove PlanOf(int64_t sequence) {
    scheduler::Snapshot snapshot = scheduler::BusyFleet(std::mt19937(2), profiles_);
    for (scheduler::JobView& job : snapshot.queue) {
      job.spec.set_priority(1);
    }
    scheduler::GivePlaces(scheduler::RunsOf(scheduler::PlanQueue(snapshot)), snapshot);
    snapshot.sequence = SequenceNumber(sequence);
    return {std::move(snapshot), {.moves_of_a_job = 50, .moves_max = 2'000, .seed = 2}};
  }

  scheduler::ProfileTable profiles_;
  PlanImprover improver_;
};

TEST_F(PlanImproverTest, TheNewestPlanIsSearchedOnAndItsAnswerComesBackOnce) {
  EXPECT_FALSE(improver_.TakeAnswer().has_value());
  improver_.Offer(nullptr, PlanOf(6));
  improver_.Offer(nullptr, PlanOf(7));
  absl::Notification better;  // Twice would end the test.
  std::thread thread([&] { improver_.Run([&better] { better.Notify(); }); });
  better.WaitForNotification();
  improver_.Stop();
  thread.join();
  const std::optional<core::ImprovedPlan> answer = improver_.TakeAnswer();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->computed_on, SequenceNumber(7));
  EXPECT_THAT(answer->places, Not(IsEmpty()));
  EXPECT_FALSE(improver_.TakeAnswer().has_value());
}

// The state is kept while its profiles are read, and no longer.
TEST_F(PlanImproverTest, TheStateOfAPlanIsHeldUntilItsAnswer) {
  auto state = std::make_shared<const core::State>();
  const std::weak_ptr<const core::State> held = state;
  improver_.Offer(std::move(state), PlanOf(7));
  EXPECT_FALSE(held.expired());
  absl::Notification better;
  std::thread thread([&] { improver_.Run([&better] { better.Notify(); }); });
  better.WaitForNotification();
  improver_.Stop();
  thread.join();
  EXPECT_TRUE(held.expired());
}

}  // namespace
}  // namespace wattle::runtime
