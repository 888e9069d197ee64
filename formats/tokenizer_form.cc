// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/tokenizer_form_internal.h"

namespace wattle::formats {
namespace {

// A field that may be missing: then null.
const Json& At(const Json& json, const char* field) {
  static const auto& absent = *new Json();
  const auto found = json.is_object() ? json.find(field) : json.end();
  return json.is_object() && found != json.end() ? *found : absent;
}

bool Is(const Json& json, const char* type) {
  return At(json, "type") == Json(type);
}

// The steps of a part: the elements of a sequence, or the part itself; none for null.
std::vector<Json> StepsOf(const Json& part, const char* list) {
  if (part.is_null()) {
    return {};
  }
  const Json& steps = At(part, list);
  if (Is(part, "Sequence") && steps.is_array()) {
    return {steps.begin(), steps.end()};
  }
  return {part};
}

// Reads one file; keeps the first setting that the form cannot represent.
class FormReader {
 public:
  FormReader(const Json& json, absl::string_view file) : json_(json), file_(file) {}

  absl::StatusOr<TokenizerForm> Read() {
    const Json& model = At(json_, "model");
    if (!model.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_, ": model: missing; is this a Hugging Face tokenizer.json?"));
    }
    ReadModel(model);
    if (form_.kind == SymbolKind::kCharacters) {
      ReadCharacters();
    } else {
      ReadBytes();
    }
    if (!status_.ok()) {
      return status_;
    }
    return form_;
  }

 private:
  void Refuse(absl::string_view what) {
    if (status_.ok()) {
      status_ = absl::UnimplementedError(
          absl::StrCat(file_, ": ", what,
                       ": not supported in this version; use a byte-level BPE tokenizer (GPT-2, "
                       "GPT-NeoX, Llama 3, Qwen 2) or a SentencePiece one (Llama 2, Mistral, "
                       "Gemma)"));
    }
  }

  void ReadModel(const Json& model) {
    const Json& type = At(model, "type");
    if (!type.is_null() && type != Json("BPE")) {
      Refuse("model.type other than BPE");
    }
    for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& value = At(model, field);
      if (!value.is_null() && value != Json("")) {
        Refuse(absl::StrCat("model.", field));
      }
    }
    form_.whole_pieces = At(model, "ignore_merges") == Json(true);
    if (At(model, "byte_fallback") == Json(true)) {
      form_.kind = SymbolKind::kCharacters;
    }
  }

  // Either the normalizer or the pre-tokenizer turns spaces into "▁" and may put one before the
  // text.
  void ReadCharacters() {
    static const auto& mark = *new Json(
        Json::parse(R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})"));
    static const auto& prepend = *new Json(Json::parse(R"({"type": "Prepend", "prepend": "▁"})"));
    bool marked = false;
    for (const Json& step : StepsOf(At(json_, "normalizer"), "normalizers")) {
      if (step == prepend && !marked) {
        form_.space_before = SpaceBefore::kAlways;
      } else if (step == mark && !marked) {
        marked = true;
      } else {
        Refuse("normalizer of a tokenizer with byte_fallback that does more than mark spaces");
      }
    }
    for (const Json& step : StepsOf(At(json_, "pre_tokenizer"), "pretokenizers")) {
      // The normalizer has left no spaces to split at.
      static const auto& at_spaces = *new Json(Json::parse(R"({"String": " "})"));
      if (Is(step, "Split") && marked && At(step, "pattern") == at_spaces) {
        continue;
      }
      if (!Is(step, "Metaspace") || marked || At(step, "replacement") != Json("▁") ||
          At(step, "split") != Json(false)) {
        Refuse("pre_tokenizer of a tokenizer with byte_fallback other than Metaspace");
        return;
      }
      marked = true;
      const Json& scheme = At(step, "prepend_scheme");
      form_.space_before =
          scheme == Json("never") ? SpaceBefore::kNever : SpaceBefore::kUnlessThere;
    }
    if (!marked) {
      Refuse("model.byte_fallback without a step that marks spaces");
    }
  }

  void ReadBytes() {
    for (const Json& step : StepsOf(At(json_, "normalizer"), "normalizers")) {
      if (!Is(step, "NFC")) {
        Refuse("normalizer other than NFC");
      }
      form_.nfc = true;
    }
    form_.rules.clear();
    bool bytes = false;
    for (const Json& step : StepsOf(At(json_, "pre_tokenizer"), "pretokenizers")) {
      if (bytes) {
        Refuse("pre_tokenizer with a step after ByteLevel");
      } else if (Is(step, "ByteLevel")) {
        bytes = true;
        if (At(step, "add_prefix_space") == Json(true)) {
          Refuse("pre_tokenizer.add_prefix_space");
        }
        if (At(step, "use_regex") != Json(false)) {
          form_.rules.push_back(SplitRule::kGpt2);
        }
      } else if (Is(step, "Digits") && At(step, "individual_digits") == Json(true)) {
        form_.rules.push_back(SplitRule::kDigits);
      } else {
        ReadSplit(step);
      }
    }
    if (!bytes) {
      Refuse("pre_tokenizer without ByteLevel");
    }
  }

  void ReadSplit(const Json& step) {
    const Json& pattern = At(At(step, "pattern"), "Regex");
    const bool isolated = Is(step, "Split") && At(step, "behavior") == Json("Isolated") &&
                          At(step, "invert") != Json(true) && pattern.is_string();
    const std::optional<SplitRule> rule =
        isolated ? RuleOfPattern(pattern.get_ref<const std::string&>()) : std::nullopt;
    if (!rule.has_value()) {
      Refuse("pre_tokenizer with a step or an expression of another model");
      return;
    }
    form_.rules.push_back(*rule);
  }

  const Json& json_;
  absl::string_view file_;
  TokenizerForm form_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<TokenizerForm> ReadTokenizerForm(const Json& json, absl::string_view file) {
  return FormReader(json, file).Read();
}

absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const Json& json, absl::string_view file) {
  std::vector<AddedToken> tokens;
  const Json& added = At(json, "added_tokens");
  if (added.is_null()) {
    return tokens;
  }
  if (!added.is_array()) {
    return WrongKind(file, "added_tokens", "a list", added);
  }
  for (const Json& token : added) {
    const std::string where = absl::StrCat("added_tokens[", tokens.size(), "]");
    if (!token.is_object() || !token.contains("content") || !token["content"].is_string() ||
        !token.contains("id")) {
      return WrongKind(file, where, "an object with id and content", token);
    }
    const std::optional<int64_t> id = WholeNumber(token["id"]);
    if (!id.has_value() || *id < 0 || *id > kTokenIdMax) {
      return WrongKind(file, where + ".id", absl::StrCat("an id from 0 to ", kTokenIdMax),
                       token["id"]);
    }
    if (token["content"].get_ref<const std::string&>().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": ", where, ".content: is empty"));
    }
    const bool special = At(token, "special") != Json(false);
    for (const char* field : {"single_word", "lstrip", "rstrip"}) {
      if (!special && At(token, field) == Json(true)) {
        return absl::UnimplementedError(
            absl::StrCat(file, ": ", where, ".", field, ": not supported in this version"));
      }
    }
    tokens.push_back({.text = token["content"].get<std::string>(), .id = *id, .special = special});
  }
  return tokens;
}

absl::StatusOr<std::optional<int64_t>> ReadBeginToken(const Json& json,
                                                      const std::vector<AddedToken>& added,
                                                      absl::string_view file) {
  std::optional<int64_t> begin;
  for (const Json& step : StepsOf(At(json, "post_processor"), "processors")) {
    if (!Is(step, "TemplateProcessing")) {
      continue;  // ByteLevel as a post-processor only changes offsets
    }
    const Json& single = At(step, "single");
    const auto is_text = [](const Json& part) {
      return part.is_object() && part.contains("Sequence");
    };
    if (single.is_array() && single.size() == 1 && is_text(single[0])) {
      continue;
    }
    bool found = false;
    if (single.is_array() && single.size() == 2 && is_text(single[1])) {
      const Json& name = At(At(single[0], "SpecialToken"), "id");
      for (const AddedToken& candidate : added) {
        if (name == Json(candidate.text)) {
          begin = candidate.id;
          found = true;
        }
      }
    }
    if (!found) {
      return absl::UnimplementedError(absl::StrCat(
          file,
          ": post_processor: not supported in this version; wants one special token before the "
          "text, or none"));
    }
  }
  return begin;
}

}  // namespace wattle::formats
