// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the value of a probe with drawn truths; and queues in which a job tries a board for
// others.
#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/place.h"
#include "scheduler/place/probe_value_internal.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/probe.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

Option WideOption(double mean_joules, double deviation) {
  v1::Prediction prediction;
  prediction.mutable_run_seconds()->set_mean(1000);
  prediction.set_mean_power_watts(5);
  v1::Interval& joules = *prediction.mutable_run_energy_joules();
  joules.set_mean(mean_joules);
  joules.set_low(mean_joules * std::exp(-1.6449 * deviation));
  joules.set_high(mean_joules * std::exp(1.6449 * deviation));
  return {.run = {},
          .cost = mean_joules,
          .prediction = std::make_shared<const v1::Prediction>(std::move(prediction))};
}

// The mean loss of a decision by the means, less that of a decision by the truth.
double DrawnGain(double mean, double deviation, double known, std::mt19937& random) {
  std::lognormal_distribution<double> truth(std::log(mean) - deviation * deviation / 2, deviation);
  constexpr int kDraws = 200'000;
  double gain = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const double cost = truth(random);
    gain += (mean < known ? cost : known) - std::min(cost, known);
  }
  return gain / kDraws;
}

TEST(ProbeValueTest, IsTheLossThatTheAnswerAvoids) {
  std::mt19937 random(7);
  for (const double mean : {700.0, 1000.0, 1500.0, 3000.0}) {
    for (const double deviation : {0.3, 0.6, 1.0}) {
      const v1::ProbeValue value = ValueToOthers(WideOption(mean, deviation), 1000, 3);
      EXPECT_NEAR(value.loss_avoided(), 3 * DrawnGain(mean, deviation, 1000, random), 15)
          << mean << " +- " << deviation;
      EXPECT_EQ(value.cost_of_trying(), std::max(0.0, mean - 1000));
      EXPECT_NEAR(value.value_per_joule(), value.loss_avoided() / 150, 1e-9) << "30 s at 5 W";
    }
  }
}

TEST(ProbeValueTest, CertaintyIsWorthNothing) {
  EXPECT_EQ(ValueToOthers(WideOption(1500, 0), 1000, 9).loss_avoided(), 0);
  EXPECT_EQ(ValueToDeadlines(WideOption(1500, 1), /*deadline_in_seconds=*/0, 9).loss_avoided(), 0);
}

// A measured board, and one of an unmeasured class, whose mean cost is this multiple of the
// measured one's. Jobs of 2.8 h wait for the measured board.
class TrialTest : public testing::Test {
 protected:
  static constexpr double kSecondsPerToken = 0.01;

  Snapshot Fleet(int jobs, double cost_ratio) {
    DeviceView known = OrinNano();
    known.device.mutable_info()->set_idle_power_watts(1);
    DeviceView unknown = MakeDevice("board-a", "new");
    Snapshot snapshot = MakeSnapshot({known, unknown}, table_);
    for (int job = 0; job < jobs; ++job) {
      snapshot.queue.push_back(RealJob(absl::StrCat("j", job + 1), 5000));
    }
    Learn(known, snapshot.queue.front(), {kSecondsPerToken, 10}, table_);
    v1::DeviceInfo& info = *snapshot.devices[1].device.mutable_info();
    info.set_throughput_flops_datasheet(1e12);
    const double ratio = CostOn(snapshot, "new") / CostOn(snapshot, "orin");
    info.set_throughput_flops_datasheet(1e12 * ratio / cost_ratio);
    EXPECT_NEAR(CostOn(snapshot, "new") / CostOn(snapshot, "orin"), cost_ratio, 0.15 * cost_ratio);
    return snapshot;
  }
  static double CostOn(const Snapshot& snapshot, const std::string& name) {
    return FindCandidate(*PlanJob(snapshot, snapshot.queue.front()), name)->cost();
  }
  // The jobs that start on the new board, as the plan has them.
  static std::vector<QueuePlacement> OnNew(const Snapshot& snapshot) {
    std::vector<QueuePlacement> plan = PlanQueue(snapshot);
    std::erase_if(plan, [](const QueuePlacement& placed) {
      return placed.placement.device_id() != "id-new" || placed.placement.wait();
    });
    return plan;
  }

  ProfileTable table_ = ProfileTable::Priors();
};

TEST_F(TrialTest, AWaitingJobTriesABoardForTheOthers) {
  const std::vector<QueuePlacement> tried = OnNew(Fleet(12, 1.5));
  ASSERT_EQ(tried.size(), 1) << "one job tells enough";
  EXPECT_EQ(tried.front().job.value(), "j2") << "the first that waits";
  EXPECT_TRUE(IsWide(tried.front().prediction));
  const v1::Candidate& chosen = tried.front().placement.best(0);
  EXPECT_EQ(chosen.probe_value().jobs(), 10);
  EXPECT_GT(chosen.probe_value().loss_avoided(), chosen.probe_value().cost_of_trying());
  EXPECT_THAT(tried.front().placement.reason(), HasSubstr("tried here for 10 other jobs like it"));
}

TEST_F(TrialTest, NobodyTriesWhatDoesNotPay) {
  EXPECT_TRUE(OnNew(Fleet(2, 1.5)).empty()) << "no other job waits";
  EXPECT_TRUE(OnNew(Fleet(12, 20)).empty()) << "it is hopeless";
}

TEST_F(TrialTest, AJobWhoseEndCountsTriesNothing) {
  Snapshot snapshot = Fleet(12, 1.5);
  for (JobView& job : snapshot.queue) {
    job.spec.set_deadline_seconds(40 * 86400);
  }
  EXPECT_TRUE(OnNew(snapshot).empty());
}

TEST_F(TrialTest, OtherWorkLearnsNothing) {
  Snapshot snapshot = Fleet(12, 1.5);
  for (size_t job = 1; job < snapshot.queue.size(); ++job) {
    snapshot.queue[job].spec.mutable_finetune()->set_batch_size(static_cast<int>(job));
    Learn(snapshot.devices[0], snapshot.queue[job], {kSecondsPerToken, 10}, table_);
  }
  EXPECT_TRUE(OnNew(snapshot).empty());
}

TEST_F(TrialTest, OneBoardOfAClassIsTriedAtATime) {
  Snapshot snapshot = Fleet(12, 1.5);
  snapshot.devices.push_back(MakeDevice("board-a", "busy"));
  snapshot.devices.back().free_at = kTestNow + absl::Hours(50);
  EXPECT_EQ(OnNew(snapshot).size(), 1);
  snapshot.devices.back().probes = true;
  EXPECT_TRUE(OnNew(snapshot).empty());
}

TEST_F(TrialTest, ADeviceThatExploredEnoughIsNotTried) {
  Snapshot snapshot = Fleet(12, 1.5);
  const Joules demand = ProbeDemand(OnNew(snapshot).front().prediction);
  snapshot.devices[1].exploration.left = 1.1 * demand;
  EXPECT_EQ(OnNew(snapshot).size(), 1);
  snapshot.devices[1].exploration.left = 0.9 * demand;
  EXPECT_TRUE(OnNew(snapshot).empty());
}

}  // namespace
}  // namespace wattle::scheduler
