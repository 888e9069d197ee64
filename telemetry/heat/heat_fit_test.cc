// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/heat/heat_fit.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/test_directory.h"

namespace wattle::telemetry {
namespace {

constexpr double kHour = 3600.0;

// A true board under true air, sampled each second.
struct TrueBoard {
  double ambient = 25.0;
  double swing = 0.0;  // swing of the air's temperature over a day
  std::vector<FittedStage> stages;
  double idle = 3.0;
  double work = 12.0;
  double noise = 0.0;
  double step = 0.0;  // step of the thermometer
};

class Drawn {
 public:
  explicit Drawn(uint64_t seed) : random_(seed) {}
  double Between(double low, double high) {
    return low + (high - low) * static_cast<double>(random_() >> 11) * 0x1.0p-53;
  }
  double Normal() {
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) {
      sum += Between(0.0, 1.0);
    }
    return sum;
  }

 private:
  std::mt19937_64 random_;
};

class Lab {
 public:
  explicit Lab(TrueBoard board, uint64_t seed = 1) : board_(std::move(board)), random_(seed) {
    rises_.assign(board_.stages.size(), 0.0);
    for (size_t i = 0; i < rises_.size(); ++i) {
      rises_[i] = board_.stages[i].kelvin_per_watt * board_.idle;
    }
  }

  void Run(double watts, double seconds) {
    for (double done = 0.0; done < seconds; done += step_seconds) {
      Pass(watts, step_seconds);
      fit.Add(At(), Watts(watts), Celsius(Told()));
    }
  }
  // Time passes without samples.
  void PassUnseen(double watts, double seconds) {
    for (double done = 0.0; done < seconds; done += 1.0) {
      Pass(watts, 1.0);
    }
  }
  void WorkAndRest(double hours) {
    const double end = now_seconds_ + hours * kHour;
    while (now_seconds_ < end) {
      Run(board_.work, random_.Between(300.0, 4000.0));
      Run(board_.idle, random_.Between(300.0, 4000.0));
    }
  }
  [[nodiscard]] Monotonic At() const { return Monotonic(absl::Seconds(now_seconds_)); }
  [[nodiscard]] double Temperature() const {
    double sum = board_.ambient + board_.swing * std::sin(now_seconds_ / (24.0 * kHour) * 2 * M_PI);
    for (const double rise : rises_) {
      sum += rise;
    }
    return sum;
  }
  [[nodiscard]] double KelvinPerWatt() const {
    double sum = 0.0;
    for (const FittedStage& stage : board_.stages) {
      sum += stage.kelvin_per_watt;
    }
    return sum;
  }

  HeatFit fit;
  double step_seconds = 2.0;

 private:
  void Pass(double watts, double seconds) {
    now_seconds_ += seconds;
    for (size_t i = 0; i < rises_.size(); ++i) {
      const FittedStage& stage = board_.stages[i];
      rises_[i] += (stage.kelvin_per_watt * watts - rises_[i]) *
                   -std::expm1(-seconds / absl::ToDoubleSeconds(stage.time_constant));
    }
  }
  double Told() {
    const double value = Temperature() + board_.noise * random_.Normal();
    return board_.step > 0.0 ? board_.step * std::round(value / board_.step) : value;
  }

  TrueBoard board_;
  Drawn random_;
  double now_seconds_ = 100.0;
  std::vector<double> rises_;
};

TrueBoard OneStage(double kelvin_per_watt, double seconds) {
  return {.stages = {{kelvin_per_watt, absl::Seconds(seconds)}}};
}

double KelvinPerWattOf(const FittedHeat& heat) {
  double sum = 0.0;
  for (const FittedStage& stage : heat.stages) {
    sum += stage.kelvin_per_watt;
  }
  return sum;
}

TEST(HeatFitTest, ABoardWithoutNoiseIsFound) {
  Lab lab(OneStage(5.0, 400.0));
  lab.WorkAndRest(4);
  ASSERT_TRUE(lab.fit.fitted());
  const FittedHeat& heat = *lab.fit.fitted();
  EXPECT_NEAR(heat.ambient.value(), 25.0, 1.0);
  EXPECT_NEAR(KelvinPerWattOf(heat), 5.0, 0.25);
  EXPECT_LT(heat.error_kelvin, 0.5);
  EXPECT_NEAR(absl::ToDoubleSeconds(heat.stages.back().time_constant), 400.0, 80.0);
}

TEST(HeatFitTest, DrawnBoardsAreFoundUnderNoiseCoarseStepsAndADayOfAir) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Drawn drawn(seed * 7919);
    TrueBoard board = OneStage(drawn.Between(2.0, 10.0), drawn.Between(60.0, 1200.0));
    board.idle = drawn.Between(1.5, 4.0);
    board.work = board.idle + drawn.Between(3.0, 12.0);
    board.ambient = drawn.Between(5.0, 35.0);
    board.swing = drawn.Between(0.0, 5.0);
    board.noise = drawn.Between(0.0, 0.4);
    board.step = seed % 3 == 0 ? 1.0 : 0.1;
    Lab lab(board, seed);
    lab.WorkAndRest(24);
    ASSERT_TRUE(lab.fit.fitted());
    const double told = KelvinPerWattOf(*lab.fit.fitted());
    EXPECT_NEAR(told / lab.KelvinPerWatt(), 1.0, 0.12);
    // The figure that a plan needs: the temperature under steady work if the air stays as warm as
    // now.
    const double air = lab.Temperature();
    lab.PassUnseen(board.work, 6 * kHour);
    EXPECT_NEAR(lab.fit.fitted()->ambient.value() + told * board.work, lab.Temperature(),
                4.0 + 2 * board.swing)
        << air;
  }
}

TEST(HeatFitTest, TwoStagesAreToldWhereBothAreThere) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Drawn drawn(seed * 104729);
    TrueBoard board;
    board.stages = {{drawn.Between(1.0, 3.0), absl::Seconds(drawn.Between(12.0, 30.0))},
                    {drawn.Between(2.0, 6.0), absl::Seconds(drawn.Between(500.0, 1200.0))}};
    board.noise = 0.2;
    Lab lab(board, seed);
    lab.WorkAndRest(24);
    ASSERT_TRUE(lab.fit.fitted());
    const FittedHeat& heat = *lab.fit.fitted();
    ASSERT_EQ(heat.stages.size(), 2U);
    EXPECT_NEAR(heat.stages[0].kelvin_per_watt / board.stages[0].kelvin_per_watt, 1.0, 0.25);
    EXPECT_NEAR(KelvinPerWattOf(heat) / lab.KelvinPerWatt(), 1.0, 0.1);
  }
  Lab one(OneStage(6.0, 300.0));
  one.WorkAndRest(24);
  ASSERT_TRUE(one.fit.fitted());
  EXPECT_LE(std::abs(KelvinPerWattOf(*one.fit.fitted()) - 6.0), 0.3);
}

TEST(HeatFitTest, ABoardThatNeverWorkedIsNotKnown) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    TrueBoard board = OneStage(5.0, 300.0);
    board.noise = 0.3;
    board.swing = 6.0;
    Lab lab(board, seed);
    lab.Run(board.idle, 48 * kHour);
    EXPECT_FALSE(lab.fit.fitted());
  }
}

TEST(HeatFitTest, AFirstBurstAloneSaysNothing) {
  Lab lab(OneStage(8.0, 1500.0));
  lab.Run(3.0, 3600.0);
  lab.Run(12.0, 1200.0);
  EXPECT_FALSE(lab.fit.fitted());
}

TEST(HeatFitTest, WattsThatHardlyMoveUnderNoiseSayNothing) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    TrueBoard board = OneStage(1.0, 300.0);
    board.work = board.idle + 1.2;
    board.noise = 3.0;
    Lab lab(board, seed);
    lab.WorkAndRest(3);
    EXPECT_FALSE(lab.fit.fitted());
  }
}

TEST(HeatFitTest, ARestTeachesNothingAndForgetsNothing) {
  TrueBoard board = OneStage(5.0, 300.0);
  board.noise = 0.2;
  Lab lab(board);
  lab.WorkAndRest(12);
  ASSERT_TRUE(lab.fit.fitted());
  const double before = KelvinPerWattOf(*lab.fit.fitted());
  lab.step_seconds = 5.0;
  lab.Run(board.idle, 20 * 24 * kHour);
  ASSERT_TRUE(lab.fit.fitted());
  EXPECT_NEAR(KelvinPerWattOf(*lab.fit.fitted()), before, 0.15 * before);
}

TEST(HeatFitTest, AStuckThermometerIsNotBelieved) {
  TrueBoard board = OneStage(5.0, 300.0);
  board.noise = 0.1;
  {
    Lab lab(board);
    for (int i = 0; i < 8 * 3600; ++i) {
      lab.PassUnseen(12.0, 1.0);
      lab.fit.Add(lab.At(), Watts(i / 1800 % 2 == 0 ? 3.0 : 12.0), Celsius(41.0));
    }
    EXPECT_FALSE(lab.fit.fitted());
  }
  Lab lab(board);
  lab.WorkAndRest(8);
  ASSERT_TRUE(lab.fit.fitted());
  const double before = KelvinPerWattOf(*lab.fit.fitted());
  const double stuck = lab.Temperature();
  for (int i = 0; i < 12 * 3600; ++i) {
    const double watts = i / 1800 % 2 == 0 ? 12.0 : 3.0;
    lab.PassUnseen(watts, 1.0);
    lab.fit.Add(lab.At(), Watts(watts), Celsius(stuck));
  }
  lab.WorkAndRest(1);
  ASSERT_TRUE(lab.fit.fitted());
  EXPECT_NEAR(KelvinPerWattOf(*lab.fit.fitted()), before, 0.1 * before);
}

TEST(HeatFitTest, GapsAndOldSamplesDoNoHarm) {
  TrueBoard board = OneStage(5.0, 500.0);
  board.noise = 0.1;
  Lab lab(board);
  for (int night = 0; night < 6; ++night) {
    lab.WorkAndRest(3);
    lab.fit.Add(lab.At() - absl::Seconds(30), Watts(500), Celsius(-40));
    lab.PassUnseen(board.work, 2 * kHour);
    lab.Run(board.idle, 3600.0);
  }
  ASSERT_TRUE(lab.fit.fitted());
  EXPECT_NEAR(KelvinPerWattOf(*lab.fit.fitted()), 5.0, 0.5);
}

TEST(HeatFitTest, FiguresThatOnlyTrembleAreNotToldAnew) {
  TrueBoard board = OneStage(5.0, 300.0);
  board.noise = 0.3;
  Lab lab(board);
  lab.WorkAndRest(24);
  int changes = 0;
  ASSERT_TRUE(lab.fit.fitted());
  FittedHeat told = *lab.fit.fitted();
  for (int i = 0; i < 12; ++i) {
    lab.WorkAndRest(1);
    ASSERT_TRUE(lab.fit.fitted());
    const FittedHeat& now = *lab.fit.fitted();
    changes += now.ambient == told.ambient && now.error_kelvin == told.error_kelvin ? 0 : 1;
    told = now;
  }
  EXPECT_LE(changes, 4);
}

// The logs of two Jetsons, mostly at rest with short bursts, move by 3 K. The fit may give no
// result; a result must be plausible for a board.
TEST(HeatFitTest, ALogOfARealBoardTellsABoardOrNothing) {
  struct Log {
    const char* name;
    const char* rail;
  };
  for (const Log& log : {Log{"loudva_nx0.log", "VDD_IN "}, Log{"loudva_nano0.log", "POM_5V_IN "}}) {
    SCOPED_TRACE(log.name);
    std::ifstream file(FiguresPath(std::string("tegrastats/") + log.name));
    ASSERT_TRUE(file.is_open());
    HeatFit fit;
    double seconds = 0.0;
    for (int again = 0; again < 4; ++again) {
      file.clear();
      file.seekg(0);
      for (std::string line; std::getline(file, line);) {
        const size_t rail = line.find(log.rail);
        const size_t cpu = line.find(" CPU@");
        ASSERT_NE(rail, std::string::npos);
        ASSERT_NE(cpu, std::string::npos);
        seconds += 1.0;
        fit.Add(Monotonic(absl::Seconds(seconds)),
                Watts(std::atof(line.c_str() + rail + std::string(log.rail).size()) / 1000),
                Celsius(std::atof(line.c_str() + cpu + 5)));
      }
    }
    if (fit.fitted()) {
      EXPECT_GT(KelvinPerWattOf(*fit.fitted()), 0.3);
      EXPECT_LT(KelvinPerWattOf(*fit.fitted()), 15.0);
      EXPECT_LT(fit.fitted()->error_kelvin, 1.5);
    }
  }
}

TEST(HeatFitTest, AKeptModelServesUntilTheSamplesTellAnother) {
  Lab first(OneStage(5.0, 400.0));
  first.WorkAndRest(4);
  ASSERT_TRUE(first.fit.fitted());
  Lab lab(OneStage(8.0, 400.0));  // The fan has become dusty meanwhile.
  lab.fit.Resume(*first.fit.fitted());
  ASSERT_TRUE(lab.fit.fitted());
  EXPECT_NEAR(KelvinPerWattOf(*lab.fit.fitted()), 5.0, 0.25);
  lab.Run(12.0, 2 * kHour);
  EXPECT_NEAR(KelvinPerWattOf(*lab.fit.fitted()), 5.0, 0.25);
  // The residual counts as ambient temperature, so that the temperature at work stays right.
  EXPECT_NEAR(lab.fit.fitted()->ambient.value() + 12.0 * KelvinPerWattOf(*lab.fit.fitted()),
              lab.Temperature(), 3.0);
  lab.WorkAndRest(4);
  EXPECT_NEAR(KelvinPerWattOf(*lab.fit.fitted()), 8.0, 0.4);
}

TEST(HeatFitTest, AKeptModelThatNoFitTellsIsIgnored) {
  Lab lab(OneStage(5.0, 400.0));
  lab.WorkAndRest(4);
  const FittedHeat right = *lab.fit.fitted();
  const double nan = std::nan("");
  std::vector<FittedHeat> kept(9, right);
  kept[0].stages.clear();
  kept[1].stages.resize(3, right.stages[0]);
  kept[2].stages[0].kelvin_per_watt = nan;
  kept[3].stages[0].kelvin_per_watt = 1e9;
  kept[4].stages[0].time_constant *= 1.1;
  kept[5].stages[0].time_constant = absl::InfiniteDuration();
  kept[6].ambient = Celsius(nan);
  kept[7].error_kelvin = nan;
  kept[8].stages = {{-1.0, right.stages[0].time_constant}, {6.0, right.stages[0].time_constant}};
  for (size_t i = 0; i < kept.size(); ++i) {
    HeatFit fit;
    fit.Resume(kept[i]);
    EXPECT_FALSE(fit.fitted()) << i;
  }
  HeatFit fit;
  fit.Resume(right);
  EXPECT_TRUE(fit.fitted());
}

}  // namespace
}  // namespace wattle::telemetry
