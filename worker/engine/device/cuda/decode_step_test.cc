// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Steps of whole decoders by the CUDA kernels, run on the host, against the CPU's operator.
#include "worker/engine/device/cuda/decode_step.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/kernels/testing/test_decoder.h"

namespace wattle::cuda {
namespace {

using kernels::DecoderSizes;
using kernels::RandomDecoder;
using kernels::WeightFormat;
using kernels::WeightScheme;

constexpr int kCapacity = 32;
constexpr int kSlots = 3;

// A decoder's step with its buffers; device memory is the host's.
class Session {
 public:
  Session(const kernels::DecodeModel& model, bool int8)
      : model_(model),
        tables_(kernels::Nf4Values().begin(), kernels::Nf4Values().end()),
        cache_{.int8 = int8, .slots = kSlots, .capacity = kCapacity},
        memory_(CacheBytes(model, cache_)),
        scratch_(ScratchFloats(model) * 4) {
    tables_.insert(tables_.end(), kernels::DynamicMap().begin(), kernels::DynamicMap().end());
    cache_.memory = memory_.data();
  }

  // Returns the logits of the rows from first_logits on.
  std::vector<float> Run(const std::vector<long long>& tokens, const std::vector<int>& slots,
                         const std::vector<int>& positions, int first_logits = 0) {
    const auto count = static_cast<int>(tokens.size());
    std::vector<float> logits(static_cast<size_t>((count - first_logits) * model_.head.rows));
    DecodeStep step(model_, cache_, {.scratch = scratch_.as<float>(), .nf4_tables = tables_.data()},
                    launcher_);
    EXPECT_THAT(step.Run({.tokens = tokens.data(),
                          .slots = slots.data(),
                          .positions = positions.data(),
                          .count = count,
                          .first_logits = first_logits},
                         logits.data()),
                IsOk());
    return logits;
  }

  HostLauncher& launcher() { return launcher_; }

 private:
  const kernels::DecodeModel& model_;
  std::vector<float> tables_;
  DecodeCache cache_;
  kernels::AlignedBuffer memory_;
  kernels::AlignedBuffer scratch_;
  HostLauncher launcher_{99};
};

constexpr DecoderSizes kGpt2 = {.layers = 1, .mlp_width = 128, .vocabulary = 50};
constexpr DecoderSizes kLlama = {
    .layers = 2, .kv_heads = 2, .mlp_width = 96, .vocabulary = 50, .window = 2, .llama = true};

// The model with its matrices as FP32: the CPU's products with codes also round their inputs.
class Dequantized {
 public:
  explicit Dequantized(const kernels::DecodeModel& model) : model_(model) {
    Widen(model_.tokens);
    model_.head = model_.tokens;
    for (kernels::DecodeLayer& layer : model_.layers) {
      for (kernels::WeightMatrix* matrix :
           {&layer.qkv, &layer.attention_output, &layer.up, &layer.down}) {
        Widen(*matrix);
      }
    }
  }
  const kernels::DecodeModel& model() const { return model_; }

 private:
  void Widen(kernels::WeightMatrix& matrix) {
    weights_.emplace_back(matrix.rows * matrix.columns * 4);
    kernels::OperationsOf(matrix.format.scheme)
        .dequantize(matrix, 0, matrix.rows, weights_.back().as<float>());
    matrix.format = {.scheme = WeightScheme::kFloat32};
    matrix.packed = weights_.back().data();
    matrix.scales = nullptr;
  }

  kernels::DecodeModel model_;
  std::vector<kernels::AlignedBuffer> weights_;
};

// Runs a sequence's tokens one by one in both forms; `tolerance`: relative to the largest logit.
void ExpectLogits(const DecoderSizes& sizes, WeightFormat format, bool int8, double tolerance) {
  const RandomDecoder decoder(sizes, {.blocks = format, .head = format}, 17);
  ASSERT_THAT(CheckModel(decoder.model), IsOk());
  const Dequantized wide(decoder.model);
  kernels::KvCache cache(int8 ? kernels::KvFormat::kInt8 : kernels::KvFormat::kFloat32,
                         kernels::KvShapesOf(wide.model()), kSlots, kCapacity);
  kernels::ThreadPool pool(1);
  kernels::DecodeStep cpu(wide.model(), cache, pool, kSlots);
  Session gpu(decoder.model, int8);
  for (int p = 0; p < 3; ++p) {
    const int64_t token = (p * 7 + 3) % sizes.vocabulary;
    std::vector<float> wanted(static_cast<size_t>(sizes.vocabulary));
    const kernels::SequenceTokens sequence = {.slot = 1, .tokens = absl::MakeConstSpan(&token, 1)};
    cpu.Run(absl::MakeConstSpan(&sequence, 1), wanted.data());
    const std::vector<float> logits = gpu.Run({token}, {1}, {p});
    const float largest =
        std::fabs(*std::max_element(wanted.begin(), wanted.end(),
                                    [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
    for (size_t i = 0; i < logits.size(); ++i) {
      ASSERT_NEAR(logits[i], wanted[i], tolerance * largest)
          << kernels::FormatName(format) << (int8 ? ", int8 cache" : "") << ": token " << p
          << ", logit " << i;
    }
  }
}

TEST(CudaDecodeStepTest, LogitsAreThoseOfTheCpu) {
  // An FP16 cache against an FP32 one.
  ExpectLogits(kGpt2, {.scheme = WeightScheme::kFloat32}, false, 1e-3);
  ExpectLogits(kLlama, {.scheme = WeightScheme::kFloat32}, false, 1e-3);
  // The CPU also rounds queries.
  ExpectLogits(kGpt2, {.scheme = WeightScheme::kFloat32}, true, 2e-2);
  ExpectLogits(kLlama, {.scheme = WeightScheme::kFloat32}, true, 2e-2);
  for (const WeightFormat format :
       {WeightFormat{.scheme = WeightScheme::kInt8},
        {.scheme = WeightScheme::kBf16},
        {.scheme = WeightScheme::kFloat16},
        {.scheme = WeightScheme::kInt8Grouped, .group_size = 32},
        {.scheme = WeightScheme::kInt4, .group_size = 32},
        {.scheme = WeightScheme::kInt4Asymmetric, .group_size = 32},
        {.scheme = WeightScheme::kNf4, .group_size = 32},
        {.scheme = WeightScheme::kNf4DoubleQuantized, .group_size = 32}}) {
    ExpectLogits(kLlama, format, false, 1e-3);
  }
  // Rows of int6 have at least 256 columns.
  DecoderSizes wide = kLlama;
  wide.width = 256;
  wide.head_size = 64;
  wide.mlp_width = 256;
  ExpectLogits(wide, {.scheme = WeightScheme::kInt6, .group_size = 16}, false, 1e-3);
}

TEST(CudaDecodeStepTest, TokensTogetherGiveTheBitsThatTheyGiveOneByOne) {
  const WeightFormat format = {.scheme = WeightScheme::kInt8};
  const RandomDecoder decoder(kLlama, {.blocks = format, .head = format}, 23);
  Session together(decoder.model, false);
  const std::vector<float> logits =
      together.Run({4, 9, 30, 11, 2}, {0, 0, 0, 2, 2}, {0, 1, 2, 0, 1}, 2);
  Session apart(decoder.model, false);
  apart.Run({4}, {0}, {0});
  apart.Run({9}, {0}, {1});
  const auto vocabulary = static_cast<int>(kLlama.vocabulary);
  EXPECT_TRUE(
      std::equal(logits.begin(), logits.begin() + vocabulary, apart.Run({30}, {0}, {2}).begin()));
  EXPECT_TRUE(std::equal(logits.begin() + vocabulary, logits.begin() + 2 * vocabulary,
                         apart.Run({11}, {2}, {0}).begin()));
  EXPECT_TRUE(
      std::equal(logits.begin() + 2 * vocabulary, logits.end(), apart.Run({2}, {2}, {1}).begin()));
}

TEST(CudaDecodeStepTest, ALayerIsEightLaunchesAndWeightsAreReadOnce) {
  for (const DecoderSizes& sizes : {kGpt2, kLlama}) {
    const WeightFormat format = {.scheme = WeightScheme::kInt4, .group_size = 32};
    const RandomDecoder decoder(sizes, {.blocks = format, .head = format}, 5);
    Session session(decoder.model, false);
    session.Run({1, 2}, {0, 1}, {0, 0});
    EXPECT_EQ(session.launcher().launches(), 8 * sizes.layers + 3);
    EXPECT_LE(static_cast<double>(session.launcher().weight_bytes()),
              1.05 * static_cast<double>(decoder.weight_bytes()));
  }
}

TEST(CudaDecodeStepTest, WhatTheKernelsDoNotServeIsNamed) {
  const WeightFormat format = {.scheme = WeightScheme::kInt8};
  DecoderSizes odd = kLlama;
  odd.mlp_width = 104;
  EXPECT_THAT(CheckModel(RandomDecoder(odd, {.blocks = format, .head = format}, 1).model),
              StatusIs(absl::StatusCode::kUnimplemented, testing::HasSubstr("gated MLP")));
  DecoderSizes wide = kGpt2;
  wide.heads = wide.kv_heads = 1;
  wide.head_size = 272;
  EXPECT_THAT(CheckModel(RandomDecoder(wide, {.blocks = format, .head = format}, 1).model),
              StatusIs(absl::StatusCode::kUnimplemented, testing::HasSubstr("head size of 272")));
}

}  // namespace
}  // namespace wattle::cuda
