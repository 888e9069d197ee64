// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Training of the last layers: their gradients are those of a whole backward pass, nothing is kept
// or computed for lower layers, and a job changes, checkpoints and resumes only trained weights.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_version.h"
#include "worker/engine/train/finetune.h"

namespace wattle::engine {
namespace {

using testing::HasSubstr;

// Counts the tensors made, and the peak bytes of live tensors above those at the object's creation.
class TensorCounts : public c10::MemoryReportingInfoBase {
 public:
  // libtorch 2 counts the totals in another type.
  using TotalBytes = std::conditional_t<TORCH_VERSION_MAJOR >= 2, size_t, int64_t>;
  void reportMemoryUsage(void* /*place*/, int64_t size_bytes, TotalBytes /*allocated*/,
                         TotalBytes /*reserved*/, c10::Device /*device*/) override {
    made_ += size_bytes > 0 ? 1 : 0;
    live_ += size_bytes;
    peak_ = std::max(peak_, live_);
  }
  [[nodiscard]] bool memoryProfilingEnabled() const override { return true; }
  [[nodiscard]] int64_t made() const { return made_; }
  [[nodiscard]] int64_t peak_bytes() const { return peak_; }

 private:
  int64_t made_ = 0;
  int64_t live_ = 0;
  int64_t peak_ = 0;
};

template <typename Body>
TensorCounts CountsOf(Body body) {
  const auto counts = std::make_shared<TensorCounts>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counts);
  body();
  return *counts;
}

// Six layers with random weights, and a place for the gradients of the last ones.
struct Frozen {
  Model model;
  ArenaLayout layout;  // of `gradients`
  at::Tensor gradients;
  DecoderWeights gradient_views;
};

models::DecoderConfig SixLayers(const char* family) {
  models::DecoderConfig config = TinyConfigOf(family);
  config.layers.resize(6, config.layers.back());
  return config;
}

Frozen MakeFrozen(const char* family, int64_t layers) {
  Frozen frozen;
  const models::DecoderConfig config = SixLayers(family);
  frozen.model = RandomModel(config);
  FreezeBelow(config, layers, frozen.model.parameters);
  frozen.layout = TrainableLayout(frozen.model.parameters);
  frozen.gradients = at::zeros({frozen.layout.elements}, TestDevice());
  frozen.gradient_views =
      WeightsOver(config, frozen.model.parameters, frozen.layout, frozen.gradients);
  return frozen;
}

TokenBatch LongBatch() {
  Example example;
  for (int64_t i = 0; i < 48; ++i) {
    example.tokens.push_back(i * 7 % 250);
    example.mask.push_back(1);
  }
  return BatchOf({example, example});
}

class LastLayersTest : public testing::TestWithParam<const char*> {};

TEST_P(LastLayersTest, GradientsAreThoseOfAWholeBackwardPassAndNoOthers) {
  for (const int64_t layers : {1, 2, 6}) {
    Frozen frozen = MakeFrozen(GetParam(), layers);
    Model& model = frozen.model;
    const TokenBatch batch = LongBatch();
    const DropoutState dropout{.active = true, .seed = 5, .counter = 7};
    const double whole =
        LossSumAndGradients(model.decoder, batch, dropout, 1.0, model.gradient_views);
    const double last =
        LossSumAndGradients(model.decoder, batch, dropout, 1.0, frozen.gradient_views);
    EXPECT_EQ(last, whole);
    std::vector<std::string> trained;
    for (size_t i = 0; i < model.parameters.size(); ++i) {
      const models::ModelTensor& tensor = model.parameters[i].tensor;
      if (!frozen.layout.holds(i)) {
        continue;
      }
      trained.push_back(tensor.name);
      EXPECT_TRUE(at::equal(ArenaView(frozen.gradients, frozen.layout, model.parameters, i),
                            model.Gradient(i)))
          << tensor.name << ", last " << layers;
      EXPECT_GT(model.Gradient(i).abs().max().item<double>(), 0.0) << tensor.name;
    }
    const bool tied = model.decoder.config.tied_embeddings;
    EXPECT_EQ(std::count(trained.begin(), trained.end(), "head.weight"), tied ? 0 : 1);
    EXPECT_EQ(std::count(trained.begin(), trained.end(), "final_norm.weight"), 1);
    for (const std::string& name : trained) {
      EXPECT_FALSE(absl::StartsWith(name, "tokens") || absl::StartsWith(name, "positions")) << name;
      if (absl::StartsWith(name, "layers.")) {
        EXPECT_GE(name[7] - '0', 6 - layers) << name;
      }
    }
  }
}

// Every trained layer adds the same: its activations (recomputed: its input), and the tensors of
// its backward pass. A lower layer adds neither.
TEST_P(LastLayersTest, LayersBelowKeepNothingAndHaveNoWayBack) {
  const TokenBatch batch = LongBatch();
  const int64_t input_bytes = batch.rows() * 32 * static_cast<int64_t>(sizeof(float));
  for (const KeptActivations kept : {KeptActivations::kAll, KeptActivations::kInputs}) {
    std::vector<int64_t> peaks;
    std::vector<int64_t> made;
    for (const int64_t layers : {2, 3, 4, 5}) {
      Frozen frozen = MakeFrozen(GetParam(), layers);
      const TensorCounts counts = CountsOf([&] {
        LossSumAndGradients(frozen.model.decoder, batch, DropoutState{}, 1.0, frozen.gradient_views,
                            kept);
      });
      peaks.push_back(counts.peak_bytes());
      made.push_back(counts.made());
    }
    for (size_t i = 1; i < peaks.size(); ++i) {
      EXPECT_EQ(peaks[i] - peaks[i - 1], peaks[1] - peaks[0]);
      EXPECT_GE(peaks[i] - peaks[i - 1],
                kept == KeptActivations::kAll ? 8 * input_bytes : input_bytes);
      EXPECT_EQ(made[i] - made[i - 1], made[1] - made[0]);
      EXPECT_GE(made[i] - made[i - 1], 20);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LastLayersTest,
                         testing::Values("gpt2", "llama", "phi", "gpt_neox", "gemma2",
                                         "kosmos_2_text_model", "opt"),
                         [](const auto& row) { return row.param; });

FinetuneSettings TinyLast(const std::string& name) {
  FinetuneSettings settings = TinyFinetune(name);
  settings.last_layers = 1;
  return settings;
}

// A tensor of a file; empty: no tensor of that name.
std::vector<std::byte> Bytes(const std::string& path, const std::string& tensor) {
  const auto file = formats::SafetensorsFile::Open(path);
  EXPECT_THAT(file, IsOk());
  const formats::TensorEntry* entry = file->Find(tensor);
  return entry == nullptr ? std::vector<std::byte>() : BytesOf(*file, *entry);
}

TEST(LastLayersJobTest, TrainsTheLastLayerAndLeavesTheRestAsItWas) {
  ASSERT_THAT(SetThreads(1), IsOk());
  FinetuneSettings settings = TinyLast("run");
  settings.epochs = 20;
  settings.checkpoint_every_steps = 1000;
  RecordingSink sink;
  const auto result = Finetune(settings, sink);
  ASSERT_THAT(result, IsOk());
  EXPECT_LT(*result->heldout_loss_after, *result->heldout_loss_before - 0.3);
  const std::string before = settings.model.directory + "/model.safetensors";
  const std::string after = settings.output_directory + "/model.safetensors";
  const auto file = formats::SafetensorsFile::Open(after);
  ASSERT_THAT(file, IsOk());
  int changed = 0;
  for (const formats::TensorEntry& tensor : file->tensors()) {
    const bool trained =
        absl::StrContains(tensor.name, "h.1.") || absl::StrContains(tensor.name, "ln_f");
    EXPECT_EQ(Bytes(after, tensor.name) != Bytes(before, tensor.name), trained) << tensor.name;
    changed += trained ? 1 : 0;
  }
  EXPECT_EQ(changed, 14);
}

// A checkpoint contains the trained weights, and only their moments.
TEST(LastLayersJobTest, CheckpointsHoldWhatIsTrained) {
  ASSERT_THAT(SetThreads(1), IsOk());
  const FinetuneSettings settings = TinyLast("run");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  const std::string directory = settings.work_directory + "/checkpoint-0000000004/";
  const auto weights = formats::SafetensorsFile::Open(directory + "model.safetensors");
  const auto moments = formats::SafetensorsFile::Open(directory + "optimizer.safetensors");
  ASSERT_THAT(weights, IsOk());
  ASSERT_THAT(moments, IsOk());
  EXPECT_EQ(weights->tensors().size(), 14U);
  EXPECT_EQ(moments->tensors().size(), 28U);
}

TEST(LastLayersJobTest, MoreLayersThanThereAreAndAdaptersAreRefused) {
  RecordingSink sink;
  FinetuneSettings settings = TinyLast("run");
  settings.last_layers = 3;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("last_layers: 3"), HasSubstr("2 layers"))));
  settings.last_layers = -1;
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("last_layers: -1")));
  settings.last_layers = 1;
  settings.lora = {.rank = 4};
  EXPECT_THAT(Finetune(settings, sink),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("without lora")));
}

TEST(LastLayersJobTest, RoundedWeightsTrainTheirLastLayerToo) {
  ASSERT_THAT(SetThreads(1), IsOk());
  FinetuneSettings settings = TinyLast("run");
  settings.model.recipe = *RecipeOfIdentity("int8");
  RecordingSink sink;
  ASSERT_THAT(Finetune(settings, sink), IsOk());
  const std::string before = settings.model.directory + "/model.safetensors";
  const std::string after = settings.output_directory + "/model.safetensors";
  EXPECT_EQ(Bytes(after, "transformer.h.0.mlp.c_fc.weight"),
            Bytes(before, "transformer.h.0.mlp.c_fc.weight"));
  EXPECT_NE(Bytes(after, "transformer.h.1.mlp.c_fc.weight"),
            Bytes(before, "transformer.h.1.mlp.c_fc.weight"));
}

}  // namespace
}  // namespace wattle::engine
