// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/tensor_plan.h"

#include <algorithm>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "proto/quantization_recipe.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::models {
namespace {

DecoderConfig Gpt2(int32_t layers) {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(layers);
  shape.set_width(768);
  shape.set_heads(12);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  const auto config = FromShape(shape);
  EXPECT_THAT(config, IsOk());
  return *config;
}

TensorPlan Plan(const PassDescription& pass, int32_t layers = 12) {
  return PlanPass(Gpt2(layers), pass);
}

// Whether the tensor lives at the time of an event.
bool LivesAt(const PlannedTensor& tensor, int64_t event) {
  return tensor.first_use <= event && event < tensor.last_use;
}

TEST(TensorPlanTest, TensorsThatLiveAtOnceDoNotOverlapInTheArena) {
  const TensorPlan plan = Plan({.batch = 2, .tokens = 64}, 3);
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlannedTensor& tensor = plan.tensors[i];
    EXPECT_LT(tensor.first_use, tensor.last_use) << tensor.name;
    EXPECT_LE(tensor.offset + tensor.size_bytes(), plan.arena_bytes) << tensor.name;
    for (size_t j = 0; j < i; ++j) {
      const PlannedTensor& other = plan.tensors[j];
      if (LivesAt(other, tensor.first_use)) {
        EXPECT_TRUE(other.offset + other.size_bytes() <= tensor.offset ||
                    tensor.offset + tensor.size_bytes() <= other.offset)
            << other.name << " and " << tensor.name;
      }
    }
  }
}

TEST(TensorPlanTest, ThePeakIsTheMostThatLivesAtOnceAndTheArenaHardlyMore) {
  const TensorPlan plan = Plan({.batch = 1, .tokens = 256});
  int64_t peak = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    int64_t live = 0;
    for (const PlannedTensor& other : plan.tensors) {
      live += LivesAt(other, tensor.first_use) ? other.size_bytes() : 0;
    }
    peak = std::max(peak, live);
  }
  EXPECT_NEAR(static_cast<double>(plan.peak_bytes), static_cast<double>(peak),
              1e-4 * static_cast<double>(peak));
  EXPECT_LT(static_cast<double>(plan.arena_bytes), 1.1 * static_cast<double>(plan.peak_bytes));
}

TEST(TensorPlanTest, ATrainingStepKeepsItsProbabilitiesOfEveryLayer) {
  const TensorPlan plan = Plan({.batch = 2, .tokens = 256});
  constexpr int64_t kProbabilities = 2LL * 12 * 256 * 256 * 4;
  int64_t kept = 0;
  int64_t head = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (std::string(tensor.name) == "logits") {
      head = tensor.first_use;
    }
  }
  for (const PlannedTensor& tensor : plan.tensors) {
    kept += std::string(tensor.name) == "probabilities" && LivesAt(tensor, head)
                ? tensor.size_bytes()
                : 0;
  }
  EXPECT_EQ(kept, 12 * kProbabilities);
}

TEST(TensorPlanTest, CheckpointingKeepsOneBlockAndTheInputsOfTheOthers) {
  const auto grows_by = [](bool checkpointing) {
    const PassDescription pass = {
        .batch = 1, .tokens = 512, .activation_checkpointing = checkpointing};
    return Plan(pass, 12).peak_bytes - Plan(pass, 11).peak_bytes;
  };
  EXPECT_EQ(grows_by(true), 512 * 768 * 4) << "the input of a layer";
  EXPECT_GT(grows_by(false), 20 * grows_by(true));
}

TEST(TensorPlanTest, AdaptersTakeTheirRowsAndQuantizedWeightsAPieceOfThem) {
  const auto config = Gpt2(2);
  PassDescription pass = {.batch = 1, .tokens = 64};
  const auto modules = AdapterModules(config, {"c_fc"}, 8);
  ASSERT_THAT(modules, IsOk());
  pass.adapters = *modules;
  const auto count = [&](const char* name) {
    const TensorPlan plan = PlanPass(config, pass);
    return std::count_if(plan.tensors.begin(), plan.tensors.end(),
                         [&](const PlannedTensor& t) { return std::string(t.name) == name; });
  };
  EXPECT_EQ(count("adapter rows"), 2 * 2) << "a layer, forward and backward";
  EXPECT_EQ(count("dequantized rows"), 0);
  pass.recipe = *RecipeOfIdentity("nf4-g64");
  EXPECT_EQ(count("dequantized rows"), 2 * 4 * 2 + 2) << "four matrices a layer, and the head";
}

TEST(TensorPlanTest, ALongerPassIsALargerOne) {
  for (const PassKind kind : {PassKind::kTrain, PassKind::kEvaluate, PassKind::kCompare}) {
    const auto peak = [&](int64_t batch, int64_t tokens) {
      return Plan({.kind = kind, .batch = batch, .tokens = tokens}).peak_bytes;
    };
    EXPECT_LT(peak(1, 64), peak(2, 64));
    EXPECT_LT(peak(2, 64), peak(1, 256));
  }
}

}  // namespace
}  // namespace wattle::models
