// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"
#include "worker/agent/storage/memory_disk.h"
#include "worker/power/power_settings.h"

namespace wattle::agent {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<ProbedSource> Probe(const std::string& root) {
  return ProbeSources(telemetry::DiscoverSources(root), Clock::Real());
}

class ProbeTest : public testing::Test {
 protected:
  void Write(const std::string& folder, const std::map<std::string, std::string>& files) {
    std::filesystem::create_directories(directory_.path() + "/board" + folder);
    for (const auto& [name, text] : files) {
      std::ofstream(directory_.path() + "/board" + folder + "/" + name) << text << "\n";
    }
  }
  // An Orin Nano on a battery whose gauge has no value now.
  void WriteBoard() {
    Write("/sys/class/hwmon/hwmon1", {{"name", "ina3221"},
                                      {"in1_label", "VDD_IN"},
                                      {"in1_input", "5000"},
                                      {"curr1_input", "1000"},
                                      {"in2_label", "VDD_SOC"},
                                      {"in2_input", "5000"},
                                      {"curr2_input", "200"},
                                      {"update_interval", "430"}});
    Write("/sys/class/thermal/thermal_zone0", {{"type", "cpu-thermal"}, {"temp", "45500"}});
    Write("/sys/class/power_supply/BAT0", {{"type", "Battery"}});
  }
  [[nodiscard]] std::string root() const { return directory_.path() + "/board"; }
  TestDirectory directory_;
};

TEST_F(ProbeTest, ShowsWhatMeasuresTheDeviceWhatItsPartsAreAndWhatFails) {
  WriteBoard();
  const std::string text = ProbeText(Probe(root()));
  EXPECT_THAT(
      text,
      AllOf(HasSubstr(
                "ina3221 (ina3221, covers: module)\n  measures the device: the lowest rank (10)"),
            HasSubstr("5.000 W"), HasSubstr("1.000 W"), HasSubstr("45.5 °C"),
            HasSubstr("new every 430ms")));
  EXPECT_THAT(text, HasSubstr("power_supply BAT0 (power_supply, covers: battery)\n  does not tell "
                              "the device's power now\n"
                              "  cannot be used now: "));
}

TEST_F(ProbeTest, JsonHasNullForAChannelWithoutAValue) {
  WriteBoard();
  Write("/sys/class/hwmon/hwmon1", {{"curr2_input", ""}});
  const std::string json = ProbeJson(Probe(root()));
  EXPECT_THAT(json, AllOf(HasSubstr("\"name\": \"VDD_SOC\""), HasSubstr("\"value\": null"),
                          HasSubstr("\"measures_device\": true"), HasSubstr("\"value\": 45.5")));
}

TEST_F(ProbeTest, ASourceThatIsNotChosenSaysWhichOneIsAndWhy) {
  WriteBoard();
  Write("/sys/class/power_supply/BAT0", {{"type", "Battery"},
                                         {"status", "Discharging"},
                                         {"capacity", "50"},
                                         {"power_now", "9000000"}});
  const std::string text = ProbeText(Probe(root()));
  EXPECT_THAT(text, AllOf(HasSubstr("stands by: ina3221 has rank 10, this has 40"),
                          HasSubstr("0.500 of full"), HasSubstr("wattle_battery_charge_ratio")));
}

// A source that never answers, or answers with a problem.
class HangingSource final : public telemetry::Source {
 public:
  explicit HangingSource(absl::Notification* hangs) : hangs_(hangs) {
    info_ = {.name = "fake", .deadline = absl::Milliseconds(1), .rank = 1};
    info_.channels = {{.name = "all", .in_total = true}};
  }
  [[nodiscard]] const telemetry::SourceInfo& info() const override { return info_; }
  absl::StatusOr<std::vector<telemetry::Reading>> Poll(Monotonic now) override {
    hangs_->WaitForNotification();
    return std::vector<telemetry::Reading>{{0, Watts(5), now}};
  }

 private:
  absl::Notification* hangs_;
  telemetry::SourceInfo info_;
};

TEST_F(ProbeTest, ASourceThatHangsIsAProblemAndHoldsNothingUp) {
  WriteBoard();
  // The thread of the hung read outlives the test.
  static auto* const never = new absl::Notification;
  std::vector<telemetry::Candidate> candidates = telemetry::DiscoverSources(root());
  candidates.insert(candidates.begin(),
                    {.name = "fake", .source = std::make_unique<HangingSource>(never)});
  const auto sources = ProbeSources(std::move(candidates), Clock::Real());
  EXPECT_THAT(sources[0].problem,
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("no answer within 1ms")));
  EXPECT_FALSE(sources[0].measures_device);
  EXPECT_TRUE(sources[1].measures_device);
  never->Notify();
}

TEST_F(ProbeTest, ADeniedSourceIsListedWithItsRemedy) {
  std::vector<telemetry::Candidate> candidates;
  candidates.push_back(
      {.name = "rapl",
       .problem = absl::PermissionDeniedError("energy_uj: only root; chmod \"a+r\"")});
  const auto sources = ProbeSources(std::move(candidates), Clock::Real());
  EXPECT_THAT(ProbeText(sources),
              AllOf(HasSubstr("rapl\n  cannot be used now: energy_uj: only root"),
                    HasSubstr("no source tells the device's power now")));
  EXPECT_THAT(ProbeJson(sources),
              HasSubstr("\"problem\": \"energy_uj: only root; chmod \\\"a+r\\\"\""));
}

TEST_F(ProbeTest, ABareMachineIsReportedAsSuch) {
  std::filesystem::create_directories(root());
  EXPECT_THAT(ProbeText(Probe(root())), HasSubstr("no sensor was found"));
  EXPECT_EQ(ProbeJson({}), "[]\n");
}

// The metrics of a source, with the channels.
std::vector<std::string> MetricsOf(const ProbedSource& source) {
  std::vector<std::string> metrics;
  for (const telemetry::Channel& channel : source.info.channels) {
    metrics.push_back(channel.metric + " " + channel.name);
  }
  return metrics;
}

TEST(RecordExamTest, TheFiguresOfAnExamJoinTheRecording) {
  const TestDirectory directory;
  const std::string exam = directory.File("exam.json");
  const std::string figures = R"({"figures": [{"key": "cuda.tests.passed", "value": 130}]})";
  std::ofstream(exam) << figures;
  EXPECT_THAT(RecordExam(exam, directory.File("record")), IsOk());
  EXPECT_EQ(ReadWholeFile(directory.File("record/gpu-exam.json")).value(), figures);
  for (const char* const wrong : {"", "[1]", "{\"board\": 1}", "tests passed: 130"}) {
    std::ofstream(exam) << wrong;
    EXPECT_THAT(RecordExam(exam, directory.File("record")),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no exam")))
        << wrong;
  }
  EXPECT_FALSE(RecordExam("/no/such/exam", directory.File("record")).ok());
}

TEST_F(ProbeTest, ARecordingProbesAsTheBoardDoes) {
  WriteBoard();
  const std::string copy = directory_.path() + "/copy";
  Write("/sys/class/power_supply/BAT0", {{"serial_number", "4711"}, {"uevent", "SERIAL=4711"}});
  Write("/vcgencmd", {{"get_throttled", "throttled=0x0"}});
  Write("/proc", {{"stat", "cpu 1 2 3 4 5 6"}, {"diskstats", "8 0 sda 1 1 1 1 1 1 1 1 1 1 1"}});
  Write("/sys/block/sda", {{"size", "1000"}});
  Write("/sys/class/net/eth0", {{"address", "00:11:22:33:44:55"}});
  Write("/sys/class/net/eth0/statistics", {{"rx_bytes", "1"}, {"tx_bytes", "1"}});
  Write("/sys/devices/system/cpu/cpufreq/policy0", {{"scaling_cur_freq", "1500000"}});
  // A Jetson's GPU: the load is behind a link.
  Write("/sys/devices/platform/17000000.gpu", {{"load", "642"}});
  Write("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu",
        {{"cur_freq", "510000000"},
         {"max_freq", "918000000"},
         {"available_frequencies", "510000000 918000000"}});
  Write("/sys/class/devfreq", {});
  const std::string gpu = "../../devices/platform/17000000.gpu/devfreq/17000000.gpu";
  std::filesystem::create_symlink(gpu, root() + "/sys/class/devfreq/17000000.gpu");
  std::filesystem::create_symlink("../..", root() + "/sys/class/devfreq/17000000.gpu/device");
  Write("/etc", {{"nvpmodel.conf",
                  "< PARAM TYPE=CLOCK NAME=GPU >\n"
                  "MAX_FREQ /sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq\n"
                  "< POWER_MODEL ID=0 NAME=7W >\nGPU MAX_FREQ 510000000\n"}});
  std::filesystem::create_symlink("../../../1-0040", root() + "/sys/class/hwmon/hwmon1/device");
  ASSERT_THAT(RecordSensors(root(), copy), IsOk());
  const auto board = Probe(root());
  const auto recorded = Probe(copy);
  ASSERT_EQ(recorded.size(), board.size());
  for (size_t i = 0; i < board.size(); ++i) {
    EXPECT_EQ(recorded[i].name, board[i].name);
    EXPECT_EQ(recorded[i].measures_device, board[i].measures_device);
    EXPECT_EQ(MetricsOf(recorded[i]), MetricsOf(board[i])) << board[i].name;
    EXPECT_EQ(recorded[i].problem.code(), board[i].problem.code());
  }
  EXPECT_EQ(recorded.size(), 5U);
  EXPECT_THAT(MetricsOf(recorded.back()), testing::Contains("wattle_gpu_busy_ratio 17000000.gpu"));
  // In the recording the power modes can be set as on the board.
  MemoryDisk disk(1);
  const std::vector<PowerModeRow> modes = NvpmodelModes(copy);
  ASSERT_EQ(modes.size(), 1);
  ASSERT_THAT(PowerSettings(copy, "boot", &disk).Set(modes[0]), IsOk());
  EXPECT_EQ(
      telemetry::ReadText(copy + "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq")
          .value_or(""),
      "510000000");
  EXPECT_FALSE(std::filesystem::exists(copy + "/sys/class/net/eth0/address"));
  EXPECT_EQ(std::filesystem::read_symlink(copy + "/sys/class/hwmon/hwmon1/device"),
            "../../../1-0040");
  for (const char* secret : {"serial_number", "uevent"}) {
    EXPECT_FALSE(std::filesystem::exists(copy + "/sys/class/power_supply/BAT0/" + secret));
  }
  EXPECT_THAT(RecordSensors(root(), copy),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not an empty")));
}

}  // namespace
}  // namespace wattle::agent
