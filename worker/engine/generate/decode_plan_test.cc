// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A session makes exactly the tensors of models/tensor_plan.h, in the same order and with the same
// lifetimes, in both of its forms; and the memory estimate equals the session's use.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "models/memory_estimate.h"
#include "models/planned_decode_step.h"
#include "models/tensor_plan.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/generate/decode_session.h"
#include "worker/engine/testing/test_plan.h"
#include "worker/engine/threads.h"

namespace wattle::engine {
namespace {

using models::PassDescription;
using models::PassKind;

// Temporary scalars of libtorch are in no plan; each takes a cache line.
constexpr int64_t kScalarsBytes = 256;

// A session to plan and to run.
struct DrawnDecoder {
  std::string name;
  Model model;
  PassDescription pass;

  [[nodiscard]] const models::DecoderConfig& config() const { return model.decoder.config; }
};

// Heads of 16 dimensions, which the operator requires.
void WidenHeads(models::DecoderConfig& config) {
  for (models::LayerDescription& layer : config.layers) {
    if (layer.rotary.has_value()) {
      layer.rotary->dimensions *= 16 / layer.head_size;  // the same fraction of each head
    }
    layer.head_size = 16;
  }
}

DrawnDecoder DrawSession(const std::string& family, Draw& draw) {
  models::DecoderConfig config = DrawConfig(family, draw);
  config.max_positions = 400;
  if (draw.Heads()) {
    WidenHeads(config);
  }
  const bool has_groups = family == "gpt2";  // the other layers have different widths
  const std::string weights = draw.Of({0, 1}) == 0 ? "none" : has_groups ? "int4-g32" : "int8";
  const std::string recipe = weights + (draw.Heads() ? "+kv=int8" : "");
  DrawnDecoder drawn;
  drawn.pass = {.kind = PassKind::kDecode,
                .batch = draw.Of({1, 3}),
                .tokens = draw.Of({1, 2, 40, 128, 300}),
                .recipe = *RecipeOfIdentity(recipe),
                .threads = KernelThreads().threads()};
  drawn.name = absl::StrCat(family, ", ", drawn.pass.batch, " x ", drawn.pass.tokens, ", ", recipe,
                            ", heads of ", config.layers.front().head_size);
  drawn.model = MakeModel(config);
  drawn.model.arena.uniform_(-0.1, 0.1);
  QuantizeFor(drawn.pass, drawn.model);
  drawn.model.decoder.int8_keys_and_values = KeysAndValuesAreInt8(drawn.pass.recipe);
  return drawn;
}

std::vector<int64_t> SomeTokens(int64_t count) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(i % 200);
  }
  return tokens;
}

class DecodePlanTest : public testing::TestWithParam<const char*> {};

TEST_P(DecodePlanTest, ASessionMakesTheTensorsOfThePlan) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Draw draw(seed);
    const DrawnDecoder drawn = DrawSession(GetParam(), draw);
    SCOPED_TRACE(absl::StrCat(drawn.name, ", seed ", seed));
    const models::TensorPlan plan = models::PlanPass(drawn.config(), drawn.pass);
    std::vector<ArenaTensor> made;
    ArenaFigures figures;
    {
      const int64_t capacity = drawn.pass.tokens;
      DecodeSession session(drawn.model.decoder, capacity, DecodeForm::kFastest, drawn.pass.batch,
                            &made);
      EXPECT_EQ(session.runs_operator(), models::DecodeOperatorServes(drawn.config()));
      const int64_t last = drawn.pass.batch - 1;
      const std::vector<int64_t> prompt = SomeTokens(std::max<int64_t>(1, capacity - 1));
      session.Feed(prompt, last);
      if (capacity > session.length(last)) {
        session.Step({{.slot = last, .tokens = absl::MakeConstSpan(prompt).subspan(0, 1)}});
      }
      figures = session.memory();
    }
    EXPECT_EQ(figures.heap_tensors, 0);
    if (kSameOperators) {
      EXPECT_EQ(Difference(plan, made), "");
      EXPECT_NEAR(static_cast<double>(figures.extent_bytes), static_cast<double>(plan.arena_bytes),
                  0.01 * static_cast<double>(plan.arena_bytes));
    }
  }
}

TEST_P(DecodePlanTest, ShortPromptsInEverySlotStayWithinThePlan) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Draw draw(seed);
    const DrawnDecoder drawn = DrawSession(GetParam(), draw);
    SCOPED_TRACE(absl::StrCat(drawn.name, ", seed ", seed));
    const models::TensorPlan plan = models::PlanPass(drawn.config(), drawn.pass);
    const int64_t capacity = drawn.pass.tokens;
    DecodeSession session(drawn.model.decoder, capacity, DecodeForm::kFastest, drawn.pass.batch);
    for (int64_t slot = 0; slot < drawn.pass.batch; ++slot) {
      const std::vector<int64_t> prompt = SomeTokens(capacity / 2 + 1);
      session.Feed(prompt, slot);
      while (session.length(slot) < capacity) {
        session.Feed(absl::MakeConstSpan(prompt).subspan(0, 1), slot);
      }
      session.Clear(slot);
      session.Feed(prompt, slot);
    }
    EXPECT_EQ(session.memory().heap_tensors, 0);
    EXPECT_LE(session.memory().peak_bytes, plan.peak_bytes + kScalarsBytes);
  }
}

// The estimate of a job that generates, against the use of the session's arena.
TEST_P(DecodePlanTest, TheEstimateIsWhatTheSessionTakes) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Draw draw(seed);
    const DrawnDecoder drawn = DrawSession(GetParam(), draw);
    SCOPED_TRACE(absl::StrCat(drawn.name, ", seed ", seed));
    const auto estimate =
        models::EstimateMemory(drawn.config(), {.task = MemoryTask::kGenerate,
                                                .batch = drawn.pass.batch,
                                                .sequence_tokens = drawn.pass.tokens,
                                                .recipe = drawn.pass.recipe});
    ASSERT_THAT(estimate, IsOk());
    const int64_t expected = estimate->cache_bytes + estimate->pass_bytes;
    // The estimate assumes four threads, each with scratch.
    PassDescription four = drawn.pass;
    four.threads = 4;
    const int64_t scratch = models::PlanPass(drawn.config(), four).arena_bytes -
                            models::PlanPass(drawn.config(), drawn.pass).arena_bytes;
    DecodeSession session(drawn.model.decoder, drawn.pass.tokens, DecodeForm::kFastest,
                          drawn.pass.batch);
    session.Feed(SomeTokens(std::max<int64_t>(1, drawn.pass.tokens - 1)));
    const int64_t took = session.memory().extent_bytes + scratch;
    if (session.runs_operator()) {
      EXPECT_EQ(expected, took);
    } else {
      EXPECT_GE(expected + kScalarsBytes, took);
      // The rounded inputs of quantized products are per thread and are added.
      const int64_t rounded = drawn.pass.tokens * 2 * 512;
      EXPECT_LE(expected, took + rounded);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DecodePlanTest,
                         testing::Values("gpt2", "llama3", "mistral", "phi", "gemma", "gemma2",
                                         "gpt_neox", "stablelm", "qwen2", "kosmos2_text", "opt"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace wattle::engine
