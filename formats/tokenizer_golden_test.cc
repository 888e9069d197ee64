// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each kind of tokenizer.json against the results of Hugging Face's tokenizers for difficult texts
// (tests/golden/tokenizer), also as GGUF files, and the vocabularies of llama.cpp against its
// vectors.
#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/utf8.h"
#include "formats/byte_pair_encoding.h"
#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "formats/nfc_internal.h"

namespace wattle::formats {
namespace {

std::string GoldenText(const std::string& file) {
  const auto text =
      ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/tokenizer/", file), 1 << 22);
  EXPECT_THAT(text, IsOk());
  return text.ok() ? *text : std::string();
}

absl::StatusOr<BytePairEncoding> TokenizerOfGguf(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Open(path));
  WATTLE_ASSIGN_OR_RETURN(const std::vector<NamedFile> files,
                          TokenizerFilesOfGguf(file.header().metadata, path));
  return BytePairEncoding::LoadFiles(
      [&](absl::string_view name) -> absl::StatusOr<std::optional<std::string>> {
        for (const NamedFile& each : files) {
          if (each.name == name) {
            return each.content;
          }
        }
        return std::nullopt;
      },
      path);
}

void ExpectReference(const std::string& name, const BytePairEncoding& tokenizer) {
  const auto expected = nlohmann::json::parse(GoldenText(name + ".expected.json"));
  for (const nlohmann::json& each : expected["cases"]) {
    EXPECT_EQ(tokenizer.Encode(each["text"].get<std::string>()),
              each["tokens"].get<std::vector<int64_t>>())
        << each["text"];
  }
  EXPECT_EQ(tokenizer.EncodeDocument(""), expected["begin"].get<std::vector<int64_t>>());
  EXPECT_TRUE(tokenizer.eos_token_id().has_value());
}

class TokenizerGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerGoldenTest, TextsBecomeTheTokensOfTheReference) {
  const std::string name = GetParam();
  const auto tokenizer =
      BytePairEncoding::ParseTokenizerJson(GoldenText(name + ".json"), name + ".json");
  ASSERT_THAT(tokenizer, IsOk());
  ExpectReference(name, *tokenizer);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerGoldenTest,
                         testing::Values("gpt2", "gpt_neox", "phi", "smollm2", "qwen2", "llama3",
                                         "gemma", "llama2", "mistral"),
                         [](const auto& row) { return row.param; });

// The goldens distinguish the kinds: any two kinds give different tokens for some text.
TEST(TokenizerGoldenTest, EachStepChangesTheTokensOfSomeText) {
  const auto differs = [](const std::string& name, const std::string& from, const std::string& to) {
    std::string json = GoldenText(name + ".json");
    const size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << name << ": " << from;
    json.replace(at, from.size(), to);
    const auto tokenizer = BytePairEncoding::ParseTokenizerJson(json, name);
    EXPECT_THAT(tokenizer, IsOk());
    const auto expected = nlohmann::json::parse(GoldenText(name + ".expected.json"));
    return std::any_of(expected["cases"].begin(), expected["cases"].end(), [&](const auto& each) {
      return tokenizer->Encode(each["text"].template get<std::string>()) !=
             each["tokens"].template get<std::vector<int64_t>>();
    });
  };
  EXPECT_TRUE(differs("qwen2", R"("normalizer":{"type":"NFC"})", R"("normalizer":null)"));
  EXPECT_TRUE(differs("llama3", R"(\\p{N}{1,3})", R"(\\p{N})"));
  EXPECT_TRUE(differs("llama3", R"("ignore_merges":true)", R"("ignore_merges":false)"));
  EXPECT_TRUE(differs("gpt_neox", R"("special":false)", R"("special":true)"));
  EXPECT_TRUE(differs("phi", R"("special":false)", R"("special":true)"));  // 31 spaces
  EXPECT_TRUE(differs("phi", R"("\t\t\t\t\t\t\t\t\t")", R"("tab")"));
  EXPECT_TRUE(differs("mistral", R"("prepend_scheme":"first")", R"("prepend_scheme":"never")"));
  EXPECT_TRUE(differs("llama2", R"({"type":"Prepend","prepend":"▁"},)", ""));
}

// The tokenizers of the goldens, as GGUF files have them.
class GgufTokenizerGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(GgufTokenizerGoldenTest, TextsBecomeTheTokensOfTheReference) {
  const std::string name = GetParam();
  const auto tokenizer = TokenizerOfGguf(
      absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/tokenizer_", name, ".gguf"));
  ASSERT_THAT(tokenizer, IsOk());
  ExpectReference(name, *tokenizer);
}

INSTANTIATE_TEST_SUITE_P(Kinds, GgufTokenizerGoldenTest,
                         testing::Values("gpt2", "gpt_neox", "smollm2", "qwen2", "llama3",
                                         "spm_llama", "spm_gemma", "spm_own"),
                         [](const auto& row) { return row.param; });

// The tokenizers of the goldens, written as GGUF files and read again.
class GgufTokenizerExportTest : public testing::TestWithParam<const char*> {};

TEST_P(GgufTokenizerExportTest, TextsStayTheTokensOfTheReference) {
  const std::string name = GetParam();
  const TestDirectory directory;
  if (absl::StartsWith(name, "spm_")) {
    directory.Write("tokenizer.model", GoldenText(name + ".model"));
    if (name == "spm_gemma") {
      directory.Write("tokenizer_config.json", R"({"chat_template": "{{ bos_token }}"})");
    }
  } else {
    directory.Write("tokenizer.json", GoldenText(name + ".json"));
    directory.Write("chat_template.jinja", "{{ bos_token }}");
  }
  const auto original = BytePairEncoding::LoadDirectory(directory.path());
  ASSERT_THAT(original, IsOk());
  const int64_t vocabulary = original->vocabulary_size() + 3;  // with room, as models often have it
  const auto metadata = GgufTokenizerOf(directory.path(), vocabulary);
  ASSERT_THAT(metadata, IsOk());
  EXPECT_EQ(std::get<std::vector<std::string>>(metadata->at("tokenizer.ggml.tokens")).size(),
            static_cast<size_t>(vocabulary));
  EXPECT_EQ(metadata->contains("tokenizer.chat_template"),
            name != "spm_llama" && name != "spm_own");
  auto writer = GgufWriter::Create(directory.File("m.gguf"), *metadata, {});
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT(writer->Commit(), IsOk());
  const auto tokenizer = TokenizerOfGguf(directory.File("m.gguf"));
  ASSERT_THAT(tokenizer, IsOk());
  ExpectReference(name, *tokenizer);
  EXPECT_EQ(tokenizer->eos_token_id(), original->eos_token_id());
  for (int64_t id = 0; id < original->vocabulary_size(); ++id) {
    EXPECT_EQ(tokenizer->Decode({id}), original->Decode({id})) << id;
    EXPECT_EQ(tokenizer->IsSpecial(id), original->IsSpecial(id)) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, GgufTokenizerExportTest,
                         testing::Values("gpt2", "gpt_neox", "phi", "smollm2", "qwen2", "llama3",
                                         "spm_llama", "spm_gemma", "spm_own"),
                         [](const auto& row) { return row.param; });

TEST(GgufTokenizerExportTest, WhatMetadataCannotSayIsRefused) {
  const TestDirectory directory;
  const auto expect = [&](const std::string& json, int64_t vocabulary, absl::StatusCode code,
                          const std::string& message) {
    directory.Write("tokenizer.json", json);
    const absl::Status status = GgufTokenizerOf(directory.path(), vocabulary).status();
    EXPECT_THAT(status, StatusIs(code, testing::HasSubstr(message)));
    EXPECT_EQ(status.message().find(directory.path()), 0U) << status;
  };
  constexpr auto kUnwritten = absl::StatusCode::kUnimplemented;
  constexpr int64_t kAll = 1000;
  const std::string gpt2 = GoldenText("gpt2.json");
  expect(absl::StrReplaceAll(gpt2, {{R"("ignore_merges":false)", R"("ignore_merges":true)"}}), kAll,
         kUnwritten, "have no name in GGUF metadata (tokenizer.ggml.pre)");
  expect(gpt2, 300, absl::StatusCode::kInvalidArgument, "the vocabulary 300 tokens");
  // SentencePiece merges any two pieces that spell a piece; these merges produce "the▁" from one
  // pair only.
  for (const char* name : {"gemma", "llama2", "mistral"}) {
    expect(GoldenText(absl::StrCat(name, ".json")), kAll, kUnwritten,
           "▁\" leave a pair of its pieces out, which the scores of GGUF pieces cannot say");
  }
}

TEST(NfcTest, HangulAndOrderOfMarks) {
  EXPECT_EQ(NormalizedToNfc("\u1112\u1161\u11ab"), "\ud55c");
  EXPECT_EQ(NormalizedToNfc("\uac00\u11a7"), "\uac00\u11a7");  // not a trailing consonant
  EXPECT_EQ(NormalizedToNfc("\u212b"), "\u00c5");
  EXPECT_EQ(NormalizedToNfc("a\u0307\u0323"), "\u1ea1\u0307");
  EXPECT_EQ(NormalizedToNfc("\u0958"), "\u0915\u093c");  // excluded from composition
  EXPECT_EQ(NormalizedToNfc("a\xff\xc0z"), "a\xff\xc0z");
}

std::string SharedText(const std::string& name) {
  std::ostringstream content;
  content << std::ifstream(TextPath(name), std::ios::binary).rdbuf();
  return content.str();
}

// The vocabularies that llama.cpp tests itself with.
class LlamaCppVectorsTest : public testing::TestWithParam<const char*> {};

TEST_P(LlamaCppVectorsTest, TheVocabularyAgreesOnAllVectors) {
  if (TextPath("data/tokenizer").empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with data/";
  }
  const std::string file = GetParam();
  const auto tokenizer = TokenizerOfGguf(TextPath(file));
  ASSERT_THAT(tokenizer, IsOk());
  const std::vector<std::string> texts =
      absl::StrSplit(SharedText(file + ".inp"), "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines = absl::StrSplit(SharedText(file + ".out"), '\n');
  ASSERT_GE(texts.size(), 40U);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<int64_t> expected;
    for (const absl::string_view part : absl::StrSplit(lines[i], ' ', absl::SkipEmpty())) {
      int64_t id = 0;
      ASSERT_TRUE(absl::SimpleAtoi(part, &id));
      expected.push_back(id);
    }
    EXPECT_EQ(tokenizer->Encode(texts[i]), expected) << "case " << i << ": " << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, LlamaCppVectorsTest,
                         testing::Values("data/tokenizer/ggml-vocab-gpt-2.gguf",
                                         "data/tokenizer/ggml-vocab-llama-spm.gguf"));

}  // namespace
}  // namespace wattle::formats
