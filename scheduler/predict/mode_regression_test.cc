// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the regression over modes on boards with known laws.
#include "scheduler/predict/mode_regression.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

// A board: seconds and watts of a cell, like physics, with a bend that no term describes.
struct BoardLaw {
  double speed = 1;
  double power = 1;
  double noise = 0;

  [[nodiscard]] double Seconds(const ModeCell& cell) const {
    const double bend = 1 + 0.08 * std::sin(1.3 * std::log(cell.batch));
    return bend / speed *
           (0.01 + 0.004 * cell.batch + 5 / cell.clock_mhz + 9 * cell.batch / cell.clock_mhz);
  }
  [[nodiscard]] double Watts(const ModeCell& cell) const {
    const double busy = cell.batch / (cell.batch + 1);
    return power * (2 + busy * (0.004 * cell.clock_mhz + 4e-9 * std::pow(cell.clock_mhz, 3)));
  }
  [[nodiscard]] ModeObservation Run(const std::string& board, const ModeCell& cell,
                                    std::mt19937& random) const {
    std::normal_distribution<double> normal(0, 1);
    return {board, cell, Seconds(cell) * std::exp(noise * normal(random)),
            Watts(cell) * std::exp(noise * normal(random))};
  }
};

std::vector<ModeCell> Grid() {
  std::vector<ModeCell> cells;
  for (const double clock : {150, 250, 400, 600, 800, 1000}) {
    for (const double batch : {1, 2, 3, 5, 8, 12, 16}) {
      cells.push_back({.clock_mhz = clock, .batch = batch});
    }
  }
  return cells;
}

std::vector<ModeObservation> All(const std::string& board, const BoardLaw& truth,
                                 std::mt19937& random) {
  std::vector<ModeObservation> runs;
  for (const ModeCell& cell : Grid()) {
    runs.push_back(truth.Run(board, cell, random));
  }
  return runs;
}

struct ProbeErrors {
  double seconds = 0;  // Mean of |measured / predicted - 1| over all cells.
  double joules = 0;
  double covered = 0;  // Result of CoveredBy.
};

ModeRegression MustLearn(const std::vector<ModeObservation>& runs) {
  absl::StatusOr<ModeRegression> learned = ModeRegression::Learn(runs, "new", Grid());
  EXPECT_THAT(learned, IsOk());
  return *std::move(learned);
}

// Share of the 90 % intervals of the seconds that hold a further run.
double CoveredBy(const ModeRegression& learned, const BoardLaw& truth, std::mt19937& random) {
  const std::vector<ModeCell> cells = Grid();
  double covered = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    const ModeEstimate& at = learned.estimates()[i];
    const double run = truth.Run("new", cells[i], random).seconds;
    covered += std::abs(std::log(run) - at.log_seconds) <= 1.645 * at.log_seconds_deviation ? 1 : 0;
  }
  return covered / static_cast<double>(cells.size());
}

// Plays `probes` runs, of which the regression chooses all but the first.
ProbeErrors AfterProbes(const BoardLaw& truth, std::vector<ModeObservation> runs, int probes,
                        std::mt19937& random) {
  const std::vector<ModeCell> cells = Grid();
  const std::vector<double> joules(cells.size(), 1.0);
  size_t next = random() % cells.size();
  for (int probe = 0; probe < probes; ++probe) {
    runs.push_back(truth.Run("new", cells[next], random));
    next = MustLearn(runs).NextToMeasure(joules).value_or(0);
  }
  const ModeRegression learned = MustLearn(runs);
  ProbeErrors errors;
  for (size_t i = 0; i < cells.size(); ++i) {
    const ModeEstimate& at = learned.estimates()[i];
    const auto count = static_cast<double>(cells.size());
    const double seconds = truth.Seconds(cells[i]);
    errors.seconds += std::abs(std::exp(at.log_seconds) / seconds - 1) / count;
    errors.joules +=
        std::abs(std::exp(at.log_seconds + at.log_watts) / (seconds * truth.Watts(cells[i])) - 1) /
        count;
  }
  errors.covered = CoveredBy(learned, truth, random);
  return errors;
}

TEST(ModeRegressionTest, TenProbesOfANewBoardTellTheOthers) {
  std::mt19937 random(1);
  const ProbeErrors errors = AfterProbes({.speed = 2, .power = 0.7}, {}, 10, random);
  EXPECT_LT(errors.seconds, 0.03);
  EXPECT_LT(errors.joules, 0.04);
}

TEST(ModeRegressionTest, AnotherBoardTeachesTheShape) {
  std::mt19937 random(2);
  const BoardLaw truth{.speed = 0.3, .power = 1.5};
  const ProbeErrors alone = AfterProbes(truth, {}, 3, random);
  const ProbeErrors taught = AfterProbes(truth, All("old", {}, random), 3, random);
  EXPECT_LT(taught.seconds, alone.seconds / 2);
  EXPECT_LT(taught.seconds, 0.03);
  EXPECT_LT(taught.joules, 0.03);
}

TEST(ModeRegressionTest, IntervalsHoldNineRunsInTen) {
  double covered = 0;
  constexpr int kSeeds = 10;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    std::mt19937 random(seed);
    covered += AfterProbes({.speed = 2, .noise = 0.04}, {}, 10, random).covered / kSeeds;
  }
  EXPECT_GT(covered, 0.80);
  EXPECT_LT(covered, 0.98);
}

// The noise of a board that contributes the shape does not predict another board's noise, nor the
// reverse.
TEST(ModeRegressionTest, TheNoiseOfABoardIsItsOwn) {
  for (const auto& [own_noise, of_other] : {std::pair{0.05, 0.005}, std::pair{0.005, 0.05}}) {
    double covered = 0;
    constexpr int kSeeds = 10;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      std::mt19937 random(seed);
      const BoardLaw truth{.speed = 2, .noise = own_noise};
      std::vector<ModeObservation> runs = All("new", truth, random);
      std::shuffle(runs.begin(), runs.end(), random);
      runs.resize(20);
      const std::vector<ModeObservation> old = All("old", {.noise = of_other}, random);
      runs.insert(runs.end(), old.begin(), old.end());
      covered += CoveredBy(MustLearn(runs), truth, random) / kSeeds;
    }
    EXPECT_GT(covered, 0.80) << own_noise;
    EXPECT_LT(covered, 0.98) << own_noise;
  }
}

TEST(ModeRegressionTest, TheSameRunsGiveTheSameBytes) {
  std::mt19937 random(3);
  const std::vector<ModeObservation> runs = All("old", {.noise = 0.04}, random);
  const ModeRegression a = MustLearn(runs);
  const ModeRegression b = MustLearn(runs);
  for (size_t i = 0; i < Grid().size(); ++i) {
    EXPECT_EQ(a.estimates()[i].log_seconds, b.estimates()[i].log_seconds);
    EXPECT_EQ(a.estimates()[i].log_watts_deviation, b.estimates()[i].log_watts_deviation);
  }
}

TEST(ModeRegressionTest, UnitsOfSecondsAndWattsDoNotMatter) {
  std::mt19937 random(4);
  std::vector<ModeObservation> runs = All("new", {.noise = 0.02}, random);
  runs.resize(9);
  const ModeRegression learned = MustLearn(runs);
  for (ModeObservation& run : runs) {
    run.seconds *= 1000;
    run.watts /= 1000;
  }
  const ModeRegression scaled = MustLearn(runs);
  for (size_t i = 0; i < Grid().size(); ++i) {
    const ModeEstimate& at = scaled.estimates()[i];
    EXPECT_NEAR(at.log_seconds - std::log(1000.0), learned.estimates()[i].log_seconds, 1e-3);
    EXPECT_NEAR(at.log_watts + std::log(1000.0), learned.estimates()[i].log_watts, 1e-3);
  }
}

TEST(ModeRegressionTest, TheNextCellIsNewAndWorthItsJoules) {
  std::mt19937 random(5);
  const BoardLaw truth;
  const std::vector<ModeCell> cells = Grid();
  std::vector<ModeObservation> runs = {truth.Run("new", cells[0], random)};
  std::vector<double> joules(cells.size(), 1.0);
  const size_t first = MustLearn(runs).NextToMeasure(joules).value();
  EXPECT_NE(first, 0U);
  joules[first] = 1000;
  EXPECT_NE(MustLearn(runs).NextToMeasure(joules).value(), first);
  EXPECT_FALSE(MustLearn(All("new", truth, random)).NextToMeasure(joules).has_value());
}

TEST(ModeRegressionTest, WithoutASensorTheTimeAloneIsLearned) {
  std::mt19937 random(6);
  std::vector<ModeObservation> runs = All("new", {}, random);
  for (ModeObservation& run : runs) {
    run.watts = 0;
  }
  const ModeRegression learned = MustLearn(runs);
  EXPECT_FALSE(learned.estimates()[0].has_watts);
  EXPECT_NEAR(std::exp(learned.estimates()[0].log_seconds) / runs[0].seconds, 1, 0.02);
}

// Three corners of clock and memory determine the fourth.
TEST(ModeRegressionTest, TheMemorysClockHasTermsOfItsOwn) {
  const std::vector<ModeCell> cells = {{.clock_mhz = 600, .memory_mhz = 800},
                                       {.clock_mhz = 1200, .memory_mhz = 800},
                                       {.clock_mhz = 600, .memory_mhz = 2400},
                                       {.clock_mhz = 1200, .memory_mhz = 2400}};
  const auto seconds = [](const ModeCell& cell) {
    return 5 / cell.clock_mhz + 20 / cell.memory_mhz;
  };
  const auto watts = [](const ModeCell& cell) {
    return 2 + 3e-9 * std::pow(cell.clock_mhz, 3) + 0.002 * cell.memory_mhz;
  };
  std::vector<ModeObservation> runs;
  for (size_t i = 0; i < 3; ++i) {
    runs.push_back({"new", cells[i], seconds(cells[i]), watts(cells[i])});
  }
  const absl::StatusOr<ModeRegression> learned = ModeRegression::Learn(runs, "new", cells);
  ASSERT_THAT(learned, IsOk());
  const ModeEstimate& corner = learned->estimates()[3];
  EXPECT_NEAR(std::exp(corner.log_seconds) / seconds(cells[3]), 1, 0.15);
  EXPECT_NEAR(std::exp(corner.log_watts) / watts(cells[3]), 1, 0.15);
}

TEST(ModeRegressionTest, OneBoardOneCellAndManyBoardsAreLearned) {
  const ModeCell cell{.cores = 4, .batch = 1};
  EXPECT_THAT(
      ModeRegression::Learn(std::vector<ModeObservation>{{"new", cell, 2, 5}}, "new", {cell}),
      IsOk());
  std::mt19937 random(7);
  std::vector<ModeObservation> runs;
  for (int board = 0; board < 20; ++board) {
    const auto more = All("b" + std::to_string(board), {.speed = 1.0 + board}, random);
    runs.insert(runs.end(), more.begin(), more.end());
  }
  EXPECT_EQ(MustLearn(runs).estimates().size(), Grid().size());
}

TEST(ModeRegressionTest, NamesWhatIsNoMeasurement) {
  const auto message = [](std::vector<ModeObservation> runs, std::vector<ModeCell> cells) {
    const auto learned = ModeRegression::Learn(runs, "new", cells);
    EXPECT_EQ(learned.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(learned.status().message());
  };
  const ModeCell cell{.clock_mhz = 600, .batch = 1};
  EXPECT_THAT(message({}, {cell}), HasSubstr("0 observations and 1 cells"));
  EXPECT_THAT(message({{"new", cell, 0, 5}}, {cell}), HasSubstr("of new has 0 s and 5 W"));
  EXPECT_THAT(message({{"new", cell, std::nan(""), 5}}, {cell}), HasSubstr("nan s"));
  EXPECT_THAT(message({{"new", cell, 1, -5}}, {cell}), HasSubstr("-5 W"));
  EXPECT_THAT(message({{"new", cell, 1, 5}}, {{.batch = 1}}), HasSubstr("clock_mhz 600"));
  EXPECT_THAT(message({{"new", cell, 1, 5}},
                      {{.clock_mhz = std::numeric_limits<double>::infinity(), .batch = 1}}),
              HasSubstr("clock_mhz inf"));
}

}  // namespace
}  // namespace wattle::scheduler
