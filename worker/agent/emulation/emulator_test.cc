// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that the shipped board files reproduce the published rows when the emulator is driven step
// by step in virtual time, through its own sensor and the meter.
#include "worker/agent/emulation/emulator.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "proto/job_kind.h"
#include "worker/agent/core/energy_account.h"

namespace wattle::agent {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char kBoards[] = WATTLE_SOURCE_DIR "/deploy/emulated";

struct Row {
  const char* board;
  int layers;
  double seconds;
  double watt_hours;
  double watts;
};
class PublishedRowTest : public testing::TestWithParam<Row> {};

// Tolerance 1 %: the noise of 2,500 steps and 30,000 samples is far smaller, and the tables round
// to four digits.
TEST_P(PublishedRowTest, TimeEnergyAndPowerComeOutWithinOnePercent) {
  const Row& row = GetParam();
  const Monotonic start(absl::Seconds(1000));
  Emulator emulator(*ReadBoardFile(kBoards, row.board), {.seed = 5, .hidden_offset_ratio = 0},
                    start);
  const auto sensors = emulator.board().MakeSource();
  EnergyAccount account({.cadence = sensors->info().cadence}, {}, start, {}, {});
  v1::JobSpec spec;
  spec.mutable_finetune();
  emulator.BeginRun(spec, {"gpt2", row.layers, 768});
  account.BeginAttempt({});
  account.SetActivity(start, Activity::kRun);
  emulator.SetActivity(start, Activity::kRun);
  Monotonic at = start;
  for (int step = 1; step <= 2500; ++step) {
    v1::StepDone done;
    done.set_phase("train");
    done.set_examples(8);
    at = emulator.StepEnd(done, at);
    const auto readings = sensors->Poll(at);
    for (const telemetry::Reading& reading : *readings) {
      if (const auto* power = std::get_if<Watts>(&reading.value)) {
        account.AddPower(reading.taken_at, *power);
      }
    }
  }
  account.AdvanceTo(at);
  EXPECT_NEAR(absl::ToDoubleSeconds(at - start) / row.seconds, 1, 0.01);
  EXPECT_NEAR(ToWattHours(account.attempt().run.gross) / row.watt_hours, 1, 0.01);
  EXPECT_NEAR(account.attempt().run.MeanPower().value() / row.watts, 1, 0.01);
}

INSTANTIATE_TEST_SUITE_P(Tables3And4, PublishedRowTest,
                         testing::Values(Row{"jetson-xavier-nx", 12, 14561, 57.82, 14.29},
                                         Row{"jetson-orin-nano", 12, 11726, 36.33, 11.15},
                                         Row{"jetson-xavier-nx", 6, 15896, 59.05, 13.37},
                                         Row{"jetson-orin-nano", 6, 9414, 28.91, 11.05}));

TEST(EmulatorTest, OtherWorkTakesOverheadAndFlopsByTheBoardsRate) {
  BoardFile file = *ReadBoardFile(kBoards, "jetson-orin-nano");
  Emulator emulator(file, {.seed = 1, .hidden_offset_ratio = 0}, Monotonic());
  v1::JobSpec spec;
  spec.mutable_finetune();
  emulator.BeginRun(spec, {"gpt2", 4, 128});
  v1::StepDone step;
  step.set_phase("train");
  step.set_flops(file.rates.at("finetune").flops_per_second * 10);
  // One step's noise is at most 3 %.
  EXPECT_NEAR(absl::ToDoubleSeconds(emulator.StepEnd(step, Monotonic()) - Monotonic()), 10.02,
              0.31);
}

TEST(EmulatorTest, TheCoresBesideAnAcceleratorHaveTheirOwnRatesAndNothingPublished) {
  BoardFile file = *ReadBoardFile(kBoards, "jetson-orin-nano");
  file.cpu_rates = file.rates;
  file.cpu_rates.at("finetune").flops_per_second /= 4;
  Emulator emulator(file, {.seed = 1, .hidden_offset_ratio = 0}, Monotonic());
  v1::StepDone step;
  step.set_phase("train");
  step.set_examples(8);
  step.set_flops(file.rates.at("finetune").flops_per_second * 10);
  v1::JobSpec spec;
  spec.mutable_finetune();
  for (const auto& [accelerator, seconds] : {std::pair(v1::ACCELERATOR_CPU, 40.02),
                                             std::pair(v1::ACCELERATOR_UNSPECIFIED, 8 * 0.5863)}) {
    spec.set_accelerator(accelerator);
    emulator.BeginRun(spec, {"gpt2", 12, 768});
    const Monotonic end = emulator.StepEnd(step, Monotonic());
    EXPECT_NEAR(absl::ToDoubleSeconds(end - Monotonic()) / seconds, 1, 0.031);
  }
}

TEST(EmulatorTest, HiddenOffsetsMoveTimeAndPowerWithinTheirRange) {
  BoardFile file = *ReadBoardFile(kBoards, "jetson-orin-nano");
  const Emulator emulator(file, {.seed = 3, .hidden_offset_ratio = 0.2}, Monotonic());
  EXPECT_NE(emulator.hidden_time_factor(), 1.0);
  EXPECT_NEAR(emulator.hidden_time_factor(), 1.0, 0.2);
  EXPECT_NEAR(emulator.hidden_power_factor(), 1.0, 0.2);
  EXPECT_NE(emulator.hidden_power_factor(), emulator.hidden_time_factor());
}

TEST(BoardFileTest, EveryShippedBoardIsWhole) {
  for (const char* board : {"jetson-xavier-nx", "jetson-orin-nano", "raspberry-pi-5"}) {
    const auto file = ReadBoardFile(kBoards, board);
    ASSERT_THAT(file, IsOk());
    EXPECT_EQ(file->device_class, board);
    EXPECT_GT(file->rates.at("finetune").power, file->physics.idle);
    for (const JobKind& kind : JobKinds()) {
      for (const absl::string_view rate : {kind.emulated_rate, kind.emulated_rate_int8}) {
        EXPECT_TRUE(rate.empty() || file->rates.find(rate) != file->rates.end()) << rate;
      }
    }
  }
}

TEST(BoardFileTest, AModeTellsWhatItSets) {
  const BoardFile file = *ReadBoardFile(kBoards, "jetson-orin-nano");
  ASSERT_EQ(file.power_modes.size(), 2);
  const v1::PowerMode& seven = file.power_modes[0];
  EXPECT_EQ(seven.name(), "7W");
  EXPECT_EQ(seven.cpu_mhz(), 960);
  EXPECT_EQ(seven.gpu_mhz(), 408);
  EXPECT_EQ(seven.memory_mhz(), 2133);
  EXPECT_EQ(seven.cores(), 4);
}

// Files of before told no more than a mode's name and watts.
TEST(BoardFileTest, WhatAModeLeavesOutIsNotKnownAndABadNumberIsRefused) {
  const auto read_with = [](const std::string& mode) {
    const TestDirectory directory;
    std::ifstream source(std::string(kBoards) + "/raspberry-pi-5.yaml");
    std::ofstream target(directory.File("odd.yaml"));
    for (std::string line; std::getline(source, line);) {
      target << (line.rfind("power_modes", 0) == 0 ? "power_modes: [" + mode + "]" : line) << "\n";
    }
    target.close();
    return ReadBoardFile(directory.path(), "odd");
  };
  const auto plain = read_with("{name: full, nominal_power_watts: 0}");
  ASSERT_THAT(plain, IsOk());
  EXPECT_EQ(plain->power_modes[0].cpu_mhz(), 0);
  EXPECT_EQ(plain->power_modes[0].cores(), 0);
  for (const std::string number : {"-1", ".nan", "0"}) {
    EXPECT_THAT(read_with("{name: full, nominal_power_watts: 0, cpu_mhz: " + number + "}"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("odd.yaml:"), HasSubstr(": cpu_mhz: "),
                               HasSubstr("a plain number above 0"))));
  }
}

TEST(BoardFileTest, TheCoresBesideAnAcceleratorAreOfferedWhereTheFileHasTheirRates) {
  EXPECT_TRUE(ReadBoardFile(kBoards, "jetson-orin-nano")->cpu_rates.empty());
  const TestDirectory directory;
  std::ifstream source(std::string(kBoards) + "/jetson-orin-nano.yaml");
  std::ofstream target(directory.File("both.yaml"));
  std::string work;  // The section, a second time.
  for (std::string line; std::getline(source, line);) {
    target << line << "\n";
    if (line == "work:" || (!work.empty() && line.rfind("  ", 0) == 0)) {
      work += (line == "work:" ? "work_on_cpu:" : line) + "\n";
    } else if (!work.empty()) {
      target << work;
      work.clear();
    }
  }
  target.close();
  const auto file = ReadBoardFile(directory.path(), "both");
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->cpu_rates.at("generate").flops_per_second,
            file->rates.at("generate").flops_per_second);
}

TEST(BoardFileTest, AnUnknownBoardNamesThoseThereAre) {
  EXPECT_THAT(ReadBoardFile(kBoards, "jetson-nonsense"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("jetson-orin-nano")));
}

TEST(BoardFileTest, AMisspelledFieldIsNamedWithItsLine) {
  const TestDirectory directory;
  std::ifstream source(std::string(kBoards) + "/raspberry-pi-5.yaml");
  std::ofstream target(directory.File("odd.yaml"));
  for (std::string line; std::getline(source, line);) {
    target << (line.rfind("idle_power_watts", 0) == 0 ? "idle_power_watt: 3" : line) << "\n";
  }
  target.close();
  EXPECT_THAT(ReadBoardFile(directory.path(), "odd"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("idle_power_watt: unknown field; did you mean "
                                 "\"idle_power_watts\"?")));
}

TEST(ModelDimensionsTest, ComeFromConfigJson) {
  const TestDirectory directory;
  directory.Write("config.json", R"({"model_type": "gpt2", "n_layer": 6, "n_embd": 768})");
  const ModelDimensions dimensions = ReadModelDimensions(directory.path());
  EXPECT_EQ(dimensions.architecture, "gpt2");
  EXPECT_EQ(dimensions.layers, 6);
  EXPECT_EQ(dimensions.width, 768);
  EXPECT_EQ(ReadModelDimensions("/no/such").layers, 0);
}

}  // namespace
}  // namespace wattle::agent
