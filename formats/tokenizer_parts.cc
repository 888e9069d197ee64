// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "formats/sentence_piece_internal.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {
namespace {

constexpr int64_t kTokenizerBytesMax = 256LL << 20;

absl::StatusOr<Vocabulary> ReadVocabulary(const Json& json, absl::string_view file) {
  if (!json.is_object() || json.empty()) {
    return WrongKind(file, "the vocabulary", "an object of token: id", json);
  }
  Vocabulary vocabulary;
  std::vector<bool> used;
  for (const auto& [token, value] : json.items()) {
    const std::optional<int64_t> id = WholeNumber(value);
    if (!id.has_value() || *id < 0 || *id > kTokenIdMax) {
      return WrongKind(file, absl::StrCat("token \"", Printable(token), "\""),
                       absl::StrCat("an id from 0 to ", kTokenIdMax), value);
    }
    if (used.size() <= static_cast<size_t>(*id)) {
      used.resize(static_cast<size_t>(*id) + 1);
    }
    if (used[static_cast<size_t>(*id)]) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": two tokens have the id ", *id, "; the vocabulary is damaged"));
    }
    used[static_cast<size_t>(*id)] = true;
    vocabulary.emplace(token, *id);
  }
  return vocabulary;
}

absl::StatusOr<TokenMerge> SplitMerge(absl::string_view line, absl::string_view where) {
  const std::vector<std::string> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": wants two symbols with one space between; the merges are damaged"));
  }
  return TokenMerge{.left = parts[0], .right = parts[1]};
}

absl::StatusOr<std::vector<TokenMerge>> ReadMerges(absl::string_view text, absl::string_view file) {
  std::vector<TokenMerge> merges;
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (absl::EndsWith(line, "\r")) {
      line.remove_suffix(1);
    }
    if (line.empty() || (number == 1 && absl::StartsWith(line, "#version"))) {
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(auto merge, SplitMerge(line, absl::StrCat(file, ":", number)));
    merges.push_back(std::move(merge));
  }
  return merges;
}

absl::StatusOr<std::vector<TokenMerge>> ReadJsonMerges(const Json& json, absl::string_view file) {
  if (!json.is_array()) {
    return WrongKind(file, "model.merges", "a list", json);
  }
  std::vector<TokenMerge> merges;
  for (const Json& entry : json) {
    const std::string where = absl::StrCat(file, ": model.merges[", merges.size(), "]");
    if (entry.is_string()) {
      WATTLE_ASSIGN_OR_RETURN(auto merge, SplitMerge(entry.get_ref<const std::string&>(), where));
      merges.push_back(std::move(merge));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.push_back({.left = entry[0].get<std::string>(), .right = entry[1].get<std::string>()});
    } else {
      return absl::InvalidArgumentError(absl::StrCat(where, ": wants two symbols"));
    }
  }
  return merges;
}

// The first merge of the list is applied first.
void RankInOrder(std::vector<TokenMerge>& merges) {
  for (size_t i = 0; i < merges.size(); ++i) {
    merges[i].rank = static_cast<int32_t>(i);
  }
}

}  // namespace

absl::StatusOr<TokenizerParts> PartsOfVocabularyAndMerges(const VocabularyFiles& files,
                                                          absl::string_view file) {
  TokenizerParts parts;
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(files.vocabulary, file));
  WATTLE_ASSIGN_OR_RETURN(parts.vocabulary, ReadVocabulary(json, file));
  WATTLE_ASSIGN_OR_RETURN(parts.merges, ReadMerges(files.merges, absl::StrCat(file, " (merges)")));
  RankInOrder(parts.merges);
  WATTLE_RETURN_IF_ERROR(ReadVocabularySettings(files, file, parts));
  return parts;
}

absl::StatusOr<TokenizerParts> PartsOfTokenizerJson(absl::string_view text,
                                                    absl::string_view file) {
  TokenizerParts parts;
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, file));
  WATTLE_ASSIGN_OR_RETURN(parts.form, ReadTokenizerForm(json, file));
  WATTLE_ASSIGN_OR_RETURN(parts.vocabulary,
                          ReadVocabulary(json["model"].value("vocab", Json()), file));
  WATTLE_ASSIGN_OR_RETURN(parts.merges,
                          ReadJsonMerges(json["model"].value("merges", Json()), file));
  RankInOrder(parts.merges);
  WATTLE_ASSIGN_OR_RETURN(parts.added, ReadAddedTokens(json, file));
  WATTLE_ASSIGN_OR_RETURN(parts.begin, ReadBeginToken(json, parts.added, file));
  return parts;
}

absl::StatusOr<std::optional<std::string>> ReadTokenizerFile(absl::string_view directory,
                                                             absl::string_view name) {
  auto text = ReadWholeFile(absl::StrCat(directory, "/", name), kTokenizerBytesMax);
  if (absl::IsNotFound(text.status())) {
    return std::nullopt;
  }
  WATTLE_RETURN_IF_ERROR(text.status());
  return *std::move(text);
}

absl::StatusOr<TokenizerParts> PartsOfFiles(BytePairEncoding::ReadNamedFile read,
                                            absl::string_view place) {
  const auto in_place = [&](absl::string_view name) { return absl::StrCat(place, "/", name); };
  WATTLE_ASSIGN_OR_RETURN(const auto json, read("tokenizer.json"));
  if (json.has_value()) {
    return PartsOfTokenizerJson(*json, in_place("tokenizer.json"));
  }
  WATTLE_ASSIGN_OR_RETURN(auto vocabulary, read("vocab.json"));
  WATTLE_ASSIGN_OR_RETURN(auto merges, read("merges.txt"));
  if (vocabulary.has_value() && merges.has_value()) {
    VocabularyFiles files{.vocabulary = *std::move(vocabulary), .merges = *std::move(merges)};
    WATTLE_ASSIGN_OR_RETURN(files.tokenizer_config, read("tokenizer_config.json"));
    WATTLE_ASSIGN_OR_RETURN(files.special_tokens_map, read("special_tokens_map.json"));
    WATTLE_ASSIGN_OR_RETURN(files.added_tokens, read("added_tokens.json"));
    WATTLE_ASSIGN_OR_RETURN(files.config, read("config.json"));
    return PartsOfVocabularyAndMerges(files, in_place("vocab.json"));
  }
  WATTLE_ASSIGN_OR_RETURN(auto model, read("tokenizer.model"));
  if (!model.has_value()) {
    return absl::NotFoundError(absl::StrCat(
        place,
        ": no tokenizer: wants tokenizer.json, or vocab.json and merges.txt, or tokenizer.model; "
        "copy them from the base model"));
  }
  SentencePieceFiles files{.model = *std::move(model)};
  WATTLE_ASSIGN_OR_RETURN(files.tokenizer_config, read("tokenizer_config.json"));
  WATTLE_ASSIGN_OR_RETURN(files.added_tokens, read("added_tokens.json"));
  return PartsOfSentencePiece(files, in_place("tokenizer.model"));
}

}  // namespace wattle::formats
