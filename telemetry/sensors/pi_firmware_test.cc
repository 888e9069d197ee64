// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests with literal answers of real boards' firmware.
#include "telemetry/sensors/pi_firmware.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// A Pi 5: the order of the currents is not that of the voltages, and two lines have no current.
constexpr char kPmic[] =
    "     3V7_WL_SW_A current(0)=0.09466522A\n"
    "       3V3_SYS_A current(1)=0.08197812A\n"
    "       1V8_SYS_A current(2)=0.15029320A\n"
    "      DDR_VDD2_A current(3)=0.00390372A\n"
    "      DDR_VDDQ_A current(4)=0.00000000A\n"
    "       1V1_SYS_A current(5)=0.20299340A\n"
    "        0V8_SW_A current(6)=0.30546610A\n"
    "      VDD_CORE_A current(7)=1.11625000A\n"
    "       3V3_DAC_A current(17)=0.00000000A\n"
    "       3V3_ADC_A current(18)=0.00018315A\n"
    "       0V8_AON_A current(16)=0.00274725A\n"
    "          HDMI_A current(22)=0.01660560A\n"
    "     3V7_WL_SW_V volt(8)=3.62925200V\n"
    "       3V3_SYS_V volt(9)=3.31652900V\n"
    "       1V8_SYS_V volt(10)=1.79877700V\n"
    "      DDR_VDD2_V volt(11)=1.10146400V\n"
    "      DDR_VDDQ_V volt(12)=0.60622650V\n"
    "       1V1_SYS_V volt(13)=1.10402800V\n"
    "        0V8_SW_V volt(14)=0.79853400V\n"
    "      VDD_CORE_V volt(15)=0.74944980V\n"
    "       0V8_AON_V volt(19)=0.79794790V\n"
    "       3V3_DAC_V volt(20)=3.31043600V\n"
    "       3V3_ADC_V volt(21)=3.31684600V\n"
    "          HDMI_V volt(23)=5.10138000V\n"
    "         EXT5V_V volt(24)=5.08530000V\n"
    "          BATT_V volt(25)=0.00000000V\n";

class PiFirmwareTest : public testing::Test {
 protected:
  void Answer(const std::string& command, const std::string& text) {
    std::filesystem::create_directories(directory_.path() + "/vcgencmd");
    std::ofstream(directory_.path() + "/vcgencmd/" + command) << text;
  }
  TestDirectory directory_;
};

TEST(PmicAnswerTest, RailsArePairedByNameAndTheInputVoltageIsNone) {
  const auto rails = ParsePmicAnswer(kPmic);
  ASSERT_THAT(rails, IsOk());
  EXPECT_THAT(*rails, SizeIs(12));
  double sum = 0;
  for (const PmicRail& rail : *rails) {
    sum += rail.power.value();
  }
  EXPECT_NEAR(sum, 2.28, 0.005);  // the known sum of this answer's rails
}

TEST(PmicAnswerTest, APi4DoesNotKnowTheCommand) {
  EXPECT_THAT(ParsePmicAnswer("error=1 error_msg=\"Command not registered\""),
              StatusIs(StatusCode::kUnavailable, HasSubstr("not registered")));
  EXPECT_THAT(ParsePmicAnswer("VDD_CORE_A current(7)=1.1A\nVDD_CORE_V volt(15)="),
              StatusIs(StatusCode::kUnavailable, HasSubstr("no rail")));
}

TEST(ThrottledAnswerTest, BitsAreHexadecimal) {
  EXPECT_EQ(*ParseThrottled("throttled=0x0"), 0U);
  EXPECT_EQ(*ParseThrottled("throttled=0x50005"), 0x50005U);
  EXPECT_EQ(*ParseThrottled("50005"), 0x50005U);  // as sysfs prints them
  for (const char* wrong : {"throttled=", "", "error=1 error_msg=\"x\""}) {
    EXPECT_THAT(ParseThrottled(wrong), StatusIs(StatusCode::kInternal, HasSubstr("0x…")));
  }
}

TEST_F(PiFirmwareTest, APi5HasAPowerSourceAndTellsThrottling) {
  Answer("pmic_read_adc", kPmic);
  Answer("get_throttled", "throttled=0x0\n");
  const auto found = Discover("pi_firmware", directory_.path());
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_FALSE(found[0].source->info().measures_power());
  EXPECT_EQ(found[1].source->info().scope, "rails_sum");
  EXPECT_THAT(*found[1].source->Poll(Monotonic()), SizeIs(12));
  Answer("get_throttled", "throttled=0x4\n");
  const auto readings = found[0].source->Poll(Monotonic());
  EXPECT_TRUE(std::get<Throttling>(readings->at(0).value).now);
}

// Channel 0: clocks are lowered now; 1 to 4: the conditions now; 5 to 8: since boot.
std::vector<double> Conditions(Source& source) {
  const auto readings = source.Poll(Monotonic());
  EXPECT_THAT(readings, IsOk());
  std::vector<double> values;
  for (const Reading& reading : *readings) {
    const auto* throttling = std::get_if<Throttling>(&reading.value);
    const auto* supply = std::get_if<UnderVoltage>(&reading.value);
    values.push_back(throttling != nullptr ? (throttling->now ? 1.0 : 0.0)
                     : supply != nullptr   ? (supply->now ? 1.0 : 0.0)
                                           : std::get<Level>(reading.value).value);
  }
  return values;
}

TEST_F(PiFirmwareTest, ConditionsThatTheKernelClearedAreRemembered) {
  Answer("get_throttled", "throttled=0x50000");
  const auto found = Discover("pi_firmware", directory_.path());
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(Conditions(*found[0].source), testing::ElementsAre(0, 0, 0, 0, 0, 1, 0, 1, 0));
  Answer("get_throttled", "throttled=0x1");  // under-voltage; the clocks are unchanged
  EXPECT_THAT(Conditions(*found[0].source), testing::ElementsAre(0, 1, 0, 0, 0, 1, 0, 1, 0));
  Answer("get_throttled", "throttled=0x8");
  EXPECT_THAT(Conditions(*found[0].source), testing::ElementsAre(1, 0, 0, 0, 1, 1, 0, 1, 1));
}

TEST_F(PiFirmwareTest, AFittedLineMakesAnEstimatedInputThatAloneIsTheTotal) {
  Answer("pmic_read_adc", kPmic);
  const auto found = Discover(
      "pi_firmware", directory_.path(),
      {{.kind = "pi_firmware", .values = {{"slope", "1.1451"}, {"offset_watts", "0.5879"}}}});
  ASSERT_THAT(found, SizeIs(1));
  const SourceInfo& info = found[0].source->info();
  EXPECT_EQ(info.scope, "estimated");
  const auto readings = found[0].source->Poll(Monotonic());
  ASSERT_THAT(*readings, SizeIs(13));
  double total = 0;
  for (const Reading& reading : *readings) {
    total += info.channels[reading.channel].in_total ? std::get<Watts>(reading.value).value() : 0;
  }
  EXPECT_NEAR(total, 3.20, 0.005);  // 1.1451 × 2.28 W + 0.5879 W
}

TEST_F(PiFirmwareTest, AUserOutsideTheGroupVideoIsToldTheRemedy) {
  const auto found = DiscoverPiFirmware(
      [](const std::string&) -> absl::StatusOr<std::string> {
        return absl::PermissionDeniedError("/dev/vcio: add the worker's user to the group video");
      },
      {});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].source, nullptr);
  EXPECT_THAT(found[0].problem, StatusIs(StatusCode::kPermissionDenied, HasSubstr("group video")));
}

TEST_F(PiFirmwareTest, AFirmwareThatStopsAnsweringIsAnError) {
  Answer("pmic_read_adc", kPmic);
  const auto found = Discover("pi_firmware", directory_.path());
  ASSERT_THAT(found, SizeIs(1));
  Answer("pmic_read_adc", "VDD_CORE_A current(7)=nanA\nVDD_CORE_V volt(15)=0.7V\n");
  EXPECT_THAT(found[0].source->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("no rail")));
  std::filesystem::remove_all(directory_.path() + "/vcgencmd");
  EXPECT_THAT(found[0].source->Poll(Monotonic()),
              StatusIs(StatusCode::kNotFound, HasSubstr("pmic_read_adc")));
}

TEST_F(PiFirmwareTest, APi4TellsThrottlingAlone) {
  Answer("pmic_read_adc", "error=1 error_msg=\"Command not registered\"");
  Answer("get_throttled", "throttled=0x0\n");
  EXPECT_THAT(Discover("pi_firmware", directory_.path()), SizeIs(1));
}

TEST_F(PiFirmwareTest, ARailThatVanishesIsAnErrorAndNotASmallerSum) {
  Answer("pmic_read_adc", kPmic);
  const auto found = Discover("pi_firmware", directory_.path());
  ASSERT_THAT(found, SizeIs(1));
  Answer("pmic_read_adc", "HDMI_A current(22)=0.0166A\nHDMI_V volt(23)=5.1V\n");
  EXPECT_THAT(found[0].source->Poll(Monotonic()),
              StatusIs(StatusCode::kUnavailable, HasSubstr("is missing")));
}

TEST_F(PiFirmwareTest, OtherBoardsHaveNone) {
  EXPECT_THAT(Discover("pi_firmware", directory_.path()), IsEmpty());
}

}  // namespace
}  // namespace wattle::telemetry
