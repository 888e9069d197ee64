// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Frames over a real pipe, the barrier, and the settings made from a task.
#include "worker/runner/frame_channel.h"

#include <fcntl.h>
#include <unistd.h>

#include <future>
#include <mutex>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/testing/job_kinds_for_test.h"
#include "wattle/v1/runner.pb.h"
#include "worker/runner/job_kinds.h"
#include "worker/runner/run_task.h"
#include "worker/runner/step_barrier.h"

namespace wattle::runner {
namespace {

using engine::StepDecision;
using testing::HasSubstr;

// Both ends of a pipe, closed at the end.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close(ends_[0]);
    CloseWriting();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] int reading() const { return ends_[0]; }
  [[nodiscard]] int writing() const { return ends_[1]; }
  void CloseWriting() {
    if (ends_[1] >= 0) {
      close(ends_[1]);
      ends_[1] = -1;
    }
  }
  void Write(const std::string& bytes) const {
    EXPECT_EQ(write(ends_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }

 private:
  int ends_[2] = {-1, -1};
};

TEST(FrameChannelTest, MessagesOfAnyLengthArriveWholeAndInOrder) {
  Pipe pipe;
  std::thread writing([&pipe] {
    FrameChannelWriter writer(pipe.writing());
    for (const size_t size : {0U, 1U, 100U, 127U, 128U, 20000U, 300000U}) {
      v1::RunnerFrame frame;
      frame.mutable_log()->set_text(std::string(size, 'x'));
      EXPECT_THAT(writer.Write(frame), IsOk());
    }
    pipe.CloseWriting();
  });
  FrameChannelReader reader(pipe.reading());
  v1::RunnerFrame frame;
  for (const size_t size : {0U, 1U, 100U, 127U, 128U, 20000U, 300000U}) {
    const auto outcome = reader.Read(frame);
    ASSERT_THAT(outcome, IsOk());
    ASSERT_EQ(*outcome, FrameChannelReader::Outcome::kMessage);
    EXPECT_EQ(frame.log().text().size(), size);
  }
  writing.join();
  const auto end = reader.Read(frame);
  ASSERT_THAT(end, IsOk());
  EXPECT_EQ(*end, FrameChannelReader::Outcome::kEnd);
}

TEST(FrameChannelTest, AMessageInPiecesIsReadAfterATimeoutBetweenThem) {
  Pipe pipe;
  FrameChannelReader reader(pipe.reading());
  v1::RunnerFrame frame;
  frame.mutable_log()->set_text("whole");
  const std::string bytes = child::EncodeFrame(frame.SerializeAsString());
  pipe.Write(bytes.substr(0, 4));
  const auto first = reader.Read(frame, absl::Milliseconds(1));
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(*first, FrameChannelReader::Outcome::kTimeout);
  pipe.Write(bytes.substr(4));
  const auto second = reader.Read(frame, absl::Milliseconds(1));
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(*second, FrameChannelReader::Outcome::kMessage);
  EXPECT_EQ(frame.log().text(), "whole");
}

// By these frames the agent distinguishes a long step from a stopped process.
TEST(GateTest, TheThreadThatReadsCommandsSaysThatTheProcessIsAlive) {
  // The thread is detached and ends the process when its stream ends. Everything that it uses is
  // therefore never destroyed, not even while the process exits.
  static Pipe& pipe = *new Pipe;
  static FrameChannelReader& reader = *new FrameChannelReader(pipe.reading());
  static StepBarrier& barrier = *new StepBarrier(/*gated=*/false);
  static auto& told = *new std::promise<v1::RunnerFrame>;
  static std::once_flag once;
  FollowCommands(reader, barrier, [](const v1::RunnerFrame& frame) {
    std::call_once(once, [&frame] { told.set_value(frame); });
  });
  const v1::RunnerFrame frame = told.get_future().get();
  ASSERT_TRUE(frame.has_alive());
  EXPECT_GT(frame.alive().cpu_seconds(), 0);
}

TEST(FrameChannelTest, ACutOrSenselessFrameIsDataLoss) {
  for (const std::string& bytes : {std::string("\x05"
                                               "ab"),
                                   std::string("\x80"), std::string("\xff\xff\xff\xff\xff\xff"),
                                   std::string("\xff\xff\xff\xff\x07"), std::string("\x01\xff")}) {
    Pipe pipe;
    pipe.Write(bytes);
    pipe.CloseWriting();
    v1::RunnerFrame frame;
    EXPECT_THAT(FrameChannelReader(pipe.reading()).Read(frame),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("frame")));
  }
}

v1::RunnerCommand Continue() {
  v1::RunnerCommand command;
  command.mutable_continue_step();
  return command;
}

v1::RunnerCommand Stop(bool discard) {
  v1::RunnerCommand command;
  command.mutable_stop()->set_discard(discard);
  return command;
}

TEST(GateTest, UngatedStepsGoOnUntilAStop) {
  StepBarrier barrier(/*gated=*/false);
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kGoOn);
  barrier.Apply(Stop(false));
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kStop);
  barrier.Apply(Stop(true));
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kDiscard);
  barrier.Apply(Stop(false));  // a cancel stays one
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kDiscard);
}

TEST(GateTest, EachGatedStepUsesOneContinueAndAStopNeedsNone) {
  StepBarrier barrier(/*gated=*/true);
  barrier.Apply(Continue());
  barrier.Apply(Continue());
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kGoOn);
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kGoOn);
  std::thread agent([&barrier] { barrier.Apply(Stop(false)); });
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kStop);
  agent.join();
}

TEST(GateTest, AnOrderedCheckpointIsTakenOnceAndOpensNoGate) {
  StepBarrier barrier(/*gated=*/true);
  EXPECT_FALSE(barrier.TakeCheckpointOrder());
  v1::RunnerCommand command;
  command.mutable_write_checkpoint();
  barrier.Apply(command);
  barrier.Apply(Continue());
  EXPECT_EQ(barrier.AfterStep(), StepDecision::kGoOn);
  EXPECT_TRUE(barrier.TakeCheckpointOrder());
  EXPECT_FALSE(barrier.TakeCheckpointOrder());
}

v1::RunnerTask FinetuneTask() {
  v1::RunnerTask task;
  task.set_model_directory("m");
  task.set_data_file("d.json");
  task.set_work_directory("w");
  task.set_output_directory("o");
  task.mutable_spec()->mutable_finetune();
  return task;
}

TEST(TaskSettingsTest, WhatIsLeftOutTakesTheDefaultsOfTheContract) {
  const auto finetune_or = FinetuneSettingsOf(FinetuneTask());
  ASSERT_THAT(finetune_or, IsOk());
  const engine::FinetuneSettings& finetune = *finetune_or;
  v1::RunnerTask told = FinetuneTask();
  told.set_checkpoints_when_told(true);
  EXPECT_EQ(FinetuneSettingsOf(told)->checkpoint_every_steps, 0);
  told.mutable_spec()->mutable_finetune()->set_checkpoint_every_steps(7);
  EXPECT_EQ(FinetuneSettingsOf(told)->checkpoint_every_steps, 7);
  EXPECT_EQ(finetune.batch_size, 8);
  EXPECT_EQ(finetune.epochs, 1);
  EXPECT_EQ(finetune.accumulation_steps, 1);
  EXPECT_EQ(finetune.checkpoint_every_steps, 50);
  EXPECT_DOUBLE_EQ(finetune.learning_rate, 5e-5);
  EXPECT_DOUBLE_EQ(finetune.adamw.clip_norm, 1.0);
  EXPECT_FALSE(finetune.mezo.has_value());
  EXPECT_DOUBLE_EQ(finetune.adamw.beta2, 0.999);
  EXPECT_EQ(finetune.examples.loss_on, formats::LossOn::kAnswer);
  EXPECT_EQ(finetune.model.device, "cpu");
}

TEST(TaskSettingsTest, MezoHasARateAndADistanceOfItsOwn) {
  v1::RunnerTask task = FinetuneTask();
  v1::FinetuneSpec& spec = *task.mutable_spec()->mutable_finetune();
  spec.set_optimizer(v1::OPTIMIZER_MEZO);
  const auto rate_and_mezo = [&] {
    const auto settings = FinetuneSettingsOf(task);
    EXPECT_THAT(settings, IsOk());
    EXPECT_TRUE(settings->mezo.has_value());
    return std::pair(settings->learning_rate, settings->mezo.value_or(engine::MezoSettings()));
  };
  EXPECT_DOUBLE_EQ(rate_and_mezo().first, 1e-6);
  EXPECT_DOUBLE_EQ(rate_and_mezo().second.perturbation, 1e-3);
  EXPECT_EQ(rate_and_mezo().second.samples, 1);
  spec.mutable_lora();
  EXPECT_DOUBLE_EQ(rate_and_mezo().first, 5e-5);
  spec.set_learning_rate(0.25);
  spec.mutable_mezo()->set_perturbation(0.5);
  spec.mutable_mezo()->set_samples(3);
  EXPECT_DOUBLE_EQ(rate_and_mezo().first, 0.25);
  EXPECT_DOUBLE_EQ(rate_and_mezo().second.perturbation, 0.5);
  EXPECT_EQ(rate_and_mezo().second.samples, 3);
}

// For tasks that are refused before anything runs.
class NoProgress final : public engine::ProgressSink {
 public:
  void OnPhase(engine::Phase, int64_t, int64_t) override { ADD_FAILURE(); }
  StepDecision OnStep(const engine::StepReport&) override { return StepDecision::kDiscard; }
  void OnCheckpoint(const engine::CheckpointReport&) override {}
  void OnLog(const std::string&) override {}
};

TEST(TaskSettingsTest, ATaskThatCannotRunNamesTheField) {
  NoProgress sink;
  v1::RunnerTask task = FinetuneTask();
  task.clear_data_file();
  EXPECT_THAT(RunJob(task, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("data_file")));
  task = FinetuneTask();
  task.mutable_spec()->clear_kind();
  EXPECT_THAT(RunJob(task, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("spec")));
  task.mutable_spec()->mutable_generate();
  task.clear_data_file();
  EXPECT_THAT(RunJob(task, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("prompts")));
  task.mutable_spec()->mutable_generate()->add_prompts("x");
  task.mutable_spec()->mutable_generate()->set_top_p(1.5);
  EXPECT_THAT(RunJob(task, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("top_p")));
}

// Those of its signature, under which its pace is stored.
TEST(TaskSettingsTest, ATrainingRunsWithTheSettingsOfItsSpec) {
  v1::RunnerTask task = FinetuneTask();
  v1::FinetuneSpec& spec = *task.mutable_spec()->mutable_finetune();
  const auto settings_of = [&] {
    auto settings = FinetuneSettingsOf(task);
    EXPECT_THAT(settings, IsOk());
    return *std::move(settings);
  };
  EXPECT_EQ(settings_of().precision, kernels::FactorType::kFloat32);
  EXPECT_EQ(settings_of().optimizer, v1::OPTIMIZER_ADAMW);
  EXPECT_FALSE(settings_of().update_in_backward);
  EXPECT_FALSE(settings_of().mezo.has_value());
  spec.set_precision(v1::PRECISION_BF16);
  spec.set_optimizer(v1::OPTIMIZER_ADAFACTOR);
  spec.set_update_in_backward(true);
  EXPECT_EQ(settings_of().precision, kernels::FactorType::kBf16);
  EXPECT_EQ(settings_of().optimizer, v1::OPTIMIZER_ADAFACTOR);
  EXPECT_TRUE(settings_of().update_in_backward);
  spec.set_precision(v1::PRECISION_FP16);
  EXPECT_EQ(settings_of().precision, kernels::FactorType::kFp16);
  EXPECT_FALSE(settings_of().tf32);
  spec.set_precision(v1::PRECISION_TF32);
  EXPECT_EQ(settings_of().precision, kernels::FactorType::kFloat32);
  EXPECT_TRUE(settings_of().tf32);
  spec.set_optimizer(v1::OPTIMIZER_MEZO);
  spec.mutable_mezo()->set_samples(5);
  spec.mutable_mezo()->set_perturbation(0.25);
  ASSERT_TRUE(settings_of().mezo.has_value());
  EXPECT_EQ(settings_of().mezo->samples, 5);
  EXPECT_EQ(settings_of().mezo->perturbation, 0.25);
}

TEST(TaskSettingsTest, ThePromptsOfAChatAreWhatTheUserSays) {
  v1::RunnerTask task = FinetuneTask();
  task.clear_data_file();
  v1::GenerateSpec& spec = *task.mutable_spec()->mutable_generate();
  spec.add_prompts("hello");
  for (const bool chat : {false, true}) {
    spec.set_chat(chat);
    const auto settings = GenerateSettingsOf(task);
    ASSERT_THAT(settings, IsOk());
    const formats::Prompt& prompt = settings->prompts.at(0);
    EXPECT_EQ(prompt.text, "hello");
    ASSERT_EQ(prompt.messages.size(), chat ? 1U : 0U);
    if (chat) {
      EXPECT_EQ(prompt.messages[0].role, "user");
      EXPECT_EQ(prompt.messages[0].content, "hello");
    }
  }
}

TEST(TaskSettingsTest, AMeasuredGenerationHasAsManyPromptsAsItsPoint) {
  v1::RunnerTask task = FinetuneTask();
  task.clear_data_file();
  v1::GenerateSpec& spec = *task.mutable_spec()->mutable_generate();
  spec.add_prompts("one");
  spec.add_prompts("two");
  const auto texts = [&] {
    std::vector<std::string> found;
    const auto settings = GenerateSettingsOf(task);
    EXPECT_THAT(settings, IsOk());
    for (const formats::Prompt& prompt : settings->prompts) {
      found.push_back(prompt.text);
    }
    return found;
  };
  EXPECT_THAT(texts(), testing::ElementsAre("one", "two"));
  spec.set_prompt_count(5);
  EXPECT_THAT(texts(), testing::ElementsAre("one", "two", "one", "two", "one"));
  spec.set_prompt_count(1);
  EXPECT_THAT(texts(), testing::ElementsAre("one"));
}

TEST(RunnerJobKindsTest, EachKindHasAPart) {
  EXPECT_EQ(JobKindsWithout(KindParts()), "");
  EXPECT_EQ(JobKindsWithout(KindParts(), JobKindsAndADummy()), "dummy");
}

TEST(FailureClassTest, FollowsTheCode) {
  EXPECT_EQ(FailureClassOf(absl::FailedPreconditionError("")), v1::FAILURE_CLASS_SPEC);
  EXPECT_EQ(FailureClassOf(absl::DataLossError("")), v1::FAILURE_CLASS_DATA);
  EXPECT_EQ(FailureClassOf(absl::AbortedError("")), v1::FAILURE_CLASS_JOB);
  EXPECT_EQ(FailureClassOf(absl::ResourceExhaustedError("")), v1::FAILURE_CLASS_DEVICE);
  EXPECT_EQ(FailureClassOf(absl::InternalError("")), v1::FAILURE_CLASS_DEVICE);
}

}  // namespace
}  // namespace wattle::runner
