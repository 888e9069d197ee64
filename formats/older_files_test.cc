// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// vocab.json and merges.txt with the files beside them, against the results of transformers
// (tests/golden/tokenizer/generate_older_files.py).
#include <cstdint>
#include <map>
#include <optional>
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
#include "formats/testing/small_model_internal.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

nlohmann::json OlderFilesGolden(const std::string& file) {
  const auto text =
      ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/tokenizer/", file), 1 << 22);
  EXPECT_THAT(text, IsOk());
  return nlohmann::json::parse(text.ok() ? *text : "{}");
}

class OlderFilesTest : public testing::TestWithParam<const char*> {};

TEST_P(OlderFilesTest, TextsBecomeTheTokensOfTransformers) {
  const nlohmann::json expected = OlderFilesGolden("older_files.expected.json")[GetParam()];
  const nlohmann::json model =
      OlderFilesGolden(expected["base"].get<std::string>() + ".json")["model"];
  const TestDirectory directory;
  directory.Write("vocab.json", model["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const nlohmann::json& merge : model["merges"]) {
    absl::StrAppend(&merges, merge[0].get<std::string>(), " ", merge[1].get<std::string>(), "\n");
  }
  directory.Write("merges.txt", merges);
  for (const auto& [name, content] : expected["files"].items()) {
    directory.Write(name, content.dump());
  }
  const auto tokenizer = BytePairEncoding::LoadDirectory(directory.path());
  ASSERT_THAT(tokenizer, IsOk());
  ASSERT_GE(expected["cases"].size(), 13U);
  for (const nlohmann::json& each : expected["cases"]) {
    EXPECT_EQ(tokenizer->Encode(each["text"].get<std::string>(), SpecialTokens::kRecognise),
              each["tokens"].get<std::vector<int64_t>>())
        << each["text"];
  }
  EXPECT_EQ(tokenizer->EncodeDocument(""), expected["begin"].get<std::vector<int64_t>>());
  std::vector<int64_t> special;
  for (int64_t id = 0; id < tokenizer->vocabulary_size(); ++id) {
    if (tokenizer->IsSpecial(id)) {
      special.push_back(id);
    }
  }
  EXPECT_EQ(special, expected["special"].get<std::vector<int64_t>>());
  EXPECT_EQ(tokenizer->eos_token_id(), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, OlderFilesTest,
                         testing::Values("gpt2", "gpt2_begin", "qwen2", "qwen2_by_model", "phi",
                                         "phi_by_decoder"),
                         [](const auto& row) { return row.param; });

using Files = std::map<std::string, std::string>;

// The small tokenizer, 262 tokens, with these files beside it.
absl::StatusOr<BytePairEncoding> LoadSmall(const Files& files) {
  return BytePairEncoding::LoadFiles(
      [&](absl::string_view name) -> absl::StatusOr<std::optional<std::string>> {
        if (name == "vocab.json") {
          return SmallVocabulary().dump();
        }
        if (name == "merges.txt") {
          return kSmallMerges;
        }
        const auto found = files.find(std::string(name));
        return found == files.end() ? std::nullopt : std::optional(found->second);
      },
      "m");
}

TEST(VocabularySettingsTest, WhatItCannotDoIsRefusedByFileAndField) {
  constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const std::string settings = "tokenizer_config.json";
  const std::string added = "added_tokens.json";
  const struct {
    Files files;
    absl::StatusCode code;
    const char* message;
  } rows[] = {
      {{{settings, R"({"tokenizer_class": "LlamaTokenizer"})"}},
       kUnimplemented,
       "m/tokenizer_config.json: tokenizer_class: \"LlamaTokenizer\": not supported in this "
       "version with vocab.json and merges.txt; wants one of GPT2Tokenizer, CodeGenTokenizer, "
       "Qwen2Tokenizer, or the tokenizer.json of the model"},
      {{{"config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})"}},
       kUnimplemented,
       "m/config.json: tokenizer_class: \"PreTrainedTokenizerFast\": not supported"},
      {{{settings, R"({"tokenizer_class": 7})"}},
       kInvalid,
       "m/tokenizer_config.json: tokenizer_class: wants the name of a class, found a number"},
      {{{settings, R"({"add_prefix_space": true})"}},
       kUnimplemented,
       "m/tokenizer_config.json: add_prefix_space: not supported in this version; wants false"},
      {{{settings, R"({"add_eos_token": true})"}},
       kUnimplemented,
       "m/tokenizer_config.json: add_eos_token: not supported"},
      {{{settings, R"({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": true})"}},
       kUnimplemented,
       "m/tokenizer_config.json: add_bos_token: not supported"},
      {{{settings, R"({"add_bos_token": true, "bos_token": "<s>"})"}},
       kInvalid,
       "m/tokenizer_config.json: bos_token: \"<s>\" is neither in vocab.json nor an added token"},
      {{{settings, R"({"pad_token": 7})"}},
       kInvalid,
       "m/tokenizer_config.json: pad_token: wants the text of a token"},
      {{{"special_tokens_map.json", R"({"additional_special_tokens": ["the", "<|x|>"]})"}},
       kInvalid,
       "m/special_tokens_map.json: additional_special_tokens: \"<|x|>\" is neither in vocab.json"},
      {{{settings, R"({"added_tokens_decoder": {"262": {"content": "a", "special": false,
                       "rstrip": true}}})"}},
       kUnimplemented,
       "m/tokenizer_config.json: added_tokens_decoder[\"262\"].rstrip: not supported"},
      {{{settings, "[]"}}, kInvalid, "m/tokenizer_config.json: the file: wants an object"},
      {{{added, "[]"}}, kInvalid, "m/added_tokens.json: the file: wants an object of token: id"},
      {{{added, R"({"<|x|>": 261})"}},
       kInvalid,
       "m/vocab.json: \"<|endoftext|>\" has id 261, and added_tokens.json or added_tokens_decoder "
       "of tokenizer_config.json has \"<|x|>\" for that id"},
      {{{added, R"({"the": 262})"}},
       kInvalid,
       "m/vocab.json: \"the\" has id 257, and added_tokens.json or added_tokens_decoder of "
       "tokenizer_config.json has the id 262 for it"},
      {{{added, R"({"<|x|>": 262})"},
        {settings, R"({"added_tokens_decoder": {"262": {"content": "<|y|>"}}})"}},
       kInvalid,
       "m/added_tokens.json: \"<|x|>\": \"<|x|>\" has id 262, \"<|y|>\" has 262 in another place"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(LoadSmall(row.files), StatusIs(row.code, HasSubstr(row.message)));
  }
}

TEST(VocabularySettingsTest, NamedTokensAreSpecial) {
  // In the form of older versions, where added_tokens.json by itself does not mark special tokens.
  const auto tokenizer =
      LoadSmall({{"added_tokens.json", R"({"<|pad|>": 262, "<|turn|>": 263, "  ": 264})"},
                 {"special_tokens_map.json", R"({"additional_special_tokens": ["<|turn|>"]})"},
                 {"tokenizer_config.json", R"({"tokenizer_class": "GPT2TokenizerFast",
                   "pad_token": {"content": "<|pad|>"}, "add_bos_token": true,
                   "bos_token": null})"}});
  ASSERT_THAT(tokenizer, IsOk());
  EXPECT_TRUE(tokenizer->IsSpecial(261));
  EXPECT_TRUE(tokenizer->IsSpecial(262));
  EXPECT_TRUE(tokenizer->IsSpecial(263));
  EXPECT_FALSE(tokenizer->IsSpecial(264));
  EXPECT_THAT(tokenizer->Encode("the  "), ElementsAre(257, 264));
  EXPECT_THAT(tokenizer->EncodeDocument("the"), ElementsAre(257)) << "there is no token to begin";
  EXPECT_THAT(
      LoadSmall({{"tokenizer_config.json", R"({"add_bos_token": true})"}})->EncodeDocument("the"),
      ElementsAre(261, 257));
}

TEST(VocabularySettingsTest, DamageNeverCrashes) {
  const Files files = {
      {"added_tokens.json", R"({"<|x|>": 263, "<|turn|>": 262, "  ": 264})"},
      {"special_tokens_map.json", R"({"eos_token": "<|turn|>", "additional_special_tokens": []})"},
      {"tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "bos_token": null,
          "added_tokens_decoder": {"262": {"content": "<|turn|>", "special": true}}})"},
      {"config.json", R"({"model_type": "qwen2", "tokenizer_class": null})"}};
  for (const auto& [file, content] : files) {
    const std::string& name = file;  // Clang 14 cannot capture a structured binding.
    int accepted = 0;
    ForEachMutation(content, {.seed = 20240914, .rounds = 300}, [&](const std::string& mutant) {
      Files damaged = files;
      damaged[name] = mutant;
      if (name != "tokenizer_config.json") {
        damaged["tokenizer_config.json"] = "{}";
      }
      const auto tokenizer = LoadSmall(damaged);
      if (tokenizer.ok()) {
        ++accepted;
        (void)tokenizer->Decode(tokenizer->Encode("the <|turn|>  ë", SpecialTokens::kRecognise));
      }
      return tokenizer.status();
    });
    EXPECT_GT(accepted, 0) << name << ": every mutation was refused";
  }
}

}  // namespace
}  // namespace wattle::formats
