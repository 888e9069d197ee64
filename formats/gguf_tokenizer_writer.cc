// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/chat_template.h"
#include "formats/gguf_tokenizer.h"
#include "formats/gguf_tokenizer_internal.h"
#include "formats/json.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {
namespace {

constexpr char kUnknownPiece[] = "<unk>";
constexpr double kRoomScore = -10000.0;

// One token per row of the embedding.
struct Written {
  std::vector<std::string> texts;
  std::vector<int64_t> types;

  void Set(int64_t id, std::string text, GgufTokenType type) {
    texts[static_cast<size_t>(id)] = std::move(text);
    types[static_cast<size_t>(id)] = static_cast<int64_t>(type);
  }
};

// "<0x0A>"
bool IsBytePiece(absl::string_view text) {
  return text.size() == 6 && absl::StartsWith(text, "<0x") && absl::EndsWith(text, ">") &&
         absl::ascii_isxdigit(static_cast<unsigned char>(text[3])) &&
         absl::ascii_isxdigit(static_cast<unsigned char>(text[4]));
}

Written TokensOf(const TokenizerParts& parts, int64_t vocabulary) {
  Written tokens;
  for (int64_t id = 0; id < vocabulary; ++id) {
    tokens.texts.push_back(absl::StrCat("[PAD", id, "]"));  // llama.cpp's names of unused rows
  }
  tokens.types.assign(tokens.texts.size(), static_cast<int64_t>(GgufTokenType::kUnused));
  const bool pieces = parts.form.kind == SymbolKind::kCharacters;
  for (const auto& [text, id] : parts.vocabulary) {
    tokens.Set(id, text,
               pieces && IsBytePiece(text) ? GgufTokenType::kByte : GgufTokenType::kNormal);
  }
  for (const AddedToken& token : parts.added) {
    tokens.Set(token.id, token.text,
               pieces && token.text == kUnknownPiece ? GgufTokenType::kUnknown
               : token.special                       ? GgufTokenType::kControl
                                                     : GgufTokenType::kUserDefined);
  }
  return tokens;
}

absl::Status CheckIds(const TokenizerParts& parts, absl::string_view place, int64_t vocabulary) {
  const auto check = [&](const std::string& text, int64_t id) {
    return id < vocabulary ? absl::OkStatus()
                           : absl::InvalidArgumentError(
                                 absl::StrCat(place, ": token \"", Printable(text), "\" has id ",
                                              id, ", the vocabulary ", vocabulary, " tokens"));
  };
  for (const auto& [text, id] : parts.vocabulary) {
    WATTLE_RETURN_IF_ERROR(check(text, id));
  }
  for (const AddedToken& token : parts.added) {
    WATTLE_RETURN_IF_ERROR(check(token.text, token.id));
  }
  return absl::OkStatus();
}

absl::Status NotPieces(absl::string_view place, const std::string& text, absl::string_view why) {
  return absl::UnimplementedError(
      absl::StrCat(place, ": the merges of \"", Printable(text), "\" ", why,
                   ", which the scores of GGUF pieces cannot say; put the model's own "
                   "tokenizer.model there in place of tokenizer.json"));
}

// GGUF has one score per piece, the rank at which any two pieces that spell it are merged. A
// tokenizer.json can rank each pair separately.
absl::Status CheckMerges(const TokenizerParts& parts, const Written& tokens,
                         absl::string_view place) {
  std::set<std::pair<absl::string_view, absl::string_view>> known;
  std::set<std::string> seen;
  std::string last;
  for (const TokenMerge& merge : parts.merges) {
    known.emplace(merge.left, merge.right);
    std::string text = merge.left + merge.right;
    if (text != last && !seen.insert(text).second) {
      return NotPieces(place, text, "have others between them");
    }
    last = std::move(text);
  }
  const auto is_normal = [&](absl::string_view text) {
    const auto found = parts.vocabulary.find(text);
    return found != parts.vocabulary.end() && tokens.types[static_cast<size_t>(found->second)] ==
                                                  static_cast<int64_t>(GgufTokenType::kNormal);
  };
  for (const std::string& text : tokens.texts) {
    if (!is_normal(text)) {
      continue;
    }
    const absl::string_view piece = text;
    for (size_t cut = Utf8CharacterSize(piece); cut < piece.size();
         cut += Utf8CharacterSize(piece.substr(cut))) {
      const absl::string_view left = piece.substr(0, cut);
      const absl::string_view right = piece.substr(cut);
      if (is_normal(left) && is_normal(right) && !known.contains({left, right})) {
        return NotPieces(place, text, "leave a pair of its pieces out");
      }
    }
  }
  return absl::OkStatus();
}

// A merge of lower rank becomes a piece of higher score.
std::vector<double> ScoresOf(const TokenizerParts& parts, const Written& tokens) {
  std::map<std::string, int32_t> ranks;
  int32_t last = 0;
  for (const TokenMerge& merge : parts.merges) {
    ranks.emplace(merge.left + merge.right, merge.rank);
    last = std::max(last, merge.rank);
  }
  std::vector<double> scores;
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const auto rank = ranks.find(tokens.texts[id]);
    const bool room = tokens.types[id] == static_cast<int64_t>(GgufTokenType::kUnused);
    scores.push_back(room ? kRoomScore : -(rank == ranks.end() ? last + 1.0 : rank->second));
  }
  return scores;
}

absl::Status AddBytes(const TokenizerParts& parts, absl::string_view place,
                      GgufMetadata& metadata) {
  const absl::Span<const GgufPreTokenizer> forms = GgufPreTokenizers();
  const auto form = std::find_if(forms.begin(), forms.end(), [&](const GgufPreTokenizer& each) {
    return each.rules == parts.form.rules && each.nfc == parts.form.nfc &&
           each.whole_pieces == parts.form.whole_pieces;
  });
  if (form == forms.end()) {
    return absl::UnimplementedError(absl::StrCat(
        place,
        ": tokenizer.json: its normalizer, pre_tokenizer and ignore_merges together have no name "
        "in GGUF metadata (tokenizer.ggml.pre) that this version knows"));
  }
  std::vector<std::string> merges;
  for (const TokenMerge& merge : parts.merges) {  // in the order of their ranks
    merges.push_back(absl::StrCat(merge.left, " ", merge.right));
  }
  metadata[kGgufTokenizerModel] = std::string(kGgufBytesModel);
  metadata[kGgufPreTokenizer] = std::string(form->name);
  metadata[kGgufMerges] = std::move(merges);
  return absl::OkStatus();
}

absl::Status AddPieces(const TokenizerParts& parts, const Written& tokens, absl::string_view place,
                       GgufMetadata& metadata) {
  WATTLE_RETURN_IF_ERROR(CheckMerges(parts, tokens, place));
  metadata[kGgufTokenizerModel] = std::string(kGgufPiecesModel);
  metadata[kGgufPreTokenizer] = std::string("default");
  metadata[kGgufScores] = ScoresOf(parts, tokens);
  metadata[kGgufAddSpace] = parts.form.space_before != SpaceBefore::kNever;
  for (const AddedToken& token : parts.added) {
    if (token.text == kUnknownPiece) {
      metadata[kGgufUnknownId] = token.id;
    }
  }
  return absl::OkStatus();
}

absl::Status AddChatTemplate(const std::string& directory, GgufMetadata& metadata) {
  constexpr char kConfig[] = "tokenizer_config.json";
  WATTLE_ASSIGN_OR_RETURN(const auto jinja, ReadTokenizerFile(directory, "chat_template.jinja"));
  WATTLE_ASSIGN_OR_RETURN(const auto config, ReadTokenizerFile(directory, kConfig));
  const std::string file = absl::StrCat(directory, "/", kConfig);
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(config.value_or("{}"), file));
  WATTLE_ASSIGN_OR_RETURN(const auto text, ChatTemplateText(json, jinja, file));
  if (text.has_value()) {
    metadata[kGgufChatTemplate] = *text;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GgufMetadata> GgufTokenizerOf(const std::string& directory, int64_t vocabulary) {
  WATTLE_ASSIGN_OR_RETURN(
      const TokenizerParts parts,
      PartsOfFiles([&](absl::string_view name) { return ReadTokenizerFile(directory, name); },
                   directory));
  WATTLE_RETURN_IF_ERROR(CheckIds(parts, directory, vocabulary));
  GgufMetadata metadata;
  const Written tokens = TokensOf(parts, vocabulary);
  WATTLE_RETURN_IF_ERROR(parts.form.kind == SymbolKind::kBytes
                             ? AddBytes(parts, directory, metadata)
                             : AddPieces(parts, tokens, directory, metadata));
  metadata[kGgufTokens] = tokens.texts;
  metadata[kGgufTokenTypes] = tokens.types;
  metadata[kGgufAddBegin] = parts.begin.has_value();
  if (parts.begin.has_value()) {
    metadata[kGgufBeginId] = *parts.begin;
  }
  WATTLE_RETURN_IF_ERROR(AddChatTemplate(directory, metadata));
  return metadata;
}

}  // namespace wattle::formats
