// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Early stop: when a run ends, which weights it delivers, and that it resumes to the same bits from
// every step, from within an evaluation, and from an older checkpoint.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/best_weights.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kPatience = 2;

// Steps that are too large: the held-out loss falls, and then jumps.
FinetuneSettings Jumping(const std::string& name) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.epochs = 6;
  settings.learning_rate = 0.3;
  settings.learning_rate_shape = LearningRateShape::kConstant;
  settings.adamw.clip_norm = 0.0;
  settings.evaluate_every_steps = 1;
  return settings;
}

FinetuneSettings Stopping(const std::string& name) {
  FinetuneSettings settings = Jumping(name);
  settings.early_stop_evaluations = kPatience;
  return settings;
}

std::vector<double> HeldoutLosses(const RecordingSink& sink) {
  std::vector<double> losses;
  for (const StepReport& step : sink.steps) {
    if (step.phase == Phase::kTrain) {
      losses.push_back(step.heldout_loss);
    }
  }
  return losses;
}

// An independent implementation of the rule: where a run over these losses ends, and where it was
// best.
struct Expected {
  int64_t steps = 0;
  int64_t best_step = 0;
  double best = std::numeric_limits<double>::infinity();
};

Expected ExpectedOf(const std::vector<double>& losses) {
  Expected expected;
  for (const double loss : losses) {
    ++expected.steps;
    if (loss < expected.best) {
      expected.best = loss;
      expected.best_step = expected.steps;
    }
    if (expected.steps - expected.best_step == kPatience) {
      break;
    }
  }
  return expected;
}

std::string ResultBytes(const FinetuneSettings& settings) {
  return FileBytes(settings.output_directory + "/model.safetensors");
}

class EarlyStopTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(SetThreads(1), IsOk());
    whole_ = Stopping("whole");
    const auto result = Finetune(whole_, sink_);
    ASSERT_THAT(result, IsOk());
    result_ = *result;
  }

  FinetuneSettings whole_;
  RecordingSink sink_;
  FinetuneResult result_;
};

TEST_F(EarlyStopTest, EndsAfterTheLastGainAndDeliversTheBestModel) {
  RecordingSink jumping_sink;
  const FinetuneSettings jumping = Jumping("jumping");
  const auto jumped = Finetune(jumping, jumping_sink);
  ASSERT_THAT(jumped, IsOk());
  EXPECT_FALSE(jumped->best_step.has_value());
  const std::vector<double> losses = HeldoutLosses(jumping_sink);
  const Expected expected = ExpectedOf(losses);
  ASSERT_LT(expected.steps, static_cast<int64_t>(losses.size())) << "the losses do not jump";
  EXPECT_EQ(result_.work.steps, expected.steps);
  EXPECT_EQ(result_.best_step, expected.best_step);
  EXPECT_EQ(result_.heldout_loss_after, expected.best);
  // The same steps until then, and the delivered model has the reported loss.
  std::vector<double> begun = jumping_sink.TrainingLosses();
  begun.resize(static_cast<size_t>(expected.steps));
  EXPECT_EQ(sink_.TrainingLosses(), begun);
  FinetuneSettings again = TinyFinetune("again");
  again.model.directory = whole_.output_directory;
  RecordingSink again_sink;
  const auto delivered = Finetune(again, again_sink);
  ASSERT_THAT(delivered, IsOk());
  EXPECT_EQ(delivered->heldout_loss_before, expected.best);
}

TEST_F(EarlyStopTest, ResumesToTheSameBitsFromEveryStep) {
  for (const Phase phase : {Phase::kTrain, Phase::kEvaluate}) {
    // After a step, or in the evaluation that follows it; the evaluation before step 1 is separate.
    for (int64_t cut = phase == Phase::kTrain ? 1 : 2; cut < result_.work.steps; ++cut) {
      SCOPED_TRACE(absl::StrCat(PhaseName(phase), " ", cut));
      const FinetuneSettings parts = Stopping(absl::StrCat("parts", PhaseName(phase), cut));
      RecordingSink first;
      first.decide = [&](const StepReport& report) {
        const auto told = static_cast<int64_t>(first.TrainingLosses().size());
        const bool here = phase == Phase::kTrain ? report.step == cut : told == cut - 1;
        return report.phase == phase && here ? StepDecision::kStop : StepDecision::kGoOn;
      };
      EXPECT_THAT(Finetune(parts, first),
                  StatusIs(absl::StatusCode::kCancelled, HasSubstr("stopped")));
      RecordingSink second;
      const auto result = Finetune(parts, second);
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ(result->resumed_from_step, cut);
      EXPECT_EQ(result->best_step, result_.best_step);
      EXPECT_EQ(result->work.steps, result_.work.steps);
      EXPECT_EQ(result->heldout_loss_after, result_.heldout_loss_after);
      EXPECT_EQ(ResultBytes(parts), ResultBytes(whole_));
    }
  }
}

// The preceding checkpoint contains the best weights of its own time.
TEST_F(EarlyStopTest, ADamagedCheckpointCostsNoBestWeights) {
  for (const int64_t back : {0, 1}) {
    const FinetuneSettings parts = Stopping(absl::StrCat("parts", back));
    RecordingSink first;
    ASSERT_THAT(Finetune(parts, first), IsOk());
    const std::string newest =
        absl::StrFormat("%s/checkpoint-%010d", parts.work_directory, result_.work.steps);
    const std::string file = back == 0 ? "optimizer.safetensors" : kBestWeightsFile;
    fs::remove(absl::StrCat(newest, "/", file));
    fs::remove(absl::StrCat(parts.work_directory, "/", kBestWeightsFile));
    RecordingSink second;
    const auto result = Finetune(parts, second);
    ASSERT_THAT(result, IsOk());
    EXPECT_EQ(result->resumed_from_step, result_.work.steps - 1) << file;
    EXPECT_EQ(ResultBytes(parts), ResultBytes(whole_)) << file;
    EXPECT_EQ(result->best_step, result_.best_step);
  }
}

TEST_F(EarlyStopTest, ARunThatReachesItsLastStepDeliversItsBestModelToo) {
  FinetuneSettings settings = Stopping("patient");
  settings.early_stop_evaluations = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  const std::vector<double> losses = HeldoutLosses(sink);
  EXPECT_EQ(result->work.steps, static_cast<int64_t>(losses.size()));
  EXPECT_EQ(*result->heldout_loss_after, *std::min_element(losses.begin(), losses.end()));
}

TEST_F(EarlyStopTest, AdaptersAreTheBestOnes) {
  constexpr double kTooLargeForAdapters = 8.0;
  FinetuneSettings settings = Stopping("lora");
  settings.learning_rate = kTooLargeForAdapters;
  settings.lora = {.rank = 4, .alpha = 8.0};
  settings.early_stop_evaluations = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_LT(*result->best_step, result->work.steps) << "the last step is the best one";
  FinetuneSettings shorter = Stopping("shorter");
  shorter.learning_rate = kTooLargeForAdapters;
  shorter.lora = settings.lora;
  shorter.early_stop_evaluations = 1000;
  shorter.checkpoint_every_steps = 1000;
  RecordingSink stopped;
  stopped.decide = [&](const StepReport& report) {
    return report.phase == Phase::kTrain && report.step == *result->best_step ? StepDecision::kStop
                                                                              : StepDecision::kGoOn;
  };
  EXPECT_THAT(Finetune(shorter, stopped),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stopped")));
  EXPECT_EQ(FileBytes(settings.output_directory + "/adapter_model.safetensors"),
            FileBytes(absl::StrFormat("%s/checkpoint-%010d/adapter_model.safetensors",
                                      shorter.work_directory, *result->best_step)));
}

TEST_F(EarlyStopTest, WithoutHeldoutLossesItIsRefused) {
  RecordingSink sink;
  FinetuneSettings settings = Stopping("run");
  settings.evaluate_every_steps = 0;
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                 HasSubstr("early_stop_evaluations: 2")));
  settings = Stopping("run");
  settings.heldout_data.clear();
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                 HasSubstr("early_stop_evaluations: 2")));
}

}  // namespace
}  // namespace wattle::engine
