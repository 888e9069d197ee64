// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The keys of a tokenizer in GGUF metadata, and the pre-tokenizers by llama.cpp's names. Private to
// formats. Thread-safe.
#ifndef WATTLE_FORMATS_GGUF_TOKENIZER_INTERNAL_H_
#define WATTLE_FORMATS_GGUF_TOKENIZER_INTERNAL_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "formats/pre_tokenizer_internal.h"

namespace wattle::formats {

inline constexpr char kGgufTokenizerModel[] = "tokenizer.ggml.model";
inline constexpr char kGgufBytesModel[] = "gpt2";    // its value for byte-level BPE
inline constexpr char kGgufPiecesModel[] = "llama";  // … for SentencePiece pieces
inline constexpr char kGgufPreTokenizer[] = "tokenizer.ggml.pre";
inline constexpr char kGgufTokens[] = "tokenizer.ggml.tokens";
inline constexpr char kGgufTokenTypes[] = "tokenizer.ggml.token_type";
inline constexpr char kGgufScores[] = "tokenizer.ggml.scores";
inline constexpr char kGgufMerges[] = "tokenizer.ggml.merges";
inline constexpr char kGgufBeginId[] = "tokenizer.ggml.bos_token_id";
inline constexpr char kGgufEndId[] = "tokenizer.ggml.eos_token_id";
inline constexpr char kGgufUnknownId[] = "tokenizer.ggml.unknown_token_id";
inline constexpr char kGgufPaddingId[] = "tokenizer.ggml.padding_token_id";
inline constexpr char kGgufAddBegin[] = "tokenizer.ggml.add_bos_token";
inline constexpr char kGgufAddSpace[] = "tokenizer.ggml.add_space_prefix";
inline constexpr char kGgufChatTemplate[] = "tokenizer.chat_template";

// Types of tokens. Numeric values are those of GGUF files and of SentencePiece pieces.
enum class GgufTokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// How byte-level text is split, by llama.cpp's name (llama_vocab::impl::load).
struct GgufPreTokenizer {
  absl::string_view name;
  std::vector<SplitRule> rules;
  bool nfc = false;  // taken from the model's own tokenizer; llama.cpp omits this step
  bool whole_pieces = false;
  bool adds_begin = false;  // if the metadata does not have the key
};
absl::Span<const GgufPreTokenizer> GgufPreTokenizers();

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_GGUF_TOKENIZER_INTERNAL_H_
