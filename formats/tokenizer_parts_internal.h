// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the files of a tokenizer say, before BytePairEncoding makes its tables of it: one value for
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

// The neighbours `left` and `right` become the token of their text together.
struct TokenMerge {
  std::string left;
  std::string right;
  int32_t rank = 0;  // the lowest is applied first, the leftmost one among equal ranks
};

struct TokenizerParts {
  TokenizerForm form;
  Vocabulary vocabulary;  // not empty; each id once, from 0 to kTokenIdMax
  std::vector<TokenMerge> merges;
  std::vector<AddedToken> added;
  std::optional<int64_t> begin;
};

// vocab.json and merges.txt, and the files beside them that say how they are used.
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
// The text of a tokenizer's file; nothing where there is no file. Errors: those of ReadWholeFile.
absl::StatusOr<std::optional<std::string>> ReadTokenizerFile(absl::string_view directory,
                                                             absl::string_view name);
// As BytePairEncoding::LoadFiles.
absl::StatusOr<TokenizerParts> PartsOfFiles(BytePairEncoding::ReadNamedFile read,
                                            absl::string_view place);

// How transformers uses a byte-level vocabulary without tokenizer.json: fills the form, the added
// tokens and the begin token of `parts`, which has the vocabulary. The class of the tokenizer says
// how it cuts text, and the files beside vocab.json say which tokens are added. file: vocab.json;
// the names of the other files in messages are those of its neighbours. Errors: kInvalidArgument
// for files that are damaged or contradict each other; kUnimplemented for a setting that would
// change token ids and that TokenizerParts cannot hold; both name file and field.
absl::Status ReadVocabularySettings(const VocabularyFiles& files, absl::string_view file,
                                    TokenizerParts& parts);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TOKENIZER_PARTS_INTERNAL_H_
