// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each kind of transfer (to another batch, mode or model) is a level of its own: its past errors
// widen its own intervals and no others.
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/gpt2_shape_for_test.h"
#include "scheduler/predict/predict.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

enum class Kind { kBatch, kMode, kModel };
constexpr Kind kKinds[] = {Kind::kBatch, Kind::kMode, Kind::kModel};

// Each board is the only one of its class, so that boards share only the errors of levels.
v1::Device BoardOf(int number, const std::string& mode) {
  v1::Device device;
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_device_id("d" + std::to_string(number));
  info.set_device_class("board-" + std::to_string(number));
  info.set_cores(4);
  for (const double watts : {7.0, 10.0, 15.0}) {
    v1::PowerMode& added = *info.add_power_modes();
    added.set_name(std::to_string(static_cast<int>(watts)) + "W");
    added.set_nominal_power_watts(watts);
    added.set_cpu_mhz(100 * watts);
  }
  info.set_power_mode(mode);
  return device;
}

// Every board has models of its own: no model transfers between classes.
WorkAmount WorkOfBoard(int number, int times, int batch) {
  return DeclaredWork(Gpt2Shape((10 + number) * times, 384), 1000, 128, batch);
}

// The board's measurements before a transfer is predicted.
void MeasureBase(int number, ProfileTable* table) {
  for (const std::string mode : {"7W", "15W"}) {
    LearnRun(BoardOf(number, mode), WorkOfBoard(number, 1, 8), mode == "7W" ? 2000 : 1000, {},
             table);
  }
}

struct Asked {
  v1::Device board;
  WorkAmount work;
};

Asked Ask(Kind kind, int number) {
  return {BoardOf(number, kind == Kind::kMode ? "10W" : "15W"),
          WorkOfBoard(number, kind == Kind::kModel ? 2 : 1, kind == Kind::kBatch ? 4 : 8)};
}

v1::Prediction PredictTransfer(Kind kind, int number, const ProfileTable& table) {
  const Asked asked = Ask(kind, number);
  return Predict(table, asked.board, asked.work, {});
}

// A fleet in which 40 transfers of this kind were wrong by four deviations.
ProfileTable TaughtErrorsOf(Kind kind) {
  ProfileTable table;
  for (int number = 1; number <= 40; ++number) {
    MeasureBase(number, &table);
    const Asked asked = Ask(kind, number);
    const v1::Prediction predicted = Predict(table, asked.board, asked.work, {});
    LearnRun(asked.board, asked.work,
             predicted.run_seconds().mean() * std::exp(4 * predicted.time_deviation()), predicted,
             &table);
  }
  return table;
}

TEST(TransferLevelsTest, EachKindIsALevelOfItsOwn) {
  ProfileTable table;
  MeasureBase(1, &table);
  const auto level = [&table](Kind kind) { return PredictTransfer(kind, 1, table).provenance(); };
  EXPECT_EQ(level(Kind::kBatch), v1::PROVENANCE_INTERPOLATED);
  EXPECT_EQ(level(Kind::kMode), v1::PROVENANCE_OTHER_MODE);
  EXPECT_EQ(level(Kind::kModel), v1::PROVENANCE_OTHER_MODEL);
  // Holds also if no clock is known and the mode is carried, and for a job with an open batch.
  v1::Device board = BoardOf(1, "10W");
  board.mutable_info()->mutable_power_modes()->Clear();
  EXPECT_EQ(Predict(table, board, WorkOfBoard(1, 1, 8), {}).provenance(),
            v1::PROVENANCE_OTHER_MODE);
  EXPECT_EQ(Predict(table, board, WorkOfBoard(1, 1, 0), {}).provenance(),
            v1::PROVENANCE_OTHER_MODE);
}

TEST(TransferLevelsTest, ErrorsOfOneKindWidenItsIntervalsAlone) {
  ProfileTable none;
  MeasureBase(0, &none);
  for (const Kind wrong : kKinds) {
    ProfileTable table = TaughtErrorsOf(wrong);
    MeasureBase(0, &table);
    for (const Kind asked : kKinds) {
      SCOPED_TRACE(testing::Message()
                   << "wrong " << static_cast<int>(wrong) << " asked " << static_cast<int>(asked));
      const v1::Prediction before = PredictTransfer(asked, 0, none);
      const v1::Prediction after = PredictTransfer(asked, 0, table);
      if (asked != wrong) {
        EXPECT_EQ(after.SerializeAsString(), before.SerializeAsString());
        continue;
      }
      const auto width = [](const v1::Prediction& prediction) {
        return std::log(prediction.run_seconds().high() / prediction.run_seconds().mean());
      };
      EXPECT_GT(width(after), 1.5 * width(before));
    }
  }
}

}  // namespace
}  // namespace wattle::scheduler
