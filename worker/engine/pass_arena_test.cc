// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The arena, and the proof that a pass of the engine makes the tensors that models/tensor_plan.h
// says: each of them, in the same order, let go at the same time.
#include "worker/engine/pass_arena.h"

#include <algorithm>
#include <optional>
#include <random>
#include <thread>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>

#include "base/status_matchers.h"
#include "models/tensor_plan.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/block.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/perturbed_weights.h"
#include "worker/engine/models/products.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/test_golden.h"
#include "worker/engine/quant/recipe_formats.h"
#include "worker/engine/test_model.h"
#include "worker/engine/torch_version.h"
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

// As oneDNN does inside an operator.
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

// The plan knows what the operators of this libtorch make inside; another one may differ in small
// tensors.
constexpr bool kSameOperators = TORCH_VERSION_MAJOR == 1;
// Scalars that libtorch makes on the way are in no plan.
constexpr int64_t kScalarBytes = 8;

// One pass to plan and to run.
struct Drawn {
  std::string name = {};
  models::DecoderConfig config;
  PassDescription pass = {};
  int64_t rank = 0;
};

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  int64_t Of(std::initializer_list<int64_t> values) {
    return *(values.begin() + std::uniform_int_distribution<size_t>(0, values.size() - 1)(random_));
  }
  bool Heads() { return Of({0, 1}) == 1; }

 private:
  std::mt19937_64 random_;
};

models::DecoderConfig FamilyConfig(const std::string& family) {
  const auto config =
      models::ReadDecoderConfig(GoldenPath(absl::StrCat("families/", family, "/config.json")));
  EXPECT_THAT(config, IsOk());
  return *config;
}

models::DecoderConfig DrawConfig(const std::string& family, Draw& draw) {
  models::DecoderConfig config = family == "gpt2" ? TinyConfig() : FamilyConfig(family);
  config.max_positions = 128;
  config.vocabulary = draw.Of({300, 2000});
  config.attention_dropout = draw.Heads() ? 0.1 : 0.0;
  config.residual_dropout = draw.Heads() ? 0.1 : 0.0;
  // Further layers like those that there are, in their order.
  const size_t own = config.layers.size();
  const auto more = static_cast<size_t>(draw.Of({0, 1, 3}));
  for (size_t i = 0; i < more; ++i) {
    config.layers.push_back(config.layers[i % own]);
  }
  return config;
}

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

// Random weights in the form that the pass asks for.
struct DrawnModel {
  Model model;
  std::optional<Adapters> adapters;
  at::Tensor adapter_gradients;
};

void Quantize(const PassDescription& pass, Model& model) {
  for (const Parameter& parameter : model.parameters) {
    const auto format = FormatOfTensor(pass.recipe, model.decoder.config, parameter.tensor);
    ASSERT_THAT(format, IsOk());
    if (format->scheme == kernels::WeightScheme::kFloat32 &&
        !(pass.bf16_matrices && IsMatrixSlot(parameter.tensor))) {
      continue;
    }
    MatrixWeights& matrix = MatrixAt(model.decoder.weights, parameter.tensor);
    if (format->scheme == kernels::WeightScheme::kFloat32) {
      MatrixWeights bf16 = MakeBf16Matrix(matrix.matrix.rows, matrix.matrix.columns);
      bf16.packed.copy_(matrix.value);
      matrix = std::move(bf16);
      continue;
    }
    auto packed = PackFloats(parameter.tensor.name, *format, matrix.value);
    ASSERT_THAT(packed, IsOk());
    packed->dequantized_products = pass.kind == PassKind::kTrain || !pass.adapters.empty();
    matrix = *std::move(packed);
  }
  TieHead(model.decoder.config, model.decoder.weights);
}

DrawnModel MakeDrawn(const Drawn& drawn) {
  DrawnModel made;
  made.model = MakeModel(drawn.config);
  made.model.arena.uniform_(-0.1, 0.1);
  Quantize(drawn.pass, made.model);
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

std::vector<ArenaTensor> LargerThanScalars(std::vector<ArenaTensor> tensors) {
  tensors.erase(
      std::remove_if(tensors.begin(), tensors.end(),
                     [](const ArenaTensor& tensor) { return tensor.size_bytes <= kScalarBytes; }),
      tensors.end());
  return tensors;
}

// The tensors that the engine makes of a pass.
std::vector<ArenaTensor> RunPass(const Drawn& drawn, ArenaFigures* figures = nullptr,
                                 int64_t room = kRoom) {
  DrawnModel made = MakeDrawn(drawn);
  const TokenBatch batch = BatchOfShape(drawn.pass);
  PassArena arena(room);
  std::vector<ArenaTensor> tensors;
  arena.Record(&tensors);
  {
    const PassArena::Scope scope(arena);
    const FactorScope factors(drawn.pass.rounded_factors ? kernels::FactorType::kBf16
                                                         : kernels::FactorType::kFloat32);
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
    }
  }
  arena.Record(nullptr);
  if (figures != nullptr) {
    *figures = arena.figures();
  }
  return LargerThanScalars(std::move(tensors));
}

// Every making and letting go, in order: "+" and the bytes of what was made, "-" and those of what
// was let go. Among tensors that are let go with none made between them the order does not matter:
// they stand sorted.
template <typename Tensors, typename Size>
std::vector<std::string> Events(const Tensors& tensors, Size size) {
  std::vector<std::tuple<int64_t, std::string>> events;
  for (const auto& tensor : tensors) {
    events.emplace_back(tensor.first_use, absl::StrCat("+", size(tensor)));
    events.emplace_back(tensor.last_use, absl::StrCat("-", size(tensor)));
  }
  std::sort(events.begin(), events.end(),
            [](const auto& a, const auto& b) { return std::get<0>(a) < std::get<0>(b); });
  std::vector<std::string> texts;
  for (const auto& event : events) {
    texts.push_back(std::get<1>(event));
  }
  const auto makes = [](const std::string& text) { return text.front() == '+'; };
  for (auto run = texts.begin(); run != texts.end();) {
    const auto end = std::find_if(run, texts.end(), makes);
    std::sort(run, end, [](const std::string& a, const std::string& b) {
      return std::stoll(a) < std::stoll(b);
    });
    run = std::find_if_not(end, texts.end(), makes);
  }
  return texts;
}

// Where the two first differ, with what the plan calls the tensors before; empty if nowhere.
std::string Difference(const models::TensorPlan& plan, const std::vector<ArenaTensor>& made) {
  const auto wanted = Events(plan.tensors, [](const models::PlannedTensor& t) {
    return absl::StrCat(t.size_bytes(), " ", t.name);
  });
  const auto got = Events(made, [](const ArenaTensor& t) { return absl::StrCat(t.size_bytes); });
  const auto same = [](const std::string& planned, const std::string& real) {
    return planned.substr(0, planned.find(' ')) == real;
  };
  size_t first = 0;
  while (first < wanted.size() && first < got.size() && same(wanted[first], got[first])) {
    ++first;
  }
  if (first == wanted.size() && first == got.size()) {
    return "";
  }
  std::string text =
      absl::StrCat("event ", first, " of ", got.size(), " (planned ", wanted.size(), ")\n");
  for (size_t i = first < 8 ? 0 : first - 8; i < first + 8; ++i) {
    absl::StrAppend(&text, i < wanted.size() ? wanted[i] : "", "   |   ",
                    i < got.size() ? got[i] : "", i == first ? "   <--\n" : "\n");
  }
  return text;
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

// Training by forward passes: moved weights lie in memory of their own.
TEST_P(PassPlanTest, AMovedPassMakesTheTensorsOfAnEvaluation) {
  Draw draw(3);
  Drawn drawn{.name = GetParam(), .config = DrawConfig(GetParam(), draw)};
  drawn.pass = {.kind = PassKind::kEvaluate, .batch = 3, .tokens = 100};
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
    moved.Set({.seed = 1, .number = 2}, 1e-3F);
    LossSum(made.model.decoder, batch, moved);
  }
  arena.Record(nullptr);
  EXPECT_EQ(arena.figures().heap_tensors, 0);
  if (kSameOperators) {
    EXPECT_EQ(Difference(plan, LargerThanScalars(std::move(tensors))), "");
  }
}

TEST_P(PassPlanTest, AnEvaluationWithAdaptersMakesTheTensorsOfThePlan) {
  for (const char* recipe : {"none", "int8"}) {
    Draw draw(4);
    Drawn drawn{.name = recipe, .config = DrawConfig(GetParam(), draw), .rank = 3};
    drawn.pass = {.kind = PassKind::kEvaluate, .batch = 2, .tokens = 64};
    const auto modules = models::AdapterModules(drawn.config, {}, drawn.rank);
    ASSERT_THAT(modules, IsOk());
    drawn.pass.adapters = *modules;
    drawn.pass.recipe = *RecipeOfIdentity(recipe);
    ExpectThePlan(drawn, 4);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, PassPlanTest,
                         testing::Values("gpt2", "llama3", "mistral", "phi", "gemma", "gemma2",
                                         "gpt_neox", "gpt_neox_sequential", "stablelm", "qwen2",
                                         "kosmos2_text"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace wattle::engine
