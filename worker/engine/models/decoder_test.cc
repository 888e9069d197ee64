// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Logits, loss and every gradient against two oracles: results of transformers
// (tests/golden/engine), and autograd over a plain forward pass with the same dropout masks. Also
// the equalities that padding, batches and the cache must keep.
#include "worker/engine/models/decoder.h"

#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/models/testing/test_golden.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

// A tensor of the engine from those of the reference, which have `prefix` before their names.
at::Tensor FromReference(const std::map<std::string, at::Tensor>& reference,
                         const std::string& prefix, const models::ModelTensor& tensor) {
  std::vector<at::Tensor> parts;
  for (const models::FileTensor& file : tensor.files) {
    const at::Tensor& stored = reference.at(prefix + file.name);
    parts.push_back(tensor.layout.transposed ? stored.t() : stored);
  }
  return at::cat(parts);
}

// transformers' results for a tiny model of a family.
struct Golden {
  std::map<std::string, at::Tensor> tensors;  // tokens, logits, loss, gradients
  Model model;
};

Golden ReadGolden(const std::string& family) {
  const bool gpt2 = family == "gpt2";
  Golden golden;
  golden.tensors = ReadTensors(gpt2 ? "gpt2_tiny.safetensors" : "llama_tiny/golden.safetensors");
  const auto config =
      models::ReadDecoderConfig(GoldenPath(gpt2 ? "config.json" : "llama_tiny/config.json"));
  EXPECT_THAT(config, IsOk());
  golden.model = MakeModel(*config);
  const auto weights = gpt2 ? golden.tensors : ReadTensors("llama_tiny/model.safetensors");
  for (size_t i = 0; i < golden.model.parameters.size(); ++i) {
    models::ModelTensor tensor = golden.model.parameters[i].tensor;
    for (models::FileTensor& file : tensor.files) {
      file.name = (gpt2                                 ? "weight:"
                   : tensor.slot == models::Slot::kHead ? ""
                                                        : "model.") +
                  file.name;
    }
    golden.model.Value(i).copy_(FromReference(weights, "", tensor));
  }
  return golden;
}

class DecoderGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(DecoderGoldenTest, LogitsLossAndGradientsAgreeWithTransformers) {
  Golden golden = ReadGolden(GetParam());
  Model& model = golden.model;
  const std::vector<Example> examples = GoldenExamples(golden.tensors);
  const TokenBatch batch = BatchOf(examples);
  const at::Tensor wanted_logits = golden.tensors.at("logits");
  const at::Tensor logits = AllLogits(model.decoder, batch).view(wanted_logits.sizes());
  for (size_t row = 0; row < examples.size(); ++row) {
    const auto length = static_cast<int64_t>(examples[row].tokens.size());
    const auto index = static_cast<int64_t>(row);
    EXPECT_LT(RelativeError(logits[index].narrow(0, 0, length),
                            wanted_logits[index].narrow(0, 0, length)),
              kLogitsTolerance)
        << "sequence " << row;
  }
  const double scale = 1.0 / static_cast<double>(batch.targets.size());
  const double wanted = golden.tensors.at("loss").item<double>();
  EXPECT_NEAR(LossSum(model.decoder, batch) * scale, wanted, 1e-5 * wanted);
  const double loss =
      LossSumAndGradients(model.decoder, batch, DropoutState{}, scale, model.gradient_views);
  EXPECT_NEAR(loss * scale, wanted, 1e-5 * wanted);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    EXPECT_LT(RelativeError(model.Gradient(i), FromReference(golden.tensors, "gradient:", tensor)),
              kGradientTolerance)
        << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderGoldenTest, testing::Values("gpt2", "llama"),
                         [](const auto& row) { return row.param; });

// The oracle, on the host: the same mathematics in plain differentiable operations, written for one
// sequence after the other and one head after the other. drop: multiplies by the engine's mask.
class AutogradOracle {
 public:
  AutogradOracle(const Model& model, const DropoutState& dropout)
      : config_(model.decoder.config), dropout_(dropout) {
    for (size_t i = 0; i < model.parameters.size(); ++i) {
      leaves_[model.parameters[i].tensor.name] =
          model.Value(i).cpu().clone().detach().set_requires_grad(true);
    }
  }

  at::Tensor LossSum(const TokenBatch& batch) {
    const at::Tensor tokens = at::tensor(at::IntArrayRef(batch.tokens), at::kLong);
    at::Tensor x = Leaf("tokens.weight")
                       .index_select(0, tokens)
                       .view({batch.groups[0].sequences, batch.groups[0].tokens, -1});
    if (config_.learned_positions) {
      x = x + Leaf("positions.weight").narrow(0, 0, batch.groups[0].tokens);
    }
    x = Drop(x.reshape({-1, config_.width}), kernels::RandomUse::kEmbeddingDropout, 0,
             config_.embedding_dropout);
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      x = Block(x, batch, layer);
    }
    x = Norm(x, "final_norm");
    const at::Tensor head = config_.tied_embeddings ? Leaf("tokens.weight") : Leaf("head.weight");
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
    if (config_.norm == models::Norm::kRmsNorm) {
      const at::Tensor mean_square = at::pow(x, 2).mean({-1}, true);
      return x / at::sqrt(mean_square + config_.norm_epsilon) * Leaf(name + ".weight");
    }
    return at::layer_norm(x, {config_.width}, Leaf(name + ".weight"), Leaf(name + ".bias"),
                          config_.norm_epsilon);
  }
  at::Tensor Linear(const at::Tensor& x, const std::string& name) {
    const at::Tensor product = at::matmul(x, Leaf(name + ".weight").t());
    const auto bias = leaves_.find(name + ".bias");
    return bias == leaves_.end() ? product : product + bias->second;
  }
  at::Tensor Drop(const at::Tensor& x, kernels::RandomUse use, int64_t layer, double rate) {
    if (!dropout_.active || rate == 0.0) {
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

  // heads: [batch, heads, tokens, head_size].
  static at::Tensor Rotated(const models::LayerDescription& layer, const at::Tensor& heads) {
    if (!layer.rotary.has_value()) {
      return heads;
    }
    const int64_t half = layer.rotary->dimensions / 2;
    const at::Tensor frequency =
        at::pow(layer.rotary->base, at::arange(half).to(at::kDouble) *
                                        (-2.0 / static_cast<double>(layer.rotary->dimensions)));
    const at::Tensor angle =
        (at::arange(heads.size(2)).to(at::kDouble).unsqueeze(1) * frequency).to(at::kFloat);
    // The pair (a, b) as a complex number, times e^(i angle).
    const at::Tensor pair = at::complex(heads.narrow(3, 0, half).contiguous(),
                                        heads.narrow(3, half, half).contiguous());
    const at::Tensor turned = pair * at::polar(at::ones_like(angle), angle);
    return at::cat({at::real(turned), at::imag(turned)}, 3);
  }

  at::Tensor Attention(const at::Tensor& x, const TokenBatch& batch, int64_t index) {
    const models::LayerDescription& layer = config_.layers[static_cast<size_t>(index)];
    const at::Tensor fused =
        Linear(x, absl::StrCat("layers.", index, ".qkv"))
            .view({batch.groups[0].sequences, batch.groups[0].tokens, -1, layer.head_size})
            .transpose(1, 2);
    const at::Tensor query = Rotated(layer, fused.narrow(1, 0, layer.heads));
    const at::Tensor key = Rotated(layer, fused.narrow(1, layer.heads, layer.kv_heads));
    const at::Tensor value = fused.narrow(1, layer.heads + layer.kv_heads, layer.kv_heads);
    const at::Tensor hidden = at::ones({batch.groups[0].tokens, batch.groups[0].tokens}, at::kFloat)
                                  .triu(1)
                                  .to(at::kBool);
    std::vector<at::Tensor> heads;
    for (int64_t head = 0; head < layer.heads; ++head) {
      const int64_t shared = head / (layer.heads / layer.kv_heads);
      heads.push_back(at::matmul(query.select(1, head), key.select(1, shared).transpose(-1, -2)) /
                      std::sqrt(static_cast<double>(layer.head_size)));
    }
    const at::Tensor probabilities = Drop(
        at::softmax(
            at::stack(heads, 1).masked_fill(hidden, -std::numeric_limits<float>::infinity()), -1),
        kernels::RandomUse::kAttentionDropout, index, config_.attention_dropout);
    std::vector<at::Tensor> attended;
    for (int64_t head = 0; head < layer.heads; ++head) {
      const int64_t shared = head / (layer.heads / layer.kv_heads);
      attended.push_back(at::matmul(probabilities.select(1, head), value.select(1, shared)));
    }
    return at::cat(attended, -1).reshape({-1, layer.attention_width()});
  }

  at::Tensor Mlp(const at::Tensor& up, const models::LayerDescription& layer) {
    if (layer.gated_mlp) {
      const at::Tensor gate = up.narrow(1, 0, layer.mlp_width);
      return gate / (1.0 + at::exp(-gate)) * up.narrow(1, layer.mlp_width, layer.mlp_width);
    }
    // gelu_new by its formula, Hendrycks and Gimpel 2016.
    return 0.5 * up * (1.0 + at::tanh(0.7978845608028654 * (up + 0.044715 * at::pow(up, 3))));
  }

  at::Tensor Block(const at::Tensor& x, const TokenBatch& batch, int64_t index) {
    const std::string name = absl::StrCat("layers.", index, ".");
    const at::Tensor attended = Attention(Norm(x, name + "attention_norm"), batch, index);
    const at::Tensor middle =
        x + Drop(Linear(attended, name + "attention_output"),
                 kernels::RandomUse::kAttentionOutputDropout, index, config_.residual_dropout);
    const at::Tensor activated = Mlp(Linear(Norm(middle, name + "mlp_norm"), name + "up"),
                                     config_.layers[static_cast<size_t>(index)]);
    return middle + Drop(Linear(activated, name + "down"), kernels::RandomUse::kMlpOutputDropout,
                         index, config_.residual_dropout);
  }

  const models::DecoderConfig& config_;
  DropoutState dropout_;
  std::map<std::string, at::Tensor> leaves_;
};

struct OracleCase {
  const char* name;
  const char* family;
  bool dropout;
  bool tied;
  bool biases;
};

class DecoderOracleTest : public testing::TestWithParam<OracleCase> {};

TEST_P(DecoderOracleTest, EveryGradientAgreesWithAutograd) {
  models::DecoderConfig config = TinyConfigOf(GetParam().family);
  config.attention_dropout = 0.2;
  config.residual_dropout = 0.3;
  config.embedding_dropout = 0.1;
  config.tied_embeddings = GetParam().tied;
  for (models::LayerDescription& layer : config.layers) {
    layer.qkv_bias = layer.attention_output_bias = layer.mlp_bias = GetParam().biases;
  }
  Model model = RandomModel(config, /*seed=*/8);
  model.arena.mul_(12.0);
  const DropoutState dropout{.active = GetParam().dropout, .seed = 5, .counter = 7};
  const TokenBatch batch = BatchOf(GoldenExamples(ReadTensors("gpt2_tiny.safetensors")));
  AutogradOracle oracle(model, dropout);
  const at::Tensor wanted = oracle.LossSum(batch);
  wanted.backward();
  constexpr double kScale = 0.125;
  const double sum =
      LossSumAndGradients(model.decoder, batch, dropout, kScale, model.gradient_views);
  EXPECT_NEAR(sum, wanted.item<double>(), 1e-5 * wanted.item<double>());
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const std::string& name = model.parameters[i].tensor.name;
    EXPECT_LT(RelativeError(model.Gradient(i), oracle.Gradient(name) * kScale), kGradientTolerance)
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DecoderOracleTest,
                         testing::Values(OracleCase{"DropoutOff", "gpt2", false, true, true},
                                         OracleCase{"DropoutOn", "gpt2", true, true, true},
                                         OracleCase{"UntiedHead", "gpt2", true, false, true},
                                         OracleCase{"Llama", "llama", true, false, false},
                                         OracleCase{"LlamaTiedWithBiases", "llama", false, true,
                                                    true}),
                         [](const auto& row) { return row.param.name; });

class DecoderTest : public testing::TestWithParam<const char*> {};

TEST_P(DecoderTest, GradientsAddUpOverMicroBatches) {
  Golden together = ReadGolden(GetParam());
  Golden apart = ReadGolden(GetParam());
  const std::vector<Example> examples = GoldenExamples(together.tensors);
  LossSumAndGradients(together.model.decoder, BatchOf(examples), DropoutState{}, 1.0,
                      together.model.gradient_views);
  for (const Example& example : examples) {  // each without the padding for the others
    LossSumAndGradients(apart.model.decoder, BatchOf({example}), DropoutState{}, 1.0,
                        apart.model.gradient_views);
  }
  EXPECT_LT(RelativeError(apart.model.gradients, together.model.gradients), 1e-5);
}

// 460 rows of a loss are one piece, and two pieces with checkpointing.
TEST_P(DecoderTest, ALossInPiecesHasTheSumAndTheGradientsOfOnePiece) {
  Golden whole = ReadGolden(GetParam());
  Golden pieces = ReadGolden(GetParam());
  Example example;
  for (int64_t i = 0; i < 24; ++i) {
    example.tokens.push_back(2 * i);
  }
  example.mask.assign(example.tokens.size(), 1);
  const TokenBatch batch = BatchOf(std::vector<Example>(20, example));
  const double loss = LossSumAndGradients(whole.model.decoder, batch, DropoutState{}, 1.0,
                                          whole.model.gradient_views);
  EXPECT_NEAR(LossSumAndGradients(pieces.model.decoder, batch, DropoutState{}, 1.0,
                                  pieces.model.gradient_views, KeptActivations::kInputs),
              loss, 1e-6 * loss);
  EXPECT_LT(RelativeError(pieces.model.gradients, whole.model.gradients), 1e-5);
}

// The arena's old contents do not matter, with targets or without.
TEST_P(DecoderTest, ClearedGradientsAreThoseOfZeros) {
  Golden zeros = ReadGolden(GetParam());
  Golden cleared = ReadGolden(GetParam());
  Model& model = cleared.model;
  for (const Example& example : {GoldenExamples(zeros.tensors)[2], Example{{1, 2, 3}, {1, 0, 0}}}) {
    zeros.model.gradients.zero_();
    ClearGradients(model.parameters, model.layout, model.gradients, model.gradient_views);
    for (int pass = 0; pass < 2; ++pass) {  // the second one adds
      for (Golden* golden : {&zeros, &cleared}) {
        LossSumAndGradients(golden->model.decoder, BatchOf({example}), DropoutState{}, 1.0,
                            golden->model.gradient_views);
      }
    }
    EXPECT_TRUE(model.gradients.equal(zeros.model.gradients));
  }
}

TEST_P(DecoderTest, AnExampleWithoutTargetsHasNoLossAndNoGradient) {
  Golden golden = ReadGolden(GetParam());
  Model& model = golden.model;
  const TokenBatch batch =
      BatchOf({Example{{1, 2, 3}, {1, 0, 0}}});  // the first token is never predicted
  EXPECT_EQ(LossSumAndGradients(model.decoder, batch, DropoutState{}, 1.0, model.gradient_views),
            0.0);
  EXPECT_EQ(model.gradients.abs().max().item<double>(), 0.0);
}

TEST_P(DecoderTest, CachedLogitsEqualThoseOfTheWholeSequence) {
  const Golden golden = ReadGolden(GetParam());
  const Decoder& decoder = golden.model.decoder;
  const Example example = GoldenExamples(golden.tensors)[2];
  const at::Tensor wanted = AllLogits(decoder, BatchOf({example}));
  const auto length = static_cast<int64_t>(example.tokens.size());
  KeyValueCache cache(decoder.config, /*slots=*/3, length, decoder.device);
  const absl::Span<const int64_t> tokens(example.tokens);
  // Two sequences take turns; each slot has its own length.
  const auto expect = [&](int64_t slot, int64_t first, int64_t count) {
    EXPECT_LT(RelativeError(DecodeLogits(decoder,
                                         tokens.subspan(static_cast<size_t>(first),
                                                        static_cast<size_t>(count)),
                                         cache, slot),
                            wanted[first + count - 1]),
              1e-5)
        << "slot " << slot << ", tokens from " << first;
  };
  expect(2, 0, 5);
  expect(0, 0, 1);
  expect(2, 5, 3);
  expect(0, 1, 4);
  for (int64_t t = 8; t < length; ++t) {
    expect(2, t, 1);
  }
  EXPECT_EQ(cache.length(0), 5);
  EXPECT_EQ(cache.length(1), 0);
  EXPECT_EQ(cache.length(2), length);
  cache.Clear(2);
  expect(2, 0, 2);
}

TEST_P(DecoderTest, GreedyTokensEqualThoseOfFullRecomputation) {
  const Golden golden = ReadGolden(GetParam());
  const Decoder& decoder = golden.model.decoder;
  const std::vector<int64_t> prompt = {3, 14, 15, 9};
  const std::vector<int64_t> made = GenerateTokens(decoder, prompt, 12, {}, 0);
  std::vector<int64_t> tokens = prompt;
  for (const int64_t token : made) {
    const at::Tensor logits =
        AllLogits(decoder, BatchOf({Example{tokens, std::vector<uint8_t>(tokens.size(), 1)}}));
    EXPECT_EQ(token, logits[-1].argmax().item<int64_t>()) << "after " << tokens.size() << " tokens";
    tokens.push_back(token);
  }
  EXPECT_TRUE(made.size() == 12 || made.back() == decoder.config.eos_token_id);
}

TEST_P(DecoderTest, SampledTokensDependOnSeedAndPromptAlone) {
  const Golden golden = ReadGolden(GetParam());
  const SamplingSettings sampling{.temperature = 1.5, .seed = 4};
  const auto draw = [&](const SamplingSettings& settings, uint64_t index) {
    return GenerateTokens(golden.model.decoder, {1, 2}, 16, settings, index);
  };
  EXPECT_EQ(draw(sampling, 0), draw(sampling, 0));
  EXPECT_NE(draw(sampling, 0), draw(sampling, 1));
  EXPECT_NE(draw(sampling, 0), draw({.temperature = 1.5, .seed = 5}, 0));
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderTest, testing::Values("gpt2", "llama"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace wattle::engine
