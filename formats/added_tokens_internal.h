// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokens that transformers adds to a vocabulary, from the files that it writes beside one:
// added_tokens.json, tokenizer_config.json and special_tokens_map.json. Private to formats.
// Thread-safe.
#ifndef WATTLE_FORMATS_ADDED_TOKENS_INTERNAL_H_
#define WATTLE_FORMATS_ADDED_TOKENS_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/json.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {

// As ParseJson, of a file that is an object.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text, absl::string_view file);

// A special token as tokenizer_config.json or special_tokens_map.json names it.
struct NamedToken {
  std::string field;  // "eos_token"
  std::string text;
};

// Those of the fields that transformers has for special tokens. Errors: kInvalidArgument with the
// field.
absl::StatusOr<std::vector<NamedToken>> ReadNamedTokens(const Json& json, absl::string_view file);

// added_tokens.json: {text: id}. The tokens are no special ones. A token that parts.added has
// already stays as it is. Errors: kInvalidArgument for a damaged file, and for one that contradicts
// parts.added.
absl::Status ReadAddedTokensFile(absl::string_view text, absl::string_view file,
                                 TokenizerParts& parts);

// added_tokens_decoder of tokenizer_config.json, if it is there. Errors: those of
// ReadAddedTokensFile; kUnimplemented for a token that is found only beside certain characters.
absl::Status ReadAddedTokensDecoder(const Json& json, absl::string_view file,
                                    TokenizerParts& parts);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_ADDED_TOKENS_INTERNAL_H_
