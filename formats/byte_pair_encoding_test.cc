// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/byte_pair_encoding.h"

#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/testing/small_model_internal.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

std::string ReadText(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

absl::StatusOr<BytePairEncoding> LoadGpt2() {
  return BytePairEncoding::ParseVocabularyAndMerges(
      ReadText(TextPath("data/tokenizer/gpt2-encoder.json")),
      ReadText(TextPath("data/tokenizer/gpt2-vocab.bpe")), "gpt2-encoder.json");
}

TEST(BytePairEncodingTest, AgreesWithGpt2OnAllVectors) {
  if (TextPath("data/tokenizer").empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with data/";
  }
  const auto tokenizer = LoadGpt2();
  ASSERT_THAT(tokenizer, IsOk());
  const std::string inputs = ReadText(TextPath("data/tokenizer/ggml-vocab-gpt-2.gguf.inp"));
  const std::string outputs = ReadText(TextPath("data/tokenizer/ggml-vocab-gpt-2.gguf.out"));
  const std::vector<std::string> texts = absl::StrSplit(inputs, "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines = absl::StrSplit(outputs, '\n');
  int compared = 0;
  for (size_t i = 0; i < texts.size() && i < lines.size(); ++i) {
    std::vector<int64_t> expected;
    for (const absl::string_view part : absl::StrSplit(lines[i], ' ', absl::SkipEmpty())) {
      int64_t id = 0;
      ASSERT_TRUE(absl::SimpleAtoi(part, &id));
      expected.push_back(id);
    }
    EXPECT_THAT(tokenizer->Encode(texts[i]), ElementsAreArray(expected))
        << "case " << i << ": " << texts[i];
    EXPECT_EQ(tokenizer->Decode(expected), texts[i]) << "case " << i;
    ++compared;
  }
  EXPECT_EQ(compared, 47);
}

TEST(BytePairEncodingTest, EndOfTextIsTextUnlessAskedFor) {
  if (TextPath("data/tokenizer").empty()) {
    GTEST_SKIP() << "WATTLE_TEXTS names no folder with data/";
  }
  const auto tokenizer = LoadGpt2();
  ASSERT_THAT(tokenizer, IsOk());
  EXPECT_EQ(tokenizer->vocabulary_size(), 50257);
  EXPECT_EQ(tokenizer->eos_token_id(), 50256);
  EXPECT_THAT(tokenizer->Encode("a<|endoftext|>b", SpecialTokens::kRecognise),
              ElementsAre(64, 50256, 65));
  const std::vector<int64_t> as_text = tokenizer->Encode("a<|endoftext|>b");
  EXPECT_THAT(as_text, testing::Not(testing::Contains(50256)));
  EXPECT_EQ(tokenizer->Decode(as_text), "a<|endoftext|>b");
}

TEST(BytePairEncodingTest, EveryByteStringComesBack) {
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(tokenizer, IsOk());
  constexpr unsigned kSeed = 20240817;
  SCOPED_TRACE(absl::StrCat("seed ", kSeed));
  std::mt19937 random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) {
      // Half ASCII letters and spaces, so that merges and the expression have work; half any byte.
      c = random() % 2 == 0 ? "the an  '\n1"[random() % 11] : static_cast<char>(random());
    }
    ASSERT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
  }
}

TEST(BytePairEncodingTest, MergesGoByRankThenFromTheLeft) {
  const auto tokenizer = SmallTokenizer();  // merges: "t h", "th e", "a n", "Ġ the", "h e"
  ASSERT_THAT(tokenizer, IsOk());
  const auto pieces = [&](absl::string_view text) {
    std::vector<std::string> result;
    for (const int64_t token : tokenizer->Encode(text)) {
      result.push_back(tokenizer->Decode({token}));
    }
    return result;
  };
  EXPECT_THAT(pieces("the"), ElementsAre("the"));
  EXPECT_THAT(pieces(" the"), ElementsAre(" the"));
  EXPECT_THAT(pieces("he"), ElementsAre("he"));
  EXPECT_THAT(pieces("anan"), ElementsAre("an", "an"));
  EXPECT_THAT(pieces("thhe"), ElementsAre("th", "he"));
}

TEST(BytePairEncodingTest, LongPieceIsNotQuadratic) {
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(tokenizer, IsOk());
  const std::string text(1 << 20, 'a');  // One piece: quadratic time would be 10^12 steps.
  EXPECT_EQ(tokenizer->Encode(text).size(), text.size());
}

TEST(BytePairEncodingTest, TokenizerJsonGivesTheSameTokens) {
  const auto files = SmallTokenizer();
  const auto json = BytePairEncoding::ParseTokenizerJson(SmallTokenizerJson(), "tokenizer.json");
  ASSERT_THAT(files, IsOk());
  ASSERT_THAT(json, IsOk());
  for (const char* text : {"", "the an", " the  the\n\tan1 2's", "naïve → 東京"}) {
    EXPECT_EQ(json->Encode(text), files->Encode(text)) << text;
  }
  EXPECT_EQ(json->eos_token_id(), files->eos_token_id());
}

struct BadTokenizer {
  const char* name;
  const char* vocabulary;
  const char* merges;
  const char* message;
};

class BadTokenizerTest : public testing::TestWithParam<BadTokenizer> {};

TEST_P(BadTokenizerTest, IsRefusedWithItsReason) {
  EXPECT_THAT(BytePairEncoding::ParseVocabularyAndMerges(GetParam().vocabulary, GetParam().merges,
                                                         "vocab.json"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, BadTokenizerTest,
    testing::Values(
        BadTokenizer{"NotJson", "hello", "", "vocab.json:1:1: not valid JSON"},
        BadTokenizer{"List", "[]", "", "wants an object of token: id, found a list"},
        BadTokenizer{"TextId", R"({"a": "b"})", "", "token \"a\": wants an id from 0"},
        BadTokenizer{"NegativeId", R"({"a": -1})", "", "token \"a\": wants an id from 0"},
        BadTokenizer{"HugeId", R"({"a": 99999999999})", "", "token \"a\": wants an id from 0"},
        BadTokenizer{"SameId", R"({"a": 1, "b": 1})", "", "two tokens have the id 1"},
        BadTokenizer{"Incomplete", R"({"a": 0})", "", "no token for byte 0"},
        BadTokenizer{"MergeOfUnknown", R"({"a": 0})", "a b", "merge 1 (\"a\" + \"b\")"},
        BadTokenizer{"MergeOfOne", R"({"a": 0})", "#version: 0.2\na",
                     "(merges):2: wants two symbols"}),
    [](const auto& row) { return row.param.name; });

TEST(BytePairEncodingTest, OtherTokenizerKindsAreNotSupported) {
  for (
      const char* json :
      {R"({"model": {"type": "Unigram", "vocab": []}})",
       R"({"model": {"type": "BPE"}, "normalizer": {"type": "NFKC"}})",
       R"({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+b"},
           "behavior": "Isolated", "invert": false}})",
       R"({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"},
           "normalizer": {"type": "Lowercase"}})",
       R"({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true}})",
       R"({"model": {"type": "BPE", "byte_fallback": true}})"}) {
    EXPECT_THAT(
        BytePairEncoding::ParseTokenizerJson(json, "tokenizer.json"),
        StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("not supported in this version")))
        << json;
  }
}

TEST(BytePairEncodingTest, MissingFilesAreNamed) {
  const TestDirectory directory;
  EXPECT_THAT(BytePairEncoding::LoadDirectory(directory.path()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("tokenizer.json, or vocab.json and merges.txt")));
}

}  // namespace
}  // namespace wattle::formats
