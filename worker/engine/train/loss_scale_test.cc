// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Training with FP16 factors and a loss scale: the scale and a whole training against PyTorch's
// GradScaler, small gradients that are kept, overflows that cost only one step each, and a resume
// across them. Tiny models, one thread.
#include "worker/engine/train/loss_scale.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/trainer.h"

namespace wattle::engine {
namespace {

using kernels::FactorType;
using testing::Contains;
using testing::HasSubstr;

nlohmann::json Golden() {
  return nlohmann::json::parse(FileBytes(GoldenPath("loss_scale.json")));
}

// ---- the rule

TEST(LossScaleTest, FollowsPyTorchsGradScaler) {
  const nlohmann::json golden = Golden();
  ASSERT_EQ(golden.at("sequences").size(), 4U);
  for (const nlohmann::json& sequence : golden.at("sequences")) {
    const LossScaleSettings settings{.initial = sequence.at("initial"),
                                     .growth_interval = sequence.at("growth_interval")};
    SCOPED_TRACE(absl::StrCat("growth interval ", settings.growth_interval));
    const std::vector<int64_t> overflows = sequence.at("overflows");
    // [step, scale, good steps in a row]; between two of them only good steps are counted.
    std::vector<std::vector<double>> changes = sequence.at("changes");
    changes.insert(changes.begin(), {0.0, settings.initial, 0.0});
    LossScale state{.scale = settings.initial};
    size_t last = 0;
    int64_t skipped = 0;
    for (int64_t step = 1; step <= sequence.at("steps").get<int64_t>(); ++step) {
      const bool finite = std::count(overflows.begin(), overflows.end(), step) == 0;
      skipped += finite ? 0 : 1;
      ASSERT_THAT(EndStep(settings, finite, state), IsOk());
      last += last + 1 < changes.size() && changes[last + 1][0] == static_cast<double>(step);
      ASSERT_EQ(state.scale, changes[last][1]) << "step " << step;
      ASSERT_EQ(static_cast<double>(state.good_steps - step), changes[last][2] - changes[last][0])
          << "step " << step;
      ASSERT_EQ(state.skipped_steps, skipped) << "step " << step;
    }
    EXPECT_EQ(last + 1, changes.size());
  }
}

TEST(LossScaleTest, AnOverflowAtTheMinimumIsAnError) {
  const LossScaleSettings settings;
  LossScale state{.scale = 2.0};
  ASSERT_THAT(EndStep(settings, false, state), IsOk());
  EXPECT_EQ(state.scale, 1.0);
  EXPECT_THAT(EndStep(settings, false, state),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("loss scale of 1 cannot be halved")));
  EXPECT_EQ(state.skipped_steps, 1);
}

// ---- gradients

class ScaledGradientsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

// The loss is scaled as if it were the mean over 2^20 times as many tokens. In FP16 a gradient of
// such a loss is zero in every block; with a scale of 2^16, and divided by it, it is close to that
// in FP32.
TEST_F(ScaledGradientsTest, SmallOnesArriveWithTheScaleAlone) {
  const models::ModelDirectory files = GoldenFiles("families/qwen2");
  const TokenBatch batch =
      BatchOf(GoldenExamples(ReadTensors("families/qwen2/golden.safetensors")));
  const double small = 0x1p-20 / static_cast<double>(batch.targets.size());
  const auto gradients = [&](FactorType factors, double loss_scale) {
    const FactorScope scope(factors);
    Model model = ReadGoldenModel("families/qwen2", files);
    LossSumAndGradients(model.decoder, batch, DropoutState{}, small * loss_scale,
                        model.gradient_views);
    model.gradients.div_(loss_scale);
    return model;
  };
  const Model exact = gradients(FactorType::kFloat32, 1.0);
  const Model lost = gradients(FactorType::kFp16, 1.0);
  const Model scaled = gradients(FactorType::kFp16, 65536.0);
  for (size_t i = 0; i < exact.parameters.size(); ++i) {
    const models::ModelTensor& tensor = exact.parameters[i].tensor;
    const auto error = [&](const Model& model) {
      return ((model.Gradient(i) - exact.Gradient(i)).norm() / exact.Gradient(i).norm())
          .item<double>();
    };
    EXPECT_LT(error(scaled), 0.075)
        << tensor.name;  // same as without so small a loss (products_test.cc)
    EXPECT_GT(error(lost), 0.9) << tensor.name;
  }
}

// ---- a training beside PyTorch's

// llama_tiny and its golden batch, all of which each step draws.
class GoldenTraining {
 public:
  explicit GoldenTraining(const nlohmann::json& golden) {
    settings_.steps = static_cast<int64_t>(golden.at("losses").size());
    settings_.learning_rate = golden.at("peak_rate");
    settings_.adamw.clip_norm = golden.at("clip_norm");
    settings_.adamw.weight_decay = golden.at("weight_decay");
    settings_.precision = FactorType::kFp16;
    settings_.loss_scale = {.initial = golden.at("initial"),
                            .growth_interval = golden.at("growth_interval")};
    for (const Example& example : GoldenExamples(ReadTensors("llama_tiny/golden.safetensors"))) {
      AddExample(examples_, example.tokens, example.mask);
    }
    settings_.batch_size = static_cast<int64_t>(examples_.size());
    auto model = LoadModel(GoldenPath("llama_tiny"), {.device = TestDeviceName()});
    EXPECT_THAT(model, IsOk());
    state_.model = *std::move(model);
    state_.layout = TrainableLayout(state_.model.parameters);
    state_.optimizer = MakeOptimizerState(v1::OPTIMIZER_ADAMW, state_.model.parameters,
                                          state_.layout, TestDevice());
    trainer_.emplace(settings_, examples_, state_);
  }

  Trainer& trainer() { return *trainer_; }
  [[nodiscard]] double scale() const { return state_.counters.loss_scale->scale; }

 private:
  FinetuneSettings settings_;
  formats::ExamplePool examples_;
  TrainingState state_;
  std::optional<Trainer> trainer_;
};

// The same scales and, up to rounding, the same losses: so gradients are divided by the scale
// before they are clipped, a skipped step moves neither moments nor weights, AdamW counts updates,
// and the rate follows the number of the step.
TEST(ScaledTrainingTest, IsThatOfPyTorchWithItsGradScaler) {
  if (RoundsProducts()) {
    GTEST_SKIP() << "the reference sums in FP32; rounded to FP16 its gradients overflow sooner";
  }
  ASSERT_THAT(SetThreads(1), IsOk());
  const nlohmann::json golden = Golden().at("training");
  GoldenTraining training(golden);
  const std::vector<double> losses = golden.at("losses");
  const std::vector<double> scales = golden.at("scales");
  double before = golden.at("initial");
  for (size_t i = 0; i < losses.size(); ++i) {
    const auto report = training.trainer().Step();
    ASSERT_THAT(report, IsOk());
    EXPECT_NEAR(report->loss, losses[i], 2e-4 * losses[i]) << "step " << i + 1;
    EXPECT_EQ(training.scale(), scales[i]) << "step " << i + 1;
    EXPECT_EQ(report->skipped, scales[i] < before) << "step " << i + 1;
    before = scales[i];
  }
}

// ---- jobs

class Fp16FinetuneTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

// The first steps overflow, and so do later ones: after three good steps the doubled scale is
// tried.
FinetuneSettings OverflowingFinetune(const std::string& name) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.precision = FactorType::kFp16;
  settings.loss_scale = {.initial = 0x1p24, .growth_interval = 3};
  settings.steps = 16;
  settings.checkpoint_every_steps = 1000;
  settings.learning_rate = 1e-3;
  return settings;
}

int64_t SkippedOf(const RecordingSink& sink) {
  return std::count_if(sink.steps.begin(), sink.steps.end(),
                       [](const StepReport& report) { return report.skipped; });
}

TEST_F(Fp16FinetuneTest, OverflowsAreSkippedAndTheTrainingRecovers) {
  FinetuneSettings settings = OverflowingFinetune("run");
  settings.steps = 60;
  settings.learning_rate = 3e-3;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->loss_scale.has_value());
  EXPECT_GT(result->loss_scale->skipped_steps, 3);
  EXPECT_LT(result->loss_scale->skipped_steps, 30);
  EXPECT_EQ(result->loss_scale->skipped_steps, SkippedOf(sink));
  EXPECT_THAT(sink.log, Contains(HasSubstr("step 2: no update, the gradient overflowed FP16; 2 "
                                           "steps skipped so far, the loss scale is now 4194304")));
  EXPECT_EQ(result->work.steps, 60);
  EXPECT_LT(result->train_loss_last, result->train_loss_first - 1.0);
}

TEST_F(Fp16FinetuneTest, StepsThatOverflowChangeNoWeight) {
  FinetuneSettings settings = OverflowingFinetune("run");
  settings.loss_scale.initial = 0x1p60;
  settings.steps = 4;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->loss_scale->skipped_steps, 4);
  EXPECT_EQ(result->loss_scale->scale, 0x1p56);
  EXPECT_EQ(result->heldout_loss_after, result->heldout_loss_before);
  const auto before = LoadModel(settings.model.directory, {.device = TestDeviceName()});
  const auto after = LoadModel(settings.output_directory, {.device = TestDeviceName()});
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(after, IsOk());
  EXPECT_TRUE(at::equal(before->arena, after->arena));
}

TEST_F(Fp16FinetuneTest, ATrainingWithoutFp16HasNoScale) {
  RecordingSink sink;
  const auto result = Finetune(TinyFinetune("float"), sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->loss_scale.has_value());
}

// The final norm's small gains make every gradient below it small: in FP16 without a scale a step
// leaves the blocks unchanged, with a scale it moves them as in FP32.
TEST_F(Fp16FinetuneTest, SmallGradientsMoveWeightsWithTheScaleAlone) {
  FinetuneSettings settings = TinyFinetune("run");
  auto model = LoadModel(settings.model.directory, {.device = TestDeviceName()});
  ASSERT_THAT(model, IsOk());
  size_t block = 0;
  for (size_t i = 0; i < model->parameters.size(); ++i) {
    if (model->parameters[i].tensor.name == "final_norm.weight") {
      model->Values()[i].mul_(1e-6);
    }
    block = model->parameters[i].tensor.name == "layers.0.up.weight" ? i : block;
  }
  ASSERT_GT(block, 0U);
  const at::Tensor before = model->Values()[block].clone();
  settings.model.directory = NewTestDirectory("small_model");
  ASSERT_THAT(SaveModel(settings.model.directory, *model), IsOk());
  settings.steps = 1;
  settings.warmup_steps = 0;
  settings.adamw = {.epsilon = 1e-14};
  const auto moved = [&](FactorType precision, double scale) {
    settings.work_directory = NewTestDirectory("work");
    settings.precision = precision;
    settings.loss_scale.initial = scale;
    LossesOf(settings);
    const auto result = LoadModel(settings.output_directory, {.device = TestDeviceName()});
    EXPECT_THAT(result, IsOk());
    return result->Values()[block] - before;
  };
  const at::Tensor wanted = moved(FactorType::kFloat32, 1.0);
  EXPECT_GT(wanted.abs().max().item<double>(), 1e-3);
  EXPECT_EQ(moved(FactorType::kFp16, 1.0).abs().max().item<double>(), 0.0);
  // The first step of AdamW moves each weight by the rate; the sign of a few differs.
  const at::Tensor scaled = moved(FactorType::kFp16, 0x1p18);
  EXPECT_LT(((scaled - wanted).norm() / wanted.norm()).item<double>(), 0.2);
}

// A weight of 1e5 is beyond FP16: the loss is not finite at any scale.
TEST_F(Fp16FinetuneTest, ALossThatIsNotFiniteIsAnErrorAndNoSkippedStep) {
  FinetuneSettings settings = OverflowingFinetune("run");
  settings.loss_scale.initial = 1024.0;
  settings.checkpoint_every_steps = 1;
  settings.learning_rate = 1e5;
  settings.warmup_steps = 0;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kAborted,
                                                 AllOf(HasSubstr("step 2: the loss is not finite"),
                                                       HasSubstr("precision: bf16"),
                                                       HasSubstr("there is no good checkpoint"))));
  EXPECT_EQ(SkippedOf(sink), 0);
}

TEST_F(Fp16FinetuneTest, AScaleThatCannotBeHalvedIsAnErrorThatNamesTheStep) {
  FinetuneSettings settings = OverflowingFinetune("run");
  settings.loss_scale = {.initial = 0x1p60, .minimum = 0x1p58};
  settings.checkpoint_every_steps = 1;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("step 3: the gradient is not finite"),
                             HasSubstr("the last good checkpoint is that of step 2"))));
}

TEST_F(Fp16FinetuneTest, UpdatesInTheBackwardPassAreRefused) {
  FinetuneSettings settings = OverflowingFinetune("run");
  settings.accumulation_steps = 1;
  settings.update_in_backward = true;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("update_in_backward")));
}

// ---- every form of training

struct Form {
  const char* name;
  void (*set)(FinetuneSettings&);
};

LoraSettings SmallAdapters() {
  return {.rank = 4, .alpha = 8.0, .dropout = 0.1};
}

void PrintTo(const Form& form, std::ostream* out) {
  *out << form.name;
}

const Form kForms[] = {
    {"full", [](FinetuneSettings&) {}},
    {"last_layer", [](FinetuneSettings& s) { s.last_layers = 1; }},
    {"lora", [](FinetuneSettings& s) { s.lora = SmallAdapters(); }},
    {"qlora",
     [](FinetuneSettings& s) {
       s.lora = SmallAdapters();
       s.model.recipe = *RecipeOfIdentity("nf4-g32");
     }},
    {"quantization_aware", [](FinetuneSettings& s) { s.model.recipe = *RecipeOfIdentity("int8"); }},
    {"packed", [](FinetuneSettings& s) { s.packing = true; }},
    {"checkpointed", [](FinetuneSettings& s) { s.activation_checkpointing = true; }},
    {"adamw_8bit", [](FinetuneSettings& s) { s.optimizer = v1::OPTIMIZER_ADAMW_8BIT; }},
    {"adafactor", [](FinetuneSettings& s) { s.optimizer = v1::OPTIMIZER_ADAFACTOR; }},
    {"bf16_weights", [](FinetuneSettings& s) { s.bf16_weights = true; }},
};

class Fp16FormTest : public testing::TestWithParam<Form> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

std::string ResultOf(const FinetuneSettings& settings) {
  return FileBytes(absl::StrCat(settings.output_directory, settings.lora.has_value()
                                                               ? "/adapter_model.safetensors"
                                                               : "/model.safetensors"));
}

// Stops after a skipped step, and again between two changes of the scale: good steps in a row, the
// scale and the number of updates continue.
TEST_P(Fp16FormTest, ResumeAcrossASkippedStepIsBitIdentical) {
  FinetuneSettings whole = OverflowingFinetune("whole");
  GetParam().set(whole);
  RecordingSink uninterrupted;
  const auto wanted = Finetune(whole, uninterrupted);
  ASSERT_THAT(wanted, IsOk());
  // The last skipped step that follows a good one and precedes three more.
  int64_t skipped_step = 0;
  bool skipped_before = true;
  for (const StepReport& report : uninterrupted.steps) {
    if (report.phase == Phase::kTrain && report.step + 3 <= whole.steps) {
      skipped_step = report.skipped && !skipped_before ? report.step : skipped_step;
      skipped_before = report.skipped;
    }
  }
  ASSERT_GT(skipped_step, 0) << "no step was skipped between good ones";
  FinetuneSettings parts = OverflowingFinetune("parts");
  GetParam().set(parts);
  std::vector<double> losses;
  for (const int64_t stop : {skipped_step, skipped_step + 2, int64_t{0}}) {
    RecordingSink sink;
    sink.decide = [stop](const StepReport& report) {
      return report.phase == Phase::kTrain && report.step == stop ? StepDecision::kStop
                                                                  : StepDecision::kGoOn;
    };
    const auto result = Finetune(parts, sink);
    EXPECT_EQ(result.ok(), stop == 0) << result.status();
    for (const double loss : sink.TrainingLosses()) {
      losses.push_back(loss);
    }
    if (result.ok()) {
      EXPECT_EQ(result->resumed_from_step, skipped_step + 2);
      EXPECT_EQ(result->loss_scale->scale, wanted->loss_scale->scale);
      EXPECT_EQ(result->loss_scale->good_steps, wanted->loss_scale->good_steps);
      EXPECT_EQ(result->loss_scale->skipped_steps, wanted->loss_scale->skipped_steps);
    }
  }
  EXPECT_EQ(losses, uninterrupted.TrainingLosses());
  EXPECT_EQ(ResultOf(parts), ResultOf(whole));
}

INSTANTIATE_TEST_SUITE_P(Forms, Fp16FormTest, testing::ValuesIn(kForms),
                         [](const auto& form) { return std::string(form.param.name); });

}  // namespace
}  // namespace wattle::engine
