// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokens that transformers adds to a vocabulary, read from the files beside it:
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

// ParseJson for a file that must be an object.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text, absl::string_view file);

// A special token as tokenizer_config.json or special_tokens_map.json names it.
struct NamedToken {
  std::string field;  // "eos_token"
  std::string text;
};

// The special tokens in transformers' fields for them. Errors: kInvalidArgument with the field.
absl::StatusOr<std::vector<NamedToken>> ReadNamedTokens(const Json& json, absl::string_view file);

// added_tokens.json: {text: id}. These tokens are not special. A token that parts.added already has
// stays unchanged. Errors: kInvalidArgument for a damaged file, and for one that contradicts
// parts.added.
absl::Status ReadAddedTokensFile(absl::string_view text, absl::string_view file,
                                 TokenizerParts& parts);

// added_tokens_decoder of tokenizer_config.json, if present. Errors: those of ReadAddedTokensFile;
// kUnimplemented for a token that is found only beside certain characters.
absl::Status ReadAddedTokensDecoder(const Json& json, absl::string_view file,
                                    TokenizerParts& parts);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_ADDED_TOKENS_INTERNAL_H_
