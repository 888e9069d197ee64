// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a tokenizer.json turns text into first symbols, as one value. A setting that changes token
// ids and that the value cannot represent is refused. Private to formats. Thread-safe.
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

// The kind of the first symbols of a text.
enum class SymbolKind {
  kBytes,       // GPT-2: bytes, in pieces cut by rules
  kCharacters,  // SentencePiece: characters, bytes where a character has no token; spaces are "▁"
};

// Whether a space is put before a text (SymbolKind::kCharacters).
enum class SpaceBefore {
  kNever,        // Gemma
  kAlways,       // Llama 2, before every stretch between special tokens
  kAtStart,      // Llama 2 without "legacy": only before the text
  kUnlessThere,  // Mistral: if the text does not begin with a space
};

struct TokenizerForm {
  SymbolKind kind = SymbolKind::kBytes;
  bool nfc = false;  // convert the text to Unicode normalization form C first
  std::vector<SplitRule> rules = {SplitRule::kGpt2};  // for kBytes
  SpaceBefore space_before = SpaceBefore::kNever;     // for kCharacters
  bool whole_pieces = false;  // a piece that is a token is not merged ("ignore_merges")
};

// Errors: kInvalidArgument for a file that is not a tokenizer.json; kUnimplemented for a tokenizer
// of another kind, with the field that shows the kind.
absl::StatusOr<TokenizerForm> ReadTokenizerForm(const Json& json, absl::string_view file);

// A token outside the vocabulary, matched by its text.
struct AddedToken {
  std::string text;
  int64_t id = 0;
  bool special = true;  // false: matched in every text, like GPT-NeoX's runs of spaces
  // A piece that SentencePiece itself matches: the text around it stays one stretch.
  bool is_piece = false;
};

inline constexpr int64_t kTokenIdMax = (1 << 24) - 1;

absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const Json& json, absl::string_view file);

// The token that the post-processor puts before a text, if any.
absl::StatusOr<std::optional<int64_t>> ReadBeginToken(const Json& json,
                                                      const std::vector<AddedToken>& added,
                                                      absl::string_view file);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TOKENIZER_FORM_INTERNAL_H_
