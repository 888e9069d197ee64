// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/status_macros.h"
#include "formats/added_tokens_internal.h"
#include "formats/json.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {
namespace {

constexpr char kEndOfText[] = "<|endoftext|>";
constexpr char kTokenizerClass[] = "tokenizer_class";

struct TokenizerClass {
  absl::string_view name;             // also with "Fast" behind it
  absl::string_view model_type = {};  // selects the class if no file names one
  SplitRule rule = SplitRule::kGpt2;
  bool nfc = false;
  bool may_begin = true;  // every version of transformers respects add_bos_token
};

constexpr TokenizerClass kClasses[] = {
    {.name = "GPT2Tokenizer"},
    {.name = "CodeGenTokenizer"},
    {.name = "Qwen2Tokenizer",
     .model_type = "qwen2",
     .rule = SplitRule::kQwen2,
     .nfc = true,
     .may_begin = false},
};

class SettingsReader {
 public:
  SettingsReader(const VocabularyFiles& files, absl::string_view file, TokenizerParts& parts)
      : files_(files), file_(file), parts_(parts) {}

  absl::Status Read() {
    WATTLE_ASSIGN_OR_RETURN(
        const Json settings,
        ParseJsonObject(files_.tokenizer_config.value_or("{}"), PathOf(kSettingsFile)));
    WATTLE_ASSIGN_OR_RETURN(const TokenizerClass* tokenizer, FindClass(settings));
    parts_.form.rules = {tokenizer->rule};
    parts_.form.nfc = tokenizer->nfc;
    WATTLE_RETURN_IF_ERROR(RefuseWhenSet(settings, "add_prefix_space"));
    WATTLE_RETURN_IF_ERROR(RefuseWhenSet(settings, "add_eos_token"));
    if (!tokenizer->may_begin) {
      WATTLE_RETURN_IF_ERROR(RefuseWhenSet(settings, "add_bos_token"));
    }
    WATTLE_RETURN_IF_ERROR(ReadAddedTokensDecoder(settings, PathOf(kSettingsFile), parts_));
    if (files_.added_tokens.has_value()) {
      WATTLE_RETURN_IF_ERROR(
          ReadAddedTokensFile(*files_.added_tokens, PathOf("added_tokens.json"), parts_));
    }
    WATTLE_RETURN_IF_ERROR(CheckAddedTokens());
    return ReadSpecialTokens(settings);
  }

 private:
  static constexpr char kSettingsFile[] = "tokenizer_config.json";

  // The path of a file beside vocab.json.
  [[nodiscard]] std::string PathOf(absl::string_view name) const {
    const size_t slash = file_.rfind('/');
    return absl::StrCat(slash == absl::string_view::npos ? "" : file_.substr(0, slash + 1), name);
  }

  // transformers' choice: tokenizer_config.json, else config.json, else the model type.
  absl::StatusOr<const TokenizerClass*> FindClass(const Json& settings) const {
    if (!settings.value(kTokenizerClass, Json()).is_null()) {
      return ClassNamed(settings[kTokenizerClass], PathOf(kSettingsFile));
    }
    const std::string path = PathOf("config.json");
    WATTLE_ASSIGN_OR_RETURN(const Json config, ParseJsonObject(files_.config.value_or("{}"), path));
    if (!config.value(kTokenizerClass, Json()).is_null()) {
      return ClassNamed(config[kTokenizerClass], path);
    }
    const Json model_type = config.value("model_type", Json());
    for (const TokenizerClass& each : kClasses) {
      if (!each.model_type.empty() && model_type == Json(each.model_type)) {
        return &each;
      }
    }
    return &kClasses[0];
  }

  absl::StatusOr<const TokenizerClass*> ClassNamed(const Json& name, absl::string_view file) const {
    if (!name.is_string()) {
      return WrongKind(file, kTokenizerClass, "the name of a class", name);
    }
    const auto& text = name.get_ref<const std::string&>();
    std::string names;
    for (const TokenizerClass& each : kClasses) {
      if (absl::StripSuffix(text, "Fast") == each.name) {
        return &each;
      }
      absl::StrAppend(&names, names.empty() ? "" : ", ", each.name);
    }
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", kTokenizerClass, ": \"", Printable(text),
        "\": not supported in this version with vocab.json and merges.txt; wants one of ", names,
        ", or the tokenizer.json of the model, which save_pretrained of transformers writes"));
  }

  absl::Status RefuseWhenSet(const Json& settings, const char* field) const {
    const Json value = settings.value(field, Json());
    if (value.is_null() || value == Json(false)) {
      return absl::OkStatus();
    }
    return absl::UnimplementedError(absl::StrCat(PathOf(kSettingsFile), ": ", field,
                                                 ": not supported in this version; wants false"));
  }

  // An id has exactly one text.
  absl::Status CheckAddedTokens() const {
    absl::flat_hash_map<int64_t, absl::string_view> added;
    for (const AddedToken& token : parts_.added) {
      added.emplace(token.id, token.text);
      const auto known = parts_.vocabulary.find(token.text);
      if (known != parts_.vocabulary.end() && known->second != token.id) {
        return Contradiction(token.text, known->second,
                             absl::StrCat("the id ", token.id, " for it"));
      }
    }
    for (const auto& [text, id] : parts_.vocabulary) {
      if (const auto token = added.find(id); token != added.end() && token->second != text) {
        return Contradiction(text, id,
                             absl::StrCat("\"", Printable(token->second), "\" for that id"));
      }
    }
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Contradiction(absl::string_view text, int64_t id,
                                           absl::string_view other) const {
    return absl::InvalidArgumentError(absl::StrCat(
        file_, ": \"", Printable(text), "\" has id ", id,
        ", and added_tokens.json or added_tokens_decoder of tokenizer_config.json has ", other,
        "; use the files of one model"));
  }

  absl::Status ReadSpecialTokens(const Json& settings) {
    // All three classes have this token, even if no file names it.
    (void)MarkSpecial(kEndOfText);
    std::string begin = settings.contains("bos_token") ? "" : kEndOfText;
    WATTLE_RETURN_IF_ERROR(MarkNamedTokens(settings, PathOf(kSettingsFile), begin));
    // transformers reads this file only if tokenizer_config.json does not list which added tokens
    // are special.
    if (files_.special_tokens_map.has_value() && !settings.contains("added_tokens_decoder")) {
      const std::string path = PathOf("special_tokens_map.json");
      WATTLE_ASSIGN_OR_RETURN(const Json map, ParseJsonObject(*files_.special_tokens_map, path));
      WATTLE_RETURN_IF_ERROR(MarkNamedTokens(map, path, begin));
    }
    if (settings.value("add_bos_token", Json()) == Json(true) && !begin.empty()) {
      const AddedToken* token = MarkSpecial(begin);
      if (token == nullptr) {
        return Unknown(PathOf(kSettingsFile), {.field = "add_bos_token", .text = begin});
      }
      parts_.begin = token->id;
    }
    return absl::OkStatus();
  }

  // begin: set to the text of bos_token, if json has one.
  absl::Status MarkNamedTokens(const Json& json, absl::string_view file, std::string& begin) {
    WATTLE_ASSIGN_OR_RETURN(const std::vector<NamedToken> named, ReadNamedTokens(json, file));
    for (const NamedToken& token : named) {
      if (MarkSpecial(token.text) == nullptr) {
        return Unknown(file, token);
      }
      if (token.field == "bos_token") {
        begin = token.text;
      }
    }
    return absl::OkStatus();
  }

  // Marks the token as special and returns it; nullptr if no token has the text.
  const AddedToken* MarkSpecial(absl::string_view text) {
    const auto added = std::find_if(parts_.added.begin(), parts_.added.end(),
                                    [&](const AddedToken& token) { return token.text == text; });
    if (added != parts_.added.end()) {
      added->special = true;
      return &*added;
    }
    const auto known = parts_.vocabulary.find(text);
    if (known == parts_.vocabulary.end()) {
      return nullptr;
    }
    parts_.added.push_back({.text = std::string(text), .id = known->second});
    return &parts_.added.back();
  }

  static absl::Status Unknown(absl::string_view file, const NamedToken& token) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": ", token.field, ": \"", Printable(token.text),
        "\" is neither in vocab.json nor an added token; write its id to added_tokens.json"));
  }

  const VocabularyFiles& files_;
  absl::string_view file_;
  TokenizerParts& parts_;
};

}  // namespace

absl::Status ReadVocabularySettings(const VocabularyFiles& files, absl::string_view file,
                                    TokenizerParts& parts) {
  return SettingsReader(files, file, parts).Read();
}

}  // namespace wattle::formats
