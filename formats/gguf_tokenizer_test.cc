// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokenizer of a GGUF file, and refusals by key. tokenizer_golden_test.cc compares its tokens
// with those of the reference.
#include "formats/gguf_tokenizer.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/testing/status_matchers.h"

namespace wattle::formats {
namespace {

using testing::HasSubstr;

GgufMetadata GgufGoldenMetadata(const std::string& name) {
  const auto file =
      GgufFile::Open(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/", name, ".gguf"));
  EXPECT_THAT(file, IsOk());
  return file.ok() ? file->header().metadata : GgufMetadata();
}

std::string FileIn(const std::vector<NamedFile>& files, const std::string& name) {
  for (const NamedFile& file : files) {
    if (file.name == name) {
      return file.content;
    }
  }
  ADD_FAILURE() << name;
  return "{}";
}

TEST(GgufTokenizerTest, TheConfigHasSpecialTokensAndTheChatTemplate) {
  const auto files = TokenizerFilesOfGguf(GgufGoldenMetadata("llama_tiny"), "m.gguf");
  ASSERT_THAT(files, IsOk());
  const auto config = nlohmann::json::parse(FileIn(*files, "tokenizer_config.json"));
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["eos_token"], "</s>");
  EXPECT_EQ(config["unk_token"], "<unk>");
  EXPECT_EQ(config["add_bos_token"], true);
  EXPECT_THAT(config["chat_template"].get<std::string>(), HasSubstr("{{ eos_token }}"));
}

TEST(GgufTokenizerTest, ABeginTokenIsPutWhereTheMetadataOrTheKindSaysSo) {
  GgufMetadata metadata = GgufGoldenMetadata("tokenizer_gpt2");
  const auto begins = [&] {
    const auto files = TokenizerFilesOfGguf(metadata, "m.gguf");
    EXPECT_THAT(files, IsOk());
    return nlohmann::json::parse(FileIn(*files, "tokenizer.json")).contains("post_processor");
  };
  EXPECT_FALSE(begins());
  metadata["tokenizer.ggml.add_bos_token"] = true;
  EXPECT_TRUE(begins());
  metadata = GgufGoldenMetadata("tokenizer_llama3");
  EXPECT_TRUE(begins());
  metadata["tokenizer.ggml.add_bos_token"] = false;
  EXPECT_FALSE(begins());
}

struct Refusal {
  const char* file;
  const char* key;
  GgufValue value;
  absl::StatusCode code;
  const char* message;
};

TEST(GgufTokenizerTest, WhatIsWrongIsNamedByItsKey) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kUnread = absl::StatusCode::kUnimplemented;
  const std::vector<Refusal> refusals = {
      {"gpt2", "tokenizer.ggml.model", std::string("t5"), kUnread,
       "tokenizer.ggml.model: \"t5\" is not supported"},
      {"gpt2", "tokenizer.ggml.model", std::string("none"), absl::StatusCode::kNotFound,
       "tokenizer.ggml.model: missing; the file has no tokenizer"},
      {"gpt2", "tokenizer.ggml.model", true, kInvalid, "tokenizer.ggml.model: wants text"},
      {"gpt2", "tokenizer.ggml.pre", std::string("default"), kUnread,
       "tokenizer.ggml.pre: \"default\": not supported in this version; wants one of: gpt-2"},
      {"gpt2", "tokenizer.ggml.tokens", std::vector<std::string>{}, kInvalid,
       "tokenizer.ggml.tokens: missing"},
      {"gpt2", "tokenizer.ggml.tokens", std::vector<std::string>(402, "a"), kInvalid,
       "tokenizer.ggml.tokens[1]: \"a\" is a token already"},
      {"gpt2", "tokenizer.ggml.tokens", std::vector<std::string>(402, "\xff"), kInvalid,
       "tokenizer.ggml.tokens[0]: wants a text in UTF-8"},
      {"gpt2", "tokenizer.ggml.token_type", std::vector<int64_t>{1}, kInvalid,
       "tokenizer.ggml.token_type: has 1 elements, tokenizer.ggml.tokens 402"},
      {"gpt2", "tokenizer.ggml.token_type", std::vector<int64_t>(402, 9), kInvalid,
       "tokenizer.ggml.token_type[0]: unknown type 9"},
      {"gpt2", "tokenizer.ggml.merges", std::vector<std::string>{"a"}, kInvalid,
       "m.gguf (as tokenizer.json): model.merges[0]"},
      {"gpt2", "tokenizer.ggml.merges", int64_t{1}, kInvalid,
       "tokenizer.ggml.merges: wants an array of texts"},
      {"gpt2", "tokenizer.ggml.bos_token_id", int64_t{402}, kInvalid,
       "tokenizer.ggml.bos_token_id: 402 is no token of 402"},
      {"gpt2", "tokenizer.ggml.add_bos_token", int64_t{1}, kInvalid,
       "tokenizer.ggml.add_bos_token: wants true or false"},
      {"gpt2", "tokenizer.chat_template", std::string("\xff"), kInvalid,
       "tokenizer.chat_template: wants text in UTF-8"},
      {"spm_llama", "tokenizer.ggml.scores", std::vector<double>{1.0}, kInvalid,
       "tokenizer.ggml.scores: wants one for each of the 421 tokens"},
      {"spm_llama", "tokenizer.ggml.scores", std::vector<double>(421, INFINITY), kInvalid,
       "m.gguf (as tokenizer.model): piece 0"},
  };
  for (const Refusal& refusal : refusals) {
    GgufMetadata metadata = GgufGoldenMetadata(absl::StrCat("tokenizer_", refusal.file));
    metadata[refusal.key] = refusal.value;
    const absl::Status status = TokenizerFilesOfGguf(metadata, "m.gguf").status();
    EXPECT_THAT(status, StatusIs(refusal.code, HasSubstr(refusal.message)));
    EXPECT_EQ(status.message().find("m.gguf"), 0U);
  }
}

}  // namespace
}  // namespace wattle::formats
