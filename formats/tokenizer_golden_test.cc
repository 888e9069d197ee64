// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each kind of tokenizer.json against what Hugging Face's tokenizers make of difficult texts
// (tests/golden/tokenizer), and Llama's SentencePiece vocabulary against llama.cpp's vectors.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/status_matchers.h"
#include "base/test_directory.h"
#include "formats/byte_pair_encoding.h"
#include "formats/nfc_internal.h"
#include "formats/utf8_internal.h"

namespace wattle::formats {
namespace {

std::string GoldenText(const std::string& file) {
  const auto text =
      ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/tokenizer/", file), 1 << 22);
  EXPECT_THAT(text, IsOk());
  return text.ok() ? *text : std::string();
}

class TokenizerGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerGoldenTest, TextsBecomeTheTokensOfTheReference) {
  const std::string name = GetParam();
  const auto tokenizer =
      BytePairEncoding::ParseTokenizerJson(GoldenText(name + ".json"), name + ".json");
  ASSERT_THAT(tokenizer, IsOk());
  const auto expected = nlohmann::json::parse(GoldenText(name + ".expected.json"));
  for (const nlohmann::json& each : expected["cases"]) {
    EXPECT_EQ(tokenizer->Encode(each["text"].get<std::string>()),
              each["tokens"].get<std::vector<int64_t>>())
        << each["text"];
  }
  EXPECT_EQ(tokenizer->EncodeDocument(""), expected["begin"].get<std::vector<int64_t>>());
  EXPECT_TRUE(tokenizer->eos_token_id().has_value());
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerGoldenTest,
                         testing::Values("gpt2", "gpt_neox", "smollm2", "qwen2", "llama3", "gemma",
                                         "llama2", "mistral"),
                         [](const auto& row) { return row.param; });

// The goldens tell the kinds apart: what one kind makes is not what another makes of some text.
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
  EXPECT_TRUE(differs("mistral", R"("prepend_scheme":"first")", R"("prepend_scheme":"never")"));
  EXPECT_TRUE(differs("llama2", R"({"type":"Prepend","prepend":"▁"},)", ""));
}

TEST(NfcTest, HangulAndOrderOfMarks) {
  EXPECT_EQ(NormalizedToNfc("\u1112\u1161\u11ab"), "\ud55c");
  EXPECT_EQ(NormalizedToNfc("\u212b"), "\u00c5");
  EXPECT_EQ(NormalizedToNfc("a\u0307\u0323"), "\u1ea1\u0307");
  EXPECT_EQ(NormalizedToNfc("\u0958"), "\u0915\u093c");  // excluded from composition
  EXPECT_EQ(NormalizedToNfc("a\xff\xc0z"), "a\xff\xc0z");
}

// Reads what a GGUF file holds beside tensors, of the types that a vocabulary needs.
class GgufFields {
 public:
  explicit GgufFields(std::string bytes) : bytes_(std::move(bytes)) {
    position_ = 8;       // magic and version
    Number<uint64_t>();  // tensors
    for (auto left = Number<uint64_t>(); left > 0; --left) {
      const std::string key = Text();
      Value(key, Number<uint32_t>());
    }
  }
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;

 private:
  template <typename T>
  T Number() {
    T value = {};
    std::memcpy(&value, bytes_.data() + position_, sizeof(value));
    position_ += sizeof(value);
    return value;
  }
  std::string Text() {
    const auto size = Number<uint64_t>();
    std::string text = bytes_.substr(position_, size);
    position_ += size;
    return text;
  }
  void Value(const std::string& key, uint32_t type) {
    constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    constexpr uint32_t kText = 8;
    constexpr uint32_t kArray = 9;
    if (type == kText) {
      Text();
    } else if (type != kArray) {
      position_ += kSizes[type];
    } else {
      const auto of = Number<uint32_t>();
      for (auto left = Number<uint64_t>(); left > 0; --left) {
        if (key == "tokenizer.ggml.tokens") {
          tokens.push_back(Text());
        } else if (key == "tokenizer.ggml.scores") {
          scores.push_back(Number<float>());
        } else if (key == "tokenizer.ggml.token_type") {
          types.push_back(Number<int32_t>());
        } else {
          Value("", of);
        }
      }
    }
  }

  std::string bytes_;
  size_t position_ = 0;
};

std::string SharedText(const std::string& name) {
  std::ostringstream content;
  content << std::ifstream(SharedPath(name), std::ios::binary).rdbuf();
  return content.str();
}

// The tokenizer.json that a SentencePiece vocabulary is converted to: two tokens merge where their
// text together is a token; tokens of a higher score first.
std::string ConvertedJson(const GgufFields& fields) {
  nlohmann::json json = nlohmann::json::parse(
      R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
          {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
          "model": {"type": "BPE", "byte_fallback": true}})");
  absl::flat_hash_map<std::string, int64_t> ids;
  for (size_t i = 0; i < fields.tokens.size(); ++i) {
    ids.emplace(fields.tokens[i], static_cast<int64_t>(i));
    json["model"]["vocab"][fields.tokens[i]] = i;
  }
  std::vector<std::tuple<float, int64_t, int64_t, int64_t>> merges;
  for (size_t i = 0; i < fields.tokens.size(); ++i) {
    constexpr int32_t kNormal = 1;
    const std::string& token = fields.tokens[i];
    for (size_t cut = 1; fields.types[i] == kNormal && cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      const auto right = ids.find(token.substr(cut));
      if (left != ids.end() && right != ids.end()) {
        merges.emplace_back(-fields.scores[i], static_cast<int64_t>(i), left->second,
                            right->second);
      }
    }
  }
  std::sort(merges.begin(), merges.end());
  auto& list = json["model"]["merges"] = nlohmann::json::array();
  for (const auto& [score, token, left, right] : merges) {
    list.push_back(
        {fields.tokens[static_cast<size_t>(left)], fields.tokens[static_cast<size_t>(right)]});
  }
  return json.dump();
}

TEST(SentencePieceVectorsTest, LlamasVocabularyAgreesOnAllVectors) {
  if (SharedPath("data/tokenizer").empty()) {
    GTEST_SKIP() << "no ../shared/data here";
  }
  const std::string file = "data/tokenizer/ggml-vocab-llama-spm.gguf";
  const auto tokenizer = BytePairEncoding::ParseTokenizerJson(
      ConvertedJson(GgufFields(SharedText(file))), "tokenizer.json");
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

}  // namespace
}  // namespace wattle::formats
