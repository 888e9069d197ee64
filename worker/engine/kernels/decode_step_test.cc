// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The decode step against a plain decoder in double precision, and its guarantees: the division of
// tokens into steps, the number of threads and the instruction set change no bit of the results
// with quantized weights.
#include "worker/engine/kernels/decode_step.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/engine/kernels/testing/test_decoder.h"

namespace wattle::kernels {
namespace {

using testing::HasSubstr;
using Row = std::vector<double>;

constexpr WeightFormat kFp32{WeightScheme::kFloat32, 0};
constexpr WeightFormat kInt8{WeightScheme::kInt8, 0};
constexpr WeightFormat kInt4{WeightScheme::kInt4, 32};

// The whole sequence through plain loops: logits of the last token.
class PlainDecoder {
 public:
  explicit PlainDecoder(const DecodeModel& model) : model_(model) {}

  Row Logits(const std::vector<int64_t>& tokens) const {
    std::vector<Row> x;
    for (size_t p = 0; p < tokens.size(); ++p) {
      x.push_back(RowOf(model_.tokens, tokens[p]));
      for (size_t i = 0; i < x[p].size() && model_.positions != nullptr; ++i) {
        x[p][i] += model_.positions[p * x[p].size() + i];
      }
    }
    for (const DecodeLayer& layer : model_.layers) {
      Block(layer, x);
    }
    return Apply(model_.head, Normed(model_.final_norm, x.back()));
  }

 private:
  static Row RowOf(const WeightMatrix& matrix, int64_t row) {
    std::vector<float> values(static_cast<size_t>(matrix.columns));
    OperationsOf(matrix.format.scheme).dequantize(matrix, row, row + 1, values.data());
    return {values.begin(), values.end()};
  }

  static Row Apply(const WeightMatrix& matrix, const Row& input) {
    Row out;
    for (int64_t r = 0; r < matrix.rows; ++r) {
      const Row weights = RowOf(matrix, r);
      double sum = matrix.bias == nullptr ? 0.0 : matrix.bias[r];
      for (size_t c = 0; c < input.size(); ++c) {
        sum += weights[c] * input[c];
      }
      out.push_back(sum);
    }
    return out;
  }

  static Row Normed(const Norm& norm, const Row& x) {
    const auto width = static_cast<double>(x.size());
    double mean = 0.0;
    for (const double value : x) {
      mean += norm.subtract_mean ? value / width : 0.0;
    }
    double variance = 0.0;
    for (const double value : x) {
      variance += (value - mean) * (value - mean) / width;
    }
    Row out;
    for (size_t i = 0; i < x.size(); ++i) {
      out.push_back((x[i] - mean) / std::sqrt(variance + norm.epsilon) * norm.gain[i] +
                    (norm.bias == nullptr ? 0.0 : norm.bias[i]));
    }
    return out;
  }

  static void Turn(const RotaryTables& rotary, size_t position, double* head) {
    const auto half = static_cast<size_t>(rotary.dimensions / 2);
    for (size_t i = 0; i < half; ++i) {
      const double cosine = rotary.cosines[position * half + i];
      const double sine = rotary.sines[position * half + i];
      const double a = head[i];
      const double b = head[i + half];
      head[i] = a * cosine - b * sine;
      head[i + half] = b * cosine + a * sine;
    }
  }

  static Row Attend(const DecodeLayer& layer, const std::vector<Row>& qkv, size_t position) {
    Row out;
    const int64_t size = layer.head_size;
    for (int64_t h = 0; h < layer.heads; ++h) {
      const int64_t kv = h / (layer.heads / layer.kv_heads);
      const int64_t first =
          layer.window == 0
              ? 0
              : std::max<int64_t>(0, static_cast<int64_t>(position) + 1 - layer.window);
      Row weights;
      double total = 0.0;
      for (auto p = static_cast<size_t>(first); p <= position; ++p) {
        double score = 0.0;
        for (int64_t d = 0; d < size; ++d) {
          score += qkv[position][static_cast<size_t>(h * size + d)] *
                   qkv[p][static_cast<size_t>((layer.heads + kv) * size + d)];
        }
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
        total += weights.back();
      }
      for (int64_t d = 0; d < size; ++d) {
        double sum = 0.0;
        for (size_t i = 0; i < weights.size(); ++i) {
          sum += weights[i] / total *
                 qkv[static_cast<size_t>(first) + i]
                    [static_cast<size_t>((layer.heads + layer.kv_heads + kv) * size + d)];
        }
        out.push_back(sum);
      }
    }
    return out;
  }

  static double Activate(Nonlinearity f, double x) {
    return f == Nonlinearity::kSilu
               ? x / (1 + std::exp(-x))
               : 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }

  static void Block(const DecodeLayer& layer, std::vector<Row>& x) {
    std::vector<Row> qkv;
    for (size_t p = 0; p < x.size(); ++p) {
      qkv.push_back(Apply(layer.qkv, Normed(layer.attention_norm, x[p])));
      for (int64_t h = 0; h < layer.heads + layer.kv_heads && layer.rotary.dimensions > 0; ++h) {
        Turn(layer.rotary, p, qkv[p].data() + h * layer.head_size);
      }
    }
    for (size_t p = 0; p < x.size(); ++p) {
      const Row attended = Apply(layer.attention_output, Attend(layer, qkv, p));
      for (size_t i = 0; i < x[p].size(); ++i) {
        x[p][i] += attended[i];
      }
      Row up = Apply(layer.up, Normed(layer.mlp_norm, x[p]));
      const auto inner = static_cast<size_t>(layer.down.columns);
      for (size_t i = 0; i < inner; ++i) {
        up[i] = Activate(layer.activation, up[i]) * (layer.gated ? up[inner + i] : 1.0);
      }
      up.resize(inner);
      const Row down = Apply(layer.down, up);
      for (size_t i = 0; i < x[p].size(); ++i) {
        x[p][i] += down[i];
      }
    }
  }

  const DecodeModel& model_;
};

std::vector<int64_t> Tokens(int64_t count, uint64_t seed) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int64_t>(RandomBelow({.seed = seed}, i, 100)));
  }
  return tokens;
}

// Feeds the tokens in pieces of the given sizes; returns the logits after the last.
std::vector<float> Logits(const DecodeModel& model, const std::vector<int64_t>& tokens,
                          const std::vector<size_t>& pieces, KvFormat kv = KvFormat::kFloat32,
                          const KernelTable& kernels = BestKernels(), int threads = 2) {
  ThreadPool pool(threads);
  KvCache cache(kv, KvShapesOf(model), 1, 64);
  DecodeStep step(model, cache, pool, 64, kernels);
  std::vector<float> logits(static_cast<size_t>(model.head.rows));
  size_t done = 0;
  for (const size_t piece : pieces) {
    const SequenceTokens sequence{.tokens = absl::MakeConstSpan(tokens).subspan(done, piece)};
    step.Run({sequence}, logits.data());
    done += piece;
  }
  EXPECT_EQ(done, tokens.size());
  EXPECT_EQ(cache.length(0), static_cast<int64_t>(tokens.size()));
  return logits;
}

const DecoderSizes kGpt2Like{};
const DecoderSizes kLlamaLike{.heads = 8, .kv_heads = 2, .mlp_width = 192, .llama = true};
const DecoderSizes kWindowed{.head_size = 32, .window = 7};

TEST(DecodeStepTest, AgreesWithThePlainDecoder) {
  const std::vector<int64_t> tokens = Tokens(41, 1);
  for (const DecoderSizes& sizes : {kGpt2Like, kLlamaLike, kWindowed}) {
    const RandomDecoder decoder(sizes, {kFp32, kFp32}, 2);
    ASSERT_TRUE(CheckDecodeModel(decoder.model).ok()) << CheckDecodeModel(decoder.model);
    const Row wanted = PlainDecoder(decoder.model).Logits(tokens);
    for (const std::vector<size_t>& pieces : {std::vector<size_t>{41}, {1, 2, 3, 5, 30}, {40, 1}}) {
      for (const KernelTable* table : SupportedKernels()) {
        const std::vector<float> logits =
            Logits(decoder.model, tokens, pieces, KvFormat::kFloat32, *table);
        for (size_t i = 0; i < logits.size(); ++i) {
          // Two blocks of FP32 sums on values of about 1.
          ASSERT_NEAR(logits[i], wanted[i], 1e-4) << table->name << ", logit " << i;
        }
      }
    }
  }
}

TEST(DecodeStepTest, Int8CacheChangesLogitsALittle) {
  const std::vector<int64_t> tokens = Tokens(41, 3);
  for (const DecoderSizes& sizes : {kGpt2Like, kLlamaLike, kWindowed}) {
    const RandomDecoder decoder(sizes, {kFp32, kFp32}, 4);
    const Row wanted = PlainDecoder(decoder.model).Logits(tokens);
    const std::vector<float> logits = Logits(decoder.model, tokens, {20, 21}, KvFormat::kInt8);
    double error = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < logits.size(); ++i) {
      error += (logits[i] - wanted[i]) * (logits[i] - wanted[i]);
      size += wanted[i] * wanted[i];
    }
    EXPECT_GT(error, 0.0);
    EXPECT_LT(std::sqrt(error / size), 0.02);  // int8's error is 0.4 % of a head's maximum
  }
}

TEST(DecodeStepTest, QuantizedLogitsAreTheSameHoweverTheyAreComputed) {
  const std::vector<int64_t> tokens = Tokens(33, 5);
  for (const DecoderSizes& sizes : {kGpt2Like, kLlamaLike, kWindowed}) {
    for (const WeightFormat format : {kInt8, kInt4}) {
      const RandomDecoder decoder(sizes, {format, kInt8}, 6);
      for (const KvFormat kv : {KvFormat::kFloat32, KvFormat::kInt8}) {
        const std::vector<float> wanted =
            Logits(decoder.model, tokens, {33}, kv, *FindKernels("portable"), 1);
        for (const KernelTable* table : SupportedKernels()) {
          for (const int threads : {1, 3}) {
            ASSERT_EQ(Logits(decoder.model, tokens, {33}, kv, *table, threads), wanted)
                << table->name;
            ASSERT_EQ(Logits(decoder.model, tokens, {1, 1, 9, 21, 1}, kv, *table, threads), wanted)
                << table->name;
          }
        }
      }
    }
  }
}

TEST(DecodeStepTest, SequencesOfABatchDoNotSeeEachOther) {
  const RandomDecoder decoder(kGpt2Like, {kInt8, kInt8}, 7);
  const std::vector<std::vector<int64_t>> prompts = {Tokens(3, 8), Tokens(17, 9), Tokens(1, 10)};
  ThreadPool pool(2);
  KvCache cache(KvFormat::kFloat32, KvShapesOf(decoder.model), 4, 64);
  DecodeStep step(decoder.model, cache, pool, 32);
  const auto vocabulary = static_cast<size_t>(decoder.model.head.rows);
  std::vector<float> logits(3 * vocabulary);
  // Slots in another order than the sequences; then one more token for two of them.
  step.Run({{.slot = 2, .tokens = prompts[0]},
            {.slot = 0, .tokens = prompts[1]},
            {.slot = 3, .tokens = prompts[2]}},
           logits.data());
  for (size_t s = 0; s < 3; ++s) {
    const std::vector<float> alone = Logits(decoder.model, prompts[s], {prompts[s].size()});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                           logits.begin() + static_cast<int64_t>(s * vocabulary)))
        << s;
  }
  const std::vector<int64_t> next = {42};
  step.Run({{.slot = 0, .tokens = next}, {.slot = 2, .tokens = next}}, logits.data());
  EXPECT_EQ(cache.length(0), 18);
  EXPECT_EQ(cache.length(2), 4);
  EXPECT_EQ(cache.length(3), 1);
  std::vector<int64_t> longer = prompts[0];
  longer.push_back(42);
  const std::vector<float> alone = Logits(decoder.model, longer, {3, 1});
  EXPECT_TRUE(
      std::equal(alone.begin(), alone.end(), logits.begin() + static_cast<int64_t>(vocabulary)));
}

TEST(DecodeStepTest, ArgMaxIsTheFirstOfTheLargest) {
  DecoderSizes sizes = kGpt2Like;
  sizes.vocabulary = 1000;
  const RandomDecoder decoder(sizes, {kInt8, kInt8}, 11);
  ThreadPool pool(1);
  KvCache cache(KvFormat::kFloat32, KvShapesOf(decoder.model), 1, 16);
  for (const KernelTable* table : SupportedKernels()) {
    const DecodeStep step(decoder.model, cache, pool, 1, *table);
    std::vector<float> logits = NormalValues(1000, 12);
    for (const size_t place : {0UL, 17UL, 255UL, 256UL, 999UL}) {
      std::vector<float> peaked = logits;
      peaked[place] = 100.0F;
      peaked[999] = 100.0F;
      EXPECT_EQ(step.ArgMax(peaked.data()), static_cast<int64_t>(place)) << table->name;
    }
  }
}

TEST(CheckDecodeModelTest, SaysWhatItCannotRun) {
  RandomDecoder decoder(kGpt2Like, {kInt8, kInt8}, 13);
  decoder.model.layers[1].head_size = 20;
  EXPECT_EQ(CheckDecodeModel(decoder.model).code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(CheckDecodeModel(decoder.model).message(), HasSubstr("head size of 20"));
  decoder.model.layers[1].head_size = 16;
  decoder.model.layers[0].down.rows = 63;
  EXPECT_EQ(CheckDecodeModel(decoder.model).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(CheckDecodeModel(decoder.model).message(),
              HasSubstr("down: got 63 x 256, wanted 64 x 256"));
}

TEST(KvCacheTest, BytesAreKnownBeforehandAndInt8TakesAboutAQuarter) {
  const std::vector<KvLayerShape> layers(12, {.kv_heads = 12, .head_size = 64});
  const int64_t fp32 = KvCache::BytesOf(KvFormat::kFloat32, layers, 2, 100);
  EXPECT_EQ(fp32, 12 * 12 * 2 * 2 * 112 * 64 * 4);
  EXPECT_EQ(KvCache(KvFormat::kFloat32, layers, 2, 100).bytes(), fp32);
  EXPECT_EQ(KvCache::BytesOf(KvFormat::kInt8, layers, 2, 100), 12 * 12 * 2 * 2 * 112 * (64 + 4));
}

}  // namespace
}  // namespace wattle::kernels
