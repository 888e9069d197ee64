// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A tokenizer of 262 tokens and a matching model directory, only for tests of formats.
#ifndef WATTLE_FORMATS_TESTING_SMALL_MODEL_INTERNAL_H_
#define WATTLE_FORMATS_TESTING_SMALL_MODEL_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "formats/byte_pair_encoding.h"

namespace wattle::formats {

inline constexpr char kSmallMerges[] = "#version: 0.2\nt h\nth e\na n\nĠ the\nh e\n";

// The 256 bytes in GPT-2's notation, then the results of the merges, then the end of text.
inline nlohmann::json SmallVocabulary() {
  nlohmann::json vocabulary;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const unsigned code = itself ? byte : next++;
    const std::string symbol =
        code < 0x80 ? std::string(1, static_cast<char>(code))
                    : absl::StrCat(std::string(1, static_cast<char>(0xc0 | (code >> 6))),
                                   std::string(1, static_cast<char>(0x80 | (code & 0x3f))));
    vocabulary[symbol] = byte;
  }
  int id = 256;
  for (const char* token : {"th", "the", "an", "Ġthe", "he", "<|endoftext|>"}) {
    vocabulary[token] = id++;
  }
  return vocabulary;
}

inline absl::StatusOr<BytePairEncoding> SmallTokenizer() {
  return BytePairEncoding::ParseVocabularyAndMerges(SmallVocabulary().dump(), kSmallMerges,
                                                    "vocab.json");
}

inline std::string SmallTokenizerJson() {
  nlohmann::json json;
  json["added_tokens"] = nlohmann::json::array();
  json["added_tokens"].push_back(
      nlohmann::json::parse(R"({"id": 261, "content": "<|endoftext|>"})"));
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  json["model"] = {
      {"type", "BPE"}, {"continuing_subword_prefix", ""}, {"vocab", SmallVocabulary()}};
  json["model"]["merges"] = {"t h", "th e", "a n"};
  json["model"]["merges"].push_back(
      nlohmann::json::array({"Ġ", "the"}));  // Newer files write pairs.
  json["model"]["merges"].push_back("h e");
  return json.dump();
}

inline constexpr char kSmallConfig[] =
    R"({"model_type": "gpt2", "vocab_size": 262, "n_embd": 8, "n_head": 2,
  "n_layer": 2, "n_positions": 16, "bos_token_id": 261, "eos_token_id": 261})";

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TESTING_SMALL_MODEL_INTERNAL_H_
