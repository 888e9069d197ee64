// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// tokenizer.model against sentencepiece's results for difficult texts, and special tokens against
// transformers' LlamaTokenizer (tests/golden/tokenizer/generate_sentence_piece.py).
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/byte_pair_encoding.h"
#include "formats/testing/mutation_internal.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string SentencePieceGolden(const std::string& file) {
  const auto bytes =
      ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/tokenizer/", file), 1 << 22);
  EXPECT_THAT(bytes, IsOk());
  return bytes.ok() ? *bytes : std::string();
}

// A field of a protocol buffer: its number with wire type 0 (a number) or 2 (bytes).
std::string Number(int field, int value) {
  std::string bytes;
  const int tag = field << 3;
  if (tag >= 0x80) {
    bytes += {static_cast<char>((tag & 0x7f) | 0x80), static_cast<char>(tag >> 7)};
  } else {
    bytes += static_cast<char>(tag);
  }
  return bytes + static_cast<char>(value);
}

std::string Bytes(int field, const std::string& content) {
  EXPECT_LT(content.size(), 128U);
  return std::string{static_cast<char>(field << 3 | 2), static_cast<char>(content.size())} +
         content;
}

absl::StatusOr<BytePairEncoding> ParseSentencePiece(std::string model) {
  return BytePairEncoding::ParseSentencePiece({.model = std::move(model)}, "tokenizer.model");
}

class SentencePieceTest : public testing::TestWithParam<const char*> {};

TEST_P(SentencePieceTest, TextsBecomeTheTokensOfSentencepiece) {
  const std::string name = GetParam();
  const auto tokenizer = ParseSentencePiece(SentencePieceGolden(name + ".model"));
  ASSERT_THAT(tokenizer, IsOk());
  const auto expected = nlohmann::json::parse(SentencePieceGolden(name + ".expected.json"));
  ASSERT_GE(expected["cases"].size(), 90U);
  for (const nlohmann::json& each : expected["cases"]) {
    EXPECT_EQ(tokenizer->Encode(each["text"].get<std::string>()),
              each["tokens"].get<std::vector<int64_t>>())
        << each["text"];
  }
  EXPECT_EQ(tokenizer->EncodeDocument(""), expected["begin"].get<std::vector<int64_t>>());
  EXPECT_TRUE(tokenizer->eos_token_id().has_value());
  const std::string text = "Zoë's 東京\n\n watt";
  EXPECT_THAT(tokenizer->Decode(tokenizer->EncodeContinuation(text)), text);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SentencePieceTest,
                         testing::Values("spm_llama", "spm_gemma", "spm_own"),
                         [](const auto& row) { return row.param; });

TEST(SentencePieceFilesTest, SpecialTokensAreThoseOfTransformers) {
  const auto expected = nlohmann::json::parse(SentencePieceGolden("spm_llama.special.json"));
  for (const nlohmann::json& each : expected["cases"]) {
    const auto tokenizer = BytePairEncoding::ParseSentencePiece(
        {.model = SentencePieceGolden("spm_llama.model"),
         .tokenizer_config = nlohmann::json({{"legacy", each["legacy"]}}).dump(),
         .added_tokens = expected["added_tokens"].dump()},
        "tokenizer.model");
    ASSERT_THAT(tokenizer, IsOk());
    EXPECT_EQ(tokenizer->Encode(each["text"].get<std::string>(), SpecialTokens::kRecognise),
              each["tokens"].get<std::vector<int64_t>>())
        << each.dump();
  }
}

TEST(SentencePieceFilesTest, TheConfigOfTheTokenizerCounts) {
  const auto with = [](const std::string& config) {
    return BytePairEncoding::ParseSentencePiece(
        {.model = SentencePieceGolden("spm_llama.model"), .tokenizer_config = config},
        "tokenizer.model");
  };
  EXPECT_THAT(with("{}")->EncodeDocument(""), ElementsAre(1));
  EXPECT_THAT(with(R"({"add_bos_token": false})")->EncodeDocument(""), ElementsAre());
  EXPECT_THAT(with(R"({"bos_token": {"content": "</s>"}})")->EncodeDocument(""), ElementsAre(2));
  EXPECT_THAT(with(R"({"bos_token": "</s>"})")->EncodeDocument(""), ElementsAre(2));
  EXPECT_THAT(with(R"({"add_prefix_space": false})")->added_prefix_bytes(), 0U);
  const auto decoder =
      with(R"({"added_tokens_decoder": {"420": {"content": "<|im_end|>", "special": true}}})");
  ASSERT_THAT(decoder, IsOk());
  EXPECT_THAT(decoder->Encode("<|im_end|>", SpecialTokens::kRecognise), ElementsAre(420));
  EXPECT_NE(decoder->Encode("<|im_end|>"), std::vector<int64_t>{420});
  EXPECT_EQ(decoder->vocabulary_size(), 421);
  EXPECT_THAT(
      with(R"({"bos_token": "<x>"})"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("(tokenizer_config.json): bos_token: \"<x>\" is no special token")));
  EXPECT_THAT(with(R"({"added_tokens_decoder": {"7": {"content": "</s>"}}})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("added_tokens_decoder[\"7\"]: \"</s>\" has id 7")));
  EXPECT_THAT(with(R"({"added_tokens_decoder": {"420": {"content": "x", "special": false,
                       "lstrip": true}}})"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("added_tokens_decoder[\"420\"].lstrip: not supported")));
}

TEST(SentencePieceFilesTest, OtherKindsAreRefusedByField) {
  const std::string model = SentencePieceGolden("spm_llama.model");
  // A repeated message is merged: the later field counts.
  const struct {
    const char* name;
    std::string added;
    absl::StatusCode code;
    const char* message;
  } kRows[] = {
      {"unigram", Bytes(2, Number(3, 1)), absl::StatusCode::kUnimplemented,
       "tokenizer.model: trainer_spec.model_type unigram: not supported"},
      {"no bytes", Bytes(2, Number(35, 0)), absl::StatusCode::kUnimplemented, "byte_fallback"},
      {"suffix", Bytes(2, Number(24, 1)), absl::StatusCode::kUnimplemented,
       "treat_whitespace_as_suffix"},
      {"normalizes", Bytes(3, Bytes(2, "map")), absl::StatusCode::kUnimplemented,
       "normalizer_spec.precompiled_charsmap"},
      {"spaces", Bytes(3, Number(4, 1)), absl::StatusCode::kUnimplemented,
       "normalizer_spec.remove_extra_whitespaces"},
      {"escape", Bytes(3, Number(5, 0)), absl::StatusCode::kUnimplemented, "escape_whitespaces"},
      {"twice", Bytes(1, Bytes(1, "</s>")), absl::StatusCode::kInvalidArgument,
       "piece 420: \"</s>\" is a piece already"},
      {"unused", Bytes(1, Bytes(1, "ß") + Number(3, 5)), absl::StatusCode::kUnimplemented,
       "piece 420: type 5"},
      {"no text", Bytes(1, ""), absl::StatusCode::kInvalidArgument, "piece 420: wants a text"},
      {"no UTF-8", Bytes(1, Bytes(1, "\xff")), absl::StatusCode::kInvalidArgument,
       "piece 420: wants a text in UTF-8"},
      {"cut", std::string("\x0a\x10z"), absl::StatusCode::kInvalidArgument, "damaged at byte"},
  };
  EXPECT_THAT(ParseSentencePiece(model + Bytes(1, Bytes(1, "zz"))), IsOk());
  for (const auto& row : kRows) {
    EXPECT_THAT(ParseSentencePiece(model + row.added), StatusIs(row.code, HasSubstr(row.message)))
        << row.name;
  }
  EXPECT_THAT(ParseSentencePiece(""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has no pieces")));
}

TEST(SentencePieceFilesTest, ADirectoryOfTheOlderFilesIsLoaded) {
  const TestDirectory directory;
  directory.Write("tokenizer.model", SentencePieceGolden("spm_gemma.model"));
  directory.Write("tokenizer_config.json", R"({"add_bos_token": false})");
  const auto tokenizer = BytePairEncoding::LoadDirectory(directory.path());
  ASSERT_THAT(tokenizer, IsOk());
  EXPECT_FALSE(tokenizer->begin_token_id().has_value());
  directory.Write("tokenizer.model", "no model");
  EXPECT_THAT(BytePairEncoding::LoadDirectory(directory.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(directory.path() + "/tokenizer.model: ")));
}

TEST(SentencePieceFilesTest, DamageNeverCrashes) {
  int accepted = 0;
  ForEachMutation(SentencePieceGolden("spm_own.model"), {.seed = 20240913, .rounds = 1500},
                  [&](const std::string& mutant) {
                    const auto tokenizer = ParseSentencePiece(mutant);
                    if (tokenizer.ok()) {
                      ++accepted;
                      (void)tokenizer->Decode(tokenizer->Encode("the <sep>sun 東"));
                    }
                    return tokenizer.status();
                  });
  EXPECT_GT(accepted, 0) << "every mutation was refused";
}

}  // namespace
}  // namespace wattle::formats
