// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Logits, loss and gradients of a tiny model of each family against transformers
// (tests/golden/engine/families), and the proof that these goldens detect a wrong engine: each
// mutation makes one plausible mistake, and the logits no longer agree.
#include <functional>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_device.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

std::string DirectoryOf(const std::string& name) {
  return absl::StrCat("families/", name);
}

models::ModelDirectory FilesOf(const std::string& name) {
  return GoldenFiles(DirectoryOf(name));
}

Model ReadModel(const std::string& name, const models::ModelDirectory& files) {
  return ReadGoldenModel(DirectoryOf(name), files);
}

// Whether the gradient of a key's bias is zero except for rounding: without rotary positions the
// bias adds the same number to all scores of a query, which does not change the softmax.
bool IsKeyBiasWithoutEffect(const models::ModelTensor& tensor, size_t part,
                            const models::DecoderConfig& config) {
  return tensor.slot == models::Slot::kQkv && tensor.part == models::Part::kBias && part == 1 &&
         !config.layers[static_cast<size_t>(tensor.layer)].rotary.has_value();
}

// Compares each tensor of the reference separately, so that a small one (key, up) is not measured
// against the largest gradient in the engine's joined tensor.
void ExpectNear(const at::Tensor& got, const at::Tensor& wanted, const models::ModelTensor& tensor,
                const models::DecoderConfig& config) {
  int64_t row = 0;
  for (size_t part = 0; part < tensor.files.size(); ++part) {
    const bool whole = tensor.files.size() == 1;
    const int64_t rows = whole ? wanted.size(0) : tensor.files[part].shape[0];
    const at::Tensor difference = got.narrow(0, row, rows) - wanted.narrow(0, row, rows);
    // Pure rounding (about 4e-8) is measured against query, key and value together.
    const at::Tensor scale =
        IsKeyBiasWithoutEffect(tensor, part, config) ? wanted : wanted.narrow(0, row, rows);
    EXPECT_LT(difference.abs().max().item<double>(),
              kGradientTolerance * scale.abs().max().item<double>())
        << tensor.files[part].name;
    row += rows;
  }
  EXPECT_EQ(row, wanted.size(0)) << tensor.name;
}

class FamilyGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(FamilyGoldenTest, LogitsLossAndGradientsAgreeWithTransformers) {
  const models::ModelDirectory files = FilesOf(GetParam());
  Model model = ReadModel(GetParam(), files);
  const auto golden = ReadTensors(absl::StrCat("families/", GetParam(), "/golden.safetensors"));
  EXPECT_LT(LogitsError(model.decoder, golden), kLogitsTolerance);
  const TokenBatch batch = BatchOf(GoldenExamples(golden));
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  const auto wanted = golden.at("loss").item<double>();
  EXPECT_NEAR(LossSum(model.decoder, batch) * scale, wanted, 1e-5 * wanted);
  const double loss =
      LossSumAndGradients(model.decoder, batch, DropoutState{}, scale, model.gradient_views);
  EXPECT_NEAR(loss * scale, wanted, 1e-5 * wanted);
  const at::Tensor gradients =
      ReadGoldenArena(DirectoryOf(GetParam()) + "/gradients.safetensors", files, model.parameters);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    ExpectNear(model.Gradient(i).cpu(), ArenaView(gradients, model.layout, model.parameters, i),
               model.parameters[i].tensor, model.decoder.config);
  }
}

TEST_P(FamilyGoldenTest, GradientsWithDropoutAgreeWithADifferenceOfLosses) {
  Model model = ReadModel(GetParam(), FilesOf(GetParam()));
  const auto golden = ReadTensors(absl::StrCat("families/", GetParam(), "/golden.safetensors"));
  ExpectTheSlopeOfLosses(model, BatchOf(GoldenExamples(golden)));
}

TEST_P(FamilyGoldenTest, CachedLogitsEqualThoseOfTheWholeSequence) {
  const Model model = ReadModel(GetParam(), FilesOf(GetParam()));
  const Decoder& decoder = model.decoder;
  const auto golden = ReadTensors(absl::StrCat("families/", GetParam(), "/golden.safetensors"));
  const Example example = GoldenExamples(golden)[2];
  const at::Tensor wanted = AllLogits(decoder, BatchOf({example}));
  const auto length = static_cast<int64_t>(example.tokens.size());
  KeyValueCache cache(decoder.config, /*slots=*/1, length, decoder.device);
  const absl::Span<const int64_t> tokens(example.tokens);
  for (int64_t t = 0; t < length;) {
    const int64_t count = t == 3 ? 9 : 1;  // one step appends several tokens after others
    const auto piece = tokens.subspan(static_cast<size_t>(t), static_cast<size_t>(count));
    t += count;
    EXPECT_LT(RelativeError(DecodeLogits(decoder, piece, cache, 0), wanted[t - 1]), 1e-5)
        << "after " << t << " tokens";
  }
}

TEST_P(FamilyGoldenTest, GreedyTokensEqualThoseOfFullRecomputation) {
  const Model model = ReadModel(GetParam(), FilesOf(GetParam()));
  std::vector<int64_t> tokens = {5, 14, 15, 9};
  for (const int64_t token : GenerateTokens(model.decoder, tokens, 12, {}, 0)) {
    const at::Tensor logits = AllLogits(
        model.decoder, BatchOf({Example{tokens, std::vector<uint8_t>(tokens.size(), 1)}}));
    EXPECT_EQ(token, logits[-1].argmax().item<int64_t>()) << "after " << tokens.size() << " tokens";
    tokens.push_back(token);
  }
}

TEST_P(FamilyGoldenTest, WrittenFilesHoldWhatWasRead) {
  const models::ModelDirectory files = FilesOf(GetParam());
  const Model model = ReadModel(GetParam(), files);
  const std::string path = NewTestDirectory("written") + "/model.safetensors";
  ASSERT_THAT(WriteArena(path, files, model.parameters, model.layout, model.arena, {}), IsOk());
  const auto written = formats::SafetensorsFile::Open(path);
  ASSERT_THAT(written, IsOk());
  const auto original =
      formats::SafetensorsFile::Open(GoldenPath(DirectoryOf(GetParam()) + "/model.safetensors"));
  ASSERT_THAT(original, IsOk());
  ASSERT_EQ(written->tensors().size(), original->tensors().size());
  for (const formats::TensorEntry& tensor : original->tensors()) {
    const formats::TensorEntry* found = written->Find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_TRUE(BytesOf(*written, *found) == BytesOf(*original, tensor)) << tensor.name;
  }
  const auto again =
      models::ParseDecoderConfig(models::FormatDecoderConfig(files.config), "config.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, files.config);
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyGoldenTest,
                         testing::Values("gpt2", "llama3", "llama_linear", "smollm2", "mistral",
                                         "qwen2", "qwen2_windows", "phi", "gpt_neox",
                                         "gpt_neox_sequential", "stablelm", "gemma", "gemma2",
                                         "kosmos2_text", "opt"),
                         [](const auto& row) { return row.param; });

// A mistake in the engine, made in its description or in the order of the weights.
struct Mutation {
  const char* name;
  const char* family;
  std::function<void(models::DecoderConfig&)> describe = [](models::DecoderConfig&) {};
  std::function<void(Model&)> reorder = [](Model&) {};
};

std::ostream& operator<<(std::ostream& out, const Mutation& mutation) {
  return out << mutation.name << " in " << mutation.family;
}

// Changes every layer.
std::function<void(models::DecoderConfig&)> EachLayer(
    const std::function<void(models::LayerDescription&)>& change) {
  return [change](models::DecoderConfig& config) {
    for (models::LayerDescription& layer : config.layers) {
      change(layer);
    }
  };
}

std::function<void(models::DecoderConfig&)> WindowBy(int64_t difference) {
  return EachLayer([difference](models::LayerDescription& layer) {
    layer.window += layer.window > 0 ? difference : 0;
  });
}

std::function<void(models::DecoderConfig&)> With(models::Activation activation) {
  return EachLayer(
      [activation](models::LayerDescription& layer) { layer.activation = activation; });
}

std::function<void(models::DecoderConfig&)> With(models::Residual residual) {
  return EachLayer([residual](models::LayerDescription& layer) { layer.residual = residual; });
}

void HalveEpsilon(models::DecoderConfig& config) {
  config.norm_epsilon /= 2.0;
}

// Dimensions 2 i and 2 i + 1 of the rotary part are a pair, as in GPT-J.
void PairNeighbours(Model& model) {
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    if (tensor.slot != models::Slot::kQkv) {
      continue;
    }
    const models::LayerDescription& layer =
        model.decoder.config.layers[static_cast<size_t>(tensor.layer)];
    const int64_t half = layer.rotary->dimensions / 2;
    at::Tensor heads = model.Value(i).view({layer.heads + 2 * layer.kv_heads, layer.head_size, -1});
    at::Tensor turned = heads.narrow(0, 0, layer.heads + layer.kv_heads).narrow(1, 0, 2 * half);
    turned.copy_(turned.reshape({turned.size(0), half, 2, turned.size(2)})
                     .transpose(1, 2)
                     .reshape(turned.sizes())
                     .clone());
  }
}

// Query head h reads KV head h modulo the number of KV heads: heads 1 and 2 of four are exchanged.
void MapHeadsByModulo(Model& model) {
  const at::Tensor order = OnTestDevice(at::tensor({0, 2, 1, 3}, at::kLong));
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    if (tensor.layer < 0) {
      continue;
    }
    const models::LayerDescription& layer =
        model.decoder.config.layers[static_cast<size_t>(tensor.layer)];
    if (tensor.slot == models::Slot::kQkv) {
      at::Tensor queries = model.Value(i)
                               .narrow(0, 0, layer.attention_width())
                               .view({layer.heads, layer.head_size, -1});
      queries.copy_(queries.index_select(0, order));
    } else if (tensor.slot == models::Slot::kAttentionOutput && tensor.is_matrix()) {
      at::Tensor columns = model.Value(i).view({-1, layer.heads, layer.head_size});
      columns.copy_(columns.index_select(1, order));
    }
  }
}

// Rows of query, key and value are read as three blocks although they are grouped by head.
void ForgetInterleaving(Model& model) {
  std::vector<Parameter> parameters = model.parameters;
  for (Parameter& parameter : parameters) {
    parameter.tensor.layout.interleaved_heads = 0;
  }
  model.arena.copy_(
      ReadGoldenArena("families/gpt_neox/model.safetensors", FilesOf("gpt_neox"), parameters));
}

// The square matrix after attention is read as [outputs, inputs]; the shapes do not show it.
void ForgetTransposing(Model& model) {
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    if (tensor.slot == models::Slot::kAttentionOutput && tensor.is_matrix()) {
      model.Value(i).copy_(model.Value(i).t().clone());
    }
  }
}

// Learned positions count from one.
void CountPositionsFromOne(Model& model) {
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    if (model.parameters[i].tensor.slot == models::Slot::kPositions) {
      model.Value(i).copy_(model.Value(i).roll(-1, 0));
    }
  }
}

std::vector<Mutation> Mutations() {
  using models::Activation;
  using models::DecoderConfig;
  using models::LayerDescription;
  using models::Residual;
  const auto reorder = [](const char* name, const char* family,
                          const std::function<void(Model&)>& change) {
    return Mutation{.name = name, .family = family, .reorder = change};
  };
  return {
      reorder("RotaryPairing", "llama3", PairNeighbours),
      reorder("RotaryPairing", "phi", PairNeighbours),
      reorder("RotaryPairing", "gpt_neox", PairNeighbours),
      {"RotaryShare", "phi", EachLayer([](LayerDescription& l) { l.rotary->dimensions += 2; })},
      {"RotaryShare", "gpt_neox",
       EachLayer([](LayerDescription& l) { l.rotary->dimensions = l.head_size; })},
      {"RotaryShare", "stablelm",
       EachLayer([](LayerDescription& l) { l.rotary->dimensions = l.head_size; })},
      {"NoRotaryScaling", "llama3",
       EachLayer([](LayerDescription& l) { l.rotary->scaling.reset(); })},
      {"LinearScaling", "llama3",
       EachLayer([](LayerDescription& l) { l.rotary->scaling->original_positions = 0; })},
      {"ScalingFactor", "llama3",
       EachLayer([](LayerDescription& l) { l.rotary->scaling->factor = 4.0; })},
      {"HighFrequencyFactor", "llama3",
       EachLayer([](LayerDescription& l) { l.rotary->scaling->high_frequency_factor = 2.0; })},
      {"NoRotaryScaling", "llama_linear",
       EachLayer([](LayerDescription& l) { l.rotary->scaling.reset(); })},
      {"RotaryBase", "smollm2", EachLayer([](LayerDescription& l) { l.rotary->base = 10000.0; })},
      {"RotaryBase", "qwen2", EachLayer([](LayerDescription& l) { l.rotary->base = 10000.0; })},
      {"GeluVariant", "gpt2", With(Activation::kGeluErf)},
      {"GeluVariant", "phi", With(Activation::kGeluErf)},
      {"GeluVariant", "gpt_neox", With(Activation::kGeluTanh)},
      {"GeluVariant", "gemma", With(Activation::kGeluErf)},
      {"GeluVariant", "kosmos2_text", With(Activation::kGeluTanh)},
      {"SiluForGelu", "gemma", With(Activation::kSilu)},
      reorder("KvHeadMapping", "llama3", MapHeadsByModulo),
      reorder("KvHeadMapping", "smollm2", MapHeadsByModulo),
      reorder("KvHeadMapping", "gemma2", MapHeadsByModulo),
      {"WindowPlusOne", "mistral", WindowBy(1)},
      {"WindowMinusOne", "mistral", WindowBy(-1)},
      {"WindowPlusOne", "gemma2", WindowBy(1)},
      {"WindowMinusOne", "gemma2", WindowBy(-1)},
      {"WindowPlusOne", "qwen2_windows", WindowBy(1)},
      {"WindowsInTheOtherLayers", "gemma2",
       [](DecoderConfig& config) {
         for (LayerDescription& layer : config.layers) {
           layer.window = layer.window > 0 ? 0 : 5;
         }
       }},
      {"WindowInEveryLayer", "qwen2_windows", EachLayer([](LayerDescription& l) { l.window = 5; })},
      {"GeluForRelu", "opt", With(Activation::kGeluErf)},
      {"NormEpsilon", "gpt2", HalveEpsilon},
      {"NormEpsilon", "smollm2", HalveEpsilon},
      {"NormEpsilon", "llama3", HalveEpsilon},
      {"NormEpsilon", "phi", HalveEpsilon},
      {"NormEpsilon", "gemma", HalveEpsilon},
      {"NormEpsilon", "kosmos2_text", HalveEpsilon},
      {"NoPlusOne", "gemma", [](DecoderConfig& config) { config.norm = models::Norm::kRmsNorm; }},
      {"PlusOne", "llama3",
       [](DecoderConfig& config) { config.norm = models::Norm::kRmsNormPlusOne; }},
      {"EmbeddingScale", "gemma", [](DecoderConfig& config) { config.embedding_scale = 1.0; }},
      {"EmbeddingScale", "kosmos2_text",
       [](DecoderConfig& config) { config.embedding_scale = 1.0; }},
      {"AttentionSoftcap", "gemma2",
       EachLayer([](LayerDescription& l) { l.attention_softcap = 0.0; })},
      {"LogitSoftcap", "gemma2", [](DecoderConfig& config) { config.logit_softcap = 0.0; }},
      {"QueryScale", "gpt2",
       EachLayer([](LayerDescription& l) { l.query_pre_attention_scalar = 1.0; })},
      {"QueryScale", "gemma2",
       EachLayer([](LayerDescription& l) { l.query_pre_attention_scalar = 0.0; })},
      {"ResidualOrder", "gpt2", With(Residual::kParallel)},
      {"ResidualOrder", "opt", With(Residual::kParallel)},
      {"ResidualOrder", "gpt_neox", With(Residual::kSequential)},
      {"ResidualOrder", "gpt_neox_sequential", With(Residual::kParallel)},
      {"ResidualOrder", "llama3", With(Residual::kParallel)},
      reorder("PositionOffset", "gpt2", CountPositionsFromOne),
      {"PositionOffset", "kosmos2_text",
       [](DecoderConfig& config) { --*config.sinusoidal_offset; }},
      reorder("PositionOffset", "opt", CountPositionsFromOne),
      reorder("InterleavedHeads", "gpt_neox", ForgetInterleaving),
      reorder("TransposedMatrix", "gpt2", ForgetTransposing),
  };
}

class FamilyMutationTest : public testing::TestWithParam<Mutation> {};

TEST_P(FamilyMutationTest, TheGoldenTellsIt) {
  const Mutation& mutation = GetParam();
  const auto golden =
      ReadTensors(absl::StrCat("families/", mutation.family, "/golden.safetensors"));
  models::ModelDirectory files = FilesOf(mutation.family);
  mutation.describe(files.config);
  Model model = ReadModel(mutation.family, files);
  mutation.reorder(model);
  EXPECT_GT(LogitsError(model.decoder, golden), 2.0 * kLogitsTolerance);
}

INSTANTIATE_TEST_SUITE_P(Mutations, FamilyMutationTest, testing::ValuesIn(Mutations()),
                         [](const auto& row) {
                           return absl::StrCat(row.param.name, "_", row.param.family);
                         });

}  // namespace
}  // namespace wattle::engine
