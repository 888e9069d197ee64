// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Logits, loss and every gradient against two oracles: what transformers computed
// (tests/golden/engine), and autograd over a plain forward pass with the same dropout masks. And
// the equalities that padding, batches and the cache promise.
#include "worker/engine/models/decoder.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/status_matchers.h"
#include "formats/safetensors.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/test_model.h"

namespace wattle::engine {
namespace {

// max |Δ| / max |reference| of a tensor. Single precision over two layers; the reference sums in
// another order.
constexpr double kLogitsTolerance = 1e-4;
constexpr double kGradientTolerance = 1e-3;

double RelativeError(const at::Tensor& got, const at::Tensor& wanted) {
  return (got - wanted).abs().max().item<double>() / wanted.abs().max().item<double>();
}

std::string GoldenPath(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/engine/", name);
}

// The golden file as tensors.
std::map<std::string, at::Tensor> ReadGolden() {
  std::map<std::string, at::Tensor> tensors;
  const auto file = formats::SafetensorsFile::Open(GoldenPath("gpt2_tiny.safetensors"));
  EXPECT_THAT(file, IsOk());
  for (const formats::TensorEntry& entry : file->tensors()) {
    at::Tensor tensor =
        at::empty(entry.shape, entry.type == formats::DataType::kI64 ? at::kLong : at::kFloat);
    const auto bytes = file->Bytes(entry);
    std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
    tensors[entry.name] = tensor;
  }
  return tensors;
}

// A decoder with its flat buffers.
struct Model {
  FlatLayout layout;
  at::Tensor flat;
  at::Tensor gradients;
  Decoder decoder;
  DecoderWeights gradient_views;
};

Model MakeModel(const formats::DecoderConfig& config, const at::Tensor& flat) {
  Model model;
  model.layout = MakeFlatLayout(config);
  model.flat = flat;
  model.gradients = at::zeros_like(flat);
  model.decoder.config = config;
  model.decoder.weights = WeightsOver(config, model.layout, model.flat);
  model.gradient_views = WeightsOver(config, model.layout, model.gradients);
  return model;
}

formats::PackedExample Example(std::vector<int64_t> tokens, std::vector<uint8_t> mask) {
  formats::PackedExample example;
  example.tokens = std::move(tokens);
  example.loss_mask = std::move(mask);
  return example;
}

TokenBatch BatchOf(const std::vector<formats::PackedExample>& examples) {
  std::vector<const formats::PackedExample*> pointers;
  for (const formats::PackedExample& example : examples) {
    pointers.push_back(&example);
  }
  return MakeTokenBatch(pointers);
}

std::vector<formats::PackedExample> GoldenExamples(
    const std::map<std::string, at::Tensor>& golden) {
  std::vector<formats::PackedExample> examples;
  const at::Tensor lengths = golden.at("lengths");
  for (int64_t row = 0; row < lengths.numel(); ++row) {
    formats::PackedExample example;
    for (int64_t t = 0; t < lengths[row].item<int64_t>(); ++t) {
      example.tokens.push_back(golden.at("tokens")[row][t].item<int64_t>());
      example.loss_mask.push_back(static_cast<uint8_t>(golden.at("mask")[row][t].item<int64_t>()));
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

Model GoldenModel(const std::map<std::string, at::Tensor>& golden) {
  const auto config = formats::ReadDecoderConfig(GoldenPath("config.json"));
  EXPECT_THAT(config, IsOk());
  Model model = MakeModel(*config, at::zeros({MakeFlatLayout(*config).elements}));
  for (const FlatEntry& entry : model.layout.entries) {
    FlatView(model.flat, entry).copy_(golden.at("weight:" + entry.tensor.name));
  }
  return model;
}

TEST(DecoderGoldenTest, LogitsLossAndGradientsAgreeWithTransformers) {
  const auto golden = ReadGolden();
  Model model = GoldenModel(golden);
  const std::vector<formats::PackedExample> examples = GoldenExamples(golden);
  const TokenBatch batch = BatchOf(examples);
  const at::Tensor logits = AllLogits(model.decoder, batch).view(golden.at("logits").sizes());
  for (size_t row = 0; row < examples.size(); ++row) {
    const auto length = static_cast<int64_t>(examples[row].tokens.size());
    const auto index = static_cast<int64_t>(row);
    EXPECT_LT(RelativeError(logits[index].narrow(0, 0, length),
                            golden.at("logits")[index].narrow(0, 0, length)),
              kLogitsTolerance)
        << "sequence " << row;
  }
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  const double wanted = golden.at("loss").item<double>();
  EXPECT_NEAR(LossSum(model.decoder, batch) * scale, wanted, 1e-5 * wanted);
  const double loss =
      LossSumAndGradients(model.decoder, batch, DropoutState{}, scale, model.gradient_views);
  EXPECT_NEAR(loss * scale, wanted, 1e-5 * wanted);
  for (const FlatEntry& entry : model.layout.entries) {
    EXPECT_LT(
        RelativeError(FlatView(model.gradients, entry), golden.at("gradient:" + entry.tensor.name)),
        kGradientTolerance)
        << entry.tensor.name;
  }
}

// The oracle: the same mathematics in plain differentiable operations. drop: multiplies by the mask
// that the engine draws.
class AutogradOracle {
 public:
  AutogradOracle(const Model& model, const DropoutState& dropout)
      : config_(model.decoder.config), dropout_(dropout) {
    for (const FlatEntry& entry : model.layout.entries) {
      leaves_[entry.tensor.name] =
          FlatView(model.flat, entry).clone().detach().set_requires_grad(true);
    }
  }

  at::Tensor LossSum(const TokenBatch& batch) {
    const at::Tensor tokens = at::tensor(at::IntArrayRef(batch.tokens), at::kLong);
    at::Tensor x =
        Leaf("wte.weight").index_select(0, tokens).view({batch.batch, batch.length, -1}) +
        Leaf("wpe.weight").narrow(0, 0, batch.length);
    x = Drop(x.view({-1, config_.width}), kernels::RandomUse::kEmbeddingDropout, 0,
             config_.embedding_dropout);
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      x = Block(x, batch, layer);
    }
    x = Norm(x, "ln_f");
    const at::Tensor head = config_.tied_embeddings ? Leaf("wte.weight") : Leaf("lm_head.weight");
    const at::Tensor logits = at::matmul(x, head.t());
    const at::Tensor chosen = at::log_softmax(logits, 1).index_select(
        0, at::tensor(at::IntArrayRef(batch.predicting), at::kLong));
    const at::Tensor targets = at::tensor(at::IntArrayRef(batch.targets), at::kLong);
    return -chosen.gather(1, targets.unsqueeze(1)).sum();
  }

  at::Tensor Gradient(const std::string& name) { return Leaf(name).grad(); }

 private:
  at::Tensor Leaf(const std::string& name) { return leaves_.at(name); }
  at::Tensor Norm(const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {config_.width}, Leaf(name + ".weight"), Leaf(name + ".bias"),
                          config_.norm_epsilon);
  }
  at::Tensor Linear(const at::Tensor& x, const std::string& name) {
    return at::matmul(x, Leaf(name + ".weight")) + Leaf(name + ".bias");
  }
  at::Tensor Drop(const at::Tensor& x, kernels::RandomUse use, int64_t layer, double rate) {
    if (!dropout_.active) {
      return x;
    }
    at::Tensor mask = at::ones(x.sizes());
    kernels::ApplyDropout({.seed = dropout_.seed,
                           .step = dropout_.counter,
                           .use = use,
                           .layer = static_cast<uint32_t>(layer)},
                          rate, 0, mask.numel(), mask.data_ptr<float>());
    return x * mask;
  }

  at::Tensor Block(const at::Tensor& x, const TokenBatch& batch, int64_t layer) {
    const std::string name = absl::StrCat("h.", layer, ".");
    const at::Tensor heads = Linear(Norm(x, name + "ln_1"), name + "attn.c_attn")
                                 .view({batch.batch, batch.length, 3, config_.heads, -1})
                                 .permute({2, 0, 3, 1, 4});
    const at::Tensor hidden =
        at::ones({batch.length, batch.length}, at::kFloat).triu(1).to(at::kBool);
    const at::Tensor scores = at::matmul(heads[0], heads[1].transpose(-1, -2)) /
                              std::sqrt(static_cast<double>(config_.head_size()));
    const at::Tensor probabilities =
        at::softmax(scores.masked_fill(hidden, -std::numeric_limits<float>::infinity()), -1);
    const at::Tensor attended =
        at::matmul(Drop(probabilities, kernels::RandomUse::kAttentionDropout, layer,
                        config_.attention_dropout),
                   heads[2])
            .transpose(1, 2)
            .reshape({-1, config_.width});
    const at::Tensor middle =
        x + Drop(Linear(attended, name + "attn.c_proj"),
                 kernels::RandomUse::kAttentionOutputDropout, layer, config_.residual_dropout);
    // gelu_new by its formula, Hendrycks and Gimpel 2016.
    const at::Tensor up = Linear(Norm(middle, name + "ln_2"), name + "mlp.c_fc");
    const at::Tensor activated =
        0.5 * up * (1.0 + at::tanh(0.7978845608028654 * (up + 0.044715 * at::pow(up, 3))));
    return middle + Drop(Linear(activated, name + "mlp.c_proj"),
                         kernels::RandomUse::kMlpOutputDropout, layer, config_.residual_dropout);
  }

  const formats::DecoderConfig& config_;
  DropoutState dropout_;
  std::map<std::string, at::Tensor> leaves_;
};

struct OracleCase {
  const char* name;
  bool dropout;
  bool tied;
};

class DecoderOracleTest : public testing::TestWithParam<OracleCase> {};

TEST_P(DecoderOracleTest, EveryGradientAgreesWithAutograd) {
  const auto golden = ReadGolden();
  formats::DecoderConfig config = TinyConfig();
  config.attention_dropout = 0.2;
  config.residual_dropout = 0.3;
  config.embedding_dropout = 0.1;
  config.tied_embeddings = GetParam().tied;
  const FlatLayout layout = MakeFlatLayout(config);
  Model model = MakeModel(config, RandomFlat(config, layout, 8).mul_(15.0));
  const DropoutState dropout{.active = GetParam().dropout, .seed = 5, .counter = 7};
  const TokenBatch batch = BatchOf(GoldenExamples(golden));
  AutogradOracle oracle(model, dropout);
  const at::Tensor wanted = oracle.LossSum(batch);
  wanted.backward();
  constexpr double kScale = 0.125;
  const double sum =
      LossSumAndGradients(model.decoder, batch, dropout, kScale, model.gradient_views);
  EXPECT_NEAR(sum, wanted.item<double>(), 1e-5 * wanted.item<double>());
  for (const FlatEntry& entry : layout.entries) {
    EXPECT_LT(RelativeError(FlatView(model.gradients, entry),
                            oracle.Gradient(entry.tensor.name) * kScale),
              kGradientTolerance)
        << entry.tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DecoderOracleTest,
                         testing::Values(OracleCase{"DropoutOff", false, true},
                                         OracleCase{"DropoutOn", true, true},
                                         OracleCase{"UntiedHead", true, false}),
                         [](const auto& row) { return row.param.name; });

TEST(DecoderTest, GradientsAddUpOverMicroBatches) {
  const auto golden = ReadGolden();
  const std::vector<formats::PackedExample> examples = GoldenExamples(golden);
  Model together = GoldenModel(golden);
  Model apart = GoldenModel(golden);
  LossSumAndGradients(together.decoder, BatchOf(examples), DropoutState{}, 1.0,
                      together.gradient_views);
  for (const formats::PackedExample& example : examples) {  // each without the others' padding
    LossSumAndGradients(apart.decoder, BatchOf({example}), DropoutState{}, 1.0,
                        apart.gradient_views);
  }
  EXPECT_LT(RelativeError(apart.gradients, together.gradients), 1e-5);
}

TEST(DecoderTest, AnExampleWithoutTargetsHasNoLossAndNoGradient) {
  const auto golden = ReadGolden();
  Model model = GoldenModel(golden);
  const TokenBatch batch =
      BatchOf({Example({1, 2, 3}, {1, 0, 0})});  // nothing predicts the first token
  EXPECT_EQ(LossSumAndGradients(model.decoder, batch, DropoutState{}, 1.0, model.gradient_views),
            0.0);
  EXPECT_EQ(model.gradients.abs().max().item<double>(), 0.0);
}

TEST(DecoderTest, CachedLogitsEqualThoseOfTheWholeSequence) {
  const auto golden = ReadGolden();
  const Model model = GoldenModel(golden);
  const formats::PackedExample example = GoldenExamples(golden)[2];
  const at::Tensor wanted = AllLogits(model.decoder, BatchOf({example}));
  const auto length = static_cast<int64_t>(example.tokens.size());
  DecodeState state = MakeDecodeState(model.decoder, length);
  const absl::Span<const int64_t> tokens(example.tokens);
  EXPECT_LT(RelativeError(DecodeLogits(model.decoder, tokens.subspan(0, 5), state), wanted[4]),
            1e-5);
  EXPECT_LT(RelativeError(DecodeLogits(model.decoder, tokens.subspan(5, 3), state), wanted[7]),
            1e-5);
  for (int64_t t = 8; t < length; ++t) {
    EXPECT_LT(
        RelativeError(DecodeLogits(model.decoder, tokens.subspan(static_cast<size_t>(t), 1), state),
                      wanted[t]),
        1e-5)
        << "token " << t;
  }
}

TEST(DecoderTest, GreedyTokensEqualThoseOfFullRecomputation) {
  const auto golden = ReadGolden();
  const Model model = GoldenModel(golden);
  const std::vector<int64_t> prompt = {3, 14, 15, 9};
  const std::vector<int64_t> made = GenerateTokens(model.decoder, prompt, 12, {}, 0);
  std::vector<int64_t> tokens = prompt;
  for (const int64_t token : made) {
    const at::Tensor logits = AllLogits(
        model.decoder, BatchOf({Example(tokens, std::vector<uint8_t>(tokens.size(), 1))}));
    EXPECT_EQ(token, logits[-1].argmax().item<int64_t>()) << "after " << tokens.size() << " tokens";
    tokens.push_back(token);
  }
  EXPECT_TRUE(made.size() == 12 || made.back() == model.decoder.config.eos_token_id);
}

TEST(DecoderTest, SampledTokensDependOnSeedAndPromptAlone) {
  const auto golden = ReadGolden();
  const Model model = GoldenModel(golden);
  const SamplingSettings sampling{.temperature = 1.5, .seed = 4};
  const auto draw = [&](const SamplingSettings& settings, uint64_t index) {
    return GenerateTokens(model.decoder, {1, 2}, 16, settings, index);
  };
  EXPECT_EQ(draw(sampling, 0), draw(sampling, 0));
  EXPECT_NE(draw(sampling, 0), draw(sampling, 1));
  EXPECT_NE(draw(sampling, 0), draw({.temperature = 1.5, .seed = 5}, 0));
}

}  // namespace
}  // namespace wattle::engine
