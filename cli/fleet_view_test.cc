// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Overviews of the fleet as text: status, top, energy.
#include "cli/fleet_view.h"

#include <string>

#include "absl/strings/str_split.h"
#include "cli/fleet_summary.h"
#include "cli/table.h"
#include "cli/testing/golden_text.h"
#include "cli/testing/sample_messages.h"
#include "cli/top_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(DeviceViewTest, SaysByWhatTheDeviceKnowsTheTimeAndHowItsLinkIs) {
  v1::Device device = SampleDevices().devices(0);
  const auto shown = [&] {
    return RenderDevice(device, absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds));
  };
  v1::Heartbeat& heartbeat = *device.mutable_heartbeat();
  heartbeat.clear_unix_seconds();
  heartbeat.set_clock_source(v1::CLOCK_SOURCE_COORDINATOR);
  heartbeat.set_clock_error_seconds(0.42);
  EXPECT_THAT(shown(), HasSubstr("clock         told by the coordinator, within 0.42 s\n"));
  heartbeat.set_clock_source(v1::CLOCK_SOURCE_KERNEL);
  EXPECT_THAT(shown(), HasSubstr("kept by a time service, within 0.42 s"));
  heartbeat.set_clock_source(v1::CLOCK_SOURCE_FLOOR);
  EXPECT_THAT(shown(), HasSubstr("the time is not known since the board started"));
  EXPECT_THAT(shown(), Not(HasSubstr("\n  link")));
  heartbeat.mutable_link()->set_download_bytes_per_second(51'200);
  heartbeat.mutable_link()->set_download_bytes_per_second_low(10'240);
  heartbeat.mutable_link()->set_round_trip_seconds(0.6);
  device.mutable_ledger()->mutable_link_bytes()->set_fetched(1 << 20);
  EXPECT_THAT(shown(), HasSubstr("link          fetches 50.0 KiB/s (one in ten below 10.0 KiB/s), "
                                 "round trip 0.6 s\n"));
  EXPECT_THAT(shown(), HasSubstr("link bytes    fetched 1.0 MiB\n"));
}

absl::Time FleetNow() {
  return absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds);
}

FleetAnswers Answers() {
  FleetAnswers answers;
  answers.devices = SampleDevices();
  *answers.devices.mutable_devices(2)->mutable_heartbeat()->add_progress() =
      SampleRunning().progress();
  const v1::ListJobsResponse jobs = SampleJobs();
  for (const v1::Job& job : jobs.jobs()) {
    if (job.state() == v1::JOB_STATE_FAILED) {
      *answers.failed_jobs.add_jobs() = job;
    } else if (job.finished_unix_seconds() == 0.0) {
      *answers.open_jobs.add_jobs() = job;
    }
  }
  v1::JobSummary* queued = answers.open_jobs.add_summaries();
  queued->set_job_id("j6");
  queued->set_name("nightly evaluation");
  queued->set_kind("evaluate");
  queued->set_state(v1::JOB_STATE_QUEUED);
  queued->set_submitted_unix_seconds(kSampleNowUnixSeconds - 300.0);
  queued->set_reason(
      "no device can take it now; nano-1: at 22 %, the reserve is 30 % (policy field)");
  answers.coordinator = SampleCoordinator();
  answers.today = SampleEnergy();
  return answers;
}

std::string Top(int width_columns, const TopState& state) {
  const FleetAnswers answers = Answers();
  return RenderTop(answers, SummarizeFleet(answers, FleetNow()), state, FleetNow(),
                   {.width_columns = width_columns, .height_rows = 24, .is_terminal = true});
}

TEST(StatusViewTest, Golden) {
  const FleetSummary summary = SummarizeFleet(Answers(), FleetNow());
  ExpectGolden("status.txt", RenderStatus(summary, {}));
  ExpectGolden("status_80_columns.txt", RenderStatus(summary, {.width_columns = 80}));
  ExpectGolden("status.json", StatusJson(summary));
}

TEST(StatusViewTest, WhatIsNotKnownIsADash) {
  const std::string text = RenderStatus(SummarizeFleet({}, FleetNow()), {});
  EXPECT_THAT(text, HasSubstr("power now     -\n"));
  EXPECT_THAT(text, HasSubstr("today         -\n"));
  EXPECT_THAT(text, HasSubstr("attention     nothing\n"));
}

TEST(StatusViewTest, NamesThatCollideNeedAttention) {
  FleetAnswers answers;
  answers.devices = SampleDevices();
  answers.devices.mutable_devices(1)->mutable_info()->set_name("nano-1");
  EXPECT_THAT(SummarizeFleet(answers, FleetNow()).attention,
              Contains(HasSubstr("nano-1 is the name of 2 devices")));
}

TEST(StatusViewTest, ARestoreThatLostWorkNeedsAttention) {
  FleetAnswers answers;
  answers.coordinator = SampleCoordinator();
  answers.coordinator->set_epoch(1);
  answers.coordinator->set_restored_unix_seconds(kSampleNowUnixSeconds - 3600.0);
  answers.coordinator->add_restore_findings()->set_recovered(true);
  EXPECT_THAT(SummarizeFleet(answers, FleetNow()).attention, testing::IsEmpty())
      << "taken in again";
  answers.coordinator->add_restore_findings()->set_recovered(false);
  EXPECT_THAT(SummarizeFleet(answers, FleetNow()).attention,
              ElementsAre("the journal was restored on 2025-11-20 07:40:00 UTC; 1 attempt of the "
                          "time that the backup does not know was lost or done again: submit what "
                          "is missing anew; the list: wattle doctor"));
}

TEST(StatusViewTest, ADevicesProblemIsSaid) {
  FleetAnswers answers;
  answers.devices = SampleDevices();
  answers.devices.mutable_devices(0)->set_problem("nano-1: two boards use the identity ab");
  EXPECT_THAT(SummarizeFleet(answers, FleetNow()).attention,
              Contains("nano-1: two boards use the identity ab"));
  EXPECT_THAT(RenderDevices(answers.devices, FleetNow(), {}),
              HasSubstr("two boards use the identity"));
  EXPECT_THAT(RenderDevice(answers.devices.devices(0), FleetNow()),
              HasSubstr("problem       nano-1: two boards"));
}

// The board's problem explains its absence, so its power needs no attention.
TEST(StatusViewTest, ARevokedBoardIsNoBoardWithABadLink) {
  FleetAnswers answers;
  answers.devices = SampleDevices();
  v1::Device& device = *answers.devices.mutable_devices(0);
  device.set_connected(false);
  device.set_unreachable(true);
  device.set_problem("nano-1 was revoked: stolen; a new token lets it in again");
  EXPECT_THAT(SummarizeFleet(answers, FleetNow()).attention,
              testing::AllOf(Contains(device.problem()),
                             testing::Not(Contains(HasSubstr("look at its power")))));
}

TEST(StatusViewTest, ABoardThatWasNotHeardSinceTheStartSaysSo) {
  v1::ListDevicesResponse devices = SampleDevices();
  devices.mutable_devices(0)->clear_last_seen_unix_seconds();
  EXPECT_THAT(RenderDevices(devices, FleetNow(), {}), HasSubstr("not since start"));
  EXPECT_THAT(RenderDevice(devices.devices(0), FleetNow()),
              HasSubstr("last seen     not since the coordinator's start"));
}

TEST(StatusViewTest, AHoldOfTheOwnerIsSaidWithItsEnd) {
  FleetAnswers answers;
  answers.devices = SampleDevices();
  v1::Device& device = *answers.devices.mutable_devices(0);
  device.set_last_seen_unix_seconds(1'800'003'600.0);
  device.mutable_heartbeat()->set_owner_hold_seconds(1800.0);
  const std::string held = "held by its owner until 2027-01-15 09:30:00 UTC";
  EXPECT_THAT(SummarizeFleet(answers, FleetNow()).attention,
              Contains(device.info().name() + " is " + held +
                       "; sooner: wattle-worker release on the board"));
  EXPECT_THAT(RenderDevices(answers.devices, FleetNow(), {}), HasSubstr("held by its owner until"));
  EXPECT_THAT(RenderDevice(device, FleetNow()), HasSubstr("reason        " + held));
}

TEST(TopViewTest, Golden) {
  ExpectGolden("top_80_columns.txt", Top(80, {}));
  ExpectGolden("top_140_columns.txt", Top(140, {.order = TopOrder::kPower}));
}

TEST(TopViewTest, LongIdsLeaveATableAtEightyColumns) {
  FleetAnswers answers = Answers();
  answers.devices.mutable_devices(2)->mutable_info()->set_name("nano-mast3");
  answers.devices.mutable_devices(2)->set_running_attempt_id("j10000002.1001");
  answers.devices.mutable_devices(2)->clear_queued_attempt_ids();
  answers.devices.mutable_devices(2)->mutable_heartbeat()->mutable_progress(0)->set_attempt_id(
      "j10000002.1001");
  answers.devices.mutable_devices(1)->set_unreachable(true);
  EXPECT_THAT(RenderTop(answers, SummarizeFleet(answers, FleetNow()), {}, FleetNow(),
                        {.width_columns = 80, .height_rows = 24, .is_terminal = true}),
              HasSubstr("\nnano-mast3  busy         14.31 W ~         -  j10000002  train 40 %"));
}

TEST(TopViewTest, FitsEightyColumns) {
  const std::string screen = Top(80, {.paused = true});
  for (const absl::string_view line : absl::StrSplit(screen, '\n')) {
    EXPECT_LE(DisplayWidth(line), 80U) << line;
  }
  EXPECT_THAT(screen, HasSubstr("14.31 W ~")) << "emulated watts carry their mark";
}

TEST(EnergyViewTest, Golden) {
  ExpectGolden("energy.txt", RenderEnergy(SampleEnergy(), v1::ENERGY_GROUPING_DEVICE, {}));
  ExpectGolden("energy.csv", EnergyCsv(SampleEnergy(), v1::ENERGY_GROUPING_DEVICE));
}

TEST(EnergyViewTest, CsvRunsNoFormula) {
  v1::EnergyReport report;
  report.add_rows()->set_key("=1+2");
  EXPECT_THAT(EnergyCsv(report, v1::ENERGY_GROUPING_OWNER), HasSubstr("\r\n'=1+2,"));
}

}  // namespace
}  // namespace wattle::cli
