// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The commands about the whole fleet, as a person types them.
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "cli/fleet_view.h"
#include "cli/json_output.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class OverviewTest : public ProgramTest {};

TEST_F(OverviewTest, StatusTellsTheFleetInAFewLines) {
  const Result result = Run({"status"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("3 devices: 1 busy, 1 drained, 1 idle"),
                                HasSubstr("1 active"), HasSubstr("needs attention"),
                                HasSubstr("upgrade u3 to 0.3.0 paused in stage 2 (100%)")));
  EXPECT_THAT(Run({"-o", "json", "status"}).out, HasSubstr("\"attention\""));
  EXPECT_EQ(coordinator_.state().energy_requests.at(0).by(), v1::ENERGY_GROUPING_DAY);
  EXPECT_EQ(coordinator_.state().energy_requests.at(0).since_unix_seconds(),
            kSampleNowUnixSeconds - (8 * 60 + 40) * 60.0)
      << "midnight";
}

TEST_F(OverviewTest, TopWithoutATerminalIsOneScreenAfterTheOther) {
  const Result result = Run({"top", "--once"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("xavier-1"), HasSubstr("queue  1 active")));
  int sleeps = 0;
  on_sleep_ = [&] {
    if (++sleeps == 40) {
      interrupt_.Raise();
    }
  };
  coordinator_.state().energy_requests.clear();
  EXPECT_EQ(Run({"top"}).code, 0);
  EXPECT_THAT(coordinator_.state().energy_requests, SizeIs(2)) << "every 30 s of 40";
}

TEST_F(OverviewTest, TopIsNoDocument) {
  EXPECT_EQ(Run({"top", "-o", "json"}).code, 2);
}

TEST_F(OverviewTest, EventsAreOneLineEach) {
  const Result result = Run({"events"});
  EXPECT_EQ(result.out,
            "2025-11-20 08:39:00 UTC  j2 submitted by ada: finetune squad-gpt2\n"
            "2025-11-20 08:40:00 UTC  nano-1 lost its connection\n");
  const Result json = Run({"events", "-o", "json"});
  const std::vector<std::string> lines = absl::StrSplit(json.out, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0] + "\n", ToJsonLine(SampleEvents()[0]));
}

TEST_F(OverviewTest, TheAuditHasWhatPeopleDidAlone) {
  EXPECT_EQ(Run({"audit"}).out,
            "2025-11-20 08:39:00 UTC  j2 submitted by ada: finetune squad-gpt2; person ada from "
            "10.0.0.7\n");
}

TEST_F(OverviewTest, EnergyIsATableOrCsv) {
  EXPECT_EQ(Run({"energy", "--by", "device"}).out,
            RenderEnergy(SampleEnergy(), v1::ENERGY_GROUPING_DEVICE, {}));
  EXPECT_EQ(Run({"energy", "--by", "device", "-o", "csv"}).out,
            EnergyCsv(SampleEnergy(), v1::ENERGY_GROUPING_DEVICE));
  Run({"energy", "--by", "day", "--since", "24h"});
  EXPECT_EQ(coordinator_.state().energy_requests.back().by(), v1::ENERGY_GROUPING_DAY);
  EXPECT_EQ(coordinator_.state().energy_requests.back().since_unix_seconds(),
            kSampleNowUnixSeconds - 86400.0);
  EXPECT_EQ(Run({"energy", "--since", "soon"}).code, 2);
  const Result csv = Run({"devices", "-o", "csv"});
  EXPECT_EQ(csv.code, 2);
  EXPECT_THAT(csv.err, HasSubstr("only wattle energy writes CSV"));
}

TEST_F(OverviewTest, DoctorExitsWith5WhereThereIsTrouble) {
  const Result result = Run({"doctor"});
  EXPECT_EQ(result.code, 5) << "the coordinator of the samples is of another version";
  EXPECT_THAT(result.out, HasSubstr("!!  the coordinator is version 0.1.0, this wattle is 1.2.3"));
  EXPECT_THAT(result.out, HasSubstr("!!  upgrade u3 to 0.3.0 paused in stage 2 (100%)"));
  EXPECT_THAT(Run({"doctor", "-o", "json"}).out, HasSubstr("\"remedy\""));
}

TEST_F(OverviewTest, ADeviceThatLeftIsRemoved) {
  const Result result = Run({"device", "rm", "nano-1"});
  EXPECT_THAT(result.out, ::testing::StartsWith("removed nano-1 ("));
  EXPECT_THAT(coordinator_.state().device_removals, ::testing::ElementsAre("nano-1"));
  EXPECT_EQ(Run({"device", "rm", "nobody"}).code, 3);
}

}  // namespace
}  // namespace wattle::cli
