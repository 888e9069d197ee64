// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fine-tuning with rounded factors: it learns like FP32, and resumes from a checkpoint bit for bit.
// Tiny models, one thread.
#include <atomic>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/Context.h>
#include <ATen/record_function.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;
using testing::HasSubstr;

class PrecisionTest : public testing::TestWithParam<FactorType> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_P(PrecisionTest, FiftyStepsLearnAsInFloat) {
  FinetuneSettings settings = TinyFinetune("float");
  settings.steps = 50;
  settings.learning_rate = 3e-3;
  settings.checkpoint_every_steps = 1000;
  const std::vector<double> exact = LossesOf(settings);
  settings.work_directory = NewTestDirectory("rounded_work");
  settings.precision = GetParam();
  const std::vector<double> rounded = LossesOf(settings);
  ASSERT_EQ(rounded.size(), 50U);
  ASSERT_EQ(exact.size(), 50U);
  EXPECT_LT(exact.back(), exact.front() - 1.0);
  for (size_t step = 0; step < exact.size(); ++step) {
    // Masks and examples are the same, so the curves differ only by rounding.
    EXPECT_NEAR(rounded[step], exact[step], 0.02 * exact[step]) << "step " << step + 1;
  }
  EXPECT_NE(rounded, exact) << "nothing was rounded";
}

TEST_P(PrecisionTest, ResumeIsBitIdentical) {
  FinetuneSettings whole = TinyFinetune("whole");
  whole.precision = GetParam();
  const std::vector<double> losses = LossesOf(whole);
  FinetuneSettings parts = TinyFinetune("parts");
  parts.precision = GetParam();
  RecordingSink first;
  first.decide = [](const StepReport& report) {
    return report.phase == Phase::kTrain && report.step == 2 ? StepDecision::kStop
                                                             : StepDecision::kGoOn;
  };
  EXPECT_THAT(Finetune(parts, first), StatusIs(absl::StatusCode::kCancelled, HasSubstr("step")));
  RecordingSink second;
  const auto result = Finetune(parts, second);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 2);
  std::vector<double> together = first.TrainingLosses();
  for (const double loss : second.TrainingLosses()) {
    together.push_back(loss);
  }
  EXPECT_EQ(together, losses);
  EXPECT_EQ(FileBytes(parts.output_directory + "/model.safetensors"),
            FileBytes(whole.output_directory + "/model.safetensors"));
}

TEST_P(PrecisionTest, ACheckpointOfAnotherPrecisionIsOfAnotherJob) {
  FinetuneSettings settings = TinyFinetune("run");
  settings.precision = GetParam();
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  settings.precision = FactorType::kFloat32;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("precision")));
}

// Without a GPU nothing is rounded: checks the permission that libtorch's operators have during a
// run.
TEST(Tf32Test, IsAllowedInTheStepsOfAJobThatAsksForIt) {
  static std::atomic<bool> was_allowed = false;
  const at::CallbackHandle handle =
      at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& /*operation*/) {
                              was_allowed = was_allowed || at::globalContext().allowTF32CuBLAS();
                              return std::unique_ptr<at::ObserverContext>();
                            }).scopes({at::RecordScope::FUNCTION}));
  FinetuneSettings settings = TinyFinetune("run");
  const std::vector<double> exact = LossesOf(settings);
  EXPECT_FALSE(was_allowed);
  settings.tf32 = true;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("precision tf32")))
      << "the checkpoint is of another job";
  settings.work_directory = NewTestDirectory("tf32_work");
  EXPECT_EQ(LossesOf(settings), exact) << "a processor computes in FP32";
  at::removeCallback(handle);
  EXPECT_TRUE(was_allowed);
  EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
}

TEST_P(PrecisionTest, AdaptersBesideQuantizedWeightsLearnAsInFloat) {
  FinetuneSettings settings = TinyFinetune("adapters");
  settings.lora = LoraSettings{.rank = 4, .alpha = 8.0, .dropout = 0.1};
  settings.model.recipe = *RecipeOfIdentity("nf4-g32");
  settings.epochs = 20;
  settings.checkpoint_every_steps = 1000;
  const std::vector<double> exact = LossesOf(settings);
  settings.work_directory = NewTestDirectory("rounded_work");
  settings.precision = GetParam();
  const std::vector<double> rounded = LossesOf(settings);
  ASSERT_EQ(rounded.size(), exact.size());
  ASSERT_FALSE(exact.empty());
  EXPECT_LT(rounded.back(), rounded.front() - 0.2);
  EXPECT_NEAR(rounded.back(), exact.back(), 0.02 * exact.back());
  EXPECT_NE(rounded, exact) << "nothing was rounded";
}

// The held-out loss before the first step comes from FP32 passes, for any training precision.
TEST_P(PrecisionTest, HeldoutLossesAreInFloat) {
  FinetuneSettings settings = TinyFinetune("float");
  RecordingSink sink;
  const auto exact = Finetune(settings, sink);
  ASSERT_THAT(exact, IsOk());
  settings.work_directory = NewTestDirectory("rounded_work");
  settings.precision = GetParam();
  const auto rounded = Finetune(settings, sink);
  ASSERT_THAT(rounded, IsOk());
  EXPECT_EQ(rounded->heldout_loss_before, exact->heldout_loss_before);
  EXPECT_NE(rounded->heldout_loss_after, exact->heldout_loss_after);
}

INSTANTIATE_TEST_SUITE_P(Types, PrecisionTest,
                         testing::Values(FactorType::kBf16, FactorType::kFp16),
                         [](const auto& type) {
                           return type.param == FactorType::kBf16 ? "bf16" : "fp16";
                         });

}  // namespace
}  // namespace wattle::engine
