// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whole tables, blocks and JSON documents: tests/golden/cli.
#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/artifact_view.h"
#include "cli/fleet_view.h"
#include "cli/job_view.h"
#include "cli/json_output.h"
#include "cli/labels.h"
#include "cli/testing/golden_text.h"
#include "cli/testing/sample_messages.h"
#include "cli/timetable_page.h"
#include "cli/timetable_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "proto/approval.h"

namespace wattle::cli {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr TextStyle kPipe{};
constexpr TextStyle kNarrow{.width_columns = 80};

absl::Time Now() {
  return absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds);
}

TEST(PlanViewTest, Golden) {
  ExpectGolden("plan.txt", RenderPlan(SampleSpec(), SamplePlan(), kPipe));
  ExpectGolden("plan_80_columns.txt", RenderPlan(SampleSpec(), SamplePlan(), kNarrow));
  ExpectGolden("plan_power_modes.txt", RenderPlan(SampleSpec(), SamplePowerModePlan(), kPipe));
  ExpectGolden("plan_infeasible.txt", RenderPlan(SampleSpec(), SampleInfeasiblePlan(), kPipe));
  ExpectGolden("plan_alternatives.txt", RenderPlan(SampleSpec(), SampleAlternativesPlan(), kPipe));
  ExpectGolden("plan_empty_fleet.txt", RenderPlan(SampleSpec(), v1::PlanResponse(), kPipe));
  ExpectGolden("plan.json", ToJsonDocument(SamplePlan()));
}

TEST(TimetableViewTest, Golden) {
  ExpectGolden("timetable.txt", RenderTimetable(SampleTimetable(), kPipe));
  ExpectGolden("timetable_80_columns.txt", RenderTimetable(SampleTimetable(), kNarrow));
  ExpectGolden("timetable.json", ToJsonDocument(SampleTimetable()));
}

// HTML in hostile names stays text.
TEST(TimetablePageTest, Golden) {
  v1::Timetable timetable = SampleTimetable();
  timetable.mutable_without_place(0)->set_reason("<script>alert('x')</script> & more");
  const std::string page = TimetablePage(timetable);
  ExpectGolden("timetable.html", page);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

// A whisker above a bar shows the span of its begin, one below that of its end; the table has both
// in words.
TEST(TimetablePageTest, ShowsTheSpansOfStartsAndEnds) {
  const std::string page = TimetablePage(SampleTimetable());
  const auto count = [&page](absl::string_view text) {
    return std::vector<std::string>(absl::StrSplit(page, text)).size() - 1;
  };
  EXPECT_EQ(count("<path class=\"span\" d=\"M"), 5) << "j2 ends; j6 and j5 begin and end";
  EXPECT_THAT(
      page,
      HasSubstr("<title>j6: 2025-11-20 09:10:00 UTC (90 %: 08:55:00 to 09:25:00) to 2025-11-20 "
                "09:55:00 UTC (90 %: 09:25:00 to 10:25:00)</title></rect><text"));
  EXPECT_THAT(page, HasSubstr("<path class=\"span\" d=\"M10.4 0 v3 v-1.5 H31.2 v1.5 v-3\"/>\n"));
  EXPECT_THAT(page, HasSubstr("<td>2025-11-20 09:10:00 UTC (90 %: 08:55:00 to 09:25:00)</td><td>"
                              "2025-11-20 09:55:00 UTC (90 %: 09:25:00 to 10:25:00)</td>"));
}

// The named colour in the page's style, in the light or dark theme.
std::string ColourOf(absl::string_view page, absl::string_view name, bool dark) {
  const std::string entry = absl::StrCat("--", name, ": ");
  std::string found;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    const size_t at = line.find(entry);
    if (at != absl::string_view::npos && absl::StrContains(line, "prefers-color-scheme") == dark) {
      found = std::string(line.substr(at + entry.size()));
    }
  }
  return found.substr(0, found.find_first_of("; "));
}

// The relative luminance of "#1d2733" or "#fff", by WCAG 2.
double LuminanceOf(const std::string& colour) {
  const size_t digits = colour.size() == 4 ? 1 : 2;
  const auto part = [&](size_t i) {
    const std::string text = colour.substr(1 + i * digits, digits);
    const double value = std::stoi(digits == 1 ? text + text : text, nullptr, 16) / 255.0;
    return value <= 0.03928 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2);
}

double ContrastOf(const std::string& one, const std::string& other) {
  const auto [darker, lighter] = std::minmax({LuminanceOf(one), LuminanceOf(other)});
  return (lighter + 0.05) / (darker + 0.05);
}

// WCAG 2, level AA, requires 4.5:1.
TEST(TimetablePageTest, TextInBarsCanBeRead) {
  const std::string page = TimetablePage(SampleTimetable());
  // The text of a running bar has the colour of the page; other text has the ink's colour.
  ASSERT_THAT(page, HasSubstr("svg text { font-size: 11px; fill: var(--ink); }"));
  ASSERT_THAT(page, HasSubstr("svg .runs + text { fill: var(--paper); }"));
  ASSERT_THAT(page, ContainsRegex("<rect class=\"runs\".*</rect><text"));
  for (const bool dark : {false, true}) {
    const auto colour = [&](const char* name) { return ColourOf(page, name, dark); };
    EXPECT_GE(ContrastOf(colour("paper"), colour("runs")), 4.5) << dark;
    EXPECT_GE(ContrastOf(colour("ink"), colour("waits")), 4.5) << dark;
    EXPECT_GE(ContrastOf(colour("ink"), colour("paper")), 4.5) << dark;
  }
}

TEST(TimetablePageTest, NamesTheDayThatBegins) {
  v1::Timetable timetable = SampleTimetable();
  timetable.set_horizon_seconds(72 * 3600);
  EXPECT_THAT(TimetablePage(timetable),
              AllOf(HasSubstr(">21 Nov</text>"), HasSubstr(">23 Nov</text>"),
                    HasSubstr(">06:00</text>"), Not(HasSubstr(">00:00</text>"))));
}

TEST(TimetableViewTest, AnEmptyFleetSaysWhatToDo) {
  EXPECT_THAT(RenderTimetable(v1::Timetable(), kPipe), HasSubstr("start a wattle-worker"));
}

TEST(JobViewTest, Golden) {
  ExpectGolden("jobs.txt", RenderJobs(SampleJobs(), Now(), kPipe));
  ExpectGolden("jobs_80_columns.txt", RenderJobs(SampleJobs(), Now(), kNarrow));
  ExpectGolden("job_show.txt", RenderJob(SampleFinishedJob(), Now(), kPipe));
  ExpectGolden("job.json", ToJsonDocument(SampleFinishedJob()));
  ExpectGolden("job_update.jsonl", ToJsonLine(SampleRunning()));
}

TEST(JobViewTest, AnOpenJobTellsWhatItHasSpentAndWhatIsLeft) {
  v1::Job job = SampleRunning().job();
  EXPECT_THAT(RenderJob(job, Now(), kPipe), Not(HasSubstr("so far")));
  job.set_spent_energy_joules(5400);
  EXPECT_THAT(RenderJob(job, Now(), kPipe), ContainsRegex("so far +1.50 Wh\n"));
  job.mutable_spec()->set_energy_budget_wh(5);
  EXPECT_THAT(RenderJob(job, Now(), kPipe),
              ContainsRegex("so far +1.50 Wh, 3.50 Wh of its energy budget are left\n"));
  job.set_spent_energy_joules(19'000);  // the board learns of it a little late
  EXPECT_THAT(RenderJob(job, Now(), kPipe), HasSubstr(", 0.0 J of its energy budget are left"));
  job.set_finished_unix_seconds(kSampleNowUnixSeconds);
  EXPECT_THAT(RenderJob(job, Now(), kPipe), Not(HasSubstr("so far")));
}

TEST(PlanViewTest, ADeviceOfTwoProcessorsShowsBothInEachMode) {
  v1::PlanResponse plan = SamplePowerModePlan();
  v1::Candidate& board = *plan.mutable_candidates(0);
  board.mutable_other_power_modes(1)->set_on_cpu(true);
  const std::string text = RenderPlan(SampleSpec(), plan, kPipe);
  EXPECT_THAT(text, ContainsRegex("nano-1 +7W, GPU +11726 +36.33 Wh"));
  EXPECT_THAT(text, ContainsRegex("- +15W, GPU +9000 +27.50 Wh"));
  EXPECT_THAT(text, ContainsRegex("- +25W, CPU +9000 +27.50 Wh"));
  board.clear_power_mode();  // a board without modes, for which the processor is the choice
  board.set_sets_power_mode(false);
  board.set_on_cpu(true);
  board.mutable_other_power_modes()->Clear();
  board.add_other_power_modes()->set_run_seconds(9000);
  const std::string cores = RenderPlan(SampleSpec(), plan, kPipe);
  EXPECT_THAT(cores, ContainsRegex("nano-1 +jetson-orin-nano \\(emulated\\), CPU "));
  EXPECT_THAT(cores, ContainsRegex("nano-1 +CPU +11726"));
  EXPECT_THAT(cores, ContainsRegex("- +GPU +9000"));
}

TEST(JobViewTest, AJobTellsTheGroupThatItRunsApartFrom) {
  v1::Job job = SampleRunning().job();
  EXPECT_THAT(RenderJob(job, Now(), kPipe), Not(HasSubstr("apart")));
  job.mutable_spec()->mutable_apart()->set_group("folds");
  EXPECT_THAT(RenderJob(job, Now(), kPipe), ContainsRegex("apart +folds\n"));
  job.mutable_spec()->mutable_apart()->set_by("site");
  EXPECT_THAT(RenderJob(job, Now(), kPipe), ContainsRegex("apart +folds, by site\n"));
}

TEST(JobViewTest, AStateIsOneLine) {
  EXPECT_EQ(RenderJobState(SampleRunning().job()),
            "j2 active: attempt j2.1 running on xavier-1 (emulated): earliest finish");
  EXPECT_EQ(RenderJobState(SampleFinishedJob()), "j1 succeeded on nano-1 (emulated)");
  EXPECT_EQ(RenderJobState(SampleFailedJob()),
            "j3 failed: heldout: not SQuAD JSON: data[0].paragraphs is missing");
}

TEST(ReceiptViewTest, Golden) {
  const v1::Job finished = SampleFinishedJob();
  ExpectGolden("receipt_emulated.txt", RenderReceipt(finished, finished.attempts(0), kPipe));
  const v1::Job measured = SampleMeasuredJob();
  ExpectGolden("receipt_measured.txt", RenderReceipt(measured, measured.attempts(0), kPipe));
}

TEST(ReceiptViewTest, OnlyASensorOfTheDeviceIsCalledMeasured) {
  v1::Job job = SampleMeasuredJob();
  v1::Receipt* receipt = job.mutable_attempts(0)->mutable_receipt();
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe), HasSubstr(" measured"));
  receipt->mutable_run()->set_source(v1::ENERGY_SOURCE_MODEL);
  receipt->mutable_total()->set_source(v1::ENERGY_SOURCE_MODEL);
  const std::string modelled = RenderReceipt(job, job.attempts(0), kPipe);
  EXPECT_THAT(modelled, HasSubstr(" modelled"));
  EXPECT_THAT(modelled, HasSubstr("source        model, mains, modelled: not measured\n"));
  EXPECT_THAT(modelled, Not(HasSubstr("  measured")));
}

TEST(ReceiptViewTest, SaysByHowMuchTheRunMovedTheRow) {
  v1::Job job = SampleFinishedJob();
  v1::Receipt& receipt = *job.mutable_attempts(0)->mutable_receipt();
  v1::RowMove& move = *receipt.mutable_row_move();
  const auto text = [&job] { return RenderReceipt(job, job.attempts(0), kPipe); };
  EXPECT_THAT(text(), HasSubstr("\nprofile row   4.583 ms → 4.590 ms (+0.2 %), 51.700 mJ → "
                                "52.100 mJ (+0.8 %) a training token, mean of 3 runs\n"));
  move.set_device_changed(true);
  EXPECT_THAT(text(),
              HasSubstr("runs; the device changed its speed, earlier runs count no more\n"));
  move = v1::RowMove();
  move.set_seconds_per_unit_after(0.00459);
  move.set_runs(1);
  EXPECT_THAT(text(), HasSubstr("\nprofile row   first run of this work here: 4.590 ms a training "
                                "token\n"))
      << "without a sensor";
  receipt.clear_row_move();
  EXPECT_THAT(text(), Not(HasSubstr("profile row")));
}

TEST(ReceiptViewTest, SaysThatOtherProgramsKeptTheBoardBusy) {
  v1::Job job = SampleMeasuredJob();
  v1::Receipt& receipt = *job.mutable_attempts(0)->mutable_receipt();
  const auto text = [&job] { return RenderReceipt(job, job.attempts(0), kPipe); };
  EXPECT_THAT(text(), Not(HasSubstr("contended")));
  receipt.mutable_run()->set_seconds(1000);
  receipt.set_contended_seconds(100);
  EXPECT_THAT(text(), HasSubstr("\ncontended     other programs kept the board busy for 1 min 40 s "
                                "of the run (10 %)\n"));
  receipt.set_contended_seconds(110);
  EXPECT_THAT(text(), HasSubstr(" of the run (11 %): it moves no measured row, and can only widen "
                                "its interval\n"));
}

TEST(ReceiptViewTest, SaysHowLongAWeakSupplyHeldTheWork) {
  v1::Job job = SampleMeasuredJob();
  const auto text = [&job] { return RenderReceipt(job, job.attempts(0), kPipe); };
  EXPECT_THAT(text(), Not(HasSubstr("under-voltage")));
  job.mutable_attempts(0)->mutable_receipt()->set_under_voltage_seconds(700);
  EXPECT_THAT(text(), HasSubstr("\nunder-voltage the board's supply was too weak, so the work "
                                "stood still for 11 min 40 s\n"));
}

TEST(ReceiptViewTest, TellsPausesBesideTheTotal) {
  v1::Job job = SampleMeasuredJob();
  const auto text = [&job] { return RenderReceipt(job, job.attempts(0), kPipe); };
  EXPECT_THAT(text(), Not(HasSubstr("paused")));
  job.mutable_attempts(0)->mutable_receipt()->set_paused_seconds(700);
  EXPECT_THAT(text(), ContainsRegex("\npaused +- +700\\.0 +11 min 40 s\n"));
  EXPECT_THAT(text(), HasSubstr(", from acceptance to result, without its pauses\n"));
}

TEST(ReceiptViewTest, SaysWhereARestartedRunnerWentOn) {
  v1::Job job = SampleMeasuredJob();
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe), HasSubstr("1, began anew"));
  job.mutable_attempts(0)->mutable_receipt()->set_resumed_from_step(20);
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe),
              HasSubstr("1, resumed from a checkpoint"));
}

TEST(ReceiptViewTest, AnswersThatEndedEarlyAreNoCutExamples) {
  v1::Job job = SampleMeasuredJob();
  v1::WorkDone& work = *job.mutable_attempts(0)->mutable_receipt()->mutable_work();
  work.set_truncated_examples(54);
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe),
              HasSubstr(", 54 answers ended by max_new_tokens or the context\n"));
  work.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe), HasSubstr(", 54 examples cut\n"));
}

TEST(ReceiptViewTest, NoDifferenceHasNoSign) {
  EXPECT_EQ(FormatDifference(1000, 999.9), "+0.0 %");
  EXPECT_EQ(FormatDifference(1000, 999), "-0.1 %");
}

TEST(ReceiptViewTest, SaysThatARunWasNumericallyContinued) {
  v1::Job job = SampleMeasuredJob();
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe), Not(HasSubstr("numerically")));
  job.mutable_attempts(0)->mutable_receipt()->set_numerically_continued(true);
  EXPECT_THAT(RenderReceipt(job, job.attempts(0), kPipe),
              HasSubstr("\nresume        numerically continued: "));
}

TEST(ReceiptViewTest, TheLastAttemptWithAReceiptCounts) {
  v1::Job job = SampleFinishedJob();
  job.add_attempts()->set_attempt_id("j1.2");
  ASSERT_NE(LastReceipt(job), nullptr);
  EXPECT_EQ(LastReceipt(job)->attempt_id(), "j1.1");
  EXPECT_EQ(LastReceipt(SampleFailedJob()), nullptr);
}

TEST(FleetViewTest, Golden) {
  ExpectGolden("devices.txt", RenderDevices(SampleDevices(), Now(), kPipe));
  ExpectGolden("devices.json", ToJsonDocument(SampleDevices()));
  ExpectGolden("device_show.txt", RenderDevice(SampleDevices().devices(2), Now()));
  v1::Device pc = SampleDevices().devices(1);
  pc.mutable_info()->set_accelerator("cuda");
  pc.mutable_info()->set_accelerator_total_bytes(24LL << 30);
  EXPECT_THAT(RenderDevice(pc, Now()), HasSubstr("GPU memory    24.0 GiB of its own\n"));
  pc.mutable_info()->set_accelerator_shares_memory(true);
  EXPECT_THAT(RenderDevice(pc, Now()), HasSubstr("GPU memory    the board's\n"));
  v1::ListPoliciesResponse policies;
  v1::Policy& supply = *policies.add_policies();
  supply.mutable_power_group()->set_name("mast");
  supply.mutable_power_group()->set_power_cap_watts(40);
  v1::Policy& elsewhere = *policies.add_policies();
  elsewhere.add_selector("nobody");
  elsewhere.mutable_power_group()->set_name("hut");
  EXPECT_THAT(RenderDevice(SampleDevices().devices(2), Now(), policies),
              HasSubstr("  power group   mast, at most 40.00 W\n"));
  ExpectGolden("policies.txt", RenderPolicies(SamplePolicies(), kPipe));
}

TEST(FleetViewTest, LimitsWithoutAColumnStandBehindTheOthers) {
  v1::ListPoliciesResponse policies;
  v1::Policy& policy = *policies.add_policies();
  policy.set_name("card");
  policy.set_flash_bytes_per_day(5e9);
  EXPECT_THAT(RenderPolicies(policies, kPipe),
              testing::ContainsRegex("more\ncard .* lets checkpoints write 4.7 GiB a day"));
}

TEST(FleetViewTest, TheHeatIsToldOnceTheSamplesTellIt) {
  v1::Device device = SampleDevices().devices(0);
  EXPECT_THAT(RenderDevice(device, Now()), testing::Not(HasSubstr("  heat ")));
  v1::HeatModel& heat = *device.mutable_heartbeat()->mutable_heat_model();
  heat.set_error_kelvin(0.62);
  for (const auto& [kelvin_per_watt, seconds] : {std::pair(1.2, 20.0), std::pair(6.0, 280.0)}) {
    heat.add_stages()->set_kelvin_per_watt(kelvin_per_watt);
    heat.mutable_stages(heat.stages_size() - 1)->set_time_constant_seconds(seconds);
  }
  EXPECT_THAT(RenderDevice(device, Now()),
              HasSubstr("  heat          7.2 K/W, settles in 14 min 00 s; error 0.6 K\n"));
  heat.set_throttle_celsius(80);
  EXPECT_THAT(RenderDevice(device, Now()),
              HasSubstr("7.2 K/W, settles in 14 min 00 s, throttles at 80 °C; error 0.6 K\n"));
}

// A charge that is derived from a voltage, or counted, is shown with the worker's stated error.
TEST(FleetViewTest, AChargeIsToldWithItsError) {
  v1::Device device = SampleDevices().devices(0);
  EXPECT_THAT(RenderDevice(device, Now()), HasSubstr("  charge        83 ± 7 %"));
  // the present error, which may exceed the gauge's own
  device.mutable_info()->set_gauge_error_ratio(0.05);
  device.mutable_heartbeat()->set_gauge_error_ratio(0.14);
  EXPECT_EQ(ChargeWords(device), "83 ± 14 %");
  device.mutable_heartbeat()->clear_gauge_error_ratio();
  EXPECT_EQ(ChargeWords(device), "83 ± 5 %");
  device.mutable_info()->set_gauge_error_ratio(0.004);
  EXPECT_EQ(ChargeWords(device), "83 %");
  device.mutable_info()->clear_gauge_error_ratio();
  EXPECT_EQ(ChargeWords(device), "83 %");
  device.mutable_heartbeat()->set_has_battery(false);
  EXPECT_EQ(ChargeWords(device), "");
}

TEST(FleetViewTest, IdsAreAsLongAsTellsDevicesApart) {
  v1::ListDevicesResponse devices = SampleDevices();
  devices.mutable_devices(0)->mutable_info()->set_device_id("0123456789ab0000");
  devices.mutable_devices(1)->mutable_info()->set_device_id("0123456789cd0000");
  const std::string text = RenderDevices(devices, Now(), kPipe);
  EXPECT_THAT(text, HasSubstr("  0123456789a  "));
  EXPECT_THAT(text, HasSubstr("  0123456789c  "));
}

TEST(FleetViewTest, StateOfADeviceIsOneWord) {
  v1::Device device = SampleDevices().devices(0);
  EXPECT_EQ(DeviceStateWord(device), "idle");
  device.set_waits_for_approval(true);
  device.set_problem(ApprovalProblem(device.info()));
  EXPECT_EQ(DeviceStateWord(device), "waits for approval");
  EXPECT_THAT(RenderDevice(device, absl::UnixEpoch()), HasSubstr("wattle device approve"));
  device.clear_waits_for_approval();
  device.clear_problem();
  device.mutable_heartbeat()->set_guard_reason("charge 18 %, reserve 20 %");
  EXPECT_EQ(DeviceStateWord(device), "held by policy");
  device.mutable_heartbeat()->set_guard_reason("under-voltage: the board's supply is too weak");
  EXPECT_EQ(DeviceStateWord(device), "weak supply");
  device.mutable_heartbeat()->set_owner_hold_seconds(1.0);
  EXPECT_EQ(DeviceStateWord(device), "held by owner");
  device.set_running_attempt_id("j1.1");
  device.set_drained(true);
  EXPECT_EQ(DeviceStateWord(device), "draining");
  device.set_connected(false);
  EXPECT_EQ(DeviceStateWord(device), "disconnected");
  device.set_unreachable(true);
  EXPECT_EQ(DeviceStateWord(device), "unreachable");
  device.mutable_heartbeat()->set_power_off_reason("the battery is at 14 %");
  EXPECT_EQ(DeviceStateWord(device), "off");
  device.set_connected(true);
  device.set_unreachable(false);
  EXPECT_EQ(DeviceStateWord(device), "draining") << "it is back, or not gone yet";
}

TEST(ArtifactViewTest, Golden) {
  ExpectGolden("models.txt", RenderModels(SampleModels(), Now(), kPipe));
  ExpectGolden("data.txt", RenderDataSets(SampleDataSets(), Now(), kPipe));
  EXPECT_EQ(RenderPushed(SampleDataSets().artifacts(0)),
            "data fleet-qa: 77aacd34ef56, 150.7 KiB, squad, 412 (301 answerable) examples\n");
}

TEST(ModelsViewTest, TheFormOfTheFilesIsShown) {
  v1::ListArtifactsResponse models = SampleModels();
  v1::QuantizationRecipe& recipe = *models.mutable_artifacts(0)->mutable_recipe();
  recipe.mutable_matrices()->set_bits(16);
  recipe.mutable_matrices()->set_scheme(v1::NUMBER_SCHEME_BFLOAT);
  EXPECT_THAT(RenderModels(models, Now(), kPipe), HasSubstr("  none (bf16)  "));
  recipe.mutable_matrices()->set_scheme(v1::NUMBER_SCHEME_FLOAT);
  recipe.mutable_matrices()->set_bits(32);
  EXPECT_THAT(RenderModels(models, Now(), kPipe), Not(HasSubstr("none (")));
}

TEST(LabelsTest, EnumWordsAreThoseOfJobFiles) {
  EXPECT_EQ(Word(v1::OBJECTIVE_EDP), "edp");
  EXPECT_EQ(Word(v1::ATTEMPT_STATE_SUPERSEDED), "superseded");
  EXPECT_EQ(Word(v1::JOB_STATE_UNSPECIFIED), "");
  EXPECT_EQ(Word(static_cast<v1::JobState>(99)), "unknown 99");
}

TEST(LabelsTest, NumbersKeepThreeDigitsAndTheirUnit) {
  EXPECT_EQ(FormatSeconds(11726.4), "11726");
  EXPECT_EQ(FormatSeconds(83.44), "83.4");
  EXPECT_EQ(FormatCount(20000), "20,000");
  EXPECT_EQ(FormatCount(124'439'808), "124.44 M");
  v1::Interval range;
  range.set_low(3000.0);
  range.set_high(7200.0);
  EXPECT_EQ(FormatEnergyRange(range), "3000.0 J-2.00 Wh");
}

TEST(FleetViewTest, ADeviceTellsHowLongItsBatteryLastsAndWhatEachHourBrings) {
  v1::Device device = SampleDevices().devices(0);
  device.mutable_info()->set_pushes_metrics(true);
  v1::Heartbeat& heartbeat = *device.mutable_heartbeat();
  heartbeat.set_has_battery(true);
  heartbeat.set_has_battery_power(true);
  heartbeat.set_battery_power_watts(-4.5);
  heartbeat.set_seconds_to_empty(5 * 3600);
  heartbeat.set_seconds_to_full(16 * 3600);
  for (int hour = 0; hour < 24; ++hour) {
    device.mutable_ledger()->add_harvest_power_watts_by_hour(hour < 6 ? -1 : hour == 12 ? 20 : 0);
  }
  const std::string text = RenderDevice(device, Now());
  EXPECT_THAT(text, HasSubstr("4.50 W out, empty in 5 h"));
  EXPECT_THAT(text, HasSubstr("full in 16 h"));
  EXPECT_THAT(text, HasSubstr("- - - - - - 0.0 0.0 0.0 0.0 0.0 0.0 20.0 0.0"));
  EXPECT_THAT(text, HasSubstr("pushed"));
}

}  // namespace
}  // namespace wattle::cli
