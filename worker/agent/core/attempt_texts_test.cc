// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/attempt_texts.h"

#include <string>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

std::string LineOfFrame(const std::string& text) {
  v1::RunnerFrame frame;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &frame)) << text;
  return LineOf(frame);
}

TEST(AttemptLogTest, FramesThatAPersonWantsToReadHaveALine) {
  EXPECT_EQ(LineOfFrame("phase { phase: 'load' }"), "load");
  EXPECT_EQ(LineOfFrame("phase { phase: 'train' steps_total: 80 }"), "train: 80 steps");
  EXPECT_EQ(LineOfFrame("phase { phase: 'train' from_step: 40 steps_total: 80 }"),
            "train: from step 40 of 80");
  EXPECT_EQ(LineOfFrame("phase { phase: 'checkpoint' }"), "")
      << "the checkpoint's own line follows";
  EXPECT_EQ(LineOfFrame("step { step: 3 loss: 2 }"), "");
  EXPECT_EQ(LineOfFrame("step { step: 3 heldout_loss: 2.5 }"), "step 3: held-out loss 2.5");
  EXPECT_EQ(LineOfFrame("checkpoint { step: 40 seconds: 0.3 size_bytes: 26738688 }"),
            "checkpoint of step 40: 25.5 MiB in 300 ms");
  EXPECT_EQ(LineOfFrame("result { metrics { name: 'perplexity' value: 3.96 } }"),
            "done: perplexity 3.96");
  EXPECT_EQ(LineOfFrame("stopped { step: 41 }"), "stopped at the checkpoint of step 41");
  EXPECT_EQ(LineOfFrame("log { text: 'a warning' }"), "a warning");
  EXPECT_EQ(LineOfFrame("alive { cpu_seconds: 3 }"), "");
}

TEST(AttemptLogTest, InputsAreNamedByTheirReferences) {
  v1::Assignment assignment;
  FetchResult result;
  EXPECT_EQ(FetchedLine(assignment, result), "") << "a job without inputs";
  assignment.add_inputs()->set_field("model");
  assignment.mutable_inputs(0)->set_reference("gpt2");
  EXPECT_EQ(FetchedLine(assignment, result), "fetched model gpt2: all were on this device already");
  result.peer_bytes = 1024;
  EXPECT_EQ(FetchedLine(assignment, result), "fetched model gpt2: 1.0 KiB from boards of the site");
  result.moved_bytes = 2048;
  EXPECT_EQ(FetchedLine(assignment, result),
            "fetched model gpt2: 2.0 KiB over the link, 1.0 KiB from boards of the site");
}

TEST(AttemptLogTest, TheStartLineShowsTheSettings) {
  v1::RunnerTask task;
  task.set_device("cpu");
  task.set_threads(4);
  EXPECT_EQ(StartLine(task), "the runner starts on cpu, 4 threads");
}

TEST(InputWordsTest, AnInputIsCalledByItsReference) {
  v1::Assignment assignment;
  for (const char* field : {"model", "data"}) {
    v1::ResolvedInput& input = *assignment.add_inputs();
    input.set_field(field);
    input.set_reference(field == std::string("model") ? "gpt2" : "job:j4/output");
  }
  const std::vector<FetchedInput> inputs = {
      {.field = "model", .directory = "/var/lib/w/cache/ab12", .file = ""},
      {.field = "data",
       .directory = "/var/lib/w/cache/cd34",
       .file = "/var/lib/w/cache/cd34/t.json"},
  };
  EXPECT_EQ(InUsersWords("/var/lib/w/cache/cd34/t.json: data[0]: missing", assignment, inputs),
            "data job:j4/output: data[0]: missing");
  EXPECT_EQ(InUsersWords("/var/lib/w/cache/ab12/config.json: no such file", assignment, inputs),
            "model gpt2/config.json: no such file");
  EXPECT_EQ(InUsersWords("out of memory", assignment, inputs), "out of memory");
}

TEST(TextTailTest, KeepsTheEndAndCountsAll) {
  v1::AttemptProgress progress;
  AppendText("", progress);
  EXPECT_EQ(progress.text_bytes(), 0);
  AppendText("one ", progress);
  AppendText("two", progress);
  EXPECT_EQ(progress.text(), "one two");
  EXPECT_EQ(progress.text_bytes(), 7);
  AppendText(std::string(kTextTailBytes, 'x'), progress);
  EXPECT_EQ(progress.text(), std::string(kTextTailBytes, 'x'));
  EXPECT_EQ(progress.text_bytes(), static_cast<int64_t>(7 + kTextTailBytes));
}

TEST(TextTailTest, BeginsWithAWholeCharacter) {
  v1::AttemptProgress progress;
  AppendText("\xe2\x82\xac", progress);                        // one character of three bytes
  AppendText(std::string(kTextTailBytes - 2, 'x'), progress);  // two of them would still fit
  EXPECT_EQ(progress.text(), std::string(kTextTailBytes - 2, 'x'));
  EXPECT_EQ(progress.text_bytes(), static_cast<int64_t>(kTextTailBytes + 1));
}

}  // namespace
}  // namespace wattle::agent
