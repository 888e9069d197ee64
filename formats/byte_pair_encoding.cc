// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/byte_pair_encoding.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "formats/merge_table_internal.h"
#include "formats/pre_tokenizer_internal.h"
#include "formats/utf8_internal.h"

namespace wattle::formats {
namespace {

constexpr char kEndOfText[] = "<|endoftext|>";  // GPT-2
constexpr char kEndOfSentence[] = "</s>";       // Llama
constexpr int64_t kTokenizerBytesMax = 256LL << 20;
constexpr int64_t kTokenIdMax = (1 << 24) - 1;

// GPT-2's way to write bytes as visible characters: printable Latin-1 stands for itself, the other
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

// The bytes that a vocabulary string stands for; nothing if a character is not one of the 256
// symbols.
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

// What the first symbols of a text are.
enum class TokenizerKind {
  kByteLevel,      // GPT-2: bytes, in pieces that a regular expression cuts
  kSentencePiece,  // Llama: characters, bytes where a character has no token; spaces are "▁"
};

struct Special {
  std::string text;
  int64_t id = 0;
};

}  // namespace

struct BytePairEncoding::Tables {
  TokenizerKind kind = TokenizerKind::kByteLevel;
  MergeTable merges;
  std::array<int64_t, 256> byte_tokens = {};
  absl::flat_hash_map<std::string, int64_t> characters;  // kSentencePiece: tokens of one character
  std::vector<std::string> token_bytes;                  // by id; empty: no such token
  std::vector<Special> specials;                         // longest first
  std::optional<int64_t> begin;
  std::optional<int64_t> eos;
  PreTokenizer pre_tokenizer;

  // Tokens of a stretch of text without special tokens. at_start: the text begins with it.
  void Append(absl::string_view stretch, bool at_start, std::vector<int64_t>& tokens) const;
};

namespace {

using Vocabulary = absl::flat_hash_map<std::string, int64_t>;

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

using MergeList = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<std::pair<std::string, std::string>> SplitMerge(absl::string_view line,
                                                               absl::string_view where) {
  const std::vector<std::string> parts = absl::StrSplit(line, ' ');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": wants two symbols with one space between; the merges are damaged"));
  }
  return std::make_pair(parts[0], parts[1]);
}

absl::StatusOr<MergeList> ReadMerges(absl::string_view text, absl::string_view file) {
  MergeList merges;
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

absl::StatusOr<MergeList> ReadJsonMerges(const Json& json, absl::string_view file) {
  if (!json.is_array()) {
    return WrongKind(file, "model.merges", "a list", json);
  }
  MergeList merges;
  for (const Json& entry : json) {
    const std::string where = absl::StrCat(file, ": model.merges[", merges.size(), "]");
    if (entry.is_string()) {
      WATTLE_ASSIGN_OR_RETURN(auto merge, SplitMerge(entry.get_ref<const std::string&>(), where));
      merges.push_back(std::move(merge));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
    } else {
      return absl::InvalidArgumentError(absl::StrCat(where, ": wants two symbols"));
    }
  }
  return merges;
}

absl::Status FillMerges(const Vocabulary& vocabulary, const MergeList& merges,
                        absl::string_view file, MergeTable& table) {
  table.Reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto left_id = vocabulary.find(left);
    const auto right_id = vocabulary.find(right);
    const auto result_id = vocabulary.find(left + right);
    if (left_id == vocabulary.end() || right_id == vocabulary.end() ||
        result_id == vocabulary.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": merge ", rank + 1, " (\"",
                                                     Printable(left), "\" + \"", Printable(right),
                                                     "\") has a symbol that the vocabulary lacks; "
                                                     "use the vocabulary and merges of one model"));
    }
    table.Add(left_id->second, right_id->second, static_cast<int32_t>(rank), result_id->second);
  }
  return absl::OkStatus();
}

void AddToken(std::vector<std::string>& token_bytes, int64_t id, std::string bytes) {
  if (token_bytes.size() <= static_cast<size_t>(id)) {
    token_bytes.resize(static_cast<size_t>(id) + 1);
  }
  token_bytes[static_cast<size_t>(id)] = std::move(bytes);
}

// The normalizer of Llama's tokenizer.json: a space before the text, and "▁" for every space.
bool IsSentencePieceNormalizer(const Json& normalizer) {
  static const auto& wanted = *new Json(Json::parse(
      R"([{"type": "Prepend", "prepend": "▁"},
          {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}])"));
  return normalizer.is_object() && normalizer.value("type", Json()) == Json("Sequence") &&
         normalizer.value("normalizers", Json()) == wanted;
}

// Which of the two kinds a tokenizer.json is. Whatever else would change token ids is refused.
absl::StatusOr<TokenizerKind> KindOf(const Json& json, absl::string_view file) {
  const auto refuse = [&](absl::string_view what) {
    return absl::UnimplementedError(
        absl::StrCat(file, ": ", what,
                     ": not supported in this version; use a byte-level BPE tokenizer of the "
                     "GPT-2 kind, or one of the Llama kind"));
  };
  if (!json.is_object() || !json.contains("model") || !json["model"].is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": model: missing; is this a Hugging Face tokenizer.json?"));
  }
  const Json& model = json["model"];
  if (model.value("type", Json("BPE")) != Json("BPE")) {
    return refuse("model.type other than BPE");
  }
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json value = model.value(field, Json());
    if (!value.is_null() && value != Json("")) {
      return refuse(absl::StrCat("model.", field));
    }
  }
  if (model.value("ignore_merges", Json(false)) != Json(false)) {
    return refuse("model.ignore_merges");
  }
  const Json pre_tokenizer = json.value("pre_tokenizer", Json());
  const Json normalizer = json.value("normalizer", Json());
  if (model.value("byte_fallback", Json(false)) == Json(true)) {
    if (!IsSentencePieceNormalizer(normalizer) || !pre_tokenizer.is_null()) {
      return refuse("model.byte_fallback with another normalizer than Llama's");
    }
    return TokenizerKind::kSentencePiece;
  }
  if (!normalizer.is_null()) {
    return refuse("normalizer");
  }
  if (!pre_tokenizer.is_object() || pre_tokenizer.value("type", Json()) != Json("ByteLevel") ||
      pre_tokenizer.value("add_prefix_space", Json(false)) != Json(false) ||
      pre_tokenizer.value("use_regex", Json(true)) != Json(true)) {
    return refuse("pre_tokenizer other than ByteLevel without a prefix space");
  }
  return TokenizerKind::kByteLevel;
}

// The special token that the post-processor puts before a text, if there is one.
absl::StatusOr<std::optional<int64_t>> ReadBeginToken(const Json& json,
                                                      const std::vector<Special>& specials,
                                                      absl::string_view file) {
  const Json processor = json.value("post_processor", Json());
  if (!processor.is_object() || processor.value("type", Json()) != Json("TemplateProcessing")) {
    return std::nullopt;
  }
  const Json single = processor.value("single", Json());
  const auto is_text = [](const Json& part) {
    return part.is_object() && part.contains("Sequence");
  };
  if (single.is_array() && single.size() == 1 && is_text(single[0])) {
    return std::nullopt;
  }
  if (single.is_array() && single.size() == 2 && single[0].is_object() && is_text(single[1])) {
    const Json special = single[0].value("SpecialToken", Json());
    const Json name = special.is_object() ? special.value("id", Json()) : Json();
    for (const Special& candidate : specials) {
      if (name == Json(candidate.text)) {
        return candidate.id;
      }
    }
  }
  return absl::UnimplementedError(absl::StrCat(
      file,
      ": post_processor: not supported in this version; wants one special token before the "
      "text, or none"));
}

absl::StatusOr<std::vector<Special>> ReadAddedTokens(const Json& json, absl::string_view file) {
  std::vector<Special> specials;
  const Json added = json.value("added_tokens", Json::array());
  if (!added.is_array()) {
    return WrongKind(file, "added_tokens", "a list", added);
  }
  for (const Json& token : added) {
    const std::string where = absl::StrCat("added_tokens[", specials.size(), "]");
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
    specials.push_back({.text = token["content"].get<std::string>(), .id = *id});
  }
  return specials;
}

bool FileExists(const std::string& path) {
  struct stat about = {};
  return stat(path.c_str(), &about) == 0;
}

}  // namespace

namespace {

constexpr char kSpaceMark[] = "▁";

// The token of each byte, by the name that the kind gives it.
absl::Status FillByteTokens(TokenizerKind kind, const Vocabulary& vocabulary,
                            absl::string_view file, std::array<int64_t, 256>& byte_tokens) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string name =
        kind == TokenizerKind::kByteLevel ? Symbols()[byte] : absl::StrFormat("<0x%02X>", byte);
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

// The bytes that each token stands for.
void FillTokenBytes(TokenizerKind kind, const Vocabulary& vocabulary,
                    const std::array<int64_t, 256>& byte_tokens,
                    std::vector<std::string>& token_bytes) {
  for (const auto& [token, id] : vocabulary) {
    // What is not written in byte symbols is a special token and stands for its own text.
    AddToken(token_bytes, id,
             kind == TokenizerKind::kByteLevel ? SymbolBytes(token).value_or(token)
                                               : absl::StrReplaceAll(token, {{kSpaceMark, " "}}));
  }
  if (kind == TokenizerKind::kSentencePiece) {
    for (size_t byte = 0; byte < 256; ++byte) {
      AddToken(token_bytes, byte_tokens[byte], std::string(1, static_cast<char>(byte)));
    }
  }
}

// The tokens that are one character.
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

void BytePairEncoding::Tables::Append(absl::string_view stretch, bool at_start,
                                      std::vector<int64_t>& tokens) const {
  std::vector<int64_t> symbols;
  const auto append_byte = [&](char byte) {
    symbols.push_back(byte_tokens[static_cast<unsigned char>(byte)]);
  };
  if (kind == TokenizerKind::kByteLevel) {
    pre_tokenizer.Split(stretch, [&](absl::string_view piece) {
      symbols.clear();
      std::for_each(piece.begin(), piece.end(), append_byte);
      merges.Apply(symbols, tokens);
    });
    return;
  }
  if (stretch.empty()) {
    return;
  }
  // The whole stretch is one piece of characters.
  const std::string marked =
      absl::StrCat(at_start ? kSpaceMark : "", absl::StrReplaceAll(stretch, {{" ", kSpaceMark}}));
  for (absl::string_view rest = marked; !rest.empty();) {
    const size_t size = std::max<size_t>(1, Utf8CharacterSize(rest));  // 1: no UTF-8
    const absl::string_view character = rest.substr(0, size);
    if (const auto found = characters.find(character); found != characters.end()) {
      symbols.push_back(found->second);
    } else {
      std::for_each(character.begin(), character.end(), append_byte);
    }
    rest.remove_prefix(size);
  }
  merges.Apply(symbols, tokens);
}

BytePairEncoding::BytePairEncoding(std::unique_ptr<const Tables> tables)
    : tables_(std::move(tables)) {}
BytePairEncoding::BytePairEncoding(BytePairEncoding&&) noexcept = default;
BytePairEncoding& BytePairEncoding::operator=(BytePairEncoding&&) noexcept = default;
BytePairEncoding::~BytePairEncoding() = default;

absl::StatusOr<BytePairEncoding> BytePairEncoding::ParseVocabularyAndMerges(
    absl::string_view vocabulary_json, absl::string_view merges, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(vocabulary_json, file));
  WATTLE_ASSIGN_OR_RETURN(const Vocabulary vocabulary, ReadVocabulary(json, file));
  WATTLE_ASSIGN_OR_RETURN(const MergeList list,
                          ReadMerges(merges, absl::StrCat(file, " (merges)")));
  auto tables = std::make_unique<Tables>();
  WATTLE_RETURN_IF_ERROR(FillMerges(vocabulary, list, file, tables->merges));
  WATTLE_RETURN_IF_ERROR(FillByteTokens(tables->kind, vocabulary, file, tables->byte_tokens));
  FillTokenBytes(tables->kind, vocabulary, tables->byte_tokens, tables->token_bytes);
  if (const auto end = vocabulary.find(kEndOfText); end != vocabulary.end()) {
    tables->eos = end->second;
    tables->specials.push_back({.text = kEndOfText, .id = end->second});
  }
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::ParseTokenizerJson(absl::string_view text,
                                                                      absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, file));
  WATTLE_ASSIGN_OR_RETURN(const TokenizerKind kind, KindOf(json, file));
  WATTLE_ASSIGN_OR_RETURN(const Vocabulary vocabulary,
                          ReadVocabulary(json["model"].value("vocab", Json()), file));
  WATTLE_ASSIGN_OR_RETURN(const MergeList list,
                          ReadJsonMerges(json["model"].value("merges", Json()), file));
  auto tables = std::make_unique<Tables>();
  tables->kind = kind;
  WATTLE_RETURN_IF_ERROR(FillMerges(vocabulary, list, file, tables->merges));
  WATTLE_RETURN_IF_ERROR(FillByteTokens(kind, vocabulary, file, tables->byte_tokens));
  FillTokenBytes(kind, vocabulary, tables->byte_tokens, tables->token_bytes);
  if (kind == TokenizerKind::kSentencePiece) {
    tables->characters = CharactersOf(vocabulary);
  }
  WATTLE_ASSIGN_OR_RETURN(tables->specials, ReadAddedTokens(json, file));
  WATTLE_ASSIGN_OR_RETURN(tables->begin, ReadBeginToken(json, tables->specials, file));
  std::stable_sort(
      tables->specials.begin(), tables->specials.end(),
      [](const Special& a, const Special& b) { return a.text.size() > b.text.size(); });
  for (const Special& special : tables->specials) {
    AddToken(tables->token_bytes, special.id, special.text);
    if (special.text == (kind == TokenizerKind::kByteLevel ? kEndOfText : kEndOfSentence)) {
      tables->eos = special.id;
    }
  }
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::LoadVocabularyAndMerges(
    const std::string& vocabulary_path, const std::string& merges_path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string vocabulary,
                          ReadWholeFile(vocabulary_path, kTokenizerBytesMax));
  WATTLE_ASSIGN_OR_RETURN(const std::string merges, ReadWholeFile(merges_path, kTokenizerBytesMax));
  return ParseVocabularyAndMerges(vocabulary, merges, vocabulary_path);
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::LoadTokenizerJson(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kTokenizerBytesMax));
  return ParseTokenizerJson(text, path);
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::LoadDirectory(const std::string& directory) {
  if (const std::string path = directory + "/tokenizer.json"; FileExists(path)) {
    return LoadTokenizerJson(path);
  }
  const std::string vocabulary = directory + "/vocab.json";
  const std::string merges = directory + "/merges.txt";
  if (!FileExists(vocabulary) || !FileExists(merges)) {
    return absl::NotFoundError(absl::StrCat(directory,
                                            ": no tokenizer: wants tokenizer.json, or vocab.json "
                                            "and merges.txt; copy them from the base model"));
  }
  return LoadVocabularyAndMerges(vocabulary, merges);
}

std::vector<int64_t> BytePairEncoding::Encode(absl::string_view text, SpecialTokens special) const {
  std::vector<int64_t> tokens;
  if (special == SpecialTokens::kAsText) {
    tables_->Append(text, /*at_start=*/true, tokens);
    return tokens;
  }
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const auto found = std::find_if(
        tables_->specials.begin(), tables_->specials.end(),
        [&](const Special& candidate) { return absl::StartsWith(text.substr(i), candidate.text); });
    if (found == tables_->specials.end()) {
      ++i;
      continue;
    }
    tables_->Append(text.substr(start, i - start), /*at_start=*/true, tokens);
    tokens.push_back(found->id);
    i += found->text.size();
    start = i;
  }
  tables_->Append(text.substr(start), /*at_start=*/true, tokens);
  return tokens;
}

std::vector<int64_t> BytePairEncoding::EncodeDocument(absl::string_view text) const {
  std::vector<int64_t> tokens;
  if (tables_->begin.has_value()) {
    tokens.push_back(*tables_->begin);
  }
  tables_->Append(text, /*at_start=*/true, tokens);
  return tokens;
}

std::vector<int64_t> BytePairEncoding::EncodeContinuation(absl::string_view text) const {
  std::vector<int64_t> tokens;
  tables_->Append(text, /*at_start=*/false, tokens);
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
  return tables_->kind == TokenizerKind::kSentencePiece ? 1 : 0;
}

}  // namespace wattle::formats
