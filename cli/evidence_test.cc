// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Modelled numbers are marked as modelled everywhere. The energy of a job is the sum of all its
// attempts.
#include <string>

#include "cli/job_view.h"
#include "cli/labels.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/testing/golden_text.h"
#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

absl::Time EvidenceNow() {
  return absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds);
}

TEST(EvidenceTest, ADeviceWithoutASensorDrawsNobodyKnowsWhat) {
  v1::Device device = SampleDevices().devices(1);
  device.mutable_info()->set_energy_source(v1::ENERGY_SOURCE_MODEL);
  EXPECT_EQ(PowerWords(device), "") << "idle: the last job's figure is no reading";
  device.set_running_attempt_id("j1.1");
  EXPECT_EQ(PowerWords(device), "3.10 W modelled");
  device.mutable_heartbeat()->set_power_source(v1::ENERGY_SOURCE_SMART_PLUG);
  EXPECT_EQ(PowerWords(device), "3.10 W");
  device.set_unreachable(true);
  EXPECT_EQ(PowerWords(device), "") << "the last reading is old";
}

TEST(EvidenceTest, WatchSaysWhatIsModelled) {
  v1::JobUpdate update = SampleRunning();
  update.mutable_job()->mutable_attempts(0)->mutable_placement()->mutable_best(0)->set_emulated(
      false);
  update.mutable_progress()->set_energy_source(v1::ENERGY_SOURCE_MODEL);
  const std::string line = RenderJobProgress(update, {});
  EXPECT_THAT(line, HasSubstr("14.31 W modelled"));
  EXPECT_THAT(line, HasSubstr("1.50 Wh modelled"));
}

TEST(EvidenceTest, AtEightyColumnsWattsAndTimeLeftStayAndJoulesGo) {
  const std::string line = RenderJobProgress(SampleRunning(), {.width_columns = 80});
  EXPECT_LE(DisplayWidth(line), 80U);
  EXPECT_THAT(line, HasSubstr(" W emulated"));
  EXPECT_THAT(line, HasSubstr("left "));
  EXPECT_THAT(line, Not(HasSubstr("Wh")));
}

TEST(RetriedJobTest, ReceiptsCoverTheJob) {
  const v1::Job job = SampleRetriedJob();
  EXPECT_EQ(JobEnergyWords(job), "49.1 J emulated and modelled, of 2 attempts");
  ExpectGolden("receipts_retried.txt", RenderReceipts(job, {}));
  const std::string text = RenderReceipts(job, {});
  EXPECT_THAT(text, Not(HasSubstr("%\n"))) << "a cancelled run is compared with nothing";
  EXPECT_THAT(text, Not(HasSubstr("engine ")));
  EXPECT_THAT(text, Not(HasSubstr("work  ")));
  EXPECT_THAT(text, HasSubstr("predicted of a full run"));
  ExpectGolden("job_show_retried.txt", RenderJob(job, EvidenceNow(), {}));
}

TEST(RetriedJobTest, ARetryTellsItself) {
  v1::Job job = SampleRetriedJob();
  job.set_state(v1::JOB_STATE_ACTIVE);
  job.clear_reason();
  job.set_attempts_max(3);
  job.mutable_attempts(1)->set_state(v1::ATTEMPT_STATE_RUNNING);
  EXPECT_EQ(RenderJobState(job),
            "j5 active: attempt 2 of 3 (j5.2) running on nano-1 (emulated), because j5.1 failed on "
            "pi-läuft: the runner was killed: out of memory; use a smaller batch_size");
}

TEST(ReleasedJobTest, BothReceiptsSayWhoLeftForWhom) {
  v1::Job urgent = SampleFinishedJob();
  urgent.mutable_attempts(0)->add_released_attempt_ids("j9.1");
  EXPECT_THAT(RenderReceipts(urgent, {}),
              HasSubstr("\nj9.1 left a device for this job's deadline\n"));

  v1::Job released = SampleRetriedJob();
  v1::Attempt& left = *released.mutable_attempts(0);
  left.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
  left.set_reason("left nano-1 to j2, whose deadline was 3 h 00 min away");
  left.set_released_for_job_id("j2");
  left.set_reached_step(40);
  EXPECT_THAT(
      RenderReceipts(released, {}),
      HasSubstr("\nj5.1 left nano-1 to j2, whose deadline was 3 h 00 min away; the job went "
                "on behind step 40\n"));
}

TEST(WaitingJobTest, ItsPlaceIsShown) {
  v1::Job job = SampleFinishedJob();
  job.set_state(v1::JOB_STATE_QUEUED);
  job.clear_attempts();
  EXPECT_THAT(RenderJob(job, EvidenceNow(), {}), Not(HasSubstr("expected")));
  job.mutable_place()->set_expected_start_unix_seconds(kSampleNowUnixSeconds + 3600);
  job.mutable_place()->set_expected_end_unix_seconds(kSampleNowUnixSeconds + 7200);
  job.mutable_place()->set_behind_job_id("j3");
  job.mutable_place()->set_waits_for("its attempt j4.1 hands over");
  const std::string place = "starts " + FormatInstant(kSampleNowUnixSeconds + 3600) + ", ends " +
                            FormatInstant(kSampleNowUnixSeconds + 7200) +
                            ", behind j3; its attempt j4.1 hands over\n";
  EXPECT_THAT(RenderJob(job, EvidenceNow(), {}), HasSubstr(place));
}

// The sample's present time is 08:40:00.
TEST(WaitingJobTest, ItsPlaceIsShownWithItsSpansItsChargeAndItsRunnerUp) {
  v1::Job job = SampleFinishedJob();
  job.set_state(v1::JOB_STATE_QUEUED);
  job.clear_attempts();
  EXPECT_THAT(RenderJob(job, EvidenceNow(), {}), Not(HasSubstr("runner-up")));
  v1::Placement& place = *job.mutable_place();
  place.set_expected_start_unix_seconds(kSampleNowUnixSeconds + 3600);
  place.set_start_low_unix_seconds(kSampleNowUnixSeconds + 1800);
  place.set_start_high_unix_seconds(kSampleNowUnixSeconds + 7200);
  place.set_expected_end_unix_seconds(kSampleNowUnixSeconds + 7200);
  place.set_end_low_unix_seconds(kSampleNowUnixSeconds + 5400);
  place.set_end_high_unix_seconds(kSampleNowUnixSeconds + 16 * 3600);
  place.set_reason("nano-1: 20.14 Wh; waits 1 h 00 min until it is free");
  v1::Candidate& chosen = *place.add_best();
  chosen.set_feasible(true);
  chosen.set_has_battery(true);
  chosen.set_start_state_of_charge_ratio(0.54);
  EXPECT_THAT(RenderJob(job, EvidenceNow(), {}), Not(HasSubstr("runner-up")));
  v1::Candidate& other = *place.add_best();
  other.set_device_name("xavier-1");
  other.set_feasible(true);
  other.set_marginal_energy_joules(147312);
  EXPECT_THAT(
      RenderJob(job, EvidenceNow(), {}),
      HasSubstr(
          "  expected      starts 2025-11-20 09:40:00 UTC (90 %: 09:10:00 to 10:40:00), when its "
          "pack has 54 %, ends 2025-11-20 10:40:00 UTC (90 %: 10:10:00 to 2025-11-21 00:40:00 "
          "UTC)\n"
          "  plan          nano-1: 20.14 Wh; waits 1 h 00 min until it is free\n"
          "  runner-up     xavier-1: 40.92 Wh above idle\n"));
}

// A waiting job with a place on nano-1, the choice of the sample's plan.
v1::Job WaitingJob() {
  v1::Job job = SampleFinishedJob();
  job.set_state(v1::JOB_STATE_QUEUED);
  job.clear_attempts();
  job.clear_finished_unix_seconds();
  job.clear_output_artifact_id();
  v1::Placement& place = *job.mutable_place();
  place.set_device_id(SamplePlan().chosen_device_id());
  place.set_expected_start_unix_seconds(kSampleNowUnixSeconds + 3600);
  place.set_expected_end_unix_seconds(kSampleNowUnixSeconds + 7200);
  return job;
}

TEST(WaitingJobTest, ItsPageTellsWhatWouldChangeItsPlace) {
  v1::PlanResponse plan = SamplePlan();
  ExpectGolden("job_show_waiting.txt",
               RenderJob(WaitingJob(), EvidenceNow(), {}, {.plan = plan, .ahead_job_id = "j4"}));
  EXPECT_THAT(RenderJob(WaitingJob(), EvidenceNow(), {}, {.plan = plan, .ahead_job_id = ""}),
              HasSubstr("  would win     xavier-1 with batch_size 2, gradient_accumulation_steps "
                        "4: 19.44 Wh; with the measured profile of nano-1: 19.86 Wh\n"
                        "  would win     pi-läuft with activation_checkpointing true: 19.00 Wh\n"));
  // At most three in total, and none for the board that has the job's place.
  for (v1::Candidate& candidate : *plan.mutable_candidates()) {
    v1::WinningChange& more = *candidate.add_would_win_if();
    more.set_change("power mode 10W");
    more.set_cost(3600);
  }
  const std::string text =
      RenderJob(WaitingJob(), EvidenceNow(), {}, {.plan = plan, .ahead_job_id = ""});
  EXPECT_THAT(text, HasSubstr("; with the measured profile of nano-1: 19.86 Wh; with power mode "
                              "10W: 1.00 Wh\n  submitted "));
  EXPECT_THAT(text, Not(HasSubstr("would win     nano-1")));
  EXPECT_THAT(text, Not(HasSubstr("would win     pi-läuft")));
}

TEST(WaitingJobTest, ItsPageNamesTheJobThatHoldsItsPlace) {
  v1::Job job = WaitingJob();
  EXPECT_THAT(RenderJob(job, EvidenceNow(), {}, {.plan = {}, .ahead_job_id = "j4"}),
              HasSubstr(", behind j4, whose attempt is on the board\n"));
  job.mutable_place()->set_behind_job_id("j3");
  EXPECT_THAT(RenderJob(job, EvidenceNow(), {}, {.plan = {}, .ahead_job_id = "j4"}),
              HasSubstr(", behind j3\n"));
}

}  // namespace
}  // namespace wattle::cli
