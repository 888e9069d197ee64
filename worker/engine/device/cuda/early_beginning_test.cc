// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Kernels of a graph that begin while the preceding one ends (driver.h), run on the host, where
// data written by a kernel of the graph is missing until the next kernel has waited for it.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/device/cuda/decode_run.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/kernels/testing/test_decoder.h"

namespace wattle::cuda {
namespace {

using kernels::DecoderSizes;
using kernels::RandomDecoder;
using kernels::SequenceTokens;
using kernels::WeightFormat;
using kernels::WeightScheme;

constexpr int64_t kSteps = 2;  // the first one is not a graph yet
constexpr int kEarlySlots = 8;

// A decoder's run in host memory, all of which may come late.
class LateRun {
 public:
  LateRun(const kernels::DecodeModel& model, bool int8, bool late)
      : tables_(kernels::Nf4Values().begin(), kernels::Nf4Values().end()),
        cache_{.int8 = int8, .slots = kEarlySlots, .capacity = kSteps},
        memory_(DecodeRun::MemoryBytes(model, cache_)) {
    tables_.insert(tables_.end(), kernels::DynamicMap().begin(), kernels::DynamicMap().end());
    run_ = std::make_unique<DecodeRun>(
        model, cache_,
        DecodeRun::Means{.memory = memory_.data(), .nf4_tables = tables_.data(), .many = nullptr},
        launcher_);
    if (late) {
      launcher_.set_late(absl::MakeSpan(
          memory_.data(), static_cast<size_t>(DecodeRun::MemoryBytes(model, cache_))));
    }
  }

  DecodeRun& run() { return *run_; }
  HostLauncher& launcher() { return launcher_; }

 private:
  std::vector<float> tables_;
  DecodeCache cache_;
  kernels::AlignedBuffer memory_;
  HostLauncher launcher_{7};
  std::unique_ptr<DecodeRun> run_;
};

// Decodes some sequences together, token by token: all logits, then the chosen tokens.
struct Decoded {
  std::vector<float> logits;
  std::vector<int64_t> chosen;
};

Decoded DecodedBy(LateRun& late, int64_t vocabulary, int64_t sequences, const TokenChoice* choice) {
  Decoded decoded;
  const std::vector<float> units(static_cast<size_t>(sequences), 0.4F);
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < sequences; ++i) {
      tokens.push_back((7 * step + 3 * i + 1) % vocabulary);
    }
    std::vector<SequenceTokens> rows;
    for (int64_t i = 0; i < sequences; ++i) {
      rows.push_back(
          {.slot = i, .tokens = absl::MakeConstSpan(&tokens[static_cast<size_t>(i)], 1)});
    }
    if (choice == nullptr) {
      std::vector<float> logits(static_cast<size_t>(sequences * vocabulary));
      EXPECT_THAT(late.run().Run(rows, logits.data()), IsOk());
      decoded.logits.insert(decoded.logits.end(), logits.begin(), logits.end());
    } else {
      std::vector<int64_t> chosen(static_cast<size_t>(sequences));
      EXPECT_THAT(late.run().RunAndChoose(rows, *choice, units, absl::MakeSpan(chosen)), IsOk());
      decoded.chosen.insert(decoded.chosen.end(), chosen.begin(), chosen.end());
    }
  }
  EXPECT_EQ(late.launcher().starts(), late.launcher().launches() / kSteps + kSteps - 1)
      << "all steps but the first are graphs";
  return decoded;
}

void ExpectTheSame(const DecoderSizes& sizes, WeightFormat format, bool int8, int64_t sequences,
                   const TokenChoice* choice) {
  SCOPED_TRACE(absl::StrCat(kernels::FormatName(format), int8 ? ", int8 cache" : "", ", ",
                            sequences, " sequences"));
  const RandomDecoder decoder(sizes, {.blocks = format, .head = format}, 31);
  LateRun in_turn(decoder.model, int8, false);
  LateRun early(decoder.model, int8, true);
  const Decoded wanted = DecodedBy(in_turn, sizes.vocabulary, sequences, choice);
  const Decoded got = DecodedBy(early, sizes.vocabulary, sequences, choice);
  EXPECT_TRUE(std::none_of(wanted.logits.begin(), wanted.logits.end(),
                           [](float logit) { return logit != logit; }));
  EXPECT_EQ(got.logits, wanted.logits);
  EXPECT_EQ(got.chosen, wanted.chosen);
}

constexpr DecoderSizes kSmallGpt2 = {.layers = 1,
                                     .width = 64,
                                     .heads = 2,
                                     .kv_heads = 2,
                                     .head_size = 32,
                                     .mlp_width = 64,
                                     .vocabulary = 20};
constexpr DecoderSizes kSmallLlama = {.layers = 1,
                                      .width = 64,
                                      .heads = 2,
                                      .kv_heads = 1,
                                      .head_size = 32,
                                      .mlp_width = 64,
                                      .vocabulary = 20,
                                      .window = 2,
                                      .llama = true};

TEST(EarlyBeginningTest, ProductsOfEveryFormatAndNumberOfRowsWaitForTheirInputs) {
  DecoderSizes wide = kSmallLlama;  // rows of int6 have at least 256 columns
  wide.width = 256;
  wide.heads = 4;
  wide.head_size = 64;
  wide.mlp_width = 256;
  for (const WeightFormat format :
       {WeightFormat{.scheme = WeightScheme::kFloat32},
        {.scheme = WeightScheme::kInt8},
        {.scheme = WeightScheme::kBf16},
        {.scheme = WeightScheme::kFloat16},
        {.scheme = WeightScheme::kInt8Grouped, .group_size = 32},
        {.scheme = WeightScheme::kInt4, .group_size = 32},
        {.scheme = WeightScheme::kInt4Asymmetric, .group_size = 32},
        {.scheme = WeightScheme::kInt6, .group_size = 16},
        {.scheme = WeightScheme::kNf4, .group_size = 32},
        {.scheme = WeightScheme::kNf4DoubleQuantized, .group_size = 32}}) {
    const DecoderSizes& sizes = format.scheme == WeightScheme::kInt6 ? wide : kSmallLlama;
    ExpectTheSame(sizes, format, false, 1, nullptr);
    // All formats in panels share code, and so do all others.
    if (format.scheme == WeightScheme::kInt8 || format.scheme == WeightScheme::kBf16) {
      for (const int64_t sequences : {2, 3, 5}) {
        ExpectTheSame(sizes, format, false, sequences, nullptr);
      }
    }
  }
}

TEST(EarlyBeginningTest, WhatStandsBetweenProductsWaitsForThem) {
  const WeightFormat format = {.scheme = WeightScheme::kInt8};
  DecoderSizes wide_heads = kSmallLlama;
  wide_heads.head_size = 128;
  DecoderSizes widest_heads = kSmallLlama;
  widest_heads.head_size = 256;
  for (const DecoderSizes& sizes : {kSmallGpt2, kSmallLlama, wide_heads, widest_heads}) {
    for (const bool int8 : {false, true}) {
      ExpectTheSame(sizes, format, int8, 2, nullptr);
    }
  }
}

TEST(EarlyBeginningTest, TheChoiceOfATokenWaitsForItsLogits) {
  const WeightFormat format = {.scheme = WeightScheme::kInt8};
  for (const TokenChoice& choice :
       {TokenChoice{}, TokenChoice{.temperature = 0.8, .top_k = 9, .top_p = 0.7}}) {
    ExpectTheSame(kSmallLlama, format, false, 2, &choice);
  }
}

}  // namespace
}  // namespace wattle::cuda
