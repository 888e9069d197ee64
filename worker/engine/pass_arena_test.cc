// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The arena, and the proof that a pass of the engine makes exactly the tensors of
// models/tensor_plan.h, in the same order and with the same lifetimes.
#include "worker/engine/pass_arena.h"

#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>

#include "base/testing/status_matchers.h"
#include "models/tensor_plan.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/block.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/perturbed_weights.h"
#include "worker/engine/models/products.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/testing/test_plan.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/train/adapters.h"

namespace wattle::engine {
namespace {

using models::PassDescription;
using models::PassKind;

constexpr int64_t kRoom = int64_t{1} << 30;

// ---- the arena

TEST(PassArenaTest, TensorsOfTheScopeComeFromTheArenaAndOthersDoNot) {
  PassArena arena(kRoom);
  const at::Tensor before = at::zeros({1000});
  {
    const PassArena::Scope scope(arena);
    const at::Tensor inside = at::ones({1000});
    EXPECT_EQ(inside.sum().item<float>(), 1000.0F);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(inside.data_ptr()) % 64, 0U);
    EXPECT_EQ(arena.figures().in_use_bytes, 4032);
    std::thread([&] { EXPECT_EQ(at::ones({1000}).numel(), 1000); }).join();
    EXPECT_EQ(arena.figures().in_use_bytes, 4032) << "another thread is not in the scope";
  }
  EXPECT_EQ(arena.figures().in_use_bytes, 0);
  const at::Tensor after = at::zeros({1000});
  EXPECT_EQ(arena.figures().in_use_bytes, 0);
}

TEST(PassArenaTest, WhatFindsNoRoomComesFromTheHeapAndIsCounted) {
  PassArena arena(8192);
  const PassArena::Scope scope(arena);
  const at::Tensor fits = at::ones({1000});
  const at::Tensor large = at::ones({2000});
  EXPECT_EQ(large.sum().item<float>(), 2000.0F);
  EXPECT_EQ(arena.figures().heap_tensors, 1);
}

TEST(PassArenaTest, ATensorMayBeLetGoAfterTheScopeAndByAnotherThread) {
  PassArena arena(kRoom);
  at::Tensor tensor;
  {
    const PassArena::Scope scope(arena);
    tensor = at::ones({1000});
  }
  EXPECT_GT(arena.figures().in_use_bytes, 0);
  std::thread([&] { tensor.reset(); }).join();
  EXPECT_EQ(arena.figures().in_use_bytes, 0);
}

// oneDNN takes such memory within an operator.
TEST(PassArenaTest, BareMemoryOfTheArenaAndOfTheHeapIsFreedWhereItCameFrom) {
  PassArena arena(kRoom);
  at::Allocator& allocator = *c10::GetCPUAllocator();
  void* of_heap = allocator.raw_allocate(1000);
  void* of_arena = nullptr;
  {
    const PassArena::Scope scope(arena);
    of_arena = allocator.raw_allocate(1000);
    EXPECT_EQ(arena.figures().in_use_bytes, 1024);
    allocator.raw_deallocate(of_heap);
    EXPECT_EQ(arena.figures().in_use_bytes, 1024);
  }
  allocator.raw_deallocate(of_arena);
  EXPECT_EQ(arena.figures().in_use_bytes, 0);
}

TEST(PassArenaTest, MemoryThatWentBackIsZeroWhenItIsTakenAgain) {
  PassArena arena(kRoom);
  const PassArena::Scope scope(arena);
  { const at::Tensor tensor = at::ones({1 << 20}); }
  arena.ReleaseMemory();
  const at::Tensor fresh = at::empty({1 << 20});
  EXPECT_EQ(fresh.sum().item<float>(), 0.0F);
}

TEST(PassArenaDeathTest, ATensorThatOutlivesItsArenaIsABug) {
  EXPECT_DEATH(
      {
        at::Tensor tensor;
        PassArena arena(kRoom);
        const PassArena::Scope scope(arena);
        tensor = at::ones({1000});
        arena.ReleaseMemory();
      },
      "memory goes back between passes");
}

// ---- the plan

// One pass to plan and to run.
struct Drawn {
  std::string name = {};
  models::DecoderConfig config;
  PassDescription pass = {};
  int64_t rank = 0;
};

Drawn DrawTraining(const std::string& family, Draw& draw) {
  Drawn drawn{.config = DrawConfig(family, draw)};
  PassDescription& pass = drawn.pass;
  pass.kind = PassKind::kTrain;
  pass.batch = draw.Of({1, 2, 3});
  pass.tokens = draw.Of({40, 64, 120});
  pass.activation_checkpointing = draw.Heads();
  drawn.name =
      absl::StrCat(family, " x ", drawn.config.layers.size(), ", ", pass.batch, " x ", pass.tokens);
  const int64_t method = draw.Of({0, 1, 2, 3});
  if (method == 3) {
    pass.trained_layers = draw.Of({1, 2});
  } else if (method > 0) {
    drawn.rank = draw.Of({2, 5});
    const auto modules = models::AdapterModules(drawn.config, {}, drawn.rank);
    EXPECT_THAT(modules, IsOk());
    pass.adapters = *modules;
    pass.adapter_dropout = draw.Heads() ? 0.1 : 0.0;
    pass.recipe = *RecipeOfIdentity(method == 1 ? "none" : "int8");
  }
  pass.bf16_matrices = draw.Heads();
  pass.rounded_factors = draw.Heads();
  absl::StrAppend(&drawn.name, pass.bf16_matrices ? ", BF16" : "",
                  pass.rounded_factors ? ", rounded factors" : "",
                  method == 0   ? ", full"
                  : method == 1 ? ", LoRA"
                  : method == 2 ? ", QLoRA"
                                : absl::StrCat(", last ", pass.trained_layers),
                  pass.activation_checkpointing ? ", checkpointing" : "");
  return drawn;
}

Drawn DrawEvaluation(const std::string& family, Draw& draw) {
  Drawn drawn{.config = DrawConfig(family, draw)};
  PassDescription& pass = drawn.pass;
  const int64_t kind = draw.Of({0, 1, 2});
  pass.kind = kind == 0   ? PassKind::kEvaluate
              : kind == 1 ? PassKind::kCompare
                          : PassKind::kCalibrate;
  pass.batch = pass.kind == PassKind::kCalibrate ? 1 : draw.Of({1, 4});
  pass.tokens = draw.Of({30, 128});
  pass.recipe = *RecipeOfIdentity(draw.Heads() ? "none" : "int8");
  drawn.name =
      absl::StrCat(family, ", ", pass.batch, " x ", pass.tokens, ", ", RecipeIdentity(pass.recipe),
                   kind == 0   ? ""
                   : kind == 1 ? ", beside a reference"
                               : ", calibration");
  return drawn;
}

// Random weights in the form that the pass requires.
struct DrawnModel {
  Model model;
  std::optional<Adapters> adapters;
  at::Tensor adapter_gradients;
};

DrawnModel MakeDrawn(const Drawn& drawn) {
  DrawnModel made;
  made.model = MakeModel(drawn.config);
  made.model.arena.uniform_(-0.1, 0.1);
  QuantizeFor(drawn.pass, made.model);
  if (drawn.pass.trained_layers > 0) {
    FreezeBelow(drawn.config, drawn.pass.trained_layers, made.model.parameters);
    made.model.gradient_views = WeightsOver(
        drawn.config, made.model.parameters,
        OnlyThose(made.model.layout, TrainableLayout(made.model.parameters)), made.model.gradients);
  }
  if (!drawn.pass.adapters.empty()) {
    models::ModelDirectory files;
    files.config = drawn.config;
    auto adapters =
        MakeAdapters({.rank = drawn.rank, .alpha = 8.0, .dropout = drawn.pass.adapter_dropout},
                     files, 1, at::kCPU);
    EXPECT_THAT(adapters, IsOk());
    made.adapters = *std::move(adapters);
    AttachAdapters(*made.adapters, made.adapters->arena, made.model.decoder.weights);
    made.adapter_gradients = at::zeros_like(made.adapters->arena);
    made.model.gradient_views = {};
    AttachAdapters(*made.adapters, made.adapter_gradients, made.model.gradient_views);
  }
  return made;
}

TokenBatch BatchOfShape(const PassDescription& pass) {
  Example example;
  for (int64_t i = 0; i < pass.tokens; ++i) {
    example.tokens.push_back(i % 200);
    example.mask.push_back(1);
  }
  return BatchOf(std::vector<Example>(static_cast<size_t>(pass.batch), example));
}

kernels::FactorType FactorsOf(const PassDescription& pass) {
  return pass.rounded_factors ? kernels::FactorType::kBf16 : kernels::FactorType::kFloat32;
}

// The tensors that the engine makes for a pass.
std::vector<ArenaTensor> RunPass(const Drawn& drawn, ArenaFigures* figures = nullptr,
                                 int64_t room = kRoom) {
  DrawnModel made = MakeDrawn(drawn);
  const TokenBatch batch = BatchOfShape(drawn.pass);
  PassArena arena(room);
  std::vector<ArenaTensor> tensors;
  arena.Record(&tensors);
  {
    const PassArena::Scope scope(arena);
    const FactorScope factors(FactorsOf(drawn.pass));
    switch (drawn.pass.kind) {
      case PassKind::kTrain:
        LossSumAndGradients(
            made.model.decoder, batch, {.active = true, .seed = 1}, 0.01, made.model.gradient_views,
            drawn.pass.activation_checkpointing ? KeptActivations::kInputs : KeptActivations::kAll);
        break;
      case PassKind::kEvaluate:
        LossSum(made.model.decoder, batch);
        break;
      case PassKind::kCompare:
        CompareWith(made.model.decoder, made.model.decoder, batch);
        break;
      case PassKind::kCalibrate: {
        at::Tensor x = EmbedTokens(made.model.decoder, batch.tokens);
        for (size_t i = 0; i < drawn.config.layers.size(); ++i) {
          BlockActivations activations;
          x = BlockForward(ContextOf(made.model.decoder, i, batch.groups),
                           made.model.decoder.weights.blocks[i], x, &activations);
        }
        break;
      }
      case PassKind::kDecode:
        ADD_FAILURE() << "generate/decode_plan_test.cc";
        break;
    }
  }
  arena.Record(nullptr);
  if (figures != nullptr) {
    *figures = arena.figures();
  }
  return tensors;
}

class PassPlanTest : public testing::TestWithParam<const char*> {};

void ExpectThePlan(Drawn drawn, uint64_t seed) {
  SCOPED_TRACE(absl::StrCat(drawn.name, ", seed ", seed));
  drawn.pass.threads = at::get_num_threads();
  const models::TensorPlan plan = models::PlanPass(drawn.config, drawn.pass);
  ArenaFigures figures;
  const std::vector<ArenaTensor> made = RunPass(drawn, &figures, plan.arena_bytes);
  EXPECT_EQ(figures.heap_tensors, 0) << "the arena is as large as the plan says";
  if (kSameOperators) {
    EXPECT_EQ(Difference(plan, made), "");
  }
  EXPECT_NEAR(static_cast<double>(figures.peak_bytes), static_cast<double>(plan.peak_bytes),
              0.01 * static_cast<double>(plan.peak_bytes));
}

TEST_P(PassPlanTest, TrainingMakesTheTensorsOfThePlan) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Draw draw(seed);
    ExpectThePlan(DrawTraining(GetParam(), draw), seed);
  }
}

TEST_P(PassPlanTest, EvaluationMakesTheTensorsOfThePlan) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Draw draw(seed);
    ExpectThePlan(DrawEvaluation(GetParam(), draw), seed);
  }
}

// Training by forward passes: moved weights are in separate memory.
TEST_P(PassPlanTest, AMovedPassMakesTheTensorsOfAnEvaluation) {
  for (const bool rounded_factors : {false, true}) {
    SCOPED_TRACE(rounded_factors ? "rounded factors" : "FP32");
    Draw draw(3);
    Drawn drawn{.name = GetParam(), .config = DrawConfig(GetParam(), draw)};
    drawn.pass = {
        .kind = PassKind::kEvaluate, .batch = 3, .tokens = 100, .rounded_factors = rounded_factors};
    drawn.pass.threads = at::get_num_threads();
    const models::TensorPlan plan = models::PlanPass(drawn.config, drawn.pass);
    const DrawnModel made = MakeDrawn(drawn);
    PerturbedWeights moved(made.model.decoder, made.model.parameters, made.model.layout,
                           made.model.arena);
    const TokenBatch batch = BatchOfShape(drawn.pass);
    PassArena arena(plan.arena_bytes);
    std::vector<ArenaTensor> tensors;
    arena.Record(&tensors);
    {
      const PassArena::Scope scope(arena);
      const FactorScope factors(FactorsOf(drawn.pass));
      moved.Set({.seed = 1, .number = 2}, 1e-3F);
      PendingLossSum(made.model.decoder, batch, moved);
    }
    arena.Record(nullptr);
    EXPECT_EQ(arena.figures().heap_tensors, 0);
    if (kSameOperators) {
      EXPECT_EQ(Difference(plan, tensors), "");
    }
  }
}

TEST_P(PassPlanTest, AnEvaluationWithAdaptersMakesTheTensorsOfThePlan) {
  for (const char* recipe : {"none", "int8"}) {
    for (const bool rounded_factors : {false, true}) {
      Draw draw(4);
      Drawn drawn{.name = absl::StrCat(recipe, rounded_factors ? ", rounded factors" : ""),
                  .config = DrawConfig(GetParam(), draw),
                  .rank = 3};
      drawn.pass = {.kind = PassKind::kEvaluate,
                    .batch = 2,
                    .tokens = 64,
                    .rounded_factors = rounded_factors};
      const auto modules = models::AdapterModules(drawn.config, {}, drawn.rank);
      ASSERT_THAT(modules, IsOk());
      drawn.pass.adapters = *modules;
      drawn.pass.recipe = *RecipeOfIdentity(recipe);
      ExpectThePlan(drawn, 4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, PassPlanTest,
                         testing::Values("gpt2", "llama3", "mistral", "phi", "gemma", "gemma2",
                                         "gpt_neox", "gpt_neox_sequential", "stablelm", "qwen2",
                                         "kosmos2_text", "opt"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace wattle::engine
