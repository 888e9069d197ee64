// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The finetune job: learning, exact resume at every step with dropout and accumulation on, stops,
// non-finite losses, checkpoints. Tiny models, one thread.
#include "worker/engine/train/finetune.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/build_id.h"
#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/checkpoint.h"

namespace wattle::engine {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSteps = 4;  // of TinyFinetune

std::string Checkpoint(const FinetuneSettings& settings, int64_t step) {
  return absl::StrFormat("%s/checkpoint-%010d", settings.work_directory, step);
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

StepDecision StopAfter(const StepReport& report, int64_t step) {
  return report.phase == Phase::kTrain && report.step == step ? StepDecision::kStop
                                                              : StepDecision::kGoOn;
}

// Rewrites a file of a checkpoint with another build id in its description of the build.
void RewriteBuild(const std::string& path, const std::string& build_id, const std::string& other) {
  const auto file = formats::SafetensorsFile::Open(path);
  ASSERT_THAT(file, IsOk());
  formats::SafetensorsMetadata metadata = file->metadata();
  std::string& build = metadata.at("build");
  ASSERT_THAT(build, HasSubstr(build_id));
  build = absl::StrReplaceAll(build, {{build_id, other}});
  metadata.erase("wattle.crc32c");  // the writer adds its own
  auto writer = formats::SafetensorsWriter::Create(
      path, {file->tensors().begin(), file->tensors().end()}, metadata);
  ASSERT_THAT(writer, IsOk());
  for (const formats::TensorEntry& tensor : file->tensors()) {
    EXPECT_THAT(writer->Write(tensor.name, BytesOf(*file, tensor)), IsOk());
  }
  EXPECT_THAT(writer->Commit(), IsOk());
}

class FinetuneTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_F(FinetuneTest, LowersTheLossAndWritesAModelDirectory) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.epochs = 40;
  settings.checkpoint_every_steps = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->work.examples, 7 * 40);
  EXPECT_EQ(result->work.steps, 70);
  ASSERT_TRUE(result->heldout_loss_before.has_value() && result->heldout_loss_after.has_value());
  EXPECT_LT(*result->heldout_loss_after, *result->heldout_loss_before - 1.0);
  EXPECT_LT(result->train_loss_last, result->train_loss_first - 1.0);
  EXPECT_THAT(
      NamesIn(settings.output_directory),
      ElementsAre("config.json", "losses.jsonl", "merges.txt", "model.safetensors", "vocab.json"));
  ASSERT_EQ(sink.checkpoints.size(), 1U);  // that of the last step
  EXPECT_EQ(sink.checkpoints[0].step, 70);
  EXPECT_GT(sink.steps.back().flops, 0.0);
}

TEST_F(FinetuneTest, CheckpointsComeWhenTheyAreOrderedAndChangeNoLoss) {
  FinetuneSettings settings = TinyFinetune("by_steps");
  const std::vector<double> losses = LossesOf(settings);
  settings = TinyFinetune("ordered");
  settings.checkpoint_every_steps = 0;
  RecordingSink sink;
  sink.orders_checkpoint = [&sink] { return sink.steps.back().step == 2; };
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  EXPECT_EQ(sink.TrainingLosses(), losses);
  ASSERT_EQ(sink.checkpoints.size(), 2U);
  EXPECT_EQ(sink.checkpoints[0].step, 2);
  EXPECT_EQ(sink.checkpoints[1].step, 4) << "the last step's";
}

// The guarantee of the job: after a stop at any step, the result, every later loss and the
// optimizer's state equal those of an uninterrupted run, bit for bit. weights: the result's file.
void ExpectTheSameBitsAfterAStop(
    const std::function<FinetuneSettings(const std::string&)>& settings_of,
    const std::string& weights) {
  const FinetuneSettings whole = settings_of("whole");
  RecordingSink whole_sink;
  const auto whole_result = Finetune(whole, whole_sink);
  ASSERT_THAT(whole_result, IsOk());
  ASSERT_EQ(whole_result->work.steps, kSteps);
  for (int64_t cut = 1; cut < kSteps; ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after step ", cut));
    const FinetuneSettings parts = settings_of(absl::StrCat("parts", cut));
    RecordingSink first;
    first.decide = [cut](const StepReport& report) { return StopAfter(report, cut); };
    EXPECT_THAT(Finetune(parts, first), StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
    RecordingSink second;
    const auto result = Finetune(parts, second);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->resumed_from_step, cut);
    EXPECT_FALSE(result->numerically_continued);
    std::vector<double> losses = first.TrainingLosses();
    for (const double loss : second.TrainingLosses()) {
      losses.push_back(loss);
    }
    EXPECT_EQ(losses, whole_sink.TrainingLosses());
    for (const std::string& file : {weights, std::string(kLossesFile)}) {
      EXPECT_EQ(FileBytes(absl::StrCat(parts.output_directory, "/", file)),
                FileBytes(absl::StrCat(whole.output_directory, "/", file)))
          << file;
    }
    EXPECT_EQ(FileBytes(Checkpoint(parts, kSteps) + "/optimizer.safetensors"),
              FileBytes(Checkpoint(whole, kSteps) + "/optimizer.safetensors"));
    EXPECT_EQ(result->heldout_loss_before, whole_result->heldout_loss_before);
    EXPECT_EQ(result->heldout_loss_after, whole_result->heldout_loss_after);
    EXPECT_EQ(result->train_loss_first, whole_result->train_loss_first);
    EXPECT_EQ(result->work.tokens, whole_result->work.tokens);
  }
}

TEST_F(FinetuneTest, ResumeAfterAnyStepIsBitIdentical) {
  ExpectTheSameBitsAfterAStop(TinyFinetune, "model.safetensors");
}

// Also if the run ends with the number of threads that wrote its last checkpoint.
TEST_F(FinetuneTest, ARunThatOnceWentOnWithOtherThreadsSaysSoAtItsEnd) {
  FinetuneSettings settings = TinyFinetune("run");
  for (const int64_t stop : {1, 2, 3}) {
    settings.threads = stop == 1 ? 1 : 2;  // as the checkpoint has it
    RecordingSink sink;
    sink.decide = [stop](const StepReport& report) { return StopAfter(report, stop); };
    EXPECT_THAT(Finetune(settings, sink),
                StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
    EXPECT_EQ(absl::StrContains(absl::StrJoin(sink.log, " "), "numerically continued"), stop == 2);
  }
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->numerically_continued);
}

// As if a program of another commit had written it: version, library, processor and threads are the
// same.
TEST_F(FinetuneTest, ARunFromACheckpointOfAnotherBuildIsNumericallyContinued) {
  const std::string own = BuildId();
  const std::string other(own.size(), '0');
  for (const bool another : {false, true}) {
    const FinetuneSettings settings = TinyFinetune("run");
    RecordingSink first;
    first.decide = [](const StepReport& report) { return StopAfter(report, 2); };
    EXPECT_THAT(Finetune(settings, first),
                StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
    RewriteBuild(Checkpoint(settings, 2) + "/optimizer.safetensors", own, another ? other : own);
    RecordingSink second;
    const auto result = Finetune(settings, second);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->resumed_from_step, 2);
    EXPECT_EQ(result->numerically_continued, another);
  }
}

TEST_F(FinetuneTest, AccumulationEqualsTheLargerBatchWithoutDropout) {
  FinetuneSettings large = TinyFinetune("large");
  FinetuneSettings accumulated = TinyFinetune("accumulated");
  for (FinetuneSettings* settings : {&large, &accumulated}) {
    TakeDropoutAway(*settings);
  }
  large.batch_size = 4;
  large.accumulation_steps = 1;
  RecordingSink large_sink;
  RecordingSink accumulated_sink;
  ASSERT_THAT(Finetune(large, large_sink), IsOk());
  ASSERT_THAT(Finetune(accumulated, accumulated_sink), IsOk());
  const std::vector<double> wanted = large_sink.TrainingLosses();
  const std::vector<double> got = accumulated_sink.TrainingLosses();
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(got[i], wanted[i], 1e-5) << "step " << i + 1;  // another order of additions
  }
}

TEST_F(FinetuneTest, DiscardLeavesNoCheckpointOfThatStep) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.checkpoint_every_steps = 1000;
  RecordingSink sink;
  sink.decide = [](const StepReport& report) {
    return report.phase == Phase::kTrain ? StepDecision::kDiscard : StepDecision::kGoOn;
  };
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("step 1")));
  EXPECT_THAT(NamesIn(settings.work_directory), IsEmpty());
}

TEST_F(FinetuneTest, ALossThatIsNotFiniteNamesTheStepAndRemovesItsCheckpoint) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.learning_rate = 1e30;
  settings.warmup_steps = 0;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kAborted,
                                                 AllOf(HasSubstr("step 2"), HasSubstr("not finite"),
                                                       HasSubstr("learning_rate"),
                                                       HasSubstr("there is no good checkpoint"))));
  // The weights after step 1 give that loss.
  EXPECT_THAT(NamesIn(settings.work_directory), IsEmpty());
  EXPECT_THAT(NamesIn(settings.output_directory), IsEmpty());
}

TEST_F(FinetuneTest, AHeldoutLossThatIsNotFiniteIsAnErrorAfterTheLastStepToo) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.steps = 1;
  settings.learning_rate = 1e30;
  settings.warmup_steps = 0;
  RecordingSink sink;
  EXPECT_THAT(
      Finetune(settings, sink),
      StatusIs(absl::StatusCode::kAborted,
               AllOf(HasSubstr("after step 1"), HasSubstr(settings.heldout_data),
                     HasSubstr("is not finite"), HasSubstr("there is no good checkpoint"))));
  EXPECT_THAT(NamesIn(settings.work_directory), IsEmpty());
  EXPECT_THAT(NamesIn(settings.output_directory), IsEmpty());
}

TEST_F(FinetuneTest, KeepsTwoCheckpointsAndRemovesWhatACrashLeft) {
  const FinetuneSettings settings = TinyFinetune("run");
  fs::create_directories(settings.work_directory + "/checkpoint-0000000009.partial");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  EXPECT_THAT(NamesIn(settings.work_directory),
              ElementsAre("checkpoint-0000000003", "checkpoint-0000000004"));
}

TEST_F(FinetuneTest, ARemovedCheckpointLeavesTheOneBefore) {
  const FinetuneSettings settings = TinyFinetune("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  EXPECT_EQ(RemoveCheckpoint(settings.work_directory, 2), kSteps);  // there is none
  EXPECT_EQ(RemoveCheckpoint(settings.work_directory, kSteps), kSteps - 1);
  EXPECT_THAT(NamesIn(settings.work_directory), ElementsAre("checkpoint-0000000003"));
  EXPECT_EQ(RemoveCheckpoint(settings.work_directory, kSteps - 1), 0);
}

TEST_F(FinetuneTest, ACheckpointThatCannotBeReadIsSkippedForTheOneBefore) {
  const FinetuneSettings settings = TinyFinetune("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  const std::string path = Checkpoint(settings, kSteps) + "/optimizer.safetensors";
  fs::resize_file(path, fs::file_size(path) / 2);
  RecordingSink again;
  const auto result = Finetune(settings, again);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, kSteps - 1);
  EXPECT_THAT(again.log, Contains(HasSubstr("cannot be read")));
  EXPECT_EQ(again.TrainingLosses().back(), sink.TrainingLosses().back());
}

// Observed: a flipped byte of model.safetensors gave other weights, and the job succeeded.
TEST_F(FinetuneTest, AFlippedByteOfACheckpointCostsThatCheckpointAlone) {
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    const FinetuneSettings settings = TinyFinetune(name);
    RecordingSink sink;
    ASSERT_THAT(Finetune(settings, sink), IsOk());
    const std::string result_bytes = FileBytes(settings.output_directory + "/model.safetensors");
    const std::string path = Checkpoint(settings, kSteps) + "/" + name;
    std::string bytes = FileBytes(path);
    bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 4);
    std::ofstream(path, std::ios::binary) << bytes;
    RecordingSink again;
    const auto result = Finetune(settings, again);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->resumed_from_step, kSteps - 1) << name;
    EXPECT_THAT(again.log, Contains(HasSubstr("changed on the disk"))) << name;
    EXPECT_EQ(FileBytes(settings.output_directory + "/model.safetensors"), result_bytes) << name;
  }
}

// Nothing of an unreadable checkpoint remains in the run that starts from the beginning.
TEST_F(FinetuneTest, ARunWhoseCheckpointsAreAllDamagedBeginsAsIfThereWereNone) {
  const FinetuneSettings settings = TinyFinetune("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  const std::string result_bytes = FileBytes(settings.output_directory + "/model.safetensors");
  for (const int64_t step : {kSteps - 1, kSteps}) {
    const std::string path = Checkpoint(settings, step) + "/optimizer.safetensors";
    std::string bytes = FileBytes(path);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);  // its last tensor, after all others
    std::ofstream(path, std::ios::binary) << bytes;
  }
  RecordingSink again;
  const auto result = Finetune(settings, again);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 0);
  EXPECT_EQ(again.TrainingLosses(), sink.TrainingLosses());
  EXPECT_EQ(FileBytes(settings.output_directory + "/model.safetensors"), result_bytes);
}

TEST_F(FinetuneTest, ACheckpointThatDoesNotFitIsLeftOutAndTheTrainingGoesOn) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.free_space_reserve_bytes = int64_t{1} << 60;
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  EXPECT_TRUE(sink.checkpoints.empty());
  EXPECT_THAT(sink.log, Contains(HasSubstr("left out the checkpoint of step 1")));
  EXPECT_THAT(NamesIn(settings.work_directory), IsEmpty());
}

TEST_F(FinetuneTest, ACheckpointOfAnotherJobIsRefused) {
  FinetuneSettings settings = TinyFinetune("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  settings.learning_rate = 2e-2;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another work directory")));
}

TEST_F(FinetuneTest, HeldOutLossDuringTheRunStandsInTheStep) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.evaluate_every_steps = 2;
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  std::vector<bool> measured;
  for (const StepReport& step : sink.steps) {
    if (step.phase == Phase::kTrain) {
      measured.push_back(step.heldout_loss > 0.0);
    }
  }
  EXPECT_THAT(measured, ElementsAre(false, true, false, true));
}

class TokensLeftTest : public FinetuneTest, public testing::WithParamInterface<bool> {};

TEST_P(TokensLeftTest, TokensLeftAreThoseOfTheStepsToCome) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.packing = GetParam();
  settings.epochs = 3;  // 21 examples: the last of its steps is a smaller one
  RecordingSink first;
  first.decide = [](const StepReport& step) { return StopAfter(step, 2); };
  ASSERT_THAT(Finetune(settings, first), StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
  RecordingSink rest;
  ASSERT_THAT(Finetune(settings, rest), IsOk());
  std::vector<StepReport> steps = first.steps;
  steps.insert(steps.end(), rest.steps.begin(), rest.steps.end());
  int64_t to_come = 0;
  int64_t trained = 0;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    to_come = step->step == step->steps_total ? 0 : to_come;
    EXPECT_EQ(step->tokens_left, to_come) << PhaseName(step->phase) << " " << step->step;
    to_come += step->tokens;
    trained += step->phase == Phase::kTrain ? 1 : 0;
  }
  EXPECT_EQ(trained, 6);
}

INSTANTIATE_TEST_SUITE_P(Forms, TokensLeftTest, testing::Bool(),
                         [](const auto& row) { return row.param ? "packed" : "padded"; });

TEST_F(FinetuneTest, SettingsOutOfRangeNameTheField) {
  RecordingSink sink;
  FinetuneSettings settings = TinyFinetune("run");
  settings.learning_rate = -1.0;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("learning_rate")));
  settings = TinyFinetune("run");
  settings.examples.sequence_length = 65;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("sequence_length"), HasSubstr("64"))));
}

// The memory for reading the data is freed before the weights need room.
TEST_F(FinetuneTest, TheDataAreReadBeforeTheWeights) {
  RecordingSink sink;
  FinetuneSettings settings = TinyFinetune("run");
  settings.last_layers = 99;  // detected only once the weights are loaded
  settings.data = "/no/such.txt";
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such.txt")));
  settings.data = MakeTinySquad("data", 1);
  settings.heldout_data = "/no/such.json";
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such.json")));
  settings.model.directory = "/no/model";
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/model")));
}

TEST_F(FinetuneTest, TextPretrainsFromRandomWeights) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.data = MakeTinyText("text", 120);
  settings.heldout_data.clear();
  settings.epochs = 20;
  settings.checkpoint_every_steps = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(result->train_loss_last, result->train_loss_first - 1.0);
  EXPECT_FALSE(result->heldout_loss_after.has_value());
}

FinetuneSettings TinyLora(const std::string& name) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.lora = {.rank = 4, .alpha = 8.0, .dropout = 0.1};
  return settings;
}

TEST_F(FinetuneTest, AdaptersLowerTheLossAndAreAllThatIsWritten) {
  FinetuneSettings settings = TinyLora("run");
  settings.epochs = 20;
  settings.learning_rate = 2e-2;
  settings.checkpoint_every_steps = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(*result->heldout_loss_after, *result->heldout_loss_before - 0.3);
  EXPECT_THAT(NamesIn(settings.output_directory),
              ElementsAre("adapter_config.json", "adapter_model.safetensors", "losses.jsonl"));
  EXPECT_THAT(NamesIn(Checkpoint(settings, 35)),
              ElementsAre("adapter_model.safetensors", "optimizer.safetensors"));
}

// The first loss is that of the unchanged model, because B is initially zero.
TEST_F(FinetuneTest, AdaptersBeginWithTheModelAsItIs) {
  FinetuneSettings lora = TinyLora("lora");
  FinetuneSettings full = TinyFinetune("full");
  RecordingSink lora_sink;
  RecordingSink full_sink;
  const auto with_adapters = Finetune(lora, lora_sink);
  const auto without = Finetune(full, full_sink);
  ASSERT_THAT(with_adapters, IsOk());
  ASSERT_THAT(without, IsOk());
  EXPECT_EQ(with_adapters->heldout_loss_before, without->heldout_loss_before);
  EXPECT_EQ(lora_sink.TrainingLosses()[0], full_sink.TrainingLosses()[0]);
}

TEST_F(FinetuneTest, AdaptersResumeToTheSameBits) {
  ExpectTheSameBitsAfterAStop(TinyLora, "adapter_model.safetensors");
}

TEST_F(FinetuneTest, TheLastLayersResumeToTheSameBits) {
  ExpectTheSameBitsAfterAStop(
      [](const std::string& name) {
        FinetuneSettings settings = TinyFinetune(name);
        settings.last_layers = 1;
        return settings;
      },
      "model.safetensors");
}

class OptimizerResumeTest
    : public FinetuneTest,
      public testing::WithParamInterface<std::tuple<v1::Optimizer, bool, bool>> {};

TEST_P(OptimizerResumeTest, StateResumesToTheSameBits) {
  ExpectTheSameBitsAfterAStop(
      [](const std::string& name) {
        FinetuneSettings settings = TinyFinetune(name);
        std::tie(settings.optimizer, settings.update_in_backward, settings.bf16_weights) =
            GetParam();
        settings.batch_size = 4;
        settings.accumulation_steps = 1;
        return settings;
      },
      "model.safetensors");
}

INSTANTIATE_TEST_SUITE_P(Optimizers, OptimizerResumeTest,
                         testing::Combine(testing::Values(v1::OPTIMIZER_ADAMW,
                                                          v1::OPTIMIZER_ADAMW_8BIT,
                                                          v1::OPTIMIZER_ADAFACTOR),
                                          testing::Bool(), testing::Bool()),
                         [](const auto& row) {
                           return absl::StrCat(v1::Optimizer_Name(std::get<0>(row.param)),
                                               std::get<1>(row.param) ? "_in_backward" : "",
                                               std::get<2>(row.param) ? "_of_bf16_weights" : "");
                         });

TEST_F(FinetuneTest, ACheckpointOfAnotherOptimizerIsRefused) {
  FinetuneSettings settings = TinyFinetune("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  settings.optimizer = v1::OPTIMIZER_ADAFACTOR;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("optimizer adafactor")));
}

FinetuneSettings TinyPacked(const std::string& name) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.packing = true;
  return settings;
}

TEST_F(FinetuneTest, PackedBatchesResumeToTheSameBits) {
  ExpectTheSameBitsAfterAStop(TinyPacked, "model.safetensors");
}

// The same examples in the same steps: losses and held-out loss are those of padded batches.
TEST_F(FinetuneTest, PackedBatchesTrainLikePaddedOnes) {
  FinetuneSettings padded = TinyFinetune("padded");
  FinetuneSettings packed = TinyPacked("packed");
  for (const FinetuneSettings* settings : {&padded, &packed}) {
    TakeDropoutAway(*settings);
  }
  RecordingSink padded_sink;
  RecordingSink packed_sink;
  const auto wanted = Finetune(padded, padded_sink);
  const auto got = Finetune(packed, packed_sink);
  ASSERT_THAT(wanted, IsOk());
  ASSERT_THAT(got, IsOk());
  const std::vector<double> wanted_losses = padded_sink.TrainingLosses();
  const std::vector<double> losses = packed_sink.TrainingLosses();
  ASSERT_EQ(losses.size(), wanted_losses.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], wanted_losses[i], 1e-5 * wanted_losses[i]) << "step " << i + 1;
  }
  EXPECT_NEAR(*got->heldout_loss_after, *wanted->heldout_loss_after,
              1e-5 * *wanted->heldout_loss_after);
  EXPECT_EQ(got->work.examples, wanted->work.examples);
  EXPECT_EQ(got->work.real_tokens, wanted->work.real_tokens);
  EXPECT_EQ(got->work.tokens, got->work.real_tokens);
  EXPECT_LT(got->work.tokens, wanted->work.tokens);
  // A padded run is not resumed as a packed one, because dropout draws other numbers.
  packed.packing = false;
  EXPECT_THAT(Finetune(packed, packed_sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another job")));
}

TEST_F(FinetuneTest, RecomputedActivationsTrainToTheSameBits) {
  for (const bool lora : {false, true}) {
    FinetuneSettings kept = lora ? TinyLora("kept") : TinyFinetune("kept");
    FinetuneSettings recomputed = lora ? TinyLora("recomputed") : TinyFinetune("recomputed");
    recomputed.activation_checkpointing = true;
    RecordingSink kept_sink;
    RecordingSink recomputed_sink;
    ASSERT_THAT(Finetune(kept, kept_sink), IsOk());
    ASSERT_THAT(Finetune(recomputed, recomputed_sink), IsOk());
    EXPECT_EQ(kept_sink.TrainingLosses(), recomputed_sink.TrainingLosses());
    const char* file = lora ? "/adapter_model.safetensors" : "/model.safetensors";
    EXPECT_EQ(FileBytes(kept.output_directory + file),
              FileBytes(recomputed.output_directory + file));
  }
}

TEST_F(FinetuneTest, ACheckpointOfOtherAdaptersIsRefused) {
  FinetuneSettings settings = TinyLora("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  settings.lora->alpha = 16.0;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another job")));
  settings.lora.reset();
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another job")));
}

TEST_F(FinetuneTest, MergedAdaptersAreAWholeModelOfTheSameLoss) {
  FinetuneSettings settings = TinyLora("run");
  settings.learning_rate = 2e-2;
  settings.lora->merge = true;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(
      NamesIn(settings.output_directory),
      ElementsAre("config.json", "losses.jsonl", "merges.txt", "model.safetensors", "vocab.json"));
  FinetuneSettings again = TinyFinetune("again");
  again.model.directory = settings.output_directory;
  const auto merged = Finetune(again, sink);
  ASSERT_THAT(merged, IsOk());
  EXPECT_NEAR(*merged->heldout_loss_before, *result->heldout_loss_after, 1e-5);
  EXPECT_NE(*merged->heldout_loss_before, *result->heldout_loss_before);
}

TEST_F(FinetuneTest, AdaptersBesideQuantizedWeightsLowerTheLoss) {
  for (const char* identity : {"int8", "int4-g32", "nf4-g32"}) {
    FinetuneSettings settings = TinyLora(identity);
    settings.epochs = 20;
    settings.learning_rate = 2e-2;
    settings.checkpoint_every_steps = 1000;
    settings.model.recipe = *RecipeOfIdentity(identity);
    RecordingSink sink;
    const auto result = Finetune(settings, sink);
    ASSERT_THAT(result, IsOk()) << identity;
    EXPECT_EQ(RecipeIdentity(result->model.recipe), identity);
    EXPECT_LT(*result->heldout_loss_after, *result->heldout_loss_before - 0.3) << identity;
    settings.lora->merge = true;
    EXPECT_THAT(Finetune(settings, sink),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("leave merge out")));
  }
}

}  // namespace
}  // namespace wattle::engine
