// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/added_tokens_internal.h"

namespace wattle::formats {
namespace {

// SPECIAL_TOKENS_ATTRIBUTES of transformers 4, with the new name that version 5 gave the last one.
constexpr const char* kFieldsOfSpecialTokens[] = {
    "bos_token",           "eos_token", "unk_token",  "sep_token",
    "pad_token",           "cls_token", "mask_token", "additional_special_tokens",
    "extra_special_tokens"};

// Adds a token outside the vocabulary. One that is already known must have the same text and id.
absl::Status AddToken(const std::string& text, int64_t id, bool special, absl::string_view where,
                      TokenizerParts& parts) {
  if (text.empty() || id < 0 || id > kTokenIdMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": wants a text and an id from 0 to ", kTokenIdMax));
  }
  for (const AddedToken& known : parts.added) {
    if (known.id == id || known.text == text) {
      return known.id == id && known.text == text
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError(absl::StrCat(
                       where, ": \"", Printable(text), "\" has id ", id, ", \"",
                       Printable(known.text), "\" has ", known.id, " in another place"));
    }
  }
  parts.added.push_back({.text = text, .id = id, .special = special});
  return absl::OkStatus();
}

// "<s>" or {"content": "<s>"}
absl::Status AddNamed(const Json& value, const std::string& field, absl::string_view file,
                      std::vector<NamedToken>& named) {
  const Json content = value.is_object() ? value.value("content", Json()) : value;
  if (!content.is_string()) {
    return WrongKind(file, field, "the text of a token or {\"content\": …}", value);
  }
  named.push_back({.field = field, .text = content.get<std::string>()});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(Json json, ParseJson(text, file));
  if (!json.is_object()) {
    return WrongKind(file, "the file", "an object", json);
  }
  return json;
}

absl::StatusOr<std::vector<NamedToken>> ReadNamedTokens(const Json& json, absl::string_view file) {
  std::vector<NamedToken> named;
  for (const char* field : kFieldsOfSpecialTokens) {
    const Json value = json.value(field, Json());
    if (value.is_null()) {
      continue;
    }
    if (value.is_array() || (value.is_object() && !value.contains("content"))) {
      for (const Json& each : value) {
        WATTLE_RETURN_IF_ERROR(AddNamed(each, field, file, named));
      }
    } else {
      WATTLE_RETURN_IF_ERROR(AddNamed(value, field, file, named));
    }
  }
  return named;
}

absl::Status ReadAddedTokensFile(absl::string_view text, absl::string_view file,
                                 TokenizerParts& parts) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, file));
  if (!json.is_object()) {
    return WrongKind(file, "the file", "an object of token: id", json);
  }
  for (const auto& [token, id] : json.items()) {
    const std::string where = absl::StrCat(file, ": \"", Printable(token), "\"");
    WATTLE_RETURN_IF_ERROR(
        AddToken(token, WholeNumber(id).value_or(-1), /*special=*/false, where, parts));
  }
  return absl::OkStatus();
}

absl::Status ReadAddedTokensDecoder(const Json& json, absl::string_view file,
                                    TokenizerParts& parts) {
  const Json decoder = json.value("added_tokens_decoder", Json());
  if (!decoder.is_object()) {
    return absl::OkStatus();
  }
  for (const auto& [key, token] : decoder.items()) {
    const std::string where =
        absl::StrCat(file, ": added_tokens_decoder[\"", Printable(key), "\"]");
    int64_t id = -1;
    if (!absl::SimpleAtoi(key, &id) || !token.is_object() || !token.contains("content") ||
        !token["content"].is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": wants an id with {\"content\": …}"));
    }
    const bool special = token.value("special", Json(true)) != Json(false);
    for (const char* field : {"single_word", "lstrip", "rstrip"}) {
      if (!special && token.value(field, Json()) == Json(true)) {
        return absl::UnimplementedError(
            absl::StrCat(where, ".", field, ": not supported in this version"));
      }
    }
    WATTLE_RETURN_IF_ERROR(
        AddToken(token["content"].get<std::string>(), id, special, where, parts));
  }
  return absl::OkStatus();
}

}  // namespace wattle::formats
