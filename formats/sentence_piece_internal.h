// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads a SentencePiece model of the BPE kind (tokenizer.model of Llama 2, TinyLlama, Mistral and
// Gemma). The file is a protocol buffer, ModelProto of
// https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto; five of its
// fields are read here, so that the schema is not a part of ours. Private to formats. Thread-safe.
#ifndef WATTLE_FORMATS_SENTENCE_PIECE_INTERNAL_H_
#define WATTLE_FORMATS_SENTENCE_PIECE_INTERNAL_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {

// As sentencepiece itself: two neighbours whose text together is a piece are merged, those of the
// highest score first, the leftmost ones among equal scores. What transformers adds to it is read
// of tokenizer_config.json (add_bos_token, bos_token, legacy, add_prefix_space,
// added_tokens_decoder) and added_tokens.json, with the defaults of its LlamaTokenizer.
// Errors: kInvalidArgument for a file that is damaged or contradicts itself, with the piece or the
// field; kUnimplemented for a model of another kind (unigram), one without byte_fallback, or one
// that normalizes text.
absl::StatusOr<TokenizerParts> PartsOfSentencePiece(const SentencePieceFiles& files,
                                                    absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SENTENCE_PIECE_INTERNAL_H_
