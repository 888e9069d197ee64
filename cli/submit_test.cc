// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs from a pipe, from flags only, or from a job that has ended; against a fake coordinator.
#include "cli/submit.h"

#include "cli/json_output.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SubmitTest : public ProgramTest {};

TEST_F(SubmitTest, AJobComesFromAPipe) {
  input_ = kJobFile;
  const Result result = Run({"submit", "-"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(coordinator_.state().submits.at(0).spec().name(), "tiny");
  input_ = "name: x\n";
  EXPECT_THAT(Run({"submit", "-"}).err, HasSubstr("standard input"));
}

TEST_F(SubmitTest, AJobComesFromFlagsAlone) {
  const Result result = Run({"finetune", "--model", "gpt2", "--data", "squad", "--epochs", "2",
                             "--learning-rate", "3e-4", "--name", "tiny"});
  EXPECT_EQ(result.code, 0) << result.err;
  const v1::JobSpec& spec = coordinator_.state().submits.at(0).spec();
  EXPECT_EQ(spec.finetune().model(), "gpt2");
  EXPECT_EQ(spec.finetune().epochs(), 2);
  EXPECT_EQ(spec.owner(), "ada");
  const Result bad = Run({"finetune", "--epochs", "two"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("--epochs two: "));
  EXPECT_THAT(bad.err, HasSubstr("wants a whole number"));
}

TEST_F(SubmitTest, ADryRunPrintsTheJobFileAndSubmitsNothing) {
  const Result result = Run({"generate", "--model", "gpt2", "--prompt", "Who: ada?", "--prompt",
                             "b", "--objective", "time", "--set", "priority=3", "--dry-run"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            "objective: time\ngenerate:\n  model: gpt2\n  prompts: [\"Who: ada?\", b]\n"
            "priority: 3\n");
  EXPECT_THAT(coordinator_.state().submits, IsEmpty());
  // The printed text is a job file.
  EXPECT_EQ(Run({"submit", Write("job.yaml", result.out)}).code, 0);
}

TEST_F(SubmitTest, AChatModelIsAskedWithAFlag) {
  const Result result = Run({"generate", "--model", "smollm2", "--chat", "--dry-run", "hello"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "generate:\n  model: smollm2\n  prompts: [hello]\n  chat: true\n");
}

TEST_F(SubmitTest, ARetryIsTheSameJobAnew) {
  const Result result = Run({"job", "retry", "j3"});
  EXPECT_EQ(result.code, 0) << result.err;
  const v1::SubmitJobRequest& sent = coordinator_.state().submits.at(0);
  EXPECT_EQ(ToJsonLine(sent.spec()), ToJsonLine(SampleFailedJob().spec()));
  EXPECT_EQ(sent.idempotency_key(), "key-1");
  const Result running = Run({"job", "retry", "j2"});
  EXPECT_EQ(running.code, 5);
  EXPECT_THAT(running.err, HasSubstr("j2 is active: it has not ended"));
}

}  // namespace
}  // namespace wattle::cli
