// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/gguf_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/byte_pair_encoding.h"
#include "formats/gguf_tokenizer_internal.h"
#include "formats/json.h"
#include "formats/sentence_piece_internal.h"

namespace wattle::formats {
namespace {

constexpr char kTokenizerConfig[] = "tokenizer_config.json";

absl::Status KeyError(absl::string_view file, absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", key, ": ", what));
}

// The value of a key as T; nullptr if it is absent. Errors: for a value of another type.
template <typename T>
absl::StatusOr<const T*> FindAs(const GgufMetadata& metadata, const char* key,
                                absl::string_view wanted, absl::string_view file) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) {
    return nullptr;
  }
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    return KeyError(file, key, absl::StrCat("wants ", wanted));
  }
  return value;
}

template <typename T>
absl::StatusOr<T> ValueOr(const GgufMetadata& metadata, const char* key, absl::string_view wanted,
                          absl::string_view file, const T& absent) {
  WATTLE_ASSIGN_OR_RETURN(const T* value, FindAs<T>(metadata, key, wanted, file));
  return value == nullptr ? absent : *value;
}

// Read for both kinds of tokenizers.
struct Tokens {
  std::vector<std::string> texts;
  std::vector<int64_t> types;
  std::optional<int64_t> begin;
  std::optional<int64_t> end;
  std::optional<int64_t> unknown;
  std::optional<int64_t> padding;
  std::string chat_template;  // "": none

  [[nodiscard]] bool is(size_t id, GgufTokenType type) const {
    return types[id] == static_cast<int64_t>(type);
  }
};

absl::StatusOr<std::optional<int64_t>> TokenId(const GgufMetadata& metadata, const char* key,
                                               size_t tokens, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const int64_t* id,
                          FindAs<int64_t>(metadata, key, "the id of a token", file));
  if (id == nullptr) {
    return std::nullopt;
  }
  if (*id < 0 || *id >= static_cast<int64_t>(tokens)) {
    return KeyError(file, key, absl::StrCat(*id, " is no token of ", tokens));
  }
  return *id;
}

absl::Status CheckTexts(const Tokens& tokens, absl::string_view file) {
  std::set<absl::string_view> known;
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const std::string& text = tokens.texts[id];
    const std::string where = absl::StrCat(kGgufTokens, "[", id, "]");
    if (text.empty() || ValidUtf8Prefix(text) != text.size()) {
      return KeyError(file, where, "wants a text in UTF-8; the file is damaged");
    }
    if (!known.insert(text).second) {
      return KeyError(file, where,
                      absl::StrCat("\"", Printable(text),
                                   "\" is a token already; the file is "
                                   "damaged"));
    }
    if (tokens.types[id] < static_cast<int64_t>(GgufTokenType::kNormal) ||
        tokens.types[id] > static_cast<int64_t>(GgufTokenType::kByte)) {
      return KeyError(file, absl::StrCat(kGgufTokenTypes, "[", id, "]"),
                      absl::StrCat("unknown type ", tokens.types[id]));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tokens> ReadTokens(const GgufMetadata& metadata, absl::string_view file) {
  Tokens tokens;
  WATTLE_ASSIGN_OR_RETURN(const auto* texts, FindAs<std::vector<std::string>>(
                                                 metadata, kGgufTokens, "an array of texts", file));
  WATTLE_ASSIGN_OR_RETURN(
      const auto* types,
      FindAs<std::vector<int64_t>>(metadata, kGgufTokenTypes, "an array of whole numbers", file));
  if (texts == nullptr || texts->empty()) {
    return KeyError(file, kGgufTokens, "missing; the tokenizer has no tokens");
  }
  tokens.texts = *texts;
  tokens.types.assign(texts->size(), static_cast<int64_t>(GgufTokenType::kNormal));
  if (types != nullptr) {
    tokens.types = *types;
  }
  if (tokens.types.size() != tokens.texts.size()) {
    return KeyError(file, kGgufTokenTypes,
                    absl::StrCat("has ", tokens.types.size(), " elements, ", kGgufTokens, " ",
                                 tokens.texts.size()));
  }
  const size_t count = tokens.texts.size();
  WATTLE_ASSIGN_OR_RETURN(tokens.begin, TokenId(metadata, kGgufBeginId, count, file));
  WATTLE_ASSIGN_OR_RETURN(tokens.end, TokenId(metadata, kGgufEndId, count, file));
  WATTLE_ASSIGN_OR_RETURN(tokens.unknown, TokenId(metadata, kGgufUnknownId, count, file));
  WATTLE_ASSIGN_OR_RETURN(tokens.padding, TokenId(metadata, kGgufPaddingId, count, file));
  WATTLE_ASSIGN_OR_RETURN(tokens.chat_template, ValueOr<std::string>(metadata, kGgufChatTemplate,
                                                                     "text", file, std::string()));
  if (ValidUtf8Prefix(tokens.chat_template) != tokens.chat_template.size()) {
    return KeyError(file, kGgufChatTemplate, "wants text in UTF-8");
  }
  WATTLE_RETURN_IF_ERROR(CheckTexts(tokens, file));
  return tokens;
}

// Written to tokenizer_config.json for both kinds.
Json ConfigOf(const Tokens& tokens, bool add_begin) {
  Json json;
  const auto name = [&](const char* field, const std::optional<int64_t>& id) {
    if (id.has_value()) {
      json[field] = tokens.texts[static_cast<size_t>(*id)];
    }
  };
  name("bos_token", tokens.begin);
  name("eos_token", tokens.end);
  name("unk_token", tokens.unknown);
  name("pad_token", tokens.padding);
  json["add_bos_token"] = add_begin;
  if (!tokens.chat_template.empty()) {
    json["chat_template"] = tokens.chat_template;
  }
  return json;
}

Json StepsOf(const GgufPreTokenizer& form) {
  static const auto& bytes = *new Json(Json::parse(
      R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})"));
  Json steps = Json::array();
  for (const SplitRule rule : form.rules) {
    switch (rule) {
      case SplitRule::kDigits:
        steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
        break;
      case SplitRule::kLlama3:
      case SplitRule::kQwen2:
        steps.push_back({{"type", "Split"},
                         {"pattern", {{"Regex", PatternOfRule(rule)}}},
                         {"behavior", "Isolated"},
                         {"invert", false}});
        break;
      case SplitRule::kGpt2:
        steps.push_back(bytes);
        break;
    }
  }
  if (form.rules.back() != SplitRule::kGpt2) {
    Json only_bytes = bytes;
    only_bytes["use_regex"] = false;
    steps.push_back(only_bytes);
  }
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json AddedTokenJson(const Tokens& tokens, size_t id) {
  return {{"id", id},
          {"content", tokens.texts[id]},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", !tokens.is(id, GgufTokenType::kUserDefined)}};
}

// A step that puts the begin token before a text.
Json BeginStep(const std::string& begin, int64_t id) {
  const Json special = {{"SpecialToken", {{"id", begin}, {"type_id", 0}}}};
  const Json first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  Json tokens;
  tokens[begin] = {{"id", begin}, {"ids", Json::array({id})}, {"tokens", Json::array({begin})}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special, first})},
          {"pair", Json::array({special, first, second})},
          {"special_tokens", tokens}};
}

absl::StatusOr<const GgufPreTokenizer*> FindPreTokenizer(
    const GgufMetadata& metadata, absl::string_view file,
    absl::Span<const GgufPreTokenizerName> more_names) {
  WATTLE_ASSIGN_OR_RETURN(
      const std::string name,
      ValueOr<std::string>(metadata, kGgufPreTokenizer, "text", file, std::string()));
  std::string names;
  for (const GgufPreTokenizer& form : GgufPreTokenizers()) {
    if (form.name == name) {
      return &form;
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", form.name);
    for (const GgufPreTokenizerName& more : more_names) {
      if (more.same_as == form.name && more.name == name) {
        return &form;
      }
      absl::StrAppend(&names, more.same_as == form.name ? absl::StrCat(", ", more.name) : "");
    }
  }
  return absl::UnimplementedError(
      absl::StrCat(file, ": ", kGgufPreTokenizer, ": ",
                   name.empty() ? "missing" : absl::StrCat("\"", Printable(name), "\""),
                   ": not supported in this version; wants one of: ", names));
}

absl::StatusOr<std::vector<NamedFile>> BytesOf(const GgufMetadata& metadata, const Tokens& tokens,
                                               absl::string_view file,
                                               absl::Span<const GgufPreTokenizerName> more_names) {
  WATTLE_ASSIGN_OR_RETURN(const GgufPreTokenizer* form,
                          FindPreTokenizer(metadata, file, more_names));
  WATTLE_ASSIGN_OR_RETURN(
      const auto* merges,
      FindAs<std::vector<std::string>>(metadata, kGgufMerges, "an array of texts", file));
  if (merges == nullptr) {
    return KeyError(file, kGgufMerges, "missing; a byte-level tokenizer has merges");
  }
  for (size_t i = 0; i < merges->size(); ++i) {
    if (ValidUtf8Prefix((*merges)[i]) != (*merges)[i].size()) {
      return KeyError(file, absl::StrCat(kGgufMerges, "[", i, "]"), "wants a text in UTF-8");
    }
  }
  WATTLE_ASSIGN_OR_RETURN(
      const bool add_begin,
      ValueOr<bool>(metadata, kGgufAddBegin, "true or false", file, form->adds_begin));
  Json json;
  json["version"] = "1.0";
  json["normalizer"] = form->nfc ? Json({{"type", "NFC"}}) : Json();
  json["pre_tokenizer"] = StepsOf(*form);
  json["decoder"] = {{"type", "ByteLevel"}};
  json["added_tokens"] = Json::array();
  Json& model = json["model"];
  model = {{"type", "BPE"}, {"ignore_merges", form->whole_pieces}, {"merges", *merges}};
  Json& vocabulary = model["vocab"] = Json::object();
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    if (tokens.is(id, GgufTokenType::kControl) || tokens.is(id, GgufTokenType::kUnknown) ||
        tokens.is(id, GgufTokenType::kUserDefined)) {
      json["added_tokens"].push_back(AddedTokenJson(tokens, id));
    } else {
      vocabulary[tokens.texts[id]] = id;
    }
  }
  const bool has_begin = add_begin && tokens.begin.has_value() &&
                         tokens.is(static_cast<size_t>(*tokens.begin), GgufTokenType::kControl);
  if (has_begin) {
    json["post_processor"] =
        BeginStep(tokens.texts[static_cast<size_t>(*tokens.begin)], *tokens.begin);
  }
  std::string text = json.dump();
  WATTLE_RETURN_IF_ERROR(
      BytePairEncoding::ParseTokenizerJson(text, absl::StrCat(file, " (as tokenizer.json)"))
          .status());
  Json config = ConfigOf(tokens, has_begin);
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return std::vector<NamedFile>{{"tokenizer.json", std::move(text)},
                                {kTokenizerConfig, config.dump(2) + "\n"}};
}

absl::StatusOr<std::vector<NamedFile>> PiecesOf(const GgufMetadata& metadata, const Tokens& tokens,
                                                absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(
      const auto* scores,
      FindAs<std::vector<double>>(metadata, kGgufScores, "an array of numbers", file));
  if (scores == nullptr || scores->size() != tokens.texts.size()) {
    return KeyError(file, kGgufScores,
                    absl::StrCat("wants one for each of the ", tokens.texts.size(), " tokens"));
  }
  SentencePieceModel model;
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    // The converter stores the spaces of these tokens unchanged.
    const bool spaces = tokens.is(id, GgufTokenType::kUserDefined);
    model.pieces.push_back(
        {.text = spaces ? absl::StrReplaceAll(tokens.texts[id], {{" ", "▁"}}) : tokens.texts[id],
         .score = static_cast<float>((*scores)[id]),
         .type = static_cast<uint64_t>(tokens.types[id])});
  }
  model.begin_id = static_cast<uint64_t>(tokens.begin.value_or(1));
  WATTLE_ASSIGN_OR_RETURN(model.add_dummy_prefix,
                          ValueOr<bool>(metadata, kGgufAddSpace, "true or false", file, true));
  WATTLE_ASSIGN_OR_RETURN(const bool add_begin,
                          ValueOr<bool>(metadata, kGgufAddBegin, "true or false", file, true));
  Json config = ConfigOf(tokens, add_begin);
  config["tokenizer_class"] = "LlamaTokenizer";
  SentencePieceFiles files{.model = FormatSentencePieceModel(model),
                           .tokenizer_config = config.dump(2) + "\n"};
  WATTLE_RETURN_IF_ERROR(
      BytePairEncoding::ParseSentencePiece(files, absl::StrCat(file, " (as tokenizer.model)"))
          .status());
  return std::vector<NamedFile>{{"tokenizer.model", std::move(files.model)},
                                {kTokenizerConfig, *std::move(files.tokenizer_config)}};
}

}  // namespace

absl::Span<const GgufPreTokenizer> GgufPreTokenizers() {
  static const auto& forms = *new std::vector<GgufPreTokenizer>{
      {.name = "gpt-2", .rules = {SplitRule::kGpt2}},
      {.name = "llama-bpe",
       .rules = {SplitRule::kLlama3},
       .whole_pieces = true,
       .adds_begin = true},
      {.name = "qwen2", .rules = {SplitRule::kQwen2}, .nfc = true},
      {.name = "smollm", .rules = {SplitRule::kDigits, SplitRule::kGpt2}},
      {.name = "olmo", .rules = {SplitRule::kGpt2}, .nfc = true},
  };
  return forms;
}

absl::StatusOr<std::vector<NamedFile>> TokenizerFilesOfGguf(
    const GgufMetadata& metadata, absl::string_view file,
    absl::Span<const GgufPreTokenizerName> more_names) {
  WATTLE_ASSIGN_OR_RETURN(
      const std::string model,
      ValueOr<std::string>(metadata, kGgufTokenizerModel, "text", file, std::string("none")));
  if (model == "none" || model == "no_vocab") {
    return absl::NotFoundError(absl::StrCat(
        file, ": ", kGgufTokenizerModel,
        ": missing; the file has no tokenizer, convert the model again with its tokenizer"));
  }
  if (model != kGgufBytesModel && model != kGgufPiecesModel) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", kGgufTokenizerModel, ": \"", Printable(model),
        "\" is not supported in this version; wants ", kGgufBytesModel, " or ", kGgufPiecesModel));
  }
  WATTLE_ASSIGN_OR_RETURN(const Tokens tokens, ReadTokens(metadata, file));
  return model == kGgufBytesModel ? BytesOf(metadata, tokens, file, more_names)
                                  : PiecesOf(metadata, tokens, file);
}

}  // namespace wattle::formats
