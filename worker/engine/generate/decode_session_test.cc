// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The single operator of a decode step against the plain decoder, for every family and format.
#include "worker/engine/generate/decode_session.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/engine/generate/testing/test_wide_decoder.h"
#include "worker/engine/models/parameters.h"
#include "worker/engine/testing/test_model.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

using SessionCase = WideDecoder;

class DecodeSessionTest : public testing::TestWithParam<SessionCase> {};

double LogitError(absl::Span<const float> got, absl::Span<const float> wanted) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error += std::pow(got[i] - wanted[i], 2);
    norm += std::pow(wanted[i], 2);
  }
  return std::sqrt(error / norm);
}

TEST_P(DecodeSessionTest, TheOperatorAgreesWithThePlainDecoder) {
  const Decoder decoder = MakeWideDecoder(GetParam());
  DecodeSession fast(decoder, 40);
  DecodeSession plain(decoder, 40, DecodeForm::kPlain);
  ASSERT_TRUE(fast.runs_operator());
  ASSERT_FALSE(plain.runs_operator());
  std::vector<int64_t> tokens = {7, 91, 3, 200, 14, 256, 0};
  for (int step = 0; step < 6; ++step) {
    const absl::Span<const float> got = fast.Feed(tokens);
    const absl::Span<const float> wanted = plain.Feed(tokens);
    // Quantized products round their inputs to int8 in both forms, at slightly different values.
    const bool exact = std::string(GetParam().format) == "fp32" && !GetParam().int8_keys_and_values;
    const double tolerance = exact ? 1e-5 : 2e-2;
    EXPECT_LT(LogitError(got, wanted), tolerance) << "step " << step;
    EXPECT_EQ(fast.length(), plain.length());
    tokens = {(step * 37 + 11) % 250};
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, DecodeSessionTest,
    testing::Values(SessionCase{"gpt2", "fp32"}, SessionCase{"llama", "fp32"},
                    SessionCase{"gpt2", "int8"}, SessionCase{"llama", "int8"},
                    SessionCase{"gpt2", "int4-g32"}, SessionCase{"mistral", "fp32"},
                    SessionCase{"qwen2", "fp32"}, SessionCase{"stablelm", "fp32"},
                    SessionCase{"opt", "fp32"}, SessionCase{"opt", "int8"},
                    SessionCase{"opt", "int4-g32"}, SessionCase{"gpt2", "fp32", true},
                    SessionCase{"llama", "int8", true}),
    [](const auto& row) {
      return absl::StrCat(row.param.family, "_", std::string(row.param.format).substr(0, 4),
                          row.param.int8_keys_and_values ? "_kv_int8" : "");
    });

// Both forms round, and the error is small.
TEST(DecodeSessionKeysAndValuesTest, Int8ChangesTheLogitsALittle) {
  for (const DecodeForm form : {DecodeForm::kFastest, DecodeForm::kPlain}) {
    const Decoder rounded = MakeWideDecoder({"gpt2", "fp32", true});
    const Decoder exact = MakeWideDecoder({"gpt2", "fp32"});
    DecodeSession with(rounded, 40, form);
    DecodeSession without(exact, 40, form);
    const std::vector<int64_t> tokens = {7, 91, 3, 200, 14, 256, 0};
    const double error = LogitError(with.Feed(tokens), without.Feed(tokens));
    EXPECT_GT(error, 1e-4);
    EXPECT_LT(error, 5e-2);
  }
}

TEST(DecodeSessionPlainTest, FamiliesThatTheOperatorLacksTakeThePlainForm) {
  for (const char* family : {"phi", "gpt_neox", "gemma", "gemma2", "kosmos_2_text_model"}) {
    const Decoder decoder = MakeWideDecoder({family, "fp32"});
    EXPECT_FALSE(DecodeSession(decoder, 8).runs_operator()) << family;
  }
}

TEST(DecodeSessionPlainTest, ShapesThatTheOperatorLacksTakeThePlainForm) {
  models::DecoderConfig config = TinyConfigOf("gpt2");  // heads of 8 dimensions
  const std::vector<Parameter> parameters = ParametersOf(config);
  const ArenaLayout layout = ValueLayout(parameters);
  at::Tensor arena = at::zeros({layout.elements});
  const Decoder decoder =
      MakeDecoder(config, WeightsOver(config, parameters, layout, arena), at::Device(at::kCPU));
  DecodeSession session(decoder, 8);
  EXPECT_FALSE(session.runs_operator());
  EXPECT_EQ(session.Feed({1, 2}).size(), 257U);
  EXPECT_EQ(session.length(), 2);
}

}  // namespace
}  // namespace wattle::engine
