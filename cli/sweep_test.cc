// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Job files with a sweep, through submit and plan, against a fake coordinator.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/sweep_view.h"
#include "cli/testing/golden_text.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <nlohmann/json.hpp>

namespace wattle::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kSweepFile[] =
    "name: qa\nsweep: {learning_rate: [1e-4, 2e-4], rank: [4, 8]}\n"
    "finetune: {model: gpt2, data: squad}\n";

class SweepTest : public ProgramTest {
 protected:
  std::vector<std::string> SentNames() {
    std::vector<std::string> names;
    for (const v1::SubmitJobRequest& sent : coordinator_.state().submits) {
      names.push_back(sent.spec().name());
    }
    return names;
  }
  std::vector<std::string> SentKeys() {
    std::vector<std::string> keys;
    for (const v1::SubmitJobRequest& sent : coordinator_.state().submits) {
      keys.push_back(sent.idempotency_key());
    }
    return keys;
  }
};

TEST_F(SweepTest, SubmitSendsEveryJob) {
  const Result result =
      Run({"submit", Write("job.yaml", kSweepFile), "--set", "finetune.epochs=5"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(SentNames(),
              ElementsAre("qa learning_rate=1e-4 rank=4", "qa learning_rate=1e-4 rank=8",
                          "qa learning_rate=2e-4 rank=4", "qa learning_rate=2e-4 rank=8"));
  const v1::JobSpec& last = coordinator_.state().submits.back().spec();
  EXPECT_EQ(last.finetune().lora().rank(), 8);
  EXPECT_EQ(last.finetune().epochs(), 5);
  EXPECT_EQ(last.owner(), "ada");
  EXPECT_THAT(result.out, HasSubstr("(qa learning_rate=1e-4 rank=8)\nj7 "));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 4 + 5) << result.out;
}

TEST_F(SweepTest, ARepeatedSubmitHasTheSameKeys) {
  const std::string file = Write("job.yaml", kSweepFile);
  ASSERT_EQ(Run({"submit", file, "--idempotency-key", "night"}).code, 0);
  EXPECT_THAT(SentKeys(), ElementsAre("night-1", "night-2", "night-3", "night-4"));
  const Result again = Run({"submit", file, "--idempotency-key", "night"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(SentKeys(), SizeIs(8));
  EXPECT_EQ(SentKeys().back(), "night-4");
  EXPECT_THAT(again.out, HasSubstr("j7 was submitted before"));
}

TEST_F(SweepTest, AllJobsArePlannedBeforeTheFirstIsSent) {
  coordinator_.state().submits_refused_from = 0;
  const std::string file = Write("job.yaml", kSweepFile);
  EXPECT_EQ(Run({"submit", file}).code, 3);
  EXPECT_THAT(coordinator_.state().submits, SizeIs(1));
  EXPECT_THAT(coordinator_.state().plans, SizeIs(4));
  // A job that the plan refuses is not sent.
  coordinator_.state().plan.set_certain_failure("finetune.data: squad has no answers");
  const Result refused = Run({"submit", file});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("job.yaml: qa learning_rate=1e-4 rank=4: finetune.data: "
                                     "squad has no answers\n"));
  EXPECT_THAT(coordinator_.state().submits, SizeIs(1));
}

TEST_F(SweepTest, AJobThatCanRunNowhereIsNotSent) {
  for (v1::Candidate& candidate : *coordinator_.state().plan.mutable_candidates()) {
    candidate.set_feasible(false);
    candidate.set_permanent(true);
  }
  coordinator_.state().plan.set_reason("every device lacks memory");
  const Result refused = Run({"submit", Write("job.yaml", kSweepFile)});
  EXPECT_EQ(refused.code, 5);
  EXPECT_THAT(refused.err, HasSubstr("rank=4: every device lacks memory"));
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
}

TEST_F(SweepTest, ARefusalInTheMiddleSaysWhatWasSentAndHowToGoOn) {
  coordinator_.state().submits_refused_from = 2;
  const Result result = Run({"submit", Write("job.yaml", kSweepFile)});
  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.err, HasSubstr("job.yaml: qa learning_rate=2e-4 rank=4: finetune.model: no "
                                    "model gpt2"));
  EXPECT_THAT(result.err, HasSubstr("; repeat the file with --idempotency-key key-1 for the jobs "
                                    "that were not accepted; submitted before it: j7, j7\n"));
}

TEST_F(SweepTest, WhatContradictsTheSweepIsRefused) {
  const std::string file = Write("job.yaml", kSweepFile);
  const Result swept = Run({"submit", file, "--set", "finetune.lora.rank=16"});
  EXPECT_EQ(swept.code, 2);
  EXPECT_THAT(swept.err, HasSubstr("--set finetune.lora.rank=16: the jobs of the sweep in "));
  EXPECT_THAT(swept.err, HasSubstr("differ in this field; change the file"));
  EXPECT_EQ(Run({"plan", file, "--set", "name=x"}).code, 2);
  const Result bad =
      Run({"submit", Write("bad.yaml", "sweep: {rank: []}\nfinetune: {model: m}\n")});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("bad.yaml:1: sweep.rank: wants a list of at least one value"));
  const Result one = Run({"profile", "run", file, "--device", "nano-1"});
  EXPECT_EQ(one.code, 2);
  EXPECT_THAT(one.err, HasSubstr("job.yaml:2: sweep: makes several jobs, and one is wanted here"));
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
  EXPECT_THAT(coordinator_.state().plans, IsEmpty());
}

TEST_F(SweepTest, PlanShowsAllJobsAndTheirSum) {
  const std::string file = Write("job.yaml", kSweepFile);
  const Result result = Run({"plan", file});
  EXPECT_EQ(result.code, 0) << result.err;
  ExpectGolden("plan_sweep.txt", result.out);
  EXPECT_THAT(coordinator_.state().plans, SizeIs(4));
  const Result json = Run({"plan", file, "-o", "json"});
  const auto document = nlohmann::json::parse(json.out);
  ASSERT_THAT(document["plans"], SizeIs(4));
  EXPECT_EQ(document["plans"][3]["name"], "qa learning_rate=2e-4 rank=8");
  EXPECT_EQ(document["plans"][3]["plan"]["chosen_device_id"],
            coordinator_.state().plan.chosen_device_id());
}

TEST_F(SweepTest, PlanOfASweepThatCanRunNowhereExitsWith5) {
  coordinator_.state().plan = SampleInfeasiblePlan();
  const Result result = Run({"plan", Write("job.yaml", kSweepFile)});
  EXPECT_EQ(result.code, 5);
  EXPECT_THAT(result.out, HasSubstr("no device is feasible: every device lacks memory"));
  EXPECT_THAT(result.out, HasSubstr("of the 0 that can run"));
}

}  // namespace
}  // namespace wattle::cli
