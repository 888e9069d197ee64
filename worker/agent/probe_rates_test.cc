// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe_rates.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/testing/test_tree.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/agent/storage/state_directory.h"
#include "worker/agent/testing/fake_runner_for_test.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

v1::DeviceInfo BoardInMode(const std::string& mode) {
  v1::DeviceInfo board;
  board.set_cores(4);
  board.set_engine_version("e1");
  board.set_power_mode(mode);
  for (const std::string name : {"7W", "15W"}) {
    v1::PowerMode& added = *board.add_power_modes();
    added.set_name(name);
    added.set_cpu_mhz(name == "7W" ? 600 : 1500);
  }
  return board;
}

v1::MeasuredRates RatesIn(const std::string& mode, double memory_bytes_per_second = 1e10) {
  v1::MeasuredRates rates;
  rates.set_power_mode(mode);
  rates.set_engine_version("e1");
  rates.set_memory_bytes_per_second(memory_bytes_per_second);
  return rates;
}

v1::DeviceInfo KeptInBothModes() {
  const v1::DeviceInfo first = WithRates({}, BoardInMode("7W"), RatesIn("7W", 5e9));
  return WithRates(first, BoardInMode("15W"), RatesIn("15W"));
}

TEST(ProbeRatesTest, EachModeAndDeviceHasItsOwn) {
  v1::DeviceInfo kept = KeptInBothModes();
  ASSERT_THAT(kept.rates(), SizeIs(2));
  kept = WithRates(kept, BoardInMode("15W"), RatesIn("15W", 2e10));
  ASSERT_THAT(kept.rates(), SizeIs(2));
  EXPECT_EQ(kept.rates(0).memory_bytes_per_second(), 5e9);
  EXPECT_EQ(kept.rates(1).memory_bytes_per_second(), 2e10);
  v1::MeasuredRates cuda = RatesIn("15W");
  cuda.set_accelerator("cuda");
  EXPECT_THAT(WithRates(kept, BoardInMode("15W"), cuda).rates(), SizeIs(3));
}

TEST(ProbeRatesTest, AnotherEngineOrOtherCoresMakeThemStale) {
  const v1::DeviceInfo kept = KeptInBothModes();
  std::vector<std::string> problems;
  EXPECT_THAT(CurrentRates(kept, BoardInMode("15W"), &problems), SizeIs(2));
  EXPECT_THAT(problems, IsEmpty());
  v1::DeviceInfo board = BoardInMode("15W");
  board.set_engine_version("e2");
  EXPECT_THAT(CurrentRates(kept, board, &problems), IsEmpty());
  EXPECT_THAT(problems, ElementsAre(HasSubstr("engine e1 measured them, this one is e2"),
                                    HasSubstr("run 'wattle-worker probe --rates' again")));
  board = BoardInMode("15W");
  board.set_cores(2);
  problems.clear();
  EXPECT_THAT(CurrentRates(kept, board, &problems), IsEmpty());
  EXPECT_THAT(problems, ElementsAre(HasSubstr("they are of 4 threads, a runner has 2"),
                                    HasSubstr("of power mode 15W")));
  // A new measurement drops stale rates.
  EXPECT_THAT(WithRates(kept, board, RatesIn("15W")).rates(), SizeIs(1));
}

TEST(ProbeRatesTest, AModeThatNowSetsOtherNumbersIsStale) {
  const v1::DeviceInfo kept = KeptInBothModes();
  v1::DeviceInfo board = BoardInMode("15W");
  board.mutable_power_modes(1)->set_cpu_mhz(900);
  std::vector<std::string> problems;
  const std::vector<v1::MeasuredRates> current = CurrentRates(kept, board, &problems);
  ASSERT_THAT(current, SizeIs(1));
  EXPECT_EQ(current[0].power_mode(), "7W");
  EXPECT_THAT(problems, ElementsAre(HasSubstr("15W are not told: the mode now sets other")));
}

TEST(ProbeRatesTest, WhatNoBoardHasIsNotTold) {
  for (const double wrong : {std::nan(""), -1e10, 17e12}) {
    v1::DeviceInfo kept = KeptInBothModes();
    kept.mutable_rates(1)->set_memory_bytes_per_second(wrong);
    std::vector<std::string> problems;
    EXPECT_THAT(CurrentRates(kept, BoardInMode("15W"), &problems), SizeIs(1)) << wrong;
    EXPECT_THAT(problems, ElementsAre(HasSubstr("memory_bytes_per_second"))) << wrong;
  }
}

TEST(ProbeRatesTest, TheRunnerMeasuresAndTheFolderKeepsIt) {
  const TestDirectory directory;
  const RateProbe probe = {
      .state_directory = directory.File("state"), .runner = kFakeRunner, .threads = 2};
  const auto record = ProbeRates(probe, absl::FromUnixSeconds(1'800'000'000));
  ASSERT_THAT(record, IsOk());
  EXPECT_THAT(RatesText(*record), HasSubstr("2 threads"));
  EXPECT_THAT(RatesText(*record), HasSubstr("memory                   10.00 GB/s"));
  EXPECT_THAT(RatesText(*record), HasSubstr("BF16 products                -\n"));
  EXPECT_THAT(RatesText(*record), Not(HasSubstr("memory of its use")));
  v1::DeviceInfo with_gpu = *record;
  with_gpu.mutable_rates()->rbegin()->set_accelerator_memory_bytes(int64_t{600} << 20);
  EXPECT_THAT(RatesText(with_gpu), HasSubstr("memory of its use    600.0 MiB\n"));
  EXPECT_THAT(RatesText(with_gpu), Not(HasSubstr("card")));
  with_gpu.mutable_rates()->rbegin()->set_card_memory_bytes(int64_t{700} << 20);
  EXPECT_THAT(RatesText(with_gpu), HasSubstr("of the card's own    700.0 MiB\n"));
  const auto disk = PosixDisk::Open(probe.state_directory);
  ASSERT_THAT(disk, IsOk());
  const auto state = StateDirectory::Open(disk->get());
  ASSERT_THAT(state, IsOk());
  const v1::DeviceInfo kept = (*state)->ReadRates().record;
  ASSERT_THAT(kept.rates(), SizeIs(1));
  EXPECT_EQ(kept.cores(), 2);
  EXPECT_EQ(kept.rates(0).fp32_flops(), 2e10);
  EXPECT_EQ(kept.rates(0).engine_version(), "fake-1");
  EXPECT_EQ(kept.rates(0).measured_unix_seconds(), 1'800'000'000);
  // The disk is open, as by a running worker, whose work would disturb the measurement.
  EXPECT_THAT(ProbeRates(probe, absl::UnixEpoch()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("worker")));
}

TEST(ProbeRatesTest, AGpuIsMeasuredWithTheKernelsThatJobsFind) {
  const TestDirectory directory;
  std::vector<std::string> notes;
  RateProbe probe = {.state_directory = directory.File("state"),
                     .runner = kFakeRunner,
                     .device = "cuda:0",
                     .threads = 1,
                     .note = [&](const std::string& line) { notes.push_back(line); }};
  const auto record = ProbeRates(probe, absl::FromUnixSeconds(1'800'000'000));
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->rates(0).int4_weights_per_second(), 1e9) << "its sandbox lets it read them";
  EXPECT_THAT(notes, ElementsAre(HasSubstr("compiled 1 of 1 files of kernels")));
  probe.device = "cpu";
  const auto cores = ProbeRates(probe, absl::FromUnixSeconds(1'800'000'000));
  ASSERT_THAT(cores, IsOk());
  ASSERT_THAT(cores->rates(), SizeIs(2));
  EXPECT_EQ(cores->rates(1).int4_weights_per_second(), 0);
  EXPECT_THAT(notes, SizeIs(1));
}

TEST(ProbeRatesTest, NothingIsKeptOfAMeasurementThatFails) {
  const TestDirectory directory;
  const RateProbe probe = {
      .state_directory = directory.File("state"), .runner = kFakeRunner, .device = "cuda"};
  EXPECT_THAT(ProbeRates(probe, absl::UnixEpoch()),
              StatusIs(absl::StatusCode::kFailedPrecondition, "no such device here"));
  const RateProbe too_fast = {
      .state_directory = directory.File("state"), .runner = kFakeRunner, .threads = 5000};
  EXPECT_THAT(ProbeRates(too_fast, absl::UnixEpoch()),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("are not kept")));
  const auto disk = PosixDisk::Open(probe.state_directory);
  ASSERT_THAT(disk, IsOk());
  const auto state = StateDirectory::Open(disk->get());
  ASSERT_THAT(state, IsOk());
  EXPECT_EQ((*state)->ReadRates().state, RecordState::kAbsent);
}

// A board with two modes, each of which caps one core; the board is in neither.
class ProbeModesTest : public testing::Test {
 protected:
  static constexpr char kCap[] = "/sys/devices/system/cpu/cpu0/cpufreq";

  ProbeModesTest() {
    tree_.Write(kCap, {{"scaling_max_freq", "1900000"}, {"cpuinfo_max_freq", "1907200"}});
    tree_.Write("/etc", {{"nvpmodel.conf",
                          "< PARAM TYPE=CLOCK NAME=CPU >\n"
                          "MAX_FREQ /sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq\n"
                          "< POWER_MODEL ID=0 NAME=MODE_10W >\nCPU MAX_FREQ 1200000\n"
                          "< POWER_MODEL ID=1 NAME=MAXN >\nCPU MAX_FREQ -1\n"
                          "< PM_CONFIG DEFAULT=1 >"}});
    probe_ = {.state_directory = directory_.File("state"), .runner = kFakeRunner, .threads = 2};
    sweep_.root = tree_.root();
    sweep_.powerd_socket = directory_.File("none.sock");
    sweep_.done = [this](const v1::DeviceInfo& record) {
      told_.push_back(record.rates().rbegin()->power_mode() + " at " + Cap());
    };
  }
  [[nodiscard]] std::string Cap() const {
    return telemetry::ReadText(tree_.root() + kCap + "/scaling_max_freq").value_or("?");
  }
  [[nodiscard]] std::vector<std::string> KeptModes() const {
    const auto disk = PosixDisk::Open(probe_.state_directory);
    const auto state = StateDirectory::Open(disk->get());
    const v1::DeviceInfo kept = (*state)->ReadRates().record;
    std::vector<std::string> modes;
    for (const v1::MeasuredRates& rates : kept.rates()) {
      modes.push_back(rates.power_mode());
    }
    return modes;
  }

  telemetry::Tree tree_;
  TestDirectory directory_;
  RateProbe probe_;
  ModeSweep sweep_;
  std::vector<std::string> told_;
};

constexpr absl::Time kMeasured = absl::FromUnixSeconds(1'800'000'000);

TEST_F(ProbeModesTest, EachModeIsMeasuredWhileItIsSetAndTheBoardComesBack) {
  ASSERT_THAT(ProbeRatesOfModes(probe_, sweep_, kMeasured), IsOk());
  EXPECT_THAT(told_, ElementsAre("MODE_10W at 1200000", "MAXN at 1907200"));
  EXPECT_THAT(KeptModes(), ElementsAre("MODE_10W", "MAXN"));
  EXPECT_EQ(Cap(), "1900000");
}

TEST_F(ProbeModesTest, AfterAFailureTheBoardComesBack) {
  sweep_.done = [this](const v1::DeviceInfo&) { probe_.device = "cuda"; };
  EXPECT_THAT(ProbeRatesOfModes(probe_, sweep_, kMeasured),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("power mode MAXN: no such device here")));
  EXPECT_THAT(KeptModes(), ElementsAre("MODE_10W"));
  EXPECT_EQ(Cap(), "1900000");
}

TEST_F(ProbeModesTest, AnInterruptionEndsItBehindTheModeAndTheBoardComesBack) {
  sweep_.stopped = [this] { return !told_.empty(); };
  EXPECT_THAT(ProbeRatesOfModes(probe_, sweep_, kMeasured),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("before power mode MAXN")));
  EXPECT_THAT(KeptModes(), ElementsAre("MODE_10W"));
  EXPECT_EQ(Cap(), "1900000");
}

TEST_F(ProbeModesTest, ABoardWithoutModesSaysSo) {
  const TestDirectory empty;
  sweep_.root = empty.path();
  EXPECT_THAT(ProbeRatesOfModes(probe_, sweep_, kMeasured),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("leave it out")));
}

}  // namespace
}  // namespace wattle::agent
