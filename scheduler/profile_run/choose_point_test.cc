// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the choice with a search that learns and predicts by hand, on boards with known laws.
#include "scheduler/profile_run/choose_point.h"

#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Le;

struct ModeForTest {
  const char* name;
  double watts;
  double mhz;
};
constexpr ModeForTest kModes[] = {{"15W", 15, 1500}, {"10W", 10, 1000}, {"7W", 7, 600}};
const absl::Time kNow = absl::FromUnixSeconds(1'000'000);

v1::Device Board() {
  v1::Device device;
  device.set_connected(true);
  device.mutable_heartbeat()->set_has_power(true);
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id("d1");
  info.set_device_class("board");
  info.set_cores(4);
  info.set_idle_power_watts(2);
  info.set_sets_power_modes(true);
  for (const ModeForTest& each : kModes) {
    v1::PowerMode& mode = *info.add_power_modes();
    mode.set_name(each.name);
    mode.set_nominal_power_watts(each.watts);
    mode.set_cpu_mhz(each.mhz);
    mode.set_cores(4);
  }
  info.set_power_mode("15W");
  return device;
}

v1::JobSpec Front(const std::vector<int>& batches, bool all_modes = true) {
  v1::JobSpec spec;
  v1::ProfileSpec& profile = *spec.mutable_profile();
  profile.set_all_power_modes(all_modes);
  profile.mutable_batch_sizes()->Assign(batches.begin(), batches.end());
  v1::FinetuneSpec& finetune = *profile.mutable_finetune();
  *finetune.mutable_model_shape() = Gpt2Shape(6, 384);
  finetune.mutable_data_shape()->set_examples(100'000);
  finetune.mutable_data_shape()->set_mean_tokens_per_example(128);
  finetune.set_sequence_length(128);
  finetune.set_batch_size(8);
  return spec;
}

struct World {
  ProfileTable table;
  v1::Device device = Board();
  v1::JobSpec spec;

  explicit World(v1::JobSpec of) : spec(std::move(of)) {}
  [[nodiscard]] ProfileQuestion Question() const {
    return {.table = table, .device = device, .spec = spec, .inputs = {}, .now = kNow};
  }
  [[nodiscard]] std::vector<PointForecast> Points() const {
    return ForecastPoints(Question()).value();
  }
};

// The table after a run of the forecast's work in its mode.
ProfileTable After(const ProfileTable& before, const v1::Device& device, const PointForecast& run,
                   double seconds, double watts) {
  ProfileTable table = before;
  v1::Receipt receipt = MeasuredReceipt(run.work, seconds, watts);
  receipt.set_power_mode(run.point.power_mode());
  for (const v1::ProfileRow& row : LearnFromReceipt(table, device.info(), receipt, kNow)) {
    EXPECT_THAT(table.Put(row), IsOk());
  }
  return table;
}

double UpperWidths(const ProfileTable& table, const v1::Device& board,
                   const std::vector<PointForecast>& points) {
  double width = 0;
  for (const PointForecast& point : points) {
    v1::Device device = board;
    device.mutable_info()->set_power_mode(point.point.power_mode());
    const v1::Prediction prediction = Predict(table, device, point.work, {});
    width +=
        std::log(prediction.run_seconds().high() / prediction.run_seconds().mean()) +
        std::log(prediction.run_energy_joules().high() / prediction.run_energy_joules().mean());
  }
  return width;
}

// Measures a point by the law of the board, with noise.
void Measure(World& world, const PointForecast& point, std::mt19937& random) {
  std::normal_distribution<double> noise(0, 0.02);
  double mhz = 0;
  for (const ModeForTest& mode : kModes) {
    mhz = mode.name == point.point.power_mode() ? mode.mhz : mhz;
  }
  const double per_unit = 2e-3 * (0.3 + 0.7 * 1500 / mhz) * (1 + 2.0 / point.point.batch_size());
  const double watts = 3 + 9 * std::pow(mhz / 1500, 3);
  world.table =
      After(world.table, world.device, point, point.work.units * per_unit * std::exp(noise(random)),
            watts * std::exp(noise(random)));
}

std::vector<size_t> Open(const std::vector<PointForecast>& points) {
  std::vector<size_t> open;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!points[i].measured) {
      open.push_back(i);
    }
  }
  return open;
}

TEST(ChoosePointTest, PointsAreModesTimesBatchesByName) {
  World world(Front({4, 1}));
  std::vector<std::string> words;
  for (const PointForecast& forecast : world.Points()) {
    words.push_back(PointWords(forecast.point));
  }
  EXPECT_THAT(words, ElementsAre("10W, batch 1", "10W, batch 4", "15W, batch 1", "15W, batch 4",
                                 "7W, batch 1", "7W, batch 4"));
}

TEST(ChoosePointTest, WithoutModesOrPermissionThePresentModeAlone) {
  World world(Front({}, /*all_modes=*/false));
  ASSERT_EQ(world.Points().size(), 1U);
  EXPECT_EQ(PointWords(world.Points()[0].point), "15W, batch 8") << "the workload's own batch";
  World fixed(Front({}));
  fixed.device.mutable_info()->set_sets_power_modes(false);
  ASSERT_EQ(fixed.Points().size(), 1U);
}

TEST(ChoosePointTest, ARunTakesTheWantedSecondsAndFourStepsAtLeast) {
  World world(Front({4}, /*all_modes=*/false));
  std::mt19937 random(1);
  Measure(world, world.Points()[0], random);
  world.spec.mutable_profile()->set_run_seconds(60);
  const PointForecast minute = world.Points()[0];
  EXPECT_THAT(minute.prediction.run_seconds().mean(), AllOf(Ge(60.0), Le(63.0)));
  EXPECT_GT(minute.point.steps(), 4);
  EXPECT_EQ(minute.prediction.upload_bytes(), 0) << "a run that is measured keeps no result";
  EXPECT_GE(minute.demand.value(), minute.prediction.run_energy_joules().mean());
  // A step of this one takes longer than the run should.
  world.spec.mutable_profile()->mutable_finetune()->set_gradient_accumulation_steps(4000);
  EXPECT_EQ(world.Points()[0].point.steps(), 4);
}

TEST(ChoosePointTest, AGenerationRunsFullBatchesOfPrompts) {
  World world(Front({4, 1}, /*all_modes=*/false));
  v1::GenerateSpec& generate = *world.spec.mutable_profile()->mutable_generate();
  *generate.mutable_model_shape() = Gpt2Shape(6, 384);
  generate.add_prompts("The mast is");
  for (const PointForecast& forecast : world.Points()) {
    EXPECT_EQ(forecast.point.steps() % forecast.point.batch_size(), 0);
    EXPECT_GE(forecast.point.steps(), forecast.point.batch_size());
  }
}

TEST(ChoosePointTest, APointWithARowOfTheDeviceIsMeasured) {
  World world(Front({4, 8}));
  std::mt19937 random(1);
  Measure(world, world.Points()[1], random);
  std::vector<std::string> measured;
  for (const PointForecast& forecast : world.Points()) {
    if (forecast.measured) {
      measured.push_back(PointWords(forecast.point));
    }
  }
  EXPECT_THAT(measured, ElementsAre("10W, batch 8"));
}

// In drawn worlds, from an empty table until no candidate is left, each choice equals that of the
// search.
TEST(ChoosePointTest, ChoosesWhatASearchByHandChooses) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    World world(Front(seed == 1 ? std::vector<int>{8} : std::vector<int>{2, 16}));
    for (;;) {
      const std::vector<PointForecast> points = world.Points();
      const std::vector<size_t> open = Open(points);
      if (open.empty()) {
        break;
      }
      const double before = UpperWidths(world.table, world.device, points);
      std::optional<size_t> best;
      double best_per_joule = 0;
      double best_gain = 0;
      for (const size_t i : open) {
        const ProfileTable after =
            After(world.table, world.device, points[i], points[i].prediction.run_seconds().mean(),
                  points[i].prediction.mean_power_watts());
        const double narrowed = before - UpperWidths(after, world.device, points);
        if (100 * narrowed / before >= 1 && narrowed / points[i].demand.value() > best_per_joule) {
          best = i;
          best_per_joule = narrowed / points[i].demand.value();
          best_gain = 100 * narrowed / before;
        }
      }
      const PointChoice choice = ChoosePoint(world.Question(), points, open);
      ASSERT_EQ(choice.next, best);
      if (!best.has_value()) {
        break;
      }
      EXPECT_NEAR(choice.gain_percent, best_gain, 1e-6);
      Measure(world, points[*best], random);
    }
    EXPECT_LE(Open(world.Points()).size(), 3U) << "most points were worth a run";
  }
}

// A further run gains less than the first one, and a run with too little gain is not made.
TEST(ChoosePointTest, ARunBelowTheWantedGainIsNotChosen) {
  World world(Front({8}));
  const std::vector<PointForecast> points = world.Points();
  const PointChoice first = ChoosePoint(world.Question(), points, Open(points));
  ASSERT_TRUE(first.next.has_value());
  world.spec.mutable_profile()->set_gain_percent_min(first.gain_percent + 40);
  const PointChoice none = ChoosePoint(world.Question(), points, Open(points));
  EXPECT_EQ(none.next, std::nullopt);
  EXPECT_GE(none.gain_percent, first.gain_percent) << "the largest one is told";
  EXPECT_EQ(ChoosePoint(world.Question(), points, {}).gain_percent, 0);
}

}  // namespace
}  // namespace wattle::scheduler
