// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Updates in the backward pass: the gradients of each part are those of a whole backward pass, a
// step without clipping equals the ordinary step to the last bit, clipping limits each part,
// non-finite numbers change no weight, and gradients take the memory of the estimate.
#include "worker/engine/train/updates_in_backward.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/status_macros.h"
#include "base/testing/status_matchers.h"
#include "models/memory_estimate.h"
#include "wattle/v1/profile.pb.h"
#include "worker/engine/device/device.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

namespace fs = std::filesystem;
using models::ModelPart;
using models::PartKind;
using testing::AllOf;
using testing::HasSubstr;

// ---- the gradients of a part

// Two layers of a family; Llama's and GPT-NeoX's have an untied head.
models::DecoderConfig ConfigOf(const std::string& family) {
  models::DecoderConfig config = TinyConfigOf(family.c_str());
  config.tied_embeddings = family != "llama" && family != "gpt_neox";
  return config;
}

class PartsTest : public testing::TestWithParam<const char*> {};

TEST_P(PartsTest, EachPartIsCompleteWhenThePassSaysSo) {
  Model model = RandomModel(ConfigOf(GetParam()));
  const models::DecoderConfig& config = model.decoder.config;
  Example example;
  for (int64_t i = 0; i < 40; ++i) {
    example.tokens.push_back(i * 7 % 250);
    example.mask.push_back(1);
  }
  const TokenBatch batch = BatchOf({example, example});
  const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
  const double whole =
      LossSumAndGradients(model.decoder, batch, dropout, 1.0, model.gradient_views);

  const ArenaLayout layout = SharedGradientLayout(model.parameters, config.tied_embeddings);
  EXPECT_LT(layout.elements, model.layout.elements);
  at::Tensor gradients = at::zeros({layout.elements}, TestDevice());
  DecoderWeights views = WeightsOver(config, model.parameters, layout, gradients);
  std::vector<ModelPart> parts;
  const auto compare = [&](const ModelPart& part, const DeviceNumber& loss_sum) {
    EXPECT_EQ(loss_sum.Read(), whole);
    parts.push_back(part);
    for (size_t i = 0; i < model.parameters.size(); ++i) {
      if (models::PartOf(model.parameters[i].tensor) == part) {
        at::Tensor own = ArenaView(gradients, layout, model.parameters, i);
        EXPECT_TRUE(at::equal(own, model.Gradient(i))) << model.parameters[i].tensor.name;
        own.zero_();
        // From here on these weights are not read.
        model.Value(i).fill_(std::numeric_limits<float>::quiet_NaN());
      }
    }
    return true;
  };
  EXPECT_EQ(LossSumAndGradientsByParts(model.decoder, batch, dropout, 1.0, views,
                                       KeptActivations::kInputs, compare)
                .Read(),
            whole);
  EXPECT_EQ(gradients.abs().max().item<float>(), 0.0F);
  EXPECT_THAT(parts,
              testing::ElementsAre(ModelPart{PartKind::kHead}, ModelPart{PartKind::kBlock, 1},
                                   ModelPart{PartKind::kBlock, 0}, ModelPart{PartKind::kTables}));
}

TEST_P(PartsTest, APassThatIsEndedGoesNoFurther) {
  Model model = RandomModel(ConfigOf(GetParam()));
  int calls = 0;
  const auto end_at_block = [&](const ModelPart& part, const DeviceNumber& /*loss_sum*/) {
    ++calls;
    return part.kind != PartKind::kBlock;
  };
  LossSumAndGradientsByParts(model.decoder, BatchOf({{.tokens = {1, 2, 3}, .mask = {1, 1, 1}}}),
                             DropoutState{}, 1.0, model.gradient_views, KeptActivations::kAll,
                             end_at_block);
  EXPECT_EQ(calls, 2);
}

INSTANTIATE_TEST_SUITE_P(Families, PartsTest,
                         testing::Values("gpt2", "llama", "gemma2", "gpt_neox"),
                         [](const auto& row) { return std::string(row.param); });

// ---- a part's update

// A tiny GPT-2 in training, with random gradients for every part.
struct InTraining {
  TrainingState state;
  ArenaLayout layout;
  at::Tensor gradients;

  InTraining() {
    Model model = RandomModel(TinyConfig());
    state.model.files.config = model.decoder.config;
    state.model.parameters = model.parameters;
    state.model.layout = model.layout;
    state.model.arena = model.arena;
    state.layout = TrainableLayout(model.parameters);
    state.optimizer =
        MakeOptimizerState(v1::OPTIMIZER_ADAMW, model.parameters, state.layout, TestDevice());
    layout = SharedGradientLayout(model.parameters, /*tied_head=*/true);
    gradients = at::full({layout.elements}, 0.5F, TestDevice());
  }
};

// On a device, which decides by itself.
DeviceNumber LossOf(double loss) {
  return DeviceNumber(OnTestDevice(at::full({}, loss, at::kDouble)));
}

TEST(UpdatesInBackwardTest, ClippingBoundsTheGradientOfEachPart) {
  InTraining run;
  const AdamWSettings settings{.clip_norm = 2.0};
  UpdatesInBackward updates(settings, {run.layout, run.gradients}, run.state);
  const ModelPart part{PartKind::kBlock, 1};
  ASSERT_THAT(updates.Update({.step = 1, .learning_rate = 0.01}, part, LossOf(1.0)), IsOk());
  double squares = 0.0;
  for (size_t i = 0; i < run.state.model.parameters.size(); ++i) {
    const at::Tensor& first = run.state.optimizer.tensors[i][0];
    if (models::PartOf(run.state.model.parameters[i].tensor) == part) {
      squares += std::pow(first.norm().item<double>(), 2);
      EXPECT_EQ(ArenaView(run.gradients, run.layout, run.state.model.parameters, i)
                    .abs()
                    .max()
                    .item<float>(),
                0.0F);
    } else {
      EXPECT_EQ(first.abs().max().item<float>(), 0.0F);
    }
  }
  EXPECT_NEAR(std::sqrt(squares), 0.1 * 2.0, 1e-6);  // 1 - β₁ of a gradient of norm 2
}

TEST(UpdatesInBackwardTest, WhatIsNotFiniteChangesNoWeight) {
  InTraining run;
  const at::Tensor before = run.state.model.arena.clone();
  const AdamWSettings settings;
  UpdatesInBackward updates(settings, {run.layout, run.gradients}, run.state);
  const kernels::AdamWStep step{.step = 7, .learning_rate = 0.01};
  const auto loss_of_step = [&](const ModelPart& part, double loss) -> absl::StatusOr<double> {
    WATTLE_RETURN_IF_ERROR(updates.Update(step, part, LossOf(loss)));
    return updates.End(step.step, LossOf(loss));
  };
  const auto not_finite = loss_of_step({PartKind::kHead}, std::nan(""));
  if (OperationsOn(TestDevice()).in_host_memory()) {
    EXPECT_THAT(not_finite,
                StatusIs(absl::StatusCode::kAborted, HasSubstr("step 7: the loss is not finite")));
  } else {
    ASSERT_THAT(not_finite, IsOk());
    EXPECT_TRUE(std::isnan(*not_finite)) << "who trains is told at the end of the step";
  }
  run.gradients.fill_(std::numeric_limits<float>::infinity());
  EXPECT_THAT(loss_of_step({PartKind::kBlock, 1}, 1.0),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("the gradient of layer 1 is not")));
  EXPECT_TRUE(at::equal(run.state.model.arena, before));
}

// ---- the room

// The estimate equals the engine's use, except for gaps between parameters.
TEST(UpdatesInBackwardTest, GradientsAndStateTakeTheRoomOfTheEstimate) {
  for (const bool untied : {false, true}) {
    v1::ModelShape shape;
    shape.set_architecture("gpt2");
    shape.set_untied_head(untied);
    shape.set_layers(12);
    shape.set_width(768);
    shape.set_heads(12);
    shape.set_vocabulary_size(50257);
    shape.set_context_length(1024);
    const auto config = models::FromShape(shape);
    ASSERT_THAT(config, IsOk());
    const auto estimate = models::EstimateMemory(*config, {.task = MemoryTask::kFinetune,
                                                           .sequence_tokens = 256,
                                                           .optimizer = v1::OPTIMIZER_ADAFACTOR,
                                                           .update_in_backward = true});
    ASSERT_THAT(estimate, IsOk());
    const std::vector<Parameter> parameters = ParametersOf(*config);
    const auto gaps = static_cast<double>(parameters.size()) * kArenaAlignment * 4 * 3;
    const ArenaLayout shared = SharedGradientLayout(parameters, config->tied_embeddings);
    EXPECT_NEAR(static_cast<double>(shared.elements) * 4,
                static_cast<double>(estimate->gradients_bytes), gaps)
        << untied;
    // The tables, and with a tied head also the largest layer.
    const int64_t tables = (50257LL + 1024) * 768 * 4;
    const int64_t layer = (12LL * 768 * 768 + 13 * 768) * 4;
    EXPECT_EQ(estimate->gradients_bytes, untied ? tables : tables + layer);
    const OptimizerState state = MakeOptimizerState(v1::OPTIMIZER_ADAFACTOR, parameters,
                                                    TrainableLayout(parameters), at::kCPU);
    EXPECT_NEAR(static_cast<double>(state.region.numel()),
                static_cast<double>(estimate->optimizer_bytes), gaps);
  }
}

// ---- the job

FinetuneSettings TinyLean(const std::string& name, v1::Optimizer optimizer) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.accumulation_steps = 1;
  settings.adamw.clip_norm = -1.0;
  settings.optimizer = optimizer;
  return settings;
}

class LeanFinetuneTest : public testing::TestWithParam<v1::Optimizer> {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_P(LeanFinetuneTest, WithoutClippingEqualsTheOrdinaryStepToTheLastBit) {
  for (const char* form : {"plain", "packed", "recomputed", "last_layers"}) {
    FinetuneSettings after = TinyLean("after", GetParam());
    FinetuneSettings within = TinyLean("within", GetParam());
    within.update_in_backward = true;
    for (FinetuneSettings* settings : {&after, &within}) {
      settings->packing = form == std::string("packed");
      settings->activation_checkpointing = form == std::string("recomputed");
      settings->last_layers = form == std::string("last_layers") ? 1 : 0;
    }
    RecordingSink after_sink;
    RecordingSink within_sink;
    ASSERT_THAT(Finetune(after, after_sink), IsOk());
    ASSERT_THAT(Finetune(within, within_sink), IsOk());
    EXPECT_EQ(within_sink.TrainingLosses(), after_sink.TrainingLosses()) << form;
    EXPECT_EQ(FileBytes(within.output_directory + "/model.safetensors"),
              FileBytes(after.output_directory + "/model.safetensors"))
        << form;
  }
}

TEST_P(LeanFinetuneTest, LowersTheLoss) {
  FinetuneSettings settings = TinyLean("run", GetParam());
  settings.update_in_backward = true;
  settings.adamw.clip_norm = 1.0;
  settings.epochs = 20;
  settings.checkpoint_every_steps = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(*result->heldout_loss_after, *result->heldout_loss_before - 1.0);
}

INSTANTIATE_TEST_SUITE_P(Optimizers, LeanFinetuneTest,
                         testing::Values(v1::OPTIMIZER_ADAMW, v1::OPTIMIZER_ADAMW_8BIT,
                                         v1::OPTIMIZER_ADAFACTOR),
                         [](const auto& row) { return v1::Optimizer_Name(row.param); });

class LeanRefusalsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(SetThreads(1), IsOk()); }
};

TEST_F(LeanRefusalsTest, ALossThatIsNotFiniteNamesTheStep) {
  FinetuneSettings settings = TinyLean("run", v1::OPTIMIZER_ADAMW);
  settings.update_in_backward = true;
  settings.learning_rate = 1e30;
  settings.warmup_steps = 0;
  RecordingSink sink;
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kAborted,
                                                 AllOf(HasSubstr("step 2"), HasSubstr("not finite"),
                                                       HasSubstr("there is no good checkpoint"))));
  EXPECT_TRUE(fs::is_empty(settings.output_directory));
}

TEST_F(LeanRefusalsTest, WhatCannotHoldIsRefused) {
  RecordingSink sink;
  FinetuneSettings settings = TinyLean("run", v1::OPTIMIZER_ADAMW);
  settings.update_in_backward = true;
  settings.accumulation_steps = 2;
  EXPECT_THAT(Finetune(settings, sink), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                 HasSubstr("gradient_accumulation_steps: 2")));
  settings.accumulation_steps = 1;
  settings.lora = {.rank = 4, .alpha = 8.0};
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("update_in_backward")));
}

}  // namespace
}  // namespace wattle::engine
