// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads a SentencePiece model of the BPE kind (tokenizer.model of Llama 2, TinyLlama, Mistral and
// Gemma). The file is a protocol buffer, ModelProto of
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto; five of its
// fields are read here by hand, so that our schemas do not include it. Private to formats.
// Thread-safe.
#ifndef WATTLE_FORMATS_SENTENCE_PIECE_INTERNAL_H_
#define WATTLE_FORMATS_SENTENCE_PIECE_INTERNAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {

// ModelProto.SentencePiece.Type
enum class SentencePieceType : uint64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct SentencePiece {
  std::string text;
  float score = 0.0F;
  uint64_t type = static_cast<uint64_t>(SentencePieceType::kNormal);

  [[nodiscard]] bool is(SentencePieceType wanted) const {
    return type == static_cast<uint64_t>(wanted);
  }
  // Whether text can become this piece, by itself or within a larger one.
  [[nodiscard]] bool is_of_text() const {
    return is(SentencePieceType::kNormal) || is(SentencePieceType::kUserDefined);
  }
};

inline constexpr uint64_t kSentencePieceBpe = 2;  // TrainerSpec.ModelType

struct SentencePieceModel {
  std::vector<SentencePiece> pieces;
  // TrainerSpec and NormalizerSpec, with the defaults of the schema.
  uint64_t model_type = 1;
  bool byte_fallback = false;
  bool space_is_suffix = false;
  uint64_t begin_id = 1;
  std::string character_map;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// Errors: kInvalidArgument for bytes that are not such a message, or have no pieces.
absl::StatusOr<SentencePieceModel> ReadSentencePieceModel(absl::string_view bytes,
                                                          absl::string_view file);

// Writes a tokenizer.model of the kind that PartsOfSentencePiece reads, from the model's pieces,
// begin_id and add_dummy_prefix.
std::string FormatSentencePieceModel(const SentencePieceModel& model);

// Follows sentencepiece: two neighbours whose concatenated text is a piece are merged, highest
// score first, the leftmost among equal scores. transformers' additions are read from
// tokenizer_config.json (add_bos_token, bos_token, legacy, add_prefix_space, added_tokens_decoder)
// and added_tokens.json, with the defaults of its LlamaTokenizer. Errors: kInvalidArgument for a
// file that is damaged or contradicts itself, with the piece or the field; kUnimplemented for a
// model of another kind (unigram), one without byte_fallback, or one that normalizes text.
absl::StatusOr<TokenizerParts> PartsOfSentencePiece(const SentencePieceFiles& files,
                                                    absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SENTENCE_PIECE_INTERNAL_H_
