// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a tokenizer.json says of the way from text to first symbols, read into one value. Whatever
// would change token ids and is not in the value is refused. Private to formats. Thread-safe.
#ifndef WATTLE_FORMATS_TOKENIZER_FORM_INTERNAL_H_
#define WATTLE_FORMATS_TOKENIZER_FORM_INTERNAL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/json.h"
#include "formats/pre_tokenizer_internal.h"

namespace wattle::formats {

// What the first symbols of a text are.
enum class SymbolKind {
  kBytes,       // GPT-2: bytes, in pieces that rules cut
  kCharacters,  // SentencePiece: characters, bytes where a character has no token; spaces are "▁"
};

// What is put before a text of characters.
enum class SpaceBefore {
  kNever,        // Gemma
  kAlways,       // Llama 2
  kUnlessThere,  // Mistral: where the text does not begin with a space
};

struct TokenizerForm {
  SymbolKind kind = SymbolKind::kBytes;
  bool nfc = false;  // the text is brought to Unicode's normalization form C first
  std::vector<SplitRule> rules = {SplitRule::kGpt2};  // of kBytes
  SpaceBefore space_before = SpaceBefore::kNever;     // of kCharacters
  bool whole_pieces = false;  // a piece that is a token needs no merges ("ignore_merges")
};

// Errors: kInvalidArgument (no tokenizer.json), kUnimplemented (another kind; names the field).
absl::StatusOr<TokenizerForm> ReadTokenizerForm(const Json& json, absl::string_view file);

// A token beside the vocabulary that stands for its own text.
struct AddedToken {
  std::string text;
  int64_t id = 0;
  bool special = true;  // false: it is found in every text, as the runs of spaces of GPT-NeoX are
};

absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const Json& json, absl::string_view file);

// The token that the post-processor puts before a text, if there is one.
absl::StatusOr<std::optional<int64_t>> ReadBeginToken(const Json& json,
                                                      const std::vector<AddedToken>& added,
                                                      absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TOKENIZER_FORM_INTERNAL_H_
