// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle profile export, import, rm and run: their files and requests, and the inputs that they
// refuse before any call.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "cli/profile_file.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class ProfileCommandsTest : public ProgramTest {
 protected:
  ProfileCommandsTest() { coordinator_.state().coordinator.set_lineage_id("00112233aabbccdd"); }

  std::string ReadBack(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(Path(name)).rdbuf();
    return text.str();
  }
  void ExpectRefused(const std::string& file, const std::string& text) {
    const Result result = Run({"profile", "import", file});
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(StartsWith("wattle: "), HasSubstr(text), EndsWith("\n")));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(coordinator_.state().imports, IsEmpty());
  }
};

TEST_F(ProfileCommandsTest, TheRowsOfADeviceGoToAFileAndComeFromIt) {
  const Result exported = Run({"profile", "export", Path("rows.json"), "--device", "nano-1"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(exported.out, Path("rows.json") + ": 1 row of 1 class\n");
  const std::string text = ReadBack("rows.json");
  EXPECT_THAT(text, HasSubstr("\"format\": \"wattle-profile-rows\""));
  EXPECT_THAT(text, HasSubstr("\"fleet\": \"00112233aabbccdd\""));
  EXPECT_THAT(text, HasSubstr("\"device_class\": \"jetson-orin-nano\""));
  EXPECT_THAT(text, HasSubstr("\"emulated\": true"));
  EXPECT_THAT(text, Not(HasSubstr("nano-1")));
  EXPECT_THAT(text, Not(HasSubstr("device_id")));
  EXPECT_THAT(text, Not(HasSubstr("job j1")));

  const Result imported = Run({"profile", "import", Path("rows.json")});
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_EQ(imported.out, Path("rows.json") +
                              ": 1 imported row; measured rows of the same workload go before "
                              "them\n");
  ASSERT_EQ(coordinator_.state().imports.size(), 1U);
  const v1::ImportProfilesRequest& sent = coordinator_.state().imports[0];
  EXPECT_EQ(sent.file_name(), "rows.json");
  ASSERT_EQ(sent.file().rows_size(), 1);
  EXPECT_EQ(sent.file().rows(0).seconds_per_unit().mean(),
            SampleProfiles().rows(0).seconds_per_unit().mean())
      << "every digit comes back";
}

TEST_F(ProfileCommandsTest, WhatCannotBeExportedSaysWhatToDo) {
  EXPECT_THAT(Run({"profile", "export", Path("a.json")}).err,
              HasSubstr("profile export: no measured rows; run a job there first"))
      << "the sample has rows of one device and of a paper";
  EXPECT_EQ(Run({"profile", "export", Path("a.json"), "--class", "abacus"}).code, 3);
  EXPECT_EQ(Run({"profile", "export", Path("a.json"), "--device", "moon"}).code, 3);
  EXPECT_EQ(Run({"profile", "export", Path("a.json"), "--device", "a", "--class", "b"}).code, 2);
  const std::string there = Write("there.json", "precious");
  const Result exported = Run({"profile", "export", there, "--device", "nano-1"});
  EXPECT_EQ(exported.code, 5);
  EXPECT_THAT(exported.err, HasSubstr("there.json: is there already; remove it or choose another"));
  EXPECT_EQ(ReadBack("there.json"), "precious");
}

TEST_F(ProfileCommandsTest, FilesThatAreNoneAreRefusedInOneLine) {
  Run({"profile", "export", Path("rows.json"), "--device", "nano-1"});
  const std::string good = ReadBack("rows.json");
  const auto with = [&](const std::string& from, const std::string& to) {
    const std::string text = absl::StrReplaceAll(good, {{from, to}});
    EXPECT_NE(text, good) << from;
    return Write("changed.json", text);
  };
  ExpectRefused(Path("none.json"), "none.json");
  ExpectRefused(Write("empty.json", ""), "empty.json: empty, wanted a file of wattle profile");
  ExpectRefused(Write("a.json", "hello"), "a.json: no file of wattle profile export: ");
  ExpectRefused(Write("b.json", "[1, 2]"), "b.json: no file of wattle profile export: ");
  ExpectRefused(Write("c.json", "{\"data\": []}"),
                "c.json: format: \"\", wanted \"wattle-profile-rows\"");
  ExpectRefused(with("\"version\": 1", "\"version\": 2, \"shape\": 3"),
                "changed.json: version: 2, and this version of Wattle reads 1");
  ExpectRefused(with("0.00461", "NaN"), "changed.json: no file of wattle profile export: ");
  ExpectRefused(with("\"batch_size\"", "\"batch\""), "batch: Cannot find field.");
  ExpectRefused(with("WORK_UNIT_TRAINING_TOKEN", "WORK_UNIT_SOUL"), "WORK_UNIT_SOUL");
  ExpectRefused("/dev/zero", "/dev/zero");
}

TEST_F(ProfileCommandsTest, WhatTheCoordinatorRefusesNamesTheFile) {
  Run({"profile", "export", Path("rows.json"), "--device", "nano-1"});
  coordinator_.state().import_status = {
      grpc::StatusCode::INVALID_ARGUMENT,
      "rows[0]: profile row of jetson-orin-nano: seconds_per_unit: 0 is outside 1e-08 to 1000"};
  const Result imported = Run({"profile", "import", Path("rows.json")});
  EXPECT_EQ(imported.code, 2);
  EXPECT_THAT(
      imported.err,
      HasSubstr("rows.json: rows[0]: profile row of jetson-orin-nano: seconds_per_unit: 0"));
}

TEST_F(ProfileCommandsTest, ImportedRowsAreRemoved) {
  EXPECT_EQ(Run({"profile", "rm"}).out,
            "removed 3 imported rows; measured and published rows stay\n");
  EXPECT_EQ(Run({"profile", "rm", "--class", "jetson-orin-nano"}).code, 0);
  const Result none = Run({"profile", "rm", "--class", "abacus"});
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.err, HasSubstr("no imported profile rows of class abacus"));
}

// A board that may run the file's job, and the updates of its runs.
class ProfileRunTest : public ProgramTest {
 protected:
  ProfileRunTest() {
    v1::PlanResponse& plan = coordinator_.state().plan;
    plan.set_reason("orin is the only one; one run for each of 2 points");
    v1::Candidate& candidate = *plan.add_candidates();
    candidate.set_device_name("nano-1");
    candidate.set_feasible(true);
    Update(v1::JOB_STATE_ACTIVE, "placed on nano-1");
    AddRun("7W", 30, 7);
    Update(v1::JOB_STATE_QUEUED, "7W, batch 4 is measured; the next run is chosen");
    AddRun("15W", 20, 11);
    Update(v1::JOB_STATE_SUCCEEDED, "measured in 2 runs; none of its 2 points is left");
  }
  void AddRun(const std::string& mode, double seconds, double watts) {
    v1::Attempt& attempt = *job_.add_attempts();
    attempt.set_attempt_id("j7.1");
    attempt.set_state(v1::ATTEMPT_STATE_FINISHED);
    attempt.mutable_profile_point()->set_power_mode(mode);
    attempt.mutable_profile_point()->set_batch_size(4);
    v1::Receipt& receipt = *attempt.mutable_receipt();
    receipt.mutable_run()->set_seconds(seconds);
    receipt.mutable_run()->set_mean_power_watts(watts);
    receipt.mutable_total()->set_gross_energy_joules(seconds * watts);
    receipt.mutable_work()->set_units(1000);
    receipt.mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  }
  void Update(v1::JobState state, const std::string& reason) {
    job_.set_job_id("j7");
    job_.mutable_spec()->mutable_profile();
    job_.set_state(state);
    job_.set_reason(reason);
    *coordinator_.state().updates.emplace_back().mutable_job() = job_;
  }
  std::string File() {
    return Write("job.yaml",
                 "name: tune\ndeadline_seconds: 60\nrequired_labels: [device=other, site=barn]\n"
                 "energy_budget_wh: 9\nfinetune: {model: gpt2, data: squad, epochs: 2}\n");
  }
  void ExpectRefused(const std::vector<std::string>& flags, const std::string& text) {
    std::vector<std::string> arguments = {"profile", "run", File()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Result result = Run(arguments);
    EXPECT_NE(result.code, 0);
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(coordinator_.state().submits, IsEmpty());
  }

  v1::Job job_;
};

TEST_F(ProfileRunTest, SubmitsTheWorkloadAndDrawsTheFrontAfterEachRun) {
  const Result result = Run({"profile", "run", File(), "--device", "nano-1", "--batch", "2,4",
                             "--budget", "0.5", "--seconds", "10", "--runs", "6"});
  EXPECT_EQ(result.code, 0) << result.err;
  ASSERT_EQ(coordinator_.state().submits.size(), 1U);
  const v1::JobSpec& spec = coordinator_.state().submits[0].spec();
  EXPECT_EQ(spec.name(), "tune");
  EXPECT_EQ(spec.profile().finetune().model(), "gpt2");
  EXPECT_EQ(spec.profile().finetune().epochs(), 2);
  EXPECT_FALSE(spec.has_finetune());
  EXPECT_THAT(spec.required_labels(), ::testing::ElementsAre("site=barn", "device=nano-1"));
  EXPECT_EQ(spec.energy_budget_wh(), 0.5) << "not that of the file's own job";
  EXPECT_EQ(spec.deadline_seconds(), 0);
  EXPECT_THAT(spec.profile().batch_sizes(), ::testing::ElementsAre(2, 4));
  EXPECT_EQ(spec.profile().run_seconds(), 10);
  EXPECT_EQ(spec.profile().runs_max(), 6);
  EXPECT_FALSE(spec.profile().all_power_modes());
  EXPECT_THAT(result.out, HasSubstr("one run for each of 2 points"));
  EXPECT_THAT(result.out, HasSubstr("j7: "));
  EXPECT_THAT(result.out, HasSubstr("joules over device s of one training token"));
  const size_t first = result.out.find("7W, batch 4  ");
  ASSERT_NE(first, std::string::npos) << result.out;
  EXPECT_NE(result.out.find("7W, batch 4  ", first + 1), std::string::npos)
      << "once after each run:\n"
      << result.out;
  EXPECT_THAT(result.out, HasSubstr("15W, batch 4"));
}

TEST_F(ProfileRunTest, ADryRunPrintsTheJobFileAndAsksNobody) {
  const Result result =
      Run({"profile", "run", File(), "--device", "nano-1", "--modes", "--dry-run"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("profile:\n  finetune:\n    model: gpt2"));
  EXPECT_THAT(result.out, HasSubstr("all_power_modes: true"));
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
  EXPECT_THAT(coordinator_.state().plans, IsEmpty());
}

TEST_F(ProfileRunTest, WhatCannotRunIsOneLine) {
  ExpectRefused({"--device", "nano-1", "--budget", "0"}, "--budget: 0 Wh measures nothing");
  ExpectRefused({"--device", "nano-1", "--budget", "-1"}, "--budget: -1 Wh measures nothing");
  ExpectRefused({"--device", "nano-1", "--runs", "0"}, "--runs: Value 0 not in range 1 to 100");
  ExpectRefused({"--device", "nano-1", "--seconds", "0"}, "--seconds: Value 0 not in range");
  ExpectRefused({"--device", "nano-1", "--batch", "4,0"}, "--batch: Value 0 not in range");
  ExpectRefused({"--device", "nobody"}, "no device nobody");
  ExpectRefused({"--device", "nano-1", "--modes"}, "--modes: the worker of nano-1");
  v1::Candidate& candidate = *coordinator_.state().plan.mutable_candidates(0);
  candidate.set_feasible(false);
  candidate.set_reason("is at 20 % of charge, its reserve is 30 %");
  ExpectRefused({"--device", "nano-1", "--budget", "1"},
                "profile run: nano-1: is at 20 % of charge, its reserve is 30 %; wattle submit "
                "takes the job file of --dry-run and waits");
  candidate.set_permanent(true);
  ExpectRefused({"--device", "nano-1", "--budget", "1"}, "its reserve is 30 %\n");
}

TEST_F(ProfileRunTest, OnlyWorkThatIsMeasuredInRunsIsTaken) {
  const std::string quantize = Write("quantize.yaml", "quantize: {model: gpt2}\n");
  const Result other = Run({"profile", "run", quantize, "--device", "nano-1"});
  EXPECT_THAT(other.err, HasSubstr("profile run measures finetune, generate and evaluate"));
  const std::string front = Write("front.yaml", "profile: {finetune: {model: gpt2}}\n");
  const Result profile = Run({"profile", "run", front, "--device", "nano-1"});
  EXPECT_THAT(profile.err, HasSubstr("wattle submit takes this file"));
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
}

}  // namespace
}  // namespace wattle::cli
