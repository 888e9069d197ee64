// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/byte_pair_encoding.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "formats/json.h"
#include "formats/merge_table_internal.h"
#include "formats/nfc_internal.h"
#include "formats/pre_tokenizer_internal.h"
#include "formats/sentence_piece_internal.h"
#include "formats/tokenizer_form_internal.h"
#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {
namespace {

constexpr char kEndOfText[] = "<|endoftext|>";
// Names of the token that ends a text. The first of these names in the vocabulary counts.
constexpr absl::string_view kEnds[] = {kEndOfText, "<|end_of_text|>", "</s>", "<eos>"};
constexpr char kSpaceMark[] = "▁";

// GPT-2's encoding of bytes as visible characters: printable Latin-1 represents itself, the other
// 68 bytes take U+0100 upwards, in order. (openai/gpt-2, src/encoder.py, bytes_to_unicode.)
std::array<std::string, 256> ByteSymbols() {
  std::array<std::string, 256> symbols;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const unsigned code = itself ? byte : next++;
    if (code < 0x80) {
      symbols[byte] = std::string(1, static_cast<char>(code));
    } else {
      symbols[byte] = {static_cast<char>(0xc0 | (code >> 6)),
                       static_cast<char>(0x80 | (code & 0x3f))};
    }
  }
  return symbols;
}

const std::array<std::string, 256>& Symbols() {
  static const auto& symbols = *new std::array<std::string, 256>(ByteSymbols());
  return symbols;
}

// The bytes that a vocabulary string encodes; nullopt if a character is not one of the 256 symbols.
std::optional<std::string> SymbolBytes(absl::string_view token) {
  static const auto& bytes = *[] {
    auto* map = new absl::flat_hash_map<std::string, char>();
    for (unsigned byte = 0; byte < 256; ++byte) {
      map->emplace(Symbols()[byte], static_cast<char>(byte));
    }
    return map;
  }();
  std::string result;
  while (!token.empty()) {
    const size_t size = Utf8CharacterSize(token);
    const auto found = size == 0 ? bytes.end() : bytes.find(token.substr(0, size));
    if (found == bytes.end()) {
      return std::nullopt;
    }
    result += found->second;
    token.remove_prefix(size);
  }
  return result;
}

}  // namespace

struct BytePairEncoding::Tables {
  TokenizerForm form;
  MergeTable merges;
  std::array<int64_t, 256> byte_tokens = {};
  absl::flat_hash_map<std::string, int64_t> characters;    // kCharacters: tokens of one character
  absl::flat_hash_map<std::string, int64_t> whole_pieces;  // with form.whole_pieces: by their bytes
  std::vector<std::string> token_bytes;                    // by id; empty: no such token
  std::vector<AddedToken> added;                           // longest first
  std::optional<int64_t> begin;
  std::optional<int64_t> eos;
  PreTokenizer pre_tokenizer;

  // The added token at the beginning of `text`, or null. special: whether special tokens count.
  [[nodiscard]] const AddedToken* AddedAt(absl::string_view text, bool special) const;
  // Appends the tokens of text that may spell added tokens. at_start: no text stands before it.
  void Append(absl::string_view text, bool at_start, bool special,
              std::vector<int64_t>& tokens) const;
  // Appends the tokens of a stretch without added tokens.
  void AppendStretch(absl::string_view stretch, bool at_start, std::vector<int64_t>& tokens) const;
  void AppendPiece(absl::string_view piece, std::vector<int64_t>& tokens) const;
};

namespace {

absl::Status FillMerges(const TokenizerParts& parts, absl::string_view file, MergeTable& table) {
  table.Reserve(parts.merges.size());
  for (size_t i = 0; i < parts.merges.size(); ++i) {
    const TokenMerge& merge = parts.merges[i];
    const auto left_id = parts.vocabulary.find(merge.left);
    const auto right_id = parts.vocabulary.find(merge.right);
    const auto result_id = parts.vocabulary.find(merge.left + merge.right);
    if (left_id == parts.vocabulary.end() || right_id == parts.vocabulary.end() ||
        result_id == parts.vocabulary.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          file, ": merge ", i + 1, " (\"", Printable(merge.left), "\" + \"", Printable(merge.right),
          "\") has a symbol that the vocabulary lacks; use the vocabulary and merges of one "
          "model"));
    }
    table.Add(left_id->second, right_id->second, merge.rank, result_id->second);
  }
  return absl::OkStatus();
}

void AddToken(std::vector<std::string>& token_bytes, int64_t id, std::string bytes) {
  if (token_bytes.size() <= static_cast<size_t>(id)) {
    token_bytes.resize(static_cast<size_t>(id) + 1);
  }
  token_bytes[static_cast<size_t>(id)] = std::move(bytes);
}

// The token of each byte. The kind decides how the vocabulary names a byte.
absl::Status FillByteTokens(SymbolKind kind, const Vocabulary& vocabulary, absl::string_view file,
                            std::array<int64_t, 256>& byte_tokens) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string name =
        kind == SymbolKind::kBytes ? Symbols()[byte] : absl::StrFormat("<0x%02X>", byte);
    const auto found = vocabulary.find(name);
    if (found == vocabulary.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": no token for byte ", byte, " (\"",
                                                     name,
                                                     "\"); a vocabulary of this kind has all "
                                                     "256"));
    }
    byte_tokens[byte] = found->second;
  }
  return absl::OkStatus();
}

// The bytes that each token represents.
void FillTokenBytes(SymbolKind kind, const Vocabulary& vocabulary,
                    const std::array<int64_t, 256>& byte_tokens,
                    std::vector<std::string>& token_bytes) {
  for (const auto& [token, id] : vocabulary) {
    // A name with characters other than byte symbols is a special token, represented by its own
    // text.
    AddToken(token_bytes, id,
             kind == SymbolKind::kBytes ? SymbolBytes(token).value_or(token)
                                        : absl::StrReplaceAll(token, {{kSpaceMark, " "}}));
  }
  if (kind == SymbolKind::kCharacters) {
    for (size_t byte = 0; byte < 256; ++byte) {
      AddToken(token_bytes, byte_tokens[byte], std::string(1, static_cast<char>(byte)));
    }
  }
}

// Maps the bytes of each piece to its token. A piece of characters keeps its "▁".
absl::flat_hash_map<std::string, int64_t> WholePiecesOf(SymbolKind kind,
                                                        const Vocabulary& vocabulary) {
  absl::flat_hash_map<std::string, int64_t> pieces;
  for (const auto& [token, id] : vocabulary) {
    pieces.emplace(kind == SymbolKind::kBytes ? SymbolBytes(token).value_or(token) : token, id);
  }
  return pieces;
}

// The tokens of single characters.
absl::flat_hash_map<std::string, int64_t> CharactersOf(const Vocabulary& vocabulary) {
  absl::flat_hash_map<std::string, int64_t> characters;
  for (const auto& [token, id] : vocabulary) {
    if (Utf8CharacterSize(token) == token.size()) {
      characters.emplace(token, id);
    }
  }
  return characters;
}

}  // namespace

const AddedToken* BytePairEncoding::Tables::AddedAt(absl::string_view text, bool special) const {
  const auto found = std::find_if(added.begin(), added.end(), [&](const AddedToken& candidate) {
    return (special || !candidate.special) && absl::StartsWith(text, candidate.text);
  });
  return found == added.end() ? nullptr : &*found;
}

void BytePairEncoding::Tables::Append(absl::string_view text, bool at_start, bool special,
                                      std::vector<int64_t>& tokens) const {
  const bool any = std::any_of(added.begin(), added.end(), [&](const AddedToken& candidate) {
    return special || !candidate.special;
  });
  size_t start = 0;
  for (size_t i = 0; any && i < text.size();) {
    // Added tokens are cut out before merging, because merges must not cross them.
    const AddedToken* found = AddedAt(text.substr(i), special);
    if (found == nullptr) {
      ++i;
      continue;
    }
    AppendStretch(text.substr(start, i - start), at_start, tokens);
    if (i == 0 && at_start && form.space_before != SpaceBefore::kNever &&
        (found->is_piece || (!found->special && form.space_before == SpaceBefore::kAtStart))) {
      AppendPiece(kSpaceMark, tokens);  // the space is before the token's text
    }
    tokens.push_back(found->id);
    i += found->text.size();
    start = i;
    // Llama 2 puts a space before every stretch, the other tokenizers only before the first.
    at_start = form.space_before == SpaceBefore::kAlways && !found->is_piece;
  }
  AppendStretch(text.substr(start), at_start, tokens);
}

void BytePairEncoding::Tables::AppendPiece(absl::string_view piece,
                                           std::vector<int64_t>& tokens) const {
  if (form.whole_pieces) {
    // Some vocabularies have pieces that their merges cannot produce (ignore_merges of
    // tokenizer.json).
    if (const auto whole = whole_pieces.find(piece); whole != whole_pieces.end()) {
      tokens.push_back(whole->second);
      return;
    }
  }
  std::vector<int64_t> symbols;
  symbols.reserve(piece.size());
  const auto append_byte = [&](char byte) {
    symbols.push_back(byte_tokens[static_cast<unsigned char>(byte)]);
  };
  if (form.kind == SymbolKind::kBytes) {
    std::for_each(piece.begin(), piece.end(), append_byte);
  }
  while (form.kind == SymbolKind::kCharacters && !piece.empty()) {
    const size_t size = std::max<size_t>(1, Utf8CharacterSize(piece));  // 1: not UTF-8
    const absl::string_view character = piece.substr(0, size);
    if (const auto found = characters.find(character); found != characters.end()) {
      symbols.push_back(found->second);
    } else {
      // Byte fallback: any text can be encoded, even invalid UTF-8.
      std::for_each(character.begin(), character.end(), append_byte);
    }
    piece.remove_prefix(size);
  }
  merges.Apply(symbols, tokens);
}

void BytePairEncoding::Tables::AppendStretch(absl::string_view stretch, bool at_start,
                                             std::vector<int64_t>& tokens) const {
  if (stretch.empty()) {
    return;
  }
  if (form.kind == SymbolKind::kCharacters) {
    // The whole stretch is one piece.
    const bool spaced =
        at_start &&
        (form.space_before == SpaceBefore::kAlways || form.space_before == SpaceBefore::kAtStart ||
         (form.space_before == SpaceBefore::kUnlessThere && !absl::StartsWith(stretch, " ") &&
          !absl::StartsWith(stretch, kSpaceMark)));
    AppendPiece(
        absl::StrCat(spaced ? kSpaceMark : "", absl::StrReplaceAll(stretch, {{" ", kSpaceMark}})),
        tokens);
    return;
  }
  const std::string normalized = form.nfc ? NormalizedToNfc(stretch) : std::string();
  pre_tokenizer.Split(form.nfc ? absl::string_view(normalized) : stretch,
                      [&](absl::string_view piece) { AppendPiece(piece, tokens); });
}

BytePairEncoding::BytePairEncoding(std::unique_ptr<const Tables> tables)
    : tables_(std::move(tables)) {}
BytePairEncoding::BytePairEncoding(BytePairEncoding&&) noexcept = default;
BytePairEncoding& BytePairEncoding::operator=(BytePairEncoding&&) noexcept = default;
BytePairEncoding::~BytePairEncoding() = default;

absl::StatusOr<std::unique_ptr<const BytePairEncoding::Tables>> BytePairEncoding::Assemble(
    TokenizerParts parts, absl::string_view file) {
  auto tables = std::make_unique<Tables>();
  const SymbolKind kind = parts.form.kind;
  WATTLE_RETURN_IF_ERROR(FillMerges(parts, file, tables->merges));
  WATTLE_RETURN_IF_ERROR(FillByteTokens(kind, parts.vocabulary, file, tables->byte_tokens));
  FillTokenBytes(kind, parts.vocabulary, tables->byte_tokens, tables->token_bytes);
  if (kind == SymbolKind::kCharacters) {
    tables->characters = CharactersOf(parts.vocabulary);
  }
  if (parts.form.whole_pieces) {
    tables->whole_pieces = WholePiecesOf(kind, parts.vocabulary);
  }
  tables->pre_tokenizer = PreTokenizer(parts.form.rules);
  tables->form = std::move(parts.form);
  tables->begin = parts.begin;
  tables->added = std::move(parts.added);
  // Longest first, so that a token that is a prefix of another does not match in its place.
  std::stable_sort(
      tables->added.begin(), tables->added.end(),
      [](const AddedToken& a, const AddedToken& b) { return a.text.size() > b.text.size(); });
  for (const AddedToken& token : tables->added) {
    AddToken(tables->token_bytes, token.id, token.text);
  }
  for (const absl::string_view end : kEnds) {
    for (const AddedToken& token : tables->added) {
      if (token.text == end && !tables->eos.has_value()) {
        tables->eos = token.id;
      }
    }
  }
  return tables;
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::ParseVocabularyAndMerges(
    absl::string_view vocabulary_json, absl::string_view merges, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(
      TokenizerParts parts,
      PartsOfVocabularyAndMerges(
          {.vocabulary = std::string(vocabulary_json), .merges = std::string(merges)}, file));
  WATTLE_ASSIGN_OR_RETURN(auto tables, Assemble(std::move(parts), file));
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::ParseTokenizerJson(absl::string_view json,
                                                                      absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(TokenizerParts parts, PartsOfTokenizerJson(json, file));
  WATTLE_ASSIGN_OR_RETURN(auto tables, Assemble(std::move(parts), file));
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::ParseSentencePiece(
    const SentencePieceFiles& files, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(TokenizerParts parts, PartsOfSentencePiece(files, file));
  WATTLE_ASSIGN_OR_RETURN(auto tables, Assemble(std::move(parts), file));
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::LoadFiles(ReadNamedFile read,
                                                             absl::string_view place) {
  WATTLE_ASSIGN_OR_RETURN(TokenizerParts parts, PartsOfFiles(read, place));
  WATTLE_ASSIGN_OR_RETURN(auto tables, Assemble(std::move(parts), place));
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::LoadDirectory(const std::string& directory) {
  return LoadFiles([&](absl::string_view name) { return ReadTokenizerFile(directory, name); },
                   directory);
}

std::vector<int64_t> BytePairEncoding::Encode(absl::string_view text, SpecialTokens special) const {
  std::vector<int64_t> tokens;
  tables_->Append(text, /*at_start=*/true, special == SpecialTokens::kRecognise, tokens);
  return tokens;
}

std::vector<int64_t> BytePairEncoding::EncodeDocument(absl::string_view text) const {
  std::vector<int64_t> tokens;
  if (tables_->begin.has_value()) {
    tokens.push_back(*tables_->begin);
  }
  tables_->Append(text, /*at_start=*/true, /*special=*/false, tokens);
  return tokens;
}

std::vector<int64_t> BytePairEncoding::EncodeContinuation(absl::string_view text) const {
  std::vector<int64_t> tokens;
  tables_->Append(text, /*at_start=*/false, /*special=*/false, tokens);
  return tokens;
}

std::string BytePairEncoding::Decode(absl::Span<const int64_t> tokens) const {
  std::string text;
  for (const int64_t token : tokens) {
    if (token >= 0 && token < vocabulary_size()) {
      text += tables_->token_bytes[static_cast<size_t>(token)];
    }
  }
  return text;
}

size_t BytePairEncoding::TokenSizeBytes(int64_t token) const {
  return token >= 0 && token < vocabulary_size()
             ? tables_->token_bytes[static_cast<size_t>(token)].size()
             : 0;
}

std::optional<std::string> BytePairEncoding::FindSpecialToken(absl::string_view text) const {
  for (const AddedToken& token : tables_->added) {
    if (token.special && absl::StrContains(text, token.text)) {
      return token.text;
    }
  }
  return std::nullopt;
}

bool BytePairEncoding::IsSpecial(int64_t token) const {
  return std::any_of(tables_->added.begin(), tables_->added.end(),
                     [&](const AddedToken& each) { return each.special && each.id == token; });
}

int64_t BytePairEncoding::vocabulary_size() const {
  return static_cast<int64_t>(tables_->token_bytes.size());
}

std::optional<int64_t> BytePairEncoding::begin_token_id() const {
  return tables_->begin;
}

std::optional<int64_t> BytePairEncoding::eos_token_id() const {
  return tables_->eos;
}

size_t BytePairEncoding::added_prefix_bytes() const {
  return tables_->form.space_before == SpaceBefore::kNever ? 0 : 1;
}

}  // namespace wattle::formats
