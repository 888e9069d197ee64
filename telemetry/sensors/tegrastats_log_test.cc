// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests lines of tegrastats, and complete recordings of boards under load if the checkout has them
// (bench/data/tegrastats).
#include "telemetry/sensors/tegrastats_log.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "telemetry/sensors/testing/test_tree.h"

namespace wattle::telemetry {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr char kNano[] =
    "RAM 3546/3964MB (lfb 35x1MB) SWAP 1923/1982MB (cached 2MB) IRAM 0/252kB(lfb 252kB) CPU "
    "[5%@204,4%@204,27%@204,0%@204] EMC_FREQ 7%@204 GR3D_FREQ 0%@76 APE 25 PLL@17C CPU@21.5C "
    "PMIC@50C GPU@21C AO@27C thermal@21.5C POM_5V_IN 1372/1372 POM_5V_GPU 0/0 POM_5V_CPU 208/208";
constexpr char kOrin[] =
    "09-19-2026 13:33:02 RAM 2850/7486MB (lfb 33x4MB) CPU [2%@729,off] EMC_FREQ 5%@665 GR3D_FREQ "
    "0%@[305] cpu@45.812C/45.812C tj@46.843C VDD_IN 3582mW/3582mW/3582mW VDD_SOC 1127mW/1100mW";

TEST(TegrastatsLineTest, RailsAndZonesOfBothFormats) {
  const auto nano = ParseTegrastatsLine(kNano);
  ASSERT_THAT(nano, IsOk());
  EXPECT_THAT(nano->rails,
              UnorderedElementsAre(Pair("POM_5V_IN", Watts(1.372)), Pair("POM_5V_GPU", Watts(0)),
                                   Pair("POM_5V_CPU", Watts(0.208))));
  EXPECT_EQ(nano->temperatures.size(), 5U);
  EXPECT_EQ(nano->temperatures.count("PMIC"), 0U);
  EXPECT_EQ(nano->temperatures.at("CPU"), Celsius(21.5));
  const auto orin = ParseTegrastatsLine(kOrin);
  ASSERT_THAT(orin, IsOk());
  EXPECT_THAT(orin->rails,
              UnorderedElementsAre(Pair("VDD_IN", Watts(3.582)), Pair("VDD_SOC", Watts(1.127))));
  EXPECT_EQ(orin->temperatures.at("tj"), Celsius(46.843));
}

TEST(TegrastatsLineTest, OtherLinesAreErrors) {
  for (const char* line : {"", "RAM 3546/3964MB", "hello world", "VDD_IN 3582mW", "VDD_IN a/b"}) {
    EXPECT_THAT(ParseTegrastatsLine(line), StatusIs(StatusCode::kInternal, HasSubstr("no rail")))
        << line;
  }
}

std::vector<Candidate> Play(const std::string& file) {
  return Discover("tegrastats_log", "", {{.kind = "tegrastats_log", .values = {{"file", file}}}});
}

TEST(TegrastatsLogTest, ARecordingIsPlayedInItsTimeAndIsNoMeasurement) {
  const TestDirectory directory;
  const std::string file = directory.Write(
      "log", "VDD_IN 1000mW/1mW VDD_SOC 9mW/9mW\nVDD_IN 2000mW/1mW\nVDD_SOC 9mW/9mW\n");
  const auto source = Only(Play(file));
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->info().energy_source, v1::ENERGY_SOURCE_EMULATED);
  const auto at = [&](double seconds) {
    return source->Poll(Monotonic(absl::Seconds(100 + seconds)));
  };
  EXPECT_EQ(std::get<Watts>(at(0)->at(0).value), Watts(1));
  EXPECT_EQ(std::get<Watts>(at(0.9)->at(0).value), Watts(1));
  EXPECT_EQ(std::get<Watts>(at(1)->at(0).value), Watts(2));
  EXPECT_THAT(at(2), StatusIs(StatusCode::kUnavailable, HasSubstr("without VDD_IN")));
  EXPECT_EQ(std::get<Watts>(at(3)->at(0).value), Watts(1));  // from the first line again
}

TEST(TegrastatsLogTest, AFileThatIsNoLogIsAProblem) {
  const TestDirectory directory;
  EXPECT_THAT(Play(directory.File("none"))[0].problem,
              StatusIs(StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(Play(directory.Write("a", ""))[0].problem,
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(Play(directory.Write("a", "x\n"))[0].problem,
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("is it a log of tegrastats?")));
}

// Means and maxima that awk computed over the same files.
TEST(TegrastatsLogTest, RealBoardsUnderLoad) {
  const struct {
    const char* file;
    const char* total;
    int lines;
    double mean;
    double peak;
  } boards[] = {{"loudva_nano0.log", "POM_5V_IN", 1069, 1.05307, 2.711},
                {"loudva_nx0.log", "VDD_IN", 1031, 2.78399, 8.683}};
  for (const auto& board : boards) {
    SCOPED_TRACE(board.file);
    const auto source = Only(Play(FiguresPath(absl::StrCat("tegrastats/", board.file))));
    ASSERT_NE(source, nullptr);
    EXPECT_EQ(source->info().channels.size(), 3U + 5U);
    double sum = 0;
    double peak = 0;
    for (int i = 0; i < board.lines; ++i) {
      const auto readings = source->Poll(Monotonic(absl::Seconds(7 + i)));
      ASSERT_THAT(readings, IsOk()) << "line " << i + 1;
      ASSERT_EQ(readings->size(), source->info().channels.size());
      for (const Reading& reading : *readings) {
        const Channel& channel = source->info().channels[reading.channel];
        EXPECT_EQ(channel.in_total, channel.name == board.total);
        if (channel.in_total) {
          sum += std::get<Watts>(reading.value).value();
          peak = std::max(peak, std::get<Watts>(reading.value).value());
        }
      }
    }
    EXPECT_NEAR(sum / board.lines, board.mean, 1e-4);
    EXPECT_NEAR(peak, board.peak, 1e-9);
  }
}

}  // namespace
}  // namespace wattle::telemetry
