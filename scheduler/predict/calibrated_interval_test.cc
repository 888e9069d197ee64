// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Plays a fleet whose boards differ and whose runs are noisy, and tests that intervals hold nine in
// ten runs at each level, with predictions made before their runs.
#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

constexpr int kBoards = 12;

struct DrawnRun {
  int board = 0;
  WorkAmount work;
  double seconds = 0;
};

WorkAmount WorkOfModel(int layers, int batch) {
  return DeclaredWork(Gpt2Shape(layers, 384), 1000, 128, batch);
}

// Runs of boards of one class, with deviations of 0.2 between speeds and 0.1 between runs, both
// more than the levels assume.
std::vector<DrawnRun> DrawRuns(unsigned seed, int count) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, 1);
  std::vector<double> slowness(kBoards);
  for (double& factor : slowness) {
    factor = std::exp(0.2 * normal(random));
  }
  std::vector<DrawnRun> runs;
  for (int run = 0; run < count; ++run) {
    DrawnRun& drawn = runs.emplace_back();
    drawn.board = static_cast<int>(random() % kBoards);
    drawn.work =
        WorkOfModel(4 * (1 + static_cast<int>(random() % 6)), 1 << static_cast<int>(random() % 5));
    const double flops = drawn.work.units * TrainingFlopsPerToken(drawn.work.signature.model(),
                                                                  drawn.work.tokens_per_example);
    drawn.seconds = slowness[static_cast<size_t>(drawn.board)] *
                    (0.1 * drawn.work.steps + flops / 5e10) * std::exp(0.1 * normal(random));
  }
  return runs;
}

v1::Device Board(int number) {
  v1::Device device;
  device.mutable_info()->set_device_id("d" + std::to_string(number));
  device.mutable_info()->set_device_class("board-a");
  device.mutable_info()->set_cores(4);
  return device;
}

// The prediction of each run, made before it, and the resulting table.
struct Played {
  std::vector<v1::Prediction> predictions;
  ProfileTable table;
};

Played Play(const std::vector<DrawnRun>& runs) {
  Played played;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  for (const DrawnRun& run : runs) {
    const v1::Device board = Board(run.board);
    played.predictions.push_back(Predict(played.table, board, run.work, {}));
    v1::Receipt receipt = MeasuredReceipt(run.work, run.seconds, /*watts=*/10);
    *receipt.mutable_predicted() = played.predictions.back();
    now += absl::Seconds(run.seconds);
    for (const v1::ProfileRow& row : LearnFromReceipt(played.table, board.info(), receipt, now)) {
      EXPECT_THAT(played.table.Put(row), IsOk());
    }
  }
  return played;
}

TEST(CalibratedIntervalTest, NineInTenRunsLieInsideAtEachLevel) {
  struct Held {
    int runs = 0;
    int inside = 0;
    [[nodiscard]] double percent() const { return 100.0 * inside / runs; }
  };
  Held all;
  std::map<v1::Provenance, Held> levels;
  for (unsigned seed = 1; seed <= 12; ++seed) {
    const std::vector<DrawnRun> runs = DrawRuns(seed, 600);
    const Played played = Play(runs);
    for (size_t run = 0; run < runs.size(); ++run) {
      const v1::Interval& interval = played.predictions[run].run_seconds();
      const bool inside =
          interval.low() <= runs[run].seconds && runs[run].seconds <= interval.high();
      for (Held* held : {&all, &levels[played.predictions[run].provenance()]}) {
        ++held->runs;
        held->inside += inside ? 1 : 0;
      }
    }
  }
  EXPECT_GE(all.percent(), 85);
  EXPECT_LE(all.percent(), 95);
  int levels_seen = 0;
  for (const auto& [level, held] : levels) {
    if (held.runs >= 100) {
      ++levels_seen;
      EXPECT_GE(held.percent(), 80) << v1::Provenance_Name(level) << ": " << held.runs << " runs";
    }
  }
  EXPECT_GE(levels_seen, 2);
}

TEST(CalibratedIntervalTest, NoPredictionKnowsTheFuture) {
  constexpr size_t kNow = 150;
  std::vector<DrawnRun> runs = DrawRuns(/*seed=*/5, 300);
  const Played played = Play(runs);
  std::mt19937 random(6);
  std::shuffle(runs.begin() + kNow, runs.end(), random);
  for (size_t run = kNow; run < runs.size(); ++run) {
    runs[run].seconds *= 3;
  }
  const Played other = Play(runs);
  for (size_t run = 0; run < kNow; ++run) {
    ASSERT_EQ(played.predictions[run].SerializeAsString(),
              other.predictions[run].SerializeAsString())
        << run;
  }
}

TEST(CalibratedIntervalTest, ARunIsScoredAgainstThePredictionBeforeIt) {
  const std::vector<DrawnRun> runs = DrawRuns(/*seed=*/7, 40);
  const Played played = Play(runs);
  const v1::Prediction& before = played.predictions.back();
  const double error = std::abs(std::log(runs.back().seconds / before.run_seconds().mean()));
  int found = 0;
  for (const v1::ProfileRow& row : played.table.Rows()) {
    if (row.runs_size() > 0 && row.device_id() == Board(runs.back().board).info().device_id() &&
        row.runs(row.runs_size() - 1).seconds_per_unit() ==
            runs.back().seconds / runs.back().work.units) {
      EXPECT_NEAR(row.runs(row.runs_size() - 1).time_score(), error / before.time_deviation(),
                  1e-9);
      ++found;
    }
  }
  EXPECT_EQ(found, 1);
}

// Loads the rows like a restart from a snapshot.
TEST(CalibratedIntervalTest, AReloadedTablePredictsTheSame) {
  const std::vector<DrawnRun> runs = DrawRuns(/*seed=*/8, 200);
  const Played played = Play(runs);
  ProfileTable reloaded;
  for (const v1::ProfileRow& row : played.table.Rows()) {
    ASSERT_THAT(reloaded.Put(row), IsOk());
  }
  for (const DrawnRun& run : runs) {
    EXPECT_EQ(Predict(played.table, Board(run.board), run.work, {}).SerializeAsString(),
              Predict(reloaded, Board(run.board), run.work, {}).SerializeAsString());
  }
}

}  // namespace
}  // namespace wattle::scheduler
