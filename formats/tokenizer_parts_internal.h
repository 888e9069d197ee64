// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The contents of a tokenizer's files, from which BytePairEncoding builds its tables: one value for
// tokenizer.json, for vocab.json with merges.txt, and for a SentencePiece model. Private to
// formats. Thread-safe.
#ifndef WATTLE_FORMATS_TOKENIZER_PARTS_INTERNAL_H_
#define WATTLE_FORMATS_TOKENIZER_PARTS_INTERNAL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/byte_pair_encoding.h"
#include "formats/tokenizer_form_internal.h"

namespace wattle::formats {

using Vocabulary = absl::flat_hash_map<std::string, int64_t>;

// The neighbours `left` and `right` become the token of their concatenated text.
struct TokenMerge {
  std::string left;
  std::string right;
  int32_t rank = 0;  // the lowest is applied first, the leftmost one among equal ranks
};

struct TokenizerParts {
  TokenizerForm form;
  Vocabulary vocabulary;  // not empty; unique ids from 0 to kTokenIdMax
  std::vector<TokenMerge> merges;
  std::vector<AddedToken> added;
  std::optional<int64_t> begin;
};

// vocab.json and merges.txt, and the files beside them that configure their use.
struct VocabularyFiles {
  std::string vocabulary;
  std::string merges;
  std::optional<std::string> tokenizer_config = {};    // tokenizer_config.json
  std::optional<std::string> special_tokens_map = {};  // special_tokens_map.json
  std::optional<std::string> added_tokens = {};        // added_tokens.json
  std::optional<std::string> config = {};              // config.json of the model
};

// Errors: those of BytePairEncoding's functions for these files.
absl::StatusOr<TokenizerParts> PartsOfVocabularyAndMerges(const VocabularyFiles& files,
                                                          absl::string_view file);
absl::StatusOr<TokenizerParts> PartsOfTokenizerJson(absl::string_view text, absl::string_view file);
// The text of a tokenizer's file; nullopt if there is no such file. Errors: those of ReadWholeFile.
absl::StatusOr<std::optional<std::string>> ReadTokenizerFile(absl::string_view directory,
                                                             absl::string_view name);
// Same contract as BytePairEncoding::LoadFiles.
absl::StatusOr<TokenizerParts> PartsOfFiles(BytePairEncoding::ReadNamedFile read,
                                            absl::string_view place);

// Applies transformers' settings for a byte-level vocabulary without tokenizer.json: fills the
// form, the added tokens and the begin token of `parts`, which already has the vocabulary. The
// class of the tokenizer selects how text is cut, and the files beside vocab.json list the added
// tokens. file: vocab.json; messages name the other files beside it. Errors: kInvalidArgument for
// files that are damaged or contradict each other; kUnimplemented for a setting that would change
// token ids and that TokenizerParts cannot represent; both name file and field.
absl::Status ReadVocabularySettings(const VocabularyFiles& files, absl::string_view file,
                                    TokenizerParts& parts);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TOKENIZER_PARTS_INTERNAL_H_
