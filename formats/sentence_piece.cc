// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/added_tokens_internal.h"
#include "formats/json.h"
#include "formats/sentence_piece_internal.h"

namespace wattle::formats {
namespace {

constexpr absl::string_view kModelTypes[] = {"", "unigram", "bpe", "word", "char"};

absl::Status CheckKind(const SentencePieceModel& model, absl::string_view file) {
  const auto refuse = [&](absl::string_view what) {
    return absl::UnimplementedError(
        absl::StrCat(file, ": ", what,
                     ": not supported in this version; wants SentencePiece BPE with byte_fallback "
                     "and no normalization (Llama 2, Mistral, Gemma)"));
  };
  if (model.model_type != kSentencePieceBpe) {
    return refuse(absl::StrCat("trainer_spec.model_type ", model.model_type < std::size(kModelTypes)
                                                               ? kModelTypes[model.model_type]
                                                               : "unknown"));
  }
  if (!model.byte_fallback) {
    return refuse("trainer_spec without byte_fallback");
  }
  if (model.space_is_suffix) {
    return refuse("trainer_spec.treat_whitespace_as_suffix");
  }
  if (!model.character_map.empty()) {
    return refuse("normalizer_spec.precompiled_charsmap");
  }
  if (model.remove_extra_whitespaces) {
    return refuse("normalizer_spec.remove_extra_whitespaces");
  }
  if (!model.escape_whitespaces) {
    return refuse("normalizer_spec without escape_whitespaces");
  }
  return absl::OkStatus();
}

// A piece that no text encodes to; llama.cpp pads a vocabulary with such pieces. A piece of one
// character would not qualify, as that character encodes to it.
bool IsRoom(const SentencePiece& piece) {
  return piece.is(SentencePieceType::kUnused) && Utf8CharacterSize(piece.text) < piece.text.size();
}

absl::Status ReadPieces(const SentencePieceModel& model, absl::string_view file,
                        TokenizerParts& parts) {
  if (model.pieces.size() > static_cast<size_t>(kTokenIdMax)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": ", model.pieces.size(), " pieces; wants at most ", kTokenIdMax));
  }
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    const std::string where = absl::StrCat(file, ": piece ", id);
    if (piece.text.empty() || ValidUtf8Prefix(piece.text) != piece.text.size() ||
        !std::isfinite(piece.score)) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": wants a text in UTF-8 and a finite score; fetch or copy the file again"));
    }
    if (!parts.vocabulary.emplace(piece.text, static_cast<int64_t>(id)).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": \"", Printable(piece.text), "\" is a piece already; the model is damaged"));
    }
    if (piece.is(SentencePieceType::kControl) || piece.is(SentencePieceType::kUnknown)) {
      parts.added.push_back({.text = piece.text, .id = static_cast<int64_t>(id)});
    } else if (piece.is(SentencePieceType::kUserDefined)) {
      // Text has "▁" for a space when pieces are matched, so a piece with a space never matches.
      if (!absl::StrContains(piece.text, ' ')) {
        parts.added.push_back({.text = absl::StrReplaceAll(piece.text, {{"▁", " "}}),
                               .id = static_cast<int64_t>(id),
                               .special = false,
                               .is_piece = true});
      }
    } else if (!piece.is(SentencePieceType::kNormal) && !piece.is(SentencePieceType::kByte) &&
               !IsRoom(piece)) {
      return absl::UnimplementedError(absl::StrCat(where, ": type ", piece.type,
                                                   ": not supported in this version; wants normal, "
                                                   "unknown, control, user-defined or byte"));
    }
  }
  return absl::OkStatus();
}

// Every split of a piece into two pieces is a merge. Pieces of equal score share a rank.
void FindMerges(const SentencePieceModel& model, TokenizerParts& parts) {
  std::vector<size_t> order;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].is_of_text()) {
      order.push_back(id);
    }
  }
  // A merge's rank is the position of its result's score, because sentencepiece merges the highest
  // score first.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return model.pieces[a].score > model.pieces[b].score;
  });
  const auto is_of_text = [&](const std::string& text) {
    const auto found = parts.vocabulary.find(text);
    return found != parts.vocabulary.end() &&
           model.pieces[static_cast<size_t>(found->second)].is_of_text();
  };
  int32_t rank = -1;
  float last = 0.0F;
  for (const size_t id : order) {
    const SentencePiece& piece = model.pieces[id];
    if (rank < 0 || piece.score != last) {
      ++rank;
      last = piece.score;
    }
    // At character boundaries only, because the first symbols are characters.
    for (size_t cut = Utf8CharacterSize(piece.text); cut < piece.text.size();
         cut += Utf8CharacterSize(absl::string_view(piece.text).substr(cut))) {
      std::string left = piece.text.substr(0, cut);
      std::string right = piece.text.substr(cut);
      if (is_of_text(left) && is_of_text(right)) {
        parts.merges.push_back({.left = std::move(left), .right = std::move(right), .rank = rank});
      }
    }
  }
}

// transformers' settings for the model.
absl::Status ReadTokenizerConfig(absl::string_view text, absl::string_view file,
                                 TokenizerParts& parts) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(text, file));
  WATTLE_RETURN_IF_ERROR(ReadAddedTokensDecoder(json, file, parts));
  if (parts.form.space_before != SpaceBefore::kNever) {
    if (json.value("add_prefix_space", Json()) == Json(false)) {
      parts.form.space_before = SpaceBefore::kNever;
    } else if (json.value("legacy", Json()) == Json(false)) {
      parts.form.space_before = SpaceBefore::kAtStart;
    }
  }
  // After added_tokens_decoder, whose tokens bos_token may name.
  if (json.value("add_bos_token", Json()) == Json(false)) {
    parts.begin.reset();
    return absl::OkStatus();
  }
  Json name = json.value("bos_token", Json());
  if (name.is_object()) {
    name = name.value("content", Json());
  }
  if (name.is_string()) {
    const auto found = std::find_if(
        parts.added.begin(), parts.added.end(),
        [&](const AddedToken& token) { return token.text == name.get_ref<const std::string&>(); });
    if (found == parts.added.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": bos_token: \"",
                                                     Printable(name.get_ref<const std::string&>()),
                                                     "\" is no special token of tokenizer.model"));
    }
    parts.begin = found->id;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerParts> PartsOfSentencePiece(const SentencePieceFiles& files,
                                                    absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const SentencePieceModel model,
                          ReadSentencePieceModel(files.model, file));
  WATTLE_RETURN_IF_ERROR(CheckKind(model, file));
  TokenizerParts parts;
  parts.form.kind = SymbolKind::kCharacters;
  parts.form.space_before = model.add_dummy_prefix ? SpaceBefore::kAlways : SpaceBefore::kNever;
  WATTLE_RETURN_IF_ERROR(ReadPieces(model, file, parts));
  FindMerges(model, parts);
  if (model.begin_id < model.pieces.size() &&
      model.pieces[model.begin_id].is(SentencePieceType::kControl)) {
    parts.begin = static_cast<int64_t>(model.begin_id);
  }
  if (files.tokenizer_config.has_value()) {
    WATTLE_RETURN_IF_ERROR(ReadTokenizerConfig(
        *files.tokenizer_config, absl::StrCat(file, " (tokenizer_config.json)"), parts));
  }
  if (files.added_tokens.has_value()) {
    WATTLE_RETURN_IF_ERROR(ReadAddedTokensFile(*files.added_tokens,
                                               absl::StrCat(file, " (added_tokens.json)"), parts));
  }
  return parts;
}

}  // namespace wattle::formats
