// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/byte_pair_encoding.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json_internal.h"
#include "formats/pre_tokenizer_internal.h"
#include "formats/utf8_internal.h"

namespace wattle::formats {
namespace {

constexpr char kEndOfText[] = "<|endoftext|>";
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

// Two neighbours as one key.
uint64_t PairKey(int64_t left, int64_t right) {
  return (static_cast<uint64_t>(left) << 32) | static_cast<uint64_t>(right);
}

struct Merge {
  int32_t rank = 0;
  int32_t result = 0;
};

struct Special {
  std::string text;
  int64_t id = 0;
};

}  // namespace

struct BytePairEncoding::Tables {
  absl::flat_hash_map<uint64_t, Merge> merges;
  std::array<int64_t, 256> byte_tokens = {};
  std::vector<std::string> token_bytes;  // by id; empty: no such token
  std::vector<Special> specials;         // longest first
  std::optional<int64_t> eos;
  PreTokenizer pre_tokenizer;

  void AppendPiece(absl::string_view piece, std::vector<int64_t>& tokens) const;
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
                        absl::string_view file, absl::flat_hash_map<uint64_t, Merge>& table) {
  table.reserve(merges.size());
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
    table.emplace(
        PairKey(left_id->second, right_id->second),  // The first of two equal merges stays.
        Merge{.rank = static_cast<int32_t>(rank),
              .result = static_cast<int32_t>(result_id->second)});
  }
  return absl::OkStatus();
}

void AddToken(std::vector<std::string>& token_bytes, int64_t id, std::string bytes) {
  if (token_bytes.size() <= static_cast<size_t>(id)) {
    token_bytes.resize(static_cast<size_t>(id) + 1);
  }
  token_bytes[static_cast<size_t>(id)] = std::move(bytes);
}

// The parts of a tokenizer.json that would change token ids, and must therefore be as in GPT-2.
absl::Status CheckTokenizerKind(const Json& json, absl::string_view file) {
  const auto refuse = [&](absl::string_view what) {
    return absl::UnimplementedError(absl::StrCat(
        file, ": ", what,
        ": not supported in this version; use a byte-level BPE tokenizer of the GPT-2 kind"));
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
  for (const char* field : {"byte_fallback", "ignore_merges"}) {
    if (model.value(field, Json(false)) != Json(false)) {
      return refuse(absl::StrCat("model.", field));
    }
  }
  if (!json.value("normalizer", Json()).is_null()) {
    return refuse("normalizer");
  }
  const Json pre_tokenizer = json.value("pre_tokenizer", Json());
  if (!pre_tokenizer.is_object() || pre_tokenizer.value("type", Json()) != Json("ByteLevel") ||
      pre_tokenizer.value("add_prefix_space", Json(false)) != Json(false) ||
      pre_tokenizer.value("use_regex", Json(true)) != Json(true)) {
    return refuse("pre_tokenizer other than ByteLevel without a prefix space");
  }
  return absl::OkStatus();
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

// Merges the neighbours of lowest rank first, leftmost first among equals. A queue of candidates
// over a linked list of symbols: n log n, for a piece can be as long as the text.
void BytePairEncoding::Tables::AppendPiece(absl::string_view piece,
                                           std::vector<int64_t>& tokens) const {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  struct Symbol {
    int64_t token;
    size_t previous;
    size_t next;
  };
  struct Candidate {
    int32_t rank;
    size_t left;
    uint64_t pair;  // still the same when it is taken, or the candidate is stale
    int64_t result;
    bool operator<(const Candidate& other) const {  // std::priority_queue takes the greatest first
      return std::make_pair(rank, left) > std::make_pair(other.rank, other.left);
    }
  };
  std::vector<Symbol> symbols(piece.size());
  for (size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = {.token = byte_tokens[static_cast<unsigned char>(piece[i])],
                  .previous = i == 0 ? kNone : i - 1,
                  .next = i + 1 == piece.size() ? kNone : i + 1};
  }
  std::priority_queue<Candidate> candidates;
  const auto offer = [&](size_t left) {
    if (left == kNone || symbols[left].next == kNone) {
      return;
    }
    const uint64_t pair = PairKey(symbols[left].token, symbols[symbols[left].next].token);
    if (const auto merge = merges.find(pair); merge != merges.end()) {
      candidates.push(
          {.rank = merge->second.rank, .left = left, .pair = pair, .result = merge->second.result});
    }
  };
  for (size_t i = 0; i + 1 < piece.size(); ++i) {
    offer(i);
  }
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.left];
    if (left.token < 0 || left.next == kNone ||
        PairKey(left.token, symbols[left.next].token) != best.pair) {
      continue;
    }
    Symbol& right = symbols[left.next];
    left.token = best.result;
    left.next = right.next;
    right.token = -1;  // gone
    if (left.next != kNone) {
      symbols[left.next].previous = best.left;
    }
    offer(left.previous);
    offer(best.left);
  }
  for (size_t i = piece.empty() ? kNone : 0; i != kNone; i = symbols[i].next) {
    tokens.push_back(symbols[i].token);
  }
}

namespace {

absl::Status FillBytes(const Vocabulary& vocabulary, absl::string_view file,
                       std::array<int64_t, 256>& byte_tokens,
                       std::vector<std::string>& token_bytes) {
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto found = vocabulary.find(Symbols()[byte]);
    if (found == vocabulary.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": no token for byte ", byte, " (\"",
                                                     Symbols()[byte],
                                                     "\"); a byte-level vocabulary has all 256"));
    }
    byte_tokens[byte] = found->second;
  }
  for (const auto& [token, id] : vocabulary) {
    // What is not written in byte symbols is a special token and stands for its own text.
    AddToken(token_bytes, id, SymbolBytes(token).value_or(token));
  }
  return absl::OkStatus();
}

}  // namespace

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
  WATTLE_RETURN_IF_ERROR(FillBytes(vocabulary, file, tables->byte_tokens, tables->token_bytes));
  if (const auto end = vocabulary.find(kEndOfText); end != vocabulary.end()) {
    tables->eos = end->second;
    tables->specials.push_back({.text = kEndOfText, .id = end->second});
  }
  return BytePairEncoding(std::move(tables));
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::ParseTokenizerJson(absl::string_view text,
                                                                      absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, file));
  WATTLE_RETURN_IF_ERROR(CheckTokenizerKind(json, file));
  WATTLE_ASSIGN_OR_RETURN(const Vocabulary vocabulary,
                          ReadVocabulary(json["model"].value("vocab", Json()), file));
  WATTLE_ASSIGN_OR_RETURN(const MergeList list,
                          ReadJsonMerges(json["model"].value("merges", Json()), file));
  auto tables = std::make_unique<Tables>();
  WATTLE_RETURN_IF_ERROR(FillMerges(vocabulary, list, file, tables->merges));
  WATTLE_RETURN_IF_ERROR(FillBytes(vocabulary, file, tables->byte_tokens, tables->token_bytes));
  WATTLE_ASSIGN_OR_RETURN(tables->specials, ReadAddedTokens(json, file));
  std::stable_sort(
      tables->specials.begin(), tables->specials.end(),
      [](const Special& a, const Special& b) { return a.text.size() > b.text.size(); });
  for (const Special& special : tables->specials) {
    AddToken(tables->token_bytes, special.id, special.text);
    if (special.text == kEndOfText) {
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
  const auto append = [&](absl::string_view stretch) {
    tables_->pre_tokenizer.Split(
        stretch, [&](absl::string_view piece) { tables_->AppendPiece(piece, tokens); });
  };
  if (special == SpecialTokens::kAsText) {
    append(text);
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
    append(text.substr(start, i - start));
    tokens.push_back(found->id);
    i += found->text.size();
    start = i;
  }
  append(text.substr(start));
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

std::optional<int64_t> BytePairEncoding::eos_token_id() const {
  return tables_->eos;
}

}  // namespace wattle::formats
