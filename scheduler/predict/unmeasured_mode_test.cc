// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predictions in unmeasured modes, on boards with known laws.
#include "scheduler/predict/unmeasured_mode.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kIdleWatts = 2;
constexpr double kLargestMhz = 1500;

struct ModeForTest {
  std::string name;
  double watts = 0;
  double mhz = 0;
};
const std::vector<ModeForTest>& Modes() {
  static const auto* const kModes =
      new std::vector<ModeForTest>{{"7W", 7, 600}, {"10W", 10, 1000}, {"15W", 15, kLargestMhz}};
  return *kModes;
}

v1::Device BoardInMode(const std::string& mode, const std::string& id = "d1") {
  v1::Device device;
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id(id);
  info.set_device_class("board");
  info.set_cores(4);
  info.set_idle_power_watts(kIdleWatts);
  for (const ModeForTest& each : Modes()) {
    v1::PowerMode& added = *info.add_power_modes();
    added.set_name(each.name);
    added.set_nominal_power_watts(each.watts);
    added.set_cpu_mhz(each.mhz);
    added.set_cores(4);
  }
  info.set_power_mode(mode);
  return device;
}

// Seconds a + b / f and watts p + c f³, in clocks of the largest mode.
struct Law {
  double fixed_seconds = 200;
  double clock_seconds = 800;
  double fixed_watts = 3;
  double clock_watts = 8;

  static Law Drawn(std::mt19937& random) {
    std::uniform_real_distribution<double> share(0.2, 0.9);
    std::uniform_real_distribution<double> above_idle(0.5, 2.5);
    std::uniform_real_distribution<double> watts(2.5, 9);
    const double of_clock = share(random);
    return {1000 * (1 - of_clock), 1000 * of_clock, kIdleWatts + above_idle(random), watts(random)};
  }
  [[nodiscard]] double Seconds(double mhz) const {
    return fixed_seconds + clock_seconds * kLargestMhz / mhz;
  }
  [[nodiscard]] double Watts(double mhz) const {
    return fixed_watts + clock_watts * std::pow(mhz / kLargestMhz, 3);
  }
  [[nodiscard]] double NetJoules(double mhz) const {
    return Seconds(mhz) * (Watts(mhz) - kIdleWatts);
  }
};

WorkAmount WorkInModes(int64_t examples = 1000, int layers = 6) {
  return DeclaredWork(Gpt2Shape(layers, 384), examples, 128, 8);
}

struct RunForTest {
  double seconds = 0;
  double watts = 0;
  absl::Time at = absl::UnixEpoch();
};

void LearnRun(const v1::DeviceInfo& info, const WorkAmount& work, const RunForTest& run,
              ProfileTable* table) {
  v1::Receipt receipt = MeasuredReceipt(work, run.seconds, run.watts);
  receipt.set_power_mode(info.power_mode());
  for (const v1::ProfileRow& row : LearnFromReceipt(*table, info, receipt, run.at)) {
    ASSERT_THAT(table->Put(row), IsOk());
  }
}

double MhzOf(const std::string& mode) {
  for (const ModeForTest& each : Modes()) {
    if (each.name == mode) {
      return each.mhz;
    }
  }
  return 0;
}

// A run of WorkInModes() in each of these modes.
void Measure(const Law& law, const std::vector<std::string>& modes, ProfileTable* table,
             const std::string& id = "d1") {
  for (const std::string& mode : modes) {
    LearnRun(BoardInMode(mode, id).info(), WorkInModes(),
             {law.Seconds(MhzOf(mode)), law.Watts(MhzOf(mode))}, table);
  }
}

// The table's rows of boards, without those of the class, which would be used first.
ProfileTable OfBoards(const ProfileTable& table) {
  ProfileTable boards;
  for (const v1::ProfileRow& row : table.Rows()) {
    if (!row.device_id().empty()) {
      EXPECT_THAT(boards.Put(row), IsOk());
    }
  }
  return boards;
}

bool Covers(const v1::Interval& interval, double value) {
  return interval.low() <= value && value <= interval.high();
}

double Width(const v1::Interval& interval) {
  return interval.high() / interval.low();
}

TEST(UnmeasuredModeTest, AModeBetweenTwoMeasuredOnesFollowsItsClock) {
  int apart = 0;
  constexpr unsigned kSeeds = 40;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Law law = Law::Drawn(random);
    ProfileTable table;
    Measure(law, {"7W", "15W"}, &table);
    const v1::Prediction ten = Predict(table, BoardInMode("10W"), WorkInModes(), {});
    EXPECT_NEAR(ten.run_seconds().mean() / law.Seconds(1000), 1, 0.03);
    EXPECT_NEAR(ten.mean_power_watts() / law.Watts(1000), 1, 0.10);
    EXPECT_NEAR(ten.net_energy_joules() / law.NetJoules(1000), 1, 0.20);
    EXPECT_TRUE(Covers(ten.run_seconds(), law.Seconds(1000)));
    EXPECT_TRUE(Covers(ten.run_energy_joules(), law.Seconds(1000) * law.Watts(1000)));
    EXPECT_LT(Width(ten.run_seconds()), 1.6);
    EXPECT_EQ(ten.provenance(), v1::PROVENANCE_OTHER_MODE);
    EXPECT_THAT(ten.provenance_note(),
                HasSubstr("by the clocks of 2 measured modes of this device (7W, 15W)"));
    // Carrying from another mode would give the net joules of a measured mode.
    for (const double mhz : {600.0, kLargestMhz}) {
      apart += std::abs(std::log(ten.net_energy_joules() / law.NetJoules(mhz))) > 0.02 ? 1 : 0;
    }
  }
  EXPECT_GT(apart, kSeeds * 2 * 9 / 10);
}

// Each workload of the board follows its clock by a law of its own. The width of an unmeasured
// mode's interval follows the errors of earlier workloads.
TEST(UnmeasuredModeTest, PastErrorsSayHowWideAnIntervalIs) {
  constexpr int kWorkloads = 60;
  std::mt19937 random(11);
  ProfileTable table;
  std::vector<double> widths;
  int covered = 0;
  for (int layers = 1; layers <= kWorkloads; ++layers) {
    const Law law = Law::Drawn(random);
    const WorkAmount work = WorkInModes(1000, layers);
    for (const std::string mode : {"7W", "15W"}) {
      const RunForTest run{law.Seconds(MhzOf(mode)), law.Watts(MhzOf(mode))};
      LearnRun(BoardInMode(mode).info(), work, run, &table);
    }
    const v1::Device board = BoardInMode("10W");
    const v1::Prediction predicted = Predict(table, board, work, {});
    widths.push_back(std::log(Width(predicted.run_seconds())));
    covered +=
        layers > kWorkloads / 2 && Covers(predicted.run_seconds(), law.Seconds(1000)) ? 1 : 0;
    v1::Receipt receipt = MeasuredReceipt(work, law.Seconds(1000), law.Watts(1000));
    receipt.set_power_mode("10W");
    *receipt.mutable_predicted() = predicted;
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, board.info(), receipt, absl::UnixEpoch())) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  }
  EXPECT_LT(widths.back(), 0.5 * widths.front());
  EXPECT_GE(covered, kWorkloads / 2 * 8 / 10);
}

TEST(UnmeasuredModeTest, AModeBeyondTheMeasuredOnesHasAWiderInterval) {
  constexpr unsigned kSeeds = 40;
  int covered = 0;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Law law = Law::Drawn(random);
    ProfileTable between;
    Measure(law, {"7W", "15W"}, &between);
    ProfileTable beyond;
    Measure(law, {"7W", "10W"}, &beyond);
    const v1::Prediction fifteen = Predict(beyond, BoardInMode("15W"), WorkInModes(), {});
    EXPECT_GT(Width(fifteen.run_seconds()),
              1.1 * Width(Predict(between, BoardInMode("10W"), WorkInModes(), {}).run_seconds()));
    EXPECT_NEAR(fifteen.run_seconds().mean() / law.Seconds(kLargestMhz), 1, 0.2);
    covered +=
        Covers(fifteen.run_energy_joules(), law.Seconds(kLargestMhz) * law.Watts(kLargestMhz)) ? 1
                                                                                               : 0;
  }
  EXPECT_GE(covered, static_cast<int>(kSeeds * 9 / 10));
}

TEST(UnmeasuredModeTest, AnotherBoardShowsTheShapeAndTheBoardItselfTheLevel) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const Law law = Law::Drawn(random);
    Law twice = law;
    twice.fixed_seconds *= 2;
    twice.clock_seconds *= 2;
    ProfileTable table;
    Measure(law, {"7W", "10W", "15W"}, &table, "d2");
    LearnRun(BoardInMode("15W").info(), WorkInModes(),
             {twice.Seconds(kLargestMhz), law.Watts(kLargestMhz)}, &table);
    const v1::Prediction seven = Predict(OfBoards(table), BoardInMode("7W"), WorkInModes(), {});
    EXPECT_NEAR(seven.run_seconds().mean() / twice.Seconds(600), 1, 0.05);
    EXPECT_NEAR(seven.mean_power_watts() / law.Watts(600), 1, 0.10);
    EXPECT_THAT(seven.provenance_note(), HasSubstr("by the clocks of 1 measured mode of this "
                                                   "device (15W), and of 1 other board"));
  }
}

// A board that measured one mode, and emulated boards, show no shape.
TEST(UnmeasuredModeTest, WhoShowsNoShapeTeachesNone) {
  ProfileTable table;
  Measure({}, {"15W"}, &table);
  Measure({}, {"7W"}, &table, "d2");
  v1::DeviceInfo emulated = BoardInMode("7W", "d3").info();
  emulated.set_emulated(true);
  LearnRun(emulated, WorkInModes(), {3000, 4}, &table);
  emulated.set_power_mode("15W");
  LearnRun(emulated, WorkInModes(), {1000, 11}, &table);
  EXPECT_THAT(Predict(table, BoardInMode("10W"), WorkInModes(), {}).provenance_note(),
              HasSubstr("measured in power mode 15W"));
}

TEST(UnmeasuredModeTest, FourOtherBoardsTeachAtMostAndNoneByRowsOfFarBatches) {
  ProfileTable table;
  Measure({}, {"15W"}, &table);
  for (const std::string mode : {"7W", "15W"}) {
    LearnRun(BoardInMode(mode, "d2").info(), DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 64),
             {Law().Seconds(MhzOf(mode)), 10}, &table);
  }
  EXPECT_THAT(Predict(OfBoards(table), BoardInMode("10W"), WorkInModes(), {}).provenance_note(),
              HasSubstr("measured in power mode 15W"));
  for (const std::string id : {"d3", "d4", "d5", "d6", "d7", "d8"}) {
    Measure({}, {"7W", "15W"}, &table, id);
  }
  EXPECT_THAT(Predict(OfBoards(table), BoardInMode("10W"), WorkInModes(), {}).provenance_note(),
              HasSubstr("of this device (15W), and of 4 other boards"));
}

TEST(UnmeasuredModeTest, ABoardWithoutRowsTakesTheModesOfItsClass) {
  const Law law;
  ProfileTable table;
  Measure(law, {"7W", "15W"}, &table, "d2");
  const v1::Prediction own = Predict(table, BoardInMode("10W", "d2"), WorkInModes(), {});
  const v1::Prediction ten = Predict(table, BoardInMode("10W"), WorkInModes(), {});
  EXPECT_NEAR(ten.run_seconds().mean(), own.run_seconds().mean(), 1e-6);
  EXPECT_GT(Width(ten.run_seconds()), 1.1 * Width(own.run_seconds()));
  EXPECT_THAT(ten.provenance_note(), HasSubstr("2 measured modes of this class (7W, 15W)"));
}

void SetMhz(double mhz, v1::Device* device) {
  for (v1::PowerMode& mode : *device->mutable_info()->mutable_power_modes()) {
    if (mode.name() == "10W") {
      mode.set_cpu_mhz(mhz);
    }
  }
}

TEST(UnmeasuredModeTest, WithoutNumbersOrWithBadOnesTheModeIsCarried) {
  ProfileTable table;
  Measure({}, {"7W", "15W"}, &table);
  for (const double mhz :
       {0.0, -1000.0, 1e9, 1e-3, std::numeric_limits<double>::infinity(), std::nan("")}) {
    v1::Device board = BoardInMode("10W");
    SetMhz(mhz, &board);
    const v1::Prediction ten = Predict(table, board, WorkInModes(), {});
    EXPECT_THAT(ten.provenance_note(), HasSubstr("measured in power mode")) << mhz;
    EXPECT_GT(Width(ten.run_seconds()), 3) << mhz;
  }
}

// A few clocks do not determine the draw at far higher and far lower ones.
TEST(UnmeasuredModeTest, AClockFarFromTheMeasuredOnesIsCarried) {
  ProfileTable table;
  Measure({}, {"7W", "10W"}, &table);
  const auto note_at = [&](double mhz) {
    v1::Device board = BoardInMode("15W");
    board.mutable_info()->mutable_power_modes(2)->set_cpu_mhz(mhz);
    return Predict(table, board, WorkInModes(), {}).provenance_note();
  };
  EXPECT_THAT(note_at(1600), HasSubstr("by the clocks of 2 measured modes"));
  EXPECT_THAT(note_at(1700), HasSubstr("measured in power mode"));
  EXPECT_THAT(note_at(125), HasSubstr("by the clocks of 2 measured modes"));
  EXPECT_THAT(note_at(110), HasSubstr("measured in power mode"));
  EXPECT_THAT(note_at(110), HasSubstr("carried over power modes from 2 rows of this device"));
}

TEST(UnmeasuredModeTest, ACarriedModeAtAnotherBatchSaysBoth) {
  ProfileTable table;
  Measure({}, {"7W"}, &table);
  const WorkAmount larger = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 16);
  const auto note_of = [&](const std::string& mode, const WorkAmount& work) {
    return Predict(table, BoardInMode(mode), work, {}).provenance_note();
  };
  EXPECT_THAT(note_of("15W", larger),
              HasSubstr("carried over power modes, batch and length from 1 row of this device"));
  EXPECT_THAT(note_of("7W", larger),
              HasSubstr("interpolated over batch and length from 1 row of this device"));
}

TEST(UnmeasuredModeTest, OneMeasuredModeIsCarried) {
  ProfileTable table;
  Measure({}, {"15W"}, &table);
  const v1::Prediction fifteen = Predict(table, BoardInMode("15W"), WorkInModes(), {});
  const v1::Prediction ten = Predict(table, BoardInMode("10W"), WorkInModes(), {});
  EXPECT_NEAR(ten.net_energy_joules(), fifteen.net_energy_joules(), 1e-6);
  EXPECT_THAT(ten.provenance_note(), HasSubstr("measured in power mode 15W"));
}

TEST(UnmeasuredModeTest, AMeasuredModeIsPredictedByItsOwnRow) {
  const Law law;
  ProfileTable table;
  Measure(law, {"7W", "10W", "15W"}, &table);
  const v1::Prediction ten = Predict(table, BoardInMode("10W"), WorkInModes(), {});
  EXPECT_EQ(ten.provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_NEAR(ten.run_seconds().mean(), law.Seconds(1000), 1e-6);
}

v1::PowerMode& TenWatts(v1::Device* device) {
  return *device->mutable_info()->mutable_power_modes(1);
}

// With fewer threads than cores, switched-off cores have no effect.
TEST(UnmeasuredModeTest, CoresCountAsFarAsTheWorkerHasThreads) {
  const Law law;
  ProfileTable table;
  Measure(law, {"7W", "15W"}, &table);
  v1::Device board = BoardInMode("10W");
  TenWatts(&board).set_cpu_mhz(kLargestMhz);
  TenWatts(&board).set_cores(2);
  const double of_four = Predict(table, board, WorkInModes(), {}).run_seconds().mean();
  EXPECT_GT(of_four, 1.05 * law.Seconds(kLargestMhz));
  board.mutable_info()->set_cores(2);
  EXPECT_NEAR(
      Predict(table, board, WorkInModes(), {}).run_seconds().mean() / law.Seconds(kLargestMhz), 1,
      0.02);
}

TEST(UnmeasuredModeTest, ANumberThatOnlySomeModesTellComparesNone) {
  const Law law;
  ProfileTable table;
  Measure(law, {"7W", "15W"}, &table);
  const v1::Prediction without = Predict(table, BoardInMode("10W"), WorkInModes(), {});
  v1::Device board = BoardInMode("10W");
  TenWatts(&board).set_memory_mhz(2133);
  EXPECT_EQ(Predict(table, board, WorkInModes(), {}).SerializeAsString(),
            without.SerializeAsString());
}

// The GPU computes, so its clock is the mode's number, not the processor's.
v1::Device GpuBoard(const std::string& mode) {
  v1::Device device = BoardInMode(mode);
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_accelerator("cuda");
  for (v1::PowerMode& each : *info.mutable_power_modes()) {
    each.set_gpu_mhz(MhzOf(each.name()));
    each.set_cpu_mhz(1200);
  }
  v1::PowerMode& desktop = *info.add_power_modes();
  desktop.set_name("15W_DESKTOP");
  desktop.set_gpu_mhz(kLargestMhz);
  desktop.set_cpu_mhz(1900);
  desktop.set_cores(2);
  return device;
}

TEST(UnmeasuredModeTest, ABoardWithAGpuGoesByTheGpusClock) {
  const Law law;
  ProfileTable table;
  for (const std::string mode : {"7W", "15W"}) {
    LearnRun(GpuBoard(mode).info(), WorkInModes(),
             {law.Seconds(MhzOf(mode)), law.Watts(MhzOf(mode))}, &table);
  }
  const v1::Prediction ten = Predict(table, GpuBoard("10W"), WorkInModes(), {});
  EXPECT_NEAR(ten.run_seconds().mean() / law.Seconds(1000), 1, 0.03);
  // This GPU beside another processor: about equal, with an unknown difference.
  const v1::Prediction desktop = Predict(table, GpuBoard("15W_DESKTOP"), WorkInModes(), {});
  EXPECT_NEAR(desktop.run_seconds().mean() / law.Seconds(kLargestMhz), 1, 0.02);
  EXPECT_GT(desktop.time_deviation(), 0.10);
}

// Two modes of one GPU clock are one cell: they do not predict a third.
TEST(UnmeasuredModeTest, ModesOfTheSameNumbersShowNoShape) {
  ProfileTable table;
  for (const std::string mode : {"15W", "15W_DESKTOP"}) {
    LearnRun(GpuBoard(mode).info(), WorkInModes(), {1000, 11}, &table);
  }
  EXPECT_THAT(Predict(table, GpuBoard("10W"), WorkInModes(), {}).provenance_note(),
              HasSubstr("measured in power mode 15W"));
}

TEST(UnmeasuredModeTest, JobsOfAnotherSizeHaveTheSameRates) {
  ProfileTable table;
  Measure({}, {"7W", "15W"}, &table);
  const v1::Prediction small = Predict(table, BoardInMode("10W"), WorkInModes(1000), {});
  const v1::Prediction large = Predict(table, BoardInMode("10W"), WorkInModes(7000), {});
  EXPECT_NEAR(large.run_seconds().mean() / small.run_seconds().mean(), 7, 1e-4);
  EXPECT_NEAR(large.mean_power_watts(), small.mean_power_watts(), 1e-4);
}

// Rows of other batches are interpolated if a mode has none of the job's batch; here each mode has
// one.
TEST(UnmeasuredModeTest, RowsAtTheJobsBatchAndLengthCountAlone) {
  const Law law;
  ProfileTable table;
  Measure(law, {"7W", "15W"}, &table);
  const double alone = Predict(table, BoardInMode("10W"), WorkInModes(), {}).run_seconds().mean();
  const WorkAmount small_batch = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 4);
  LearnRun(BoardInMode("7W").info(), small_batch, {3 * law.Seconds(600), law.Watts(600)}, &table);
  EXPECT_NEAR(Predict(table, BoardInMode("10W"), WorkInModes(), {}).run_seconds().mean(), alone,
              1e-6);
}

TEST(UnmeasuredModeTest, RowsOfAnotherBatchHaveAWiderInterval) {
  ProfileTable table;
  Measure({}, {"7W", "15W"}, &table);
  const WorkAmount large_batch = DeclaredWork(Gpt2Shape(6, 384), 1000, 128, 64);
  EXPECT_GT(Width(Predict(table, BoardInMode("10W"), large_batch, {}).run_seconds()),
            1.3 * Width(Predict(table, BoardInMode("10W"), WorkInModes(), {}).run_seconds()));
}

// A cached answer for one board must not be used for another.
TEST(UnmeasuredModeTest, TheOrderOfTheQuestionsChangesNoAnswer) {
  ProfileTable table;
  Measure({}, {"7W", "15W"}, &table);
  ProfileTable other;
  Measure({.clock_seconds = 300, .clock_watts = 5}, {"7W", "15W"}, &other);
  v1::Device faster = BoardInMode("10W");
  SetMhz(1200, &faster);
  const auto answers = [&](bool backwards) {
    std::vector<std::string> texts(3);
    for (int i = 0; i < 3; ++i) {
      const int question = backwards ? 2 - i : i;
      texts[question] = Predict(question == 1 ? other : table,
                                question == 2 ? faster : BoardInMode("10W"), WorkInModes(), {})
                            .SerializeAsString();
    }
    return texts;
  };
  const std::vector<std::string> forwards = answers(false);
  EXPECT_EQ(forwards, answers(true));
  EXPECT_NE(forwards[0], forwards[1]);
  EXPECT_NE(forwards[0], forwards[2]);
}

// Without a sensor only the time is learned, and the source of the watts stays unchanged.
TEST(UnmeasuredModeTest, WithoutWattsTheTimeFollowsTheClock) {
  const Law law;
  ProfileTable table;
  for (const std::string mode : {"7W", "15W"}) {
    WorkAmount work = WorkInModes();
    v1::Receipt receipt = MeasuredReceipt(work, law.Seconds(MhzOf(mode)), 0);
    receipt.mutable_run()->set_source(v1::ENERGY_SOURCE_MODEL);
    receipt.set_power_mode(mode);
    for (const v1::ProfileRow& row :
         LearnFromReceipt(table, BoardInMode(mode).info(), receipt, absl::UnixEpoch())) {
      ASSERT_THAT(table.Put(row), IsOk());
    }
  }
  const v1::Prediction ten = Predict(table, BoardInMode("10W"), WorkInModes(), {});
  EXPECT_NEAR(ten.run_seconds().mean() / law.Seconds(1000), 1, 0.03);
  EXPECT_NEAR(ten.mean_power_watts(), 7.5, 1e-9);
  EXPECT_THAT(ten.provenance_note(), HasSubstr("watts from the power mode's nominal"));
}

// A board whose idle draw is nearly its whole draw: no mode works without power.
TEST(UnmeasuredModeTest, NoModeComesOutAtItsIdleWatts) {
  ProfileTable table;
  Measure({.fixed_watts = 0.5, .clock_watts = 8}, {"10W", "15W"}, &table);
  EXPECT_GT(Predict(table, BoardInMode("7W"), WorkInModes(), {}).net_energy_joules(), 1);
}

// After a change of the device old rows count with the middle of both speeds, like in measured
// modes.
TEST(UnmeasuredModeTest, RowsFromBeforeAChangeSaySo) {
  ProfileTable table;
  const WorkAmount since = WorkInModes(1000, /*layers=*/12);
  Measure({}, {"7W", "15W"}, &table);
  const double before = Predict(table, BoardInMode("10W"), WorkInModes(), {}).run_seconds().mean();
  absl::Time now = absl::UnixEpoch();
  for (int run = 0; run < 14; ++run) {
    now += absl::Hours(1);
    LearnRun(BoardInMode("15W").info(), since, {run < 10 ? 1000.0 : 2000.0, 10, now}, &table);
  }
  const v1::Prediction after = Predict(table, BoardInMode("10W"), WorkInModes(), {});
  EXPECT_THAT(after.provenance_note(), HasSubstr("before the device changed its speed"));
  EXPECT_GT(after.run_seconds().mean(), 1.2 * before);
}

}  // namespace
}  // namespace wattle::scheduler
