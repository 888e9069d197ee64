// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Every command against a fake coordinator: its requests, its output and its exit code.
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/fleet_view.h"
#include "cli/job_view.h"
#include "cli/json_output.h"
#include "cli/session.h"
#include "cli/testing/program_fixture.h"
#include "cli/timetable_page.h"
#include "cli/timetable_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"

namespace wattle::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(ProgramTest, PlanPrintsTheTableAndSendsTheSpec) {
  const Result result = Run(
      {"plan", Write("job.yaml", kJobFile), "--set", "objective=time", "--set", "finetune.seed=2"});
  EXPECT_EQ(result.code, 0) << result.err;
  v1::JobSpec sent = coordinator_.state().plans.at(0).spec();
  EXPECT_EQ(result.out, RenderPlan(sent, SamplePlan(), {}));
  EXPECT_EQ(sent.objective(), v1::OBJECTIVE_TIME);
  EXPECT_EQ(sent.finetune().seed(), 2U);
  EXPECT_EQ(sent.finetune().model(), "gpt2");
}

TEST_F(ProgramTest, PlanAsJsonIsOneDocumentOfThePlan) {
  const Result result = Run({"-o", "json", "plan", Write("job.yaml", kJobFile)});
  EXPECT_EQ(result.out, ToJsonDocument(SamplePlan()));
}

TEST_F(ProgramTest, PlanAsksWhatIf) {
  const std::string file = Write("job.yaml", kJobFile);
  Run({"plan", file, "--without-policies"});
  const std::string policy = Write("policy.yaml", "name: p\nreserve_state_of_charge_ratio: 0.5\n");
  Run({"plan", file, "--policy", policy});
  const auto& plans = coordinator_.state().plans;
  ASSERT_THAT(plans, SizeIs(2));
  EXPECT_TRUE(plans[0].ignore_policies());
  ASSERT_THAT(plans[1].policies(), SizeIs(1));
  EXPECT_EQ(plans[1].policies(0).reserve_state_of_charge_ratio(), 0.5);
}

TEST_F(ProgramTest, PlanOfAnOpenJobSendsItsIdAlone) {
  const Result result = Run({"plan", "--job", "j1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("plan for squad-gpt2: finetune"));
  const auto& plans = coordinator_.state().plans;
  ASSERT_THAT(plans, SizeIs(1));
  EXPECT_EQ(plans[0].job_id(), "j1");
  EXPECT_FALSE(plans[0].has_spec());
  EXPECT_EQ(Run({"plan", "--job", "j1", Write("job.yaml", kJobFile)}).code, 2);
  EXPECT_EQ(Run({"plan", "--job", "j1", "--horizon", "12h"}).code, 2);
  EXPECT_EQ(Run({"plan", "--job", "j1", "--html", "-"}).code, 2);
  EXPECT_EQ(Run({"plan", "--job", "j1", "--set", "objective=time"}).code, 2);
}

TEST_F(ProgramTest, PlanWithAHorizonPrintsTheTimetable) {
  coordinator_.state().timetable = SampleTimetable();
  const Result result = Run({"plan", "--horizon", "24h"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, RenderTimetable(SampleTimetable(), {}));
}

TEST_F(ProgramTest, PlanWritesThePageToo) {
  coordinator_.state().timetable = SampleTimetable();
  const std::string path = Write("plan.html", "");
  const Result result = Run({"plan", "--horizon", "24h", "--html", path});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(*ReadWholeFile(path, 1 << 20), TimetablePage(SampleTimetable()));
  const Result nowhere = Run({"plan", "--horizon", "24h", "--html", "/nowhere/plan.html"});
  EXPECT_NE(nowhere.code, 0);
  EXPECT_THAT(nowhere.err, HasSubstr("--html /nowhere/plan.html: cannot be written"));
  EXPECT_EQ(Run({"plan", Write("job.yaml", kJobFile), "--html", path}).code, 2);
}

TEST_F(ProgramTest, PlanWritesThePageToTheStandardOutput) {
  coordinator_.state().timetable = SampleTimetable();
  const Result result = Run({"plan", "--horizon", "24h", "--html", "-"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, TimetablePage(SampleTimetable()));
  const Result both = Run({"plan", "--horizon", "24h", "--html", "-", "-o", "json"});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("--html -: the standard output gets JSON already"));
}

TEST_F(ProgramTest, PlanSaysWhichHorizonIsValid) {
  for (const char* horizon : {"0h", "73h", "tomorrow", "-5h", "1e300h"}) {
    const Result result = Run({"plan", "--horizon", horizon});
    EXPECT_EQ(result.code, 2) << horizon;
    EXPECT_THAT(result.err, HasSubstr("valid is 1h to 72h")) << horizon;
  }
  EXPECT_THAT(Run({"plan"}).err, HasSubstr("plan takes a job file, --job for the rest"));
  EXPECT_EQ(Run({"plan", Write("job.yaml", kJobFile), "--horizon", "12h"}).code, 2);
}

TEST_F(ProgramTest, PlanWithoutAFeasibleDeviceExitsWith5) {
  coordinator_.state().plan = SampleInfeasiblePlan();
  const Result result = Run({"plan", Write("job.yaml", kJobFile)});
  EXPECT_EQ(result.code, 5);
  EXPECT_THAT(result.out, HasSubstr("no device is feasible: every device lacks memory"));
}

// Two boards of one class and a third of another; int8 was measured only on the first class, and
// int4's quality nowhere.
v1::PlanResponse PlanWithAlternatives() {
  v1::PlanResponse plan = SamplePlan();
  for (v1::Candidate& candidate : *plan.mutable_candidates()) {
    candidate.set_refused_by("");
    candidate.set_feasible(true);
    for (const char* form : {"none", "int8", "int4-g64"}) {
      v1::ModelAlternative& one = *candidate.add_alternatives();
      one.set_model(absl::StrCat("gpt2-", form));
      one.set_quantization(form);
      one.set_is_parent(std::string(form) == "none");
      one.set_speed_measured(candidate.device_class() == plan.candidates(0).device_class());
      if (std::string(form) == "int8") {
        one.mutable_quality()->set_kl_divergence(0.001);
      }
    }
  }
  *plan.add_candidates() = plan.candidates(2);
  plan.mutable_candidates(3)->set_device_name("pi-second");
  return plan;
}

TEST_F(ProgramTest, ProbeSubmitsWhatIsMissing) {
  coordinator_.state().plan = PlanWithAlternatives();
  const Result result = Run({"probe", "gpt2", "--data", "wiki"});
  EXPECT_EQ(result.code, 0) << result.err;
  const v1::JobSpec asked = coordinator_.state().plans.at(0).spec();
  EXPECT_EQ(asked.generate().model(), "gpt2");
  EXPECT_GT(asked.quality_floor().perplexity_change_percent_max(), 100);
  std::vector<std::string> sent;
  for (const v1::SubmitJobRequest& submit : coordinator_.state().submits) {
    const v1::JobSpec& spec = submit.spec();
    EXPECT_FALSE(spec.has_quality_floor()) << "a probe runs the model that it names";
    sent.push_back(
        spec.has_evaluate()
            ? absl::StrCat(spec.evaluate().model(), " against ", spec.evaluate().reference_model())
            : absl::StrCat(spec.generate().model(), " with ", spec.required_labels(0)));
  }
  EXPECT_THAT(sent,
              ElementsAre("gpt2-int4-g64 against gpt2", "gpt2-none with device=xavier-1",
                          "gpt2-int8 with device=xavier-1", "gpt2-int4-g64 with device=xavier-1",
                          "gpt2-none with device=pi-läuft", "gpt2-int8 with device=pi-läuft",
                          "gpt2-int4-g64 with device=pi-läuft"));
}

TEST_F(ProgramTest, ProbeOfANamedDeviceAndWithoutData) {
  coordinator_.state().plan = PlanWithAlternatives();
  const Result result = Run({"probe", "gpt2", "--device", "nano-1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("nothing to probe"));
  EXPECT_THAT(result.err, HasSubstr("quality of gpt2-int4-g64 was not measured; repeat with"));
  EXPECT_EQ(Run({"probe", "gpt2", "--device", "nobody"}).code, 5);
  EXPECT_EQ(Run({"probe", "gpt2", "--kind", "evaluate"}).code, 2);
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
}

TEST_F(ProgramTest, ProbeOfAnEvaluationIsOfTheKindThatTheJobIs) {
  coordinator_.state().plan = PlanWithAlternatives();
  for (const std::string& device : {std::string("xavier-1"), std::string("pi-second")}) {
    const Result result = Run({"probe", "gpt2", "--kind", "evaluate", "--data", "squad-dev",
                               "--score-answers", "--reference-model", "gpt2", "--device", device});
    EXPECT_EQ(result.code, 0) << result.err;
  }
  EXPECT_TRUE(coordinator_.state().plans.at(0).spec().evaluate().score_answers());
  int speeds = 0;
  for (const v1::SubmitJobRequest& submit : coordinator_.state().submits) {
    const v1::EvaluateSpec& evaluate = submit.spec().evaluate();
    if (submit.spec().required_labels_size() > 0) {
      ++speeds;
      EXPECT_TRUE(evaluate.score_answers());
      EXPECT_EQ(evaluate.reference_model(), "gpt2");
      EXPECT_EQ(evaluate.limit_examples(), 16) << "answers are generated token by token";
    }
  }
  EXPECT_GE(speeds, 3);
  const Result wrong = Run({"probe", "gpt2", "--score-answers"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("--score-answers: belongs to evaluations; add --kind evaluate"));
}

TEST_F(ProgramTest, SubmitSendsOwnerAndAKeyOfItsOwnForEachFile) {
  const Result result = Run({"submit", Write("a.yaml", kJobFile), Write("b.yaml", kJobFile)});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto& submits = coordinator_.state().submits;
  ASSERT_THAT(submits, SizeIs(2));
  EXPECT_EQ(submits[0].spec().owner(), "ada");
  EXPECT_NE(submits[0].idempotency_key(), submits[1].idempotency_key());
  EXPECT_THAT(result.out, StartsWith("j7 submitted: j7 queued\n"));
}

TEST_F(ProgramTest, SubmitRepeatsWithTheSameKeyUntilItIsAnswered) {
  coordinator_.state().submits_unavailable = 3;
  const Result result = Run({"submit", Write("a.yaml", kJobFile)});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto& submits = coordinator_.state().submits;
  ASSERT_THAT(submits, SizeIs(4));
  for (const v1::SubmitJobRequest& submit : submits) {
    EXPECT_EQ(submit.idempotency_key(), "key-1");
  }
  EXPECT_THAT(result.out, StartsWith("j7 was submitted before"));
}

TEST_F(ProgramTest, SubmitTakesAKeyFromTheCommandLine) {
  const std::string file = Write("a.yaml", kJobFile);
  EXPECT_EQ(Run({"submit", file, "--idempotency-key", "mine"}).code, 0);
  EXPECT_EQ(coordinator_.state().submits.at(0).idempotency_key(), "mine");
  EXPECT_EQ(Run({"submit", file, file, "--idempotency-key", "mine"}).code, 2);
}

TEST_F(ProgramTest, SubmitSubmitsNothingWhenOneFileIsBad) {
  const Result result = Run({"submit", Write("a.yaml", kJobFile), Write("b.yaml", "name: x\n")});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
}

TEST_F(ProgramTest, SubmitNamesTheJobsThatWereMadeBeforeAnError) {
  coordinator_.state().submits_refused_from = 1;
  const Result result =
      Run({"submit", Write("a.yaml", kJobFile), Write("b.yaml", kJobFile), "-o", "json"});
  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.err, HasSubstr("b.yaml: finetune.model: no model gpt2"));
  EXPECT_THAT(result.err, HasSubstr("; submitted before it: j7\n"));
}

TEST_F(ProgramTest, SubmitAndWatchEndsWithTheJobsOutcome) {
  const std::string file = Write("a.yaml", kJobFile);
  EXPECT_EQ(Run({"submit", file, "--watch"}).code, 0);
  coordinator_.state().updates.back().mutable_job()->set_state(v1::JOB_STATE_FAILED);
  coordinator_.state().updates.back().mutable_job()->set_reason("out of memory");
  const Result failed = Run({"submit", file, "--watch", "-o", "json"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_THAT(failed.out, StartsWith("{\n \"job\": {\n"));  // one document, no progress
  EXPECT_THAT(failed.err, StartsWith("wattle: j2 failed"));
}

TEST_F(ProgramTest, WatchPrintsStatesAndProgress) {
  const Result result = Run({"job", "watch", "j2"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            absl::StrCat(RenderJobState(SampleRunning().job()), "\n",
                         "j2.1 on xavier-1 train [#########...............] 120/300  loss 2.313  "
                         "14.31 W emulated  left 24.6 s wall, 41 min 00 s device  1,244 tok/s  "
                         "1.50 Wh emulated\nj2 succeeded on xavier-1 (emulated)\n"));
}

TEST_F(ProgramTest, ATextIsNotCutByTheNewsThatItsAttemptRuns) {
  v1::JobUpdate update;
  update.mutable_job()->set_job_id("j2");
  update.mutable_job()->set_state(v1::JOB_STATE_ACTIVE);
  v1::Attempt& attempt = *update.mutable_job()->add_attempts();
  attempt.set_attempt_id("j2.1");
  attempt.set_state(v1::ATTEMPT_STATE_FETCHING);
  update.mutable_progress()->set_attempt_id("j2.1");
  update.mutable_progress()->set_text("8");
  update.mutable_progress()->set_text_bytes(1);
  coordinator_.state().updates = {update};
  attempt.set_state(v1::ATTEMPT_STATE_RUNNING);
  update.mutable_progress()->set_text("89 % charge");
  update.mutable_progress()->set_text_bytes(11);
  coordinator_.state().updates.push_back(update);
  attempt.set_state(v1::ATTEMPT_STATE_PAUSED);
  coordinator_.state().updates.push_back(update);
  update.mutable_job()->set_state(v1::JOB_STATE_SUCCEEDED);
  coordinator_.state().updates.push_back(update);
  const Result result = Run({"job", "watch", "j2"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\n89 % charge\n"));
  EXPECT_THAT(result.out, HasSubstr(" paused"));
}

TEST_F(ProgramTest, WatchAsJsonIsOneUpdateALine) {
  const Result result = Run({"job", "watch", "j2", "-o", "json"});
  const std::vector<std::string> lines = absl::StrSplit(result.out, '\n');
  ASSERT_THAT(lines, SizeIs(3));  // the last one is empty
  EXPECT_EQ(lines[0] + "\n", ToJsonLine(SampleRunning()));
}

TEST_F(ProgramTest, WatchOutlivesARestartOfTheCoordinator) {
  coordinator_.state().watches_broken = 2;
  const Result result = Run({"job", "watch", "j2"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("connection lost"));
  EXPECT_THAT(result.err, HasSubstr("; trying again\n"));
  EXPECT_THAT(result.out, HasSubstr("j2 succeeded"));
}

TEST_F(ProgramTest, InterruptEndsTheWatchAndSaysHowToGoOn) {
  coordinator_.state().on_watch = [this] { interrupt_.Raise(); };
  const Result result = Run({"job", "watch", "j2"});
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.err,
            "wattle: interrupted; j2 goes on: wattle job watch j2, or stop it: wattle job cancel "
            "j2\n");
}

TEST_F(ProgramTest, JobCommandsPrintWhatTheViewsMake) {
  const TextStyle pipe;
  const v1::Job finished = SampleFinishedJob();
  EXPECT_EQ(Run({"job", "show", "j1"}).out, RenderJob(finished, clock_.Now(), pipe));
  EXPECT_EQ(Run({"job", "show", "j1", "-o", "json"}).out, ToJsonDocument(finished));
  EXPECT_EQ(Run({"job", "receipt", "j1"}).out, RenderReceipt(finished, finished.attempts(0), pipe));
  EXPECT_EQ(Run({"-o", "json", "job", "receipt", "j1"}).out,
            ToJsonDocument(finished.attempts(0).receipt()));
  EXPECT_EQ(Run({"job", "logs", "j1"}).out,
            "2025-11-20 08:40:00 UTC j1.1 loaded 124.44 M parameters\n");
}

TEST_F(ProgramTest, JobsAreFilteredByState) {
  const Result result = Run({"jobs", "--state", "failed", "--state", "active"});
  EXPECT_THAT(result.out, HasSubstr("j2 "));
  EXPECT_THAT(result.out, HasSubstr("j3 "));
  EXPECT_THAT(result.out, Not(HasSubstr("j1 ")));
}

TEST_F(ProgramTest, JobsAreFilteredByTheCoordinator) {
  Run({"jobs", "--owner", "ada", "--owner", "bob", "--kind", "finetune", "--since", "24h"});
  const v1::ListJobsRequest& request = coordinator_.state().lists.at(0);
  EXPECT_THAT(request.owners(), ElementsAre("ada", "bob"));
  EXPECT_THAT(request.kinds(), ElementsAre("finetune"));
  EXPECT_EQ(request.submitted_since_unix_seconds(), kSampleNowUnixSeconds - 86400.0);
  EXPECT_TRUE(request.summaries()) << "a table needs no whole jobs";
}

TEST_F(ProgramTest, JobsComeFromAllPages) {
  const std::string whole = Run({"jobs"}).out;
  coordinator_.state().jobs_of_a_page = 1;
  EXPECT_EQ(Run({"jobs"}).out, whole);
  const Result two = Run({"jobs", "--limit", "2", "-o", "json"});
  EXPECT_THAT(two.out, HasSubstr("\"job_id\": \"j2\""));
  EXPECT_THAT(two.out, Not(HasSubstr("\"job_id\": \"j3\"")));
  EXPECT_EQ(two.err, "there are older jobs: --limit 20 shows more\n");
}

TEST_F(ProgramTest, NoSuchJobsIsNotNoJobs) {
  coordinator_.state().jobs.clear();
  EXPECT_EQ(Run({"jobs"}).out, "no jobs; submit one with: wattle submit FILE\n");
  EXPECT_EQ(Run({"jobs", "--owner", "eve"}).out,
            "no such jobs; wattle jobs without --state, --owner, --kind and --since lists all\n");
}

TEST_F(ProgramTest, ShowChartsOnRequest) {
  EXPECT_THAT(Run({"job", "show", "j1"}).out, Not(HasSubstr("curve")));
  EXPECT_THAT(Run({"job", "show", "j1", "--chart"}).out, HasSubstr("\n\nno curve of j1"));
}

TEST_F(ProgramTest, CancelGivesAReason) {
  EXPECT_EQ(Run({"job", "cancel", "j2"}).out, "j2 cancelled: by ada\n");
  Run({"job", "cancel", "j2", "--reason", "wrong data"});
  EXPECT_EQ(coordinator_.state().cancels.at(1).reason(), "wrong data");
}

TEST_F(ProgramTest, DevicesAreShownDrainedAndResumed) {
  EXPECT_EQ(Run({"devices"}).out, RenderDevices(SampleDevices(), clock_.Now(), {}));
  EXPECT_EQ(Run({"devices", "-o", "json"}).out, ToJsonDocument(SampleDevices()));
  EXPECT_THAT(Run({"device", "show", "nano-1"}).out, HasSubstr("(emulated)"));
  EXPECT_EQ(Run({"device", "drain", "nano-1", "--reason", "fan"}).out, "nano-1 drained\n");
  EXPECT_EQ(coordinator_.state().drains.at(0).reason(), "fan");
  EXPECT_EQ(Run({"device", "resume", "nano-1"}).out, "nano-1 idle\n");
}

TEST_F(ProgramTest, APolicyThatSelectsNoDeviceIsAppliedAndSaysSo) {
  const Result result = Run(
      {"policy", "apply",
       Write("p.yaml", "name: none\nselector: [\"site=mars\"]\nmax_temperature_celsius: 70\n")});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err,
            "policy none selects no device now; it waits for workers with --label site=mars\n");
}

TEST_F(ProgramTest, PoliciesWhoseWindowsNeverMeetAreAppliedAndSayForWhichBoards) {
  const std::string mornings = "name: mornings\nwork_windows: [\"06:00-10:00\"]\n";
  const std::string nights =
      "name: nights\nwork_windows: [\"20:00-04:00\"]\nselector: [device=nano-1]\n";
  EXPECT_THAT(Run({"policy", "apply", Write("p.yaml", mornings)}).err, IsEmpty());
  const Result result = Run({"policy", "apply", Write("p.yaml", nights)});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(
      result.err,
      "nano-1: work may never run: the windows of the policies mornings (06:00-10:00 UTC) and "
      "nights (20:00-04:00 UTC) have no time in common; change one of them\n");
}

TEST_F(ProgramTest, ContextsAreOneDocument) {
  EXPECT_THAT(Run({"context", "list", "-o", "json"}).out, HasSubstr("\"contexts\": ["));
}

TEST_F(ProgramTest, ForecastsArePushedListedAndRemoved) {
  const std::string file =
      Write("sun.csv", "time,watts\n2026-11-26T08:00:00Z,3.5\n2026-11-26T09:00:00Z,12\n");
  EXPECT_EQ(Run({"forecast", "push", file, "--name", "weather", "--select", "site=mast"}).out,
            "pushed weather, 2 hours\n");
  ASSERT_THAT(coordinator_.state().pushed_forecasts, SizeIs(1));
  EXPECT_EQ(coordinator_.state().pushed_forecasts[0].selector(0), "site=mast");
  EXPECT_EQ(Run({"forecast", "ls"}).out, RenderForecasts(SampleForecasts(), {}));
  EXPECT_EQ(Run({"forecast", "rm", "weather"}).out, "removed weather\n");
}

TEST_F(ProgramTest, ARefusedHourIsNamedByItsLine) {
  const std::string file =
      Write("sun.csv", "time,watts\n2026-11-26T08:00:00Z,3500\n2026-11-26T09:00:00Z,42000\n");
  const Result result = Run({"forecast", "push", file, "--name", "weather"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("sun.csv:3: watts: 42000 W at 2026-11-26T09:00:00Z"));
}

TEST_F(ProgramTest, PoliciesAreAppliedListedAndRemoved) {
  const std::string file =
      Write("p.yaml",
            "name: a\nselector: [site=mast]\nreserve_state_of_charge_ratio: 0.3\n---\nname: b\n");
  EXPECT_EQ(Run({"policy", "ls"}).out, RenderPolicies(SamplePolicies(), {}));
  EXPECT_EQ(Run({"policy", "apply", file}).out,
            "applied a: site=mast, keeps 30 % of charge\napplied b: every device\n");
  EXPECT_THAT(coordinator_.state().applied, SizeIs(2));
  EXPECT_EQ(Run({"policy", "rm", "field"}).out, "removed field\n");
}

TEST_F(ProgramTest, ProfilesAreListedAndShown) {
  const std::string all = Run({"profiles"}).out;
  EXPECT_THAT(all, HasSubstr("  published"));
  EXPECT_EQ(Run({"profile", "ls"}).out, all);
  const std::string nanos = Run({"profiles", "--class", "jetson-orin-nano"}).out;
  EXPECT_THAT(nanos, HasSubstr("  emulated"));
  EXPECT_THAT(nanos, Not(HasSubstr("  published")));
  EXPECT_THAT(Run({"profiles", "--class", "abacus"}).out,
              HasSubstr("all classes: wattle profiles"));
  EXPECT_THAT(Run({"profile", "show", "jetson-xavier-nx"}).out,
              HasSubstr("from          table 3, Xavier NX, GPT-2\n"));
  const Result none = Run({"profile", "show", "jetson-xavier-nx", "--front"});
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.err, HasSubstr("no measured row of this class has seconds and joules; run"));
}

TEST_F(ProgramTest, VersionAndHelp) {
  EXPECT_EQ(Run({"version"}).out, "wattle 1.2.3\n");
  EXPECT_EQ(Run({"--version"}).out, "wattle 1.2.3\n");
  EXPECT_EQ(Run({"version", "-o", "json"}).out, "{\n \"version\": \"1.2.3\"\n}\n");
  const Result help = Run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("Exit codes:"));
}

TEST_F(ProgramTest, EveryCommandHasHelpWithExamples) {
  const std::vector<std::vector<std::string>> commands = {{"submit"},
                                                          {"plan"},
                                                          {"probe"},
                                                          {"jobs"},
                                                          {"job", "show"},
                                                          {"job", "watch"},
                                                          {"job", "logs"},
                                                          {"job", "cancel"},
                                                          {"job", "receipt"},
                                                          {"job", "output"},
                                                          {"job", "retry"},
                                                          {"finetune"},
                                                          {"quantize"},
                                                          {"generate"},
                                                          {"evaluate"},
                                                          {"data", "pull"},
                                                          {"devices"},
                                                          {"device", "show"},
                                                          {"device", "drain"},
                                                          {"device", "resume"},
                                                          {"policy", "apply"},
                                                          {"policy", "ls"},
                                                          {"policy", "rm"},
                                                          {"model", "push"},
                                                          {"model", "ls"},
                                                          {"model", "pull"},
                                                          {"model", "export"},
                                                          {"data", "push"},
                                                          {"data", "ls"},
                                                          {"profile", "ls"},
                                                          {"profile", "show"},
                                                          {"profiles"},
                                                          {"device", "approve"},
                                                          {"access", "ls"},
                                                          {"quota", "set"},
                                                          {"quota", "ls"},
                                                          {"quota", "rm"},
                                                          {"service", "ls"},
                                                          {"service", "token"},
                                                          {"service", "revoke"},
                                                          {"completion"},
                                                          {"version"}};
  for (std::vector<std::string> command : commands) {
    const std::string name = absl::StrJoin(command, " ");
    command.push_back("--help");
    const Result help = Run(command);
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_THAT(help.out, HasSubstr(absl::StrCat("Examples:\n  "))) << name;
    EXPECT_THAT(help.out, HasSubstr(absl::StrCat("wattle ", name))) << name;
  }
}

TEST(TtlTest, ATokensTimeMayBeInDays) {
  EXPECT_EQ(ParseTtl("90d", 90).value(), absl::Hours(90 * 24));
  EXPECT_EQ(ParseTtl("1h30m", 30).value(), absl::Minutes(90));
  EXPECT_EQ(ParseTtl("1m", 30).value(), absl::Minutes(1));
  for (const char* text : {"", "d", "0d", "-1d", "1.5d", "90", "soon", "-1h"}) {
    EXPECT_FALSE(ParseTtl(text, 30).ok()) << text;
  }
}

TEST_F(ProgramTest, AQuotaWantsALimitAndAListOfIdentitiesAKnownKind) {
  const Result quota = Run({"quota", "set", "ann"});
  EXPECT_EQ(quota.code, 2);
  EXPECT_THAT(quota.err, HasSubstr("wanted a limit above 0: --open-jobs"));
  const Result list = Run({"access", "ls", "--kind", "robot"});
  EXPECT_EQ(list.code, 2);
  EXPECT_THAT(list.err, HasSubstr("--kind robot: wanted device, person or service"));
}

// The error names the flag, not the field of the call.
TEST_F(ProgramTest, ATokensTimeBeyondItsLimitsIsRefusedInTheFlagsWords) {
  const std::vector<std::string> service = {"service", "token", "a", "--ttl"};
  const std::vector<std::string> device = {"device", "token", "--ttl"};
  const std::vector<std::string> person = {"person", "token", "a", "--role", "viewer", "--ttl"};
  const std::tuple<std::vector<std::string>, std::string, std::string> cases[] = {
      {service, "367d", "--ttl 367d: wanted 1m to 366d"},
      {service, "59s", "--ttl 59s: wanted 1m to 366d"},
      {device, "31d", "--ttl 31d: wanted 1m to 30d"},
      {person, "31d", "--ttl 31d: wanted 1m to 30d"}};
  for (auto [command, ttl, message] : cases) {
    command.push_back(ttl);
    const Result result = Run(command);
    EXPECT_EQ(result.code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
  }
}

TEST_F(ProgramTest, ATokenIsEndedByItsIdOrByAllOfIt) {
  const std::string id = "0123456789abcdef";
  const std::string secret(32, 'a');
  const std::string whole = absl::StrCat("wattle-service:", id, ":", secret);
  const std::string board =
      absl::StrCat("wattle1:hub:7410:", id, ":", secret, ":", std::string(64, 'b'));
  const std::string revoked = absl::StrCat("revoked the token ", id, "\n");
  EXPECT_EQ(Run({"service", "revoke", id}).out, revoked);
  EXPECT_EQ(Run({"service", "revoke", whole}).out, revoked);
  EXPECT_EQ(Run({"device", "token", "--revoke", board}).out, revoked);
  EXPECT_THAT(coordinator_.state().token_revocations, testing::Each(id));
  const Result part = Run({"service", "revoke", absl::StrCat(id, ":", secret)});
  EXPECT_EQ(part.code, 2);
  EXPECT_THAT(part.err, Not(HasSubstr(secret)));
  EXPECT_EQ(coordinator_.state().token_revocations.size(), 3U);
  EXPECT_EQ(Run({"-o", "json", "service", "revoke", id}).out, "{}\n");
  coordinator_.state().revoke_status = {grpc::StatusCode::ALREADY_EXISTS, "was revoked already"};
  const Result again = Run({"service", "revoke", id});
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(again.out, absl::StrCat("the token ", id, " was revoked already\n"));
  coordinator_.state().revoke_status = {grpc::StatusCode::NOT_FOUND, "no token"};
  EXPECT_EQ(Run({"service", "revoke", id}).code, 3);
}

TEST_F(ProgramTest, AServicesTokenLogsNobodyIn) {
  const Result result =
      Run({"login", absl::StrCat("wattle-service:0123456789abcdef:", std::string(32, 'a'))});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("is a service's"));
  EXPECT_THAT(result.err, HasSubstr("'wattle person token'"));
}

}  // namespace
}  // namespace wattle::cli
