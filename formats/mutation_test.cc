// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded damage to valid files: for any input, a parser returns a value or one line of error, and
// never crashes (also run under ASan and UBSan). job_file_test.cc does this for the job and policy
// parser.
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"
#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "formats/safetensors.h"
#include "formats/squad.h"
#include "formats/testing/mutation_internal.h"
#include "formats/testing/small_model_internal.h"

namespace wattle::formats {
namespace {

constexpr uint32_t kSeed = 20240912;

TEST(MutationTest, CanaryIsFound) {
  // A parser that "crashes" on one flipped bit of its magic number: mutations that are too weak
  // would not reach it.
  int hits = 0;
  ForEachMutation("WATTLE{}", {.seed = kSeed, .rounds = 5000}, [&](const std::string& text) {
    hits += text.substr(0, 6) == "WATTLG" ? 1 : 0;
    return absl::OkStatus();
  });
  EXPECT_GT(hits, 0);
}

TEST(MutationTest, SafetensorsHeaderNeverCrashesAndNeverLies) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("b":{"dtype":"I8","shape":[4],"data_offsets":[16,20]},"c":{"dtype":"I64","shape":[],"data_offsets":[20,28]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  file += header + std::string(28, 'x');
  ASSERT_LT(header.size(), 256U);
  int accepted = 0;
  const auto parse = [&](const std::string& text) {
    const absl::Span<const std::byte> bytes(reinterpret_cast<const std::byte*>(text.data()),
                                            text.size());
    const auto parsed = ParseSafetensorsHeader("m", bytes, static_cast<int64_t>(text.size()));
    if (parsed.ok()) {
      ++accepted;
      for (const TensorEntry& tensor : parsed->tensors) {
        EXPECT_GE(tensor.offset_bytes, 0);
        EXPECT_LE(parsed->data_start_bytes + tensor.offset_bytes + tensor.size_bytes(),
                  static_cast<int64_t>(text.size()));
      }
    }
    return parsed.status();
  };
  EXPECT_THAT(parse(file), IsOk());
  ForEachMutation(file, {.seed = kSeed, .rounds = 20000}, parse);
  EXPECT_GT(accepted, 1)
      << "every mutation was refused: they are too coarse to reach the later checks";
}

// A GGUF file of the goldens: its metadata, its tensors and its tokenizer.
TEST(MutationTest, GgufNeverCrashesAndNeverLies) {
  for (const char* name : {"tokenizer_gpt2.gguf", "tokenizer_spm_own.gguf", "types.gguf"}) {
    const auto file = ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/", name));
    ASSERT_THAT(file, IsOk());
    int accepted = 0;
    const auto parse = [&](const std::string& text) -> absl::Status {
      const absl::Span<const std::byte> bytes(reinterpret_cast<const std::byte*>(text.data()),
                                              text.size());
      const auto header = ParseGgufHeader("m", bytes, static_cast<int64_t>(text.size()));
      if (!header.ok()) {
        return header.status();
      }
      for (const GgufTensor& tensor : header->tensors) {
        EXPECT_GE(tensor.offset_bytes, 0);
        EXPECT_LE(header->data_start_bytes + tensor.offset_bytes + tensor.size_bytes(),
                  static_cast<int64_t>(text.size()));
      }
      const absl::Status tokenizer = TokenizerFilesOfGguf(header->metadata, "m").status();
      accepted += tokenizer.ok() || absl::IsNotFound(tokenizer) ? 1 : 0;
      return tokenizer;
    };
    ForEachMutation(*file, {.seed = kSeed, .rounds = 2000}, parse);
    EXPECT_GT(accepted, 1) << name << ": the mutations are too coarse to reach the later checks";
  }
}

TEST(MutationTest, SquadNeverCrashes) {
  const std::string text =
      R"({"data": [{"paragraphs": [{"context": "Zoë took 東京 mast.", "qas": [{"id": "1", "question": "What?",)"
      R"("answers": [{"text": "mast", "answer_start": 12}], "is_impossible": false}]}]}]})";
  ASSERT_THAT(ParseSquad(text, "s"), IsOk());
  const auto tokenizer = SmallTokenizer();
  ASSERT_THAT(tokenizer, IsOk());
  ForEachMutation(text, {.seed = kSeed, .rounds = 20000}, [&](const std::string& mutant) {
    const auto data = ParseSquad(mutant, "s");
    if (data.ok()) {
      const PackOptions options = {.max_length_tokens = 40, .eos_token_id = 261};
      const auto packed = PackSquad(*data, *tokenizer, options);
      EXPECT_TRUE(!packed.ok() || packed->pool.TokenCount(0) <= 40);
    }
    return data.status();
  });
}

TEST(MutationTest, TokenizerAndPromptsNeverCrash) {
  ForEachMutation(SmallTokenizerJson(), {.seed = kSeed, .rounds = 1500},
                  [](const std::string& mutant) {
                    const auto tokenizer = BytePairEncoding::ParseTokenizerJson(mutant, "t");
                    if (tokenizer.ok()) {
                      (void)tokenizer->Decode(
                          tokenizer->Encode("the an <|endoftext|> ë", SpecialTokens::kRecognise));
                    }
                    return tokenizer.status();
                  });
  const std::string vocabulary = SmallVocabulary().dump();
  ForEachMutation(kSmallMerges, {.seed = kSeed, .rounds = 500}, [&](const std::string& mutant) {
    return BytePairEncoding::ParseVocabularyAndMerges(vocabulary, mutant, "v").status();
  });
  ForEachMutation("{\"prompt\": \"a\"}\n{\"id\": 7, \"prompt\": \"b\"}\n",
                  {.seed = kSeed, .rounds = 10000},
                  [](const std::string& mutant) { return ParsePrompts(mutant, "p").status(); });
}

TEST(MutationTest, DeeplyNestedJsonIsAnErrorNotAStackOverflow) {
  const std::string deep(200000, '[');
  EXPECT_THAT(ParseSquad(deep, "s"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("not valid JSON")));
  const std::string closed = deep + std::string(200000, ']');
  EXPECT_THAT(ParseSquad(closed, "s"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("wants an object")));
}

}  // namespace
}  // namespace wattle::formats
