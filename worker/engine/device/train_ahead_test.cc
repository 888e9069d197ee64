// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Training on a device that computes ahead of the host: the guarded device with the kernels, which
// run on the host. A step has no wait; its loss is read while the next step computes.
#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "models/decoder_config.h"
#include "models/tensor_plan.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/device/testing/test_device_cases.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/device/testing/test_guarded_launcher.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(LateNumbersTest, WhoReadsThemWaitsForNoLaterWork) {
  const at::Tensor x = at::full({2}, 1.5, at::dtype(at::kFloat).device(GuardedDevice()));
  ForgetWork();
  const LateNumbers late({DeviceNumber(x.sum()), DeviceNumber(7.0), DeviceNumber(x[0])});
  const at::Tensor later = x * 2.0;
  EXPECT_THAT(late.Read(), testing::ElementsAre(3.0, 7.0, 1.5));
  EXPECT_EQ(WorkOfGuardedDevice().waits, 0);
  EXPECT_EQ(WorkOfGuardedDevice().late_waits, 1);
  EXPECT_THAT(LateNumbers({DeviceNumber(later.sum())}).Read(), testing::ElementsAre(6.0));
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1) << "there is no later work";
  EXPECT_THAT(LateNumbers({DeviceNumber(2.0)}).Read(), testing::ElementsAre(2.0));
  EXPECT_EQ(WorkOfGuardedDevice().waits, 1) << "the host's own numbers are there";
}

// The losses of a run that is stopped after every step and resumed from its checkpoint, so that no
// step begins ahead; uses the settings' own directories.
std::vector<double> LossesStepByStep(const FinetuneSettings& settings, int64_t steps) {
  std::vector<double> losses;
  for (int64_t step = 1; step <= steps; ++step) {
    RecordingSink sink;
    sink.decide = [](const StepReport& report) {
      return report.phase == Phase::kTrain ? StepDecision::kStop : StepDecision::kGoOn;
    };
    EXPECT_THAT(Finetune(settings, sink),
                StatusIs(absl::StatusCode::kCancelled,
                         HasSubstr(absl::StrCat("stopped after step ", step))));
    EXPECT_EQ(sink.TrainingLosses().size(), 1U);
    losses.insert(losses.end(), sink.steps.back().loss);
  }
  return losses;
}

class AheadTest : public testing::TestWithParam<ModeCase> {
 protected:
  static FinetuneSettings OnDevice(const std::string& name) {
    FinetuneSettings settings = FiveSteps(name, kGuardedDevice);
    GetParam().choose(settings);
    return settings;
  }
  KernelsOfGuardedDevice kernels_;
};

// If no step begins ahead, the host waits once, at the end of a step.
TEST_P(AheadTest, AStepHasNoWaitInsideAndItsLossIsThatOfTheHost) {
  FinetuneSettings host = FiveSteps("host", "cpu");
  host.steps = 3;
  GetParam().choose(host);
  const std::vector<double> wanted = LossesOf(host);
  FinetuneSettings settings = OnDevice("device");
  settings.steps = 3;
  settings.checkpoint_every_steps = 0;
  RecordingSink sink;
  std::vector<DeviceWork> steps;
  sink.decide = [&](const StepReport& /*report*/) {
    steps.push_back(WorkOfGuardedDevice());
    ForgetWork();
    return StepDecision::kGoOn;
  };
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  const std::vector<double> losses = sink.TrainingLosses();
  ASSERT_EQ(losses.size(), wanted.size());
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], wanted[i], GetParam().tolerance * wanted[i]) << "step " << i + 1;
  }
  EXPECT_EQ(result->train_loss_last, losses.back());
  for (size_t i = 1; i < steps.size(); ++i) {  // the first step includes loading
    RecordProperty(absl::StrCat("waits_of_step_", i + 1), absl::StrCat(steps[i].waits));
    EXPECT_EQ(steps[i].waits, GetParam().begins_ahead ? 0 : 1) << "step " << i + 1;
    EXPECT_EQ(steps[i].late_waits, GetParam().begins_ahead ? 1 : 0) << "step " << i + 1;
  }
}

TEST_P(AheadTest, ItsBitsAreThoseOfStepsOneByOne) {
  const std::string mode = GetParam().name;
  if (mode != "Whole" && mode != "QuantizationAware" && mode != "AdamW8bit" && mode != "Lora") {
    GTEST_SKIP() << "one mode of each kind, for the sake of time";
  }
  FinetuneSettings whole = OnDevice("whole");
  whole.steps = 3;
  const std::vector<double> wanted = LossesOf(whole);
  FinetuneSettings stopped = OnDevice("stopped");
  stopped.steps = 3;
  EXPECT_EQ(LossesStepByStep(stopped, 2), std::vector<double>(wanted.begin(), wanted.end() - 1));
  RecordingSink sink;
  const auto result = Finetune(stopped, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->resumed_from_step, 2);
  EXPECT_FALSE(result->numerically_continued);
  EXPECT_EQ(sink.TrainingLosses(), std::vector<double>(wanted.end() - 1, wanted.end()));
  const std::string file =
      whole.lora.has_value() ? "/adapter_model.safetensors" : "/model.safetensors";
  EXPECT_TRUE(FileBytes(stopped.output_directory + file) ==
              FileBytes(whole.output_directory + file));
}

INSTANTIATE_TEST_SUITE_P(Modes, AheadTest, testing::ValuesIn(ModeCases()),
                         [](const auto& row) { return row.param.name; });

class AheadEndsTest : public testing::Test {
 protected:
  KernelsOfGuardedDevice kernels_;
};

TEST_F(AheadEndsTest, ALossThatIsNotFiniteEndsTheRunAsOnTheHost) {
  for (const kernels::FactorType precision :
       {kernels::FactorType::kFloat32, kernels::FactorType::kFp16}) {
    FinetuneSettings settings = FiveSteps("run", kGuardedDevice);
    settings.precision = precision;
    settings.loss_scale.initial = 1024.0;
    settings.learning_rate = precision == kernels::FactorType::kFp16 ? 1e5 : 1e30;
    settings.warmup_steps = 0;
    RecordingSink sink;
    EXPECT_THAT(
        Finetune(settings, sink),
        StatusIs(absl::StatusCode::kAborted, AllOf(HasSubstr("step 2: the loss is not finite"),
                                                   HasSubstr("there is no good checkpoint"))));
    EXPECT_EQ(sink.TrainingLosses().size(), 1U);
    EXPECT_TRUE(std::filesystem::is_empty(settings.work_directory));
  }
}

TEST_F(AheadEndsTest, UpdatesInTheBackwardPassEndTheRunAsOnTheHost) {
  FinetuneSettings settings = FiveSteps("run", kGuardedDevice);
  settings.update_in_backward = true;
  settings.accumulation_steps = 1;
  settings.learning_rate = 1e30;
  settings.warmup_steps = 0;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("step 2: the loss is not finite")));
  EXPECT_EQ(sink.TrainingLosses().size(), 1U);
  EXPECT_TRUE(std::filesystem::is_empty(settings.work_directory));
}

// The scale is halved at first and doubled later: gradients that were queued with another scale are
// useless.
TEST_F(AheadEndsTest, OverflowsOfFp16AreSkippedAsStepByStep) {
  const auto settings_of = [](const std::string& name, const std::string& device) {
    FinetuneSettings settings = FiveSteps(name, device);
    settings.steps = 6;
    settings.precision = kernels::FactorType::kFp16;
    settings.loss_scale = {.initial = 0x1p20, .growth_interval = 1};
    return settings;
  };
  const FinetuneSettings whole = settings_of("whole", kGuardedDevice);
  RecordingSink sink;
  const auto result = Finetune(whole, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->loss_scale.has_value());
  EXPECT_GT(result->loss_scale->skipped_steps, 0);
  EXPECT_LT(result->loss_scale->skipped_steps, 5) << "the scale is doubled, too";
  const FinetuneSettings stopped = settings_of("stopped", kGuardedDevice);
  const std::vector<double> wanted = sink.TrainingLosses();
  EXPECT_EQ(LossesStepByStep(stopped, 5), std::vector<double>(wanted.begin(), wanted.end() - 1));
  RecordingSink end;
  const auto again = Finetune(stopped, end);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->loss_scale->scale, result->loss_scale->scale);
  EXPECT_EQ(again->loss_scale->skipped_steps, result->loss_scale->skipped_steps);
  EXPECT_TRUE(FileBytes(stopped.output_directory + "/model.safetensors") ==
              FileBytes(whole.output_directory + "/model.safetensors"));
}

// --- a pass with the kernels ---

class KernelFamilyTest : public testing::TestWithParam<FamilyCase> {
 protected:
  KernelsOfGuardedDevice kernels_;
};

TEST_P(KernelFamilyTest, LossAndGradientsWithDropoutAreThoseOfTheHost) {
  const std::string directory = absl::StrCat("families/", GetParam().name);
  Model host = ReadGoldenModel(directory, GoldenFiles(directory));
  host.decoder.config.attention_dropout = 0.2;
  host.decoder.config.residual_dropout = 0.3;
  host.decoder.config.embedding_dropout = 0.1;
  Model device = OnDevice(host, GuardedDevice());
  const TokenBatch batch = BatchOf(GoldenExamples(ReadTensors(directory + "/golden.safetensors")));
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  const double wanted = LossSumAndGradients(host.decoder, batch, dropout, 1.0, host.gradient_views);
  const double loss =
      LossSumAndGradients(device.decoder, batch, dropout, 1.0, device.gradient_views);
  EXPECT_NEAR(loss, wanted, 1e-5 * wanted);
  EXPECT_LT(RelativeError(device.gradients.cpu(), host.gradients), kGradientTolerance);
}

INSTANTIATE_TEST_SUITE_P(Families, KernelFamilyTest, testing::ValuesIn(FamilyCases()),
                         [](const auto& row) { return row.param.name; });

// The output of ./dev bench gpu-plan for training.
class TrainingPlanTest : public testing::TestWithParam<const char*> {
 protected:
  KernelsOfGuardedDevice kernels_;
};

// The plan is that of the CPU's kernels, which need fewer temporary tensors for an activation.
TEST_P(TrainingPlanTest, AStepMakesTheTensorsOfThePlanAndAFifthMore) {
  v1::ModelShape shape;
  shape.set_architecture(GetParam());
  shape.set_layers(4);
  shape.set_width(128);
  shape.set_heads(4);
  shape.set_vocabulary_size(512);
  shape.set_context_length(128);
  const auto config = models::FromShape(shape);
  ASSERT_THAT(config, IsOk());
  constexpr int64_t kSequences = 2;
  constexpr int64_t kTokens = 96;
  std::vector<Example> examples;
  for (int64_t i = 0; i < kSequences; ++i) {
    Example& example = examples.emplace_back();
    for (int64_t token = 0; token < kTokens; ++token) {
      example.tokens.push_back((token * 7 + i) % 512);
      example.mask.push_back(1);
    }
  }
  Model host = MakeModel(*config);
  host.arena.uniform_(-0.1, 0.1);
  Model device = OnDevice(host, GuardedDevice());
  const models::TensorPlan plan = models::PlanPass(
      *config, {.kind = models::PassKind::kTrain, .batch = kSequences, .tokens = kTokens});
  int64_t planned = 0;
  for (const models::PlannedTensor& tensor : plan.tensors) {
    planned += tensor.size_bytes();
  }
  const TokenBatch batch = BatchOf(examples);
  const int64_t before = BytesOnGuardedDevice();
  ForgetWork();
  LossSumAndGradients(device.decoder, batch, {.active = true, .seed = 3}, 1.0,
                      device.gradient_views);
  const DeviceWork work = WorkOfGuardedDevice();
  const double ratio = static_cast<double>(work.made_bytes) / static_cast<double>(planned);
  RecordProperty("activation_bytes_over_plan", absl::StrCat(ratio));
  EXPECT_LE(ratio, 1.25);
  // Weights and gradients are in memory besides the pass.
  EXPECT_LE(static_cast<double>(work.peak_bytes - before),
            1.2 * static_cast<double>(plan.peak_bytes));
}

INSTANTIATE_TEST_SUITE_P(Architectures, TrainingPlanTest, testing::Values("gpt2", "llama"),
                         [](const auto& row) { return row.param; });

// --- libtorch's error texts for a GPU ---

TEST(TorchBorderTest, WhatFailsOnAGpuIsOneLineWithItsRemedy) {
  const auto told = [](const char* text) {
    return AtTorchBorder("train", [text]() -> absl::Status { throw std::runtime_error(text); });
  };
  EXPECT_THAT(told("CUDA out of memory. Tried to allocate 2.00 GiB\nmore"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("smaller batch_size"), Not(HasSubstr("more")))));
  EXPECT_THAT(told("NVML_SUCCESS == r INTERNAL ASSERT FAILED at \"/CUDACachingAllocator.cpp\":838"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("smaller batch_size")));
  EXPECT_THAT(told("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("smaller batch_size")));
  EXPECT_THAT(told("CUDA error: no kernel image is available for execution on the device\nCompile"),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("a libtorch that was built for this GPU"),
                             Not(HasSubstr("Xid")), Not(HasSubstr("\n")))));
  EXPECT_THAT(told("CUDA error: CUDA driver version is insufficient for CUDA runtime version"),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("update NVIDIA's driver"), Not(HasSubstr("Xid")))));
  EXPECT_THAT(told("CUDA error: an illegal memory access was encountered\nCompile with"),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("illegal memory access"), HasSubstr("Xid"),
                             HasSubstr("start the worker again"))));
  EXPECT_THAT(told("self INTERNAL ASSERT FAILED at \"/Blas.cpp\":3"),
              StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("Xid"))));
}

// --- memory ---

// A model with a recipe is never there twice: besides its weights there is room for one matrix.
TEST(GuardedMemoryTest, LoadingTakesTheWeightsAndOneMatrix) {
  const std::string directory = MakeTinyModel("model", 5);
  for (const char* name : {"int8", "int4-g32", "nf4-g32"}) {
    SCOPED_TRACE(name);
    const auto recipe = RecipeOfIdentity(name);
    ASSERT_THAT(recipe, IsOk());
    ForgetWork();
    const int64_t before = BytesOnGuardedDevice();
    const auto model = LoadModel(directory, {.device = kGuardedDevice, .recipe = &*recipe});
    ASSERT_THAT(model, IsOk());
    int64_t largest = 0;
    for (const Parameter& parameter : model->parameters) {
      largest = std::max(largest, parameter.tensor.element_count());
    }
    const int64_t weights = BytesOnGuardedDevice() - before;
    EXPECT_LE(WorkOfGuardedDevice().peak_bytes - before, weights + largest);
  }
}

// The plan of a pass over two examples of thirty tokens, which the data exceed.
int64_t PlannedBytes(models::PassKind kind) {
  return models::PlanPass(TinyConfig(), {.kind = kind, .batch = 2, .tokens = 30}).arena_bytes;
}

// Every tensor of the model or of a pass is smaller than a pass.
TEST(GuardedMemoryTest, APassTakesItsMemoryInOnePiece) {
  const FinetuneSettings settings = FiveSteps("room", kGuardedDevice);
  ForgetWork();
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  EXPECT_GE(WorkOfGuardedDevice().largest_made_bytes, PlannedBytes(models::PassKind::kTrain));

  EvaluateSettings evaluated;
  evaluated.model = settings.model;
  evaluated.data = settings.data;
  evaluated.batch_size = 2;
  ForgetWork();
  ASSERT_THAT(Evaluate(evaluated, sink), IsOk());
  EXPECT_GE(WorkOfGuardedDevice().largest_made_bytes, PlannedBytes(models::PassKind::kEvaluate));
}

TEST(GuardedMemoryTest, AModelThatTheDeviceDoesNotHoldIsOneLine) {
  const std::string directory = MakeTinyModel("model", 5);
  LimitGuardedMemory(BytesOnGuardedDevice() + 1000);
  const auto model = LoadModel(directory, {.device = kGuardedDevice});
  LimitGuardedMemory(int64_t{1} << 30);
  EXPECT_THAT(model.status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("not enough memory"), HasSubstr("quantized form"))));
  EXPECT_EQ(std::string(model.status().message()).find('\n'), std::string::npos);
  EXPECT_THAT(LoadModel(directory, {.device = kGuardedDevice}).status(), IsOk());
}

}  // namespace
}  // namespace wattle::engine
