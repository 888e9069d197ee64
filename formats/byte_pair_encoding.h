// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Byte-pair encoding: text to token ids and back. Two kinds differ in the first symbols of a text.
// Byte-level (GPT-2, GPT-NeoX, phi, Llama 3, Qwen 2, SmolLM2, StableLM 2): regular expressions cut
// the text into pieces, and the UTF-8 bytes of a piece are its symbols. Some of these tokenizers
// first convert the text to Unicode normalization form C.
// SentencePiece, stored as tokenizer.model or converted to tokenizer.json (Llama 2, Mistral,
// Gemma): the whole text is one piece whose characters are the symbols; a character without a token
// becomes its bytes. Spaces are written "▁". Most of these tokenizers put a space before the text.
// Both kinds then merge neighbouring symbols in the order of the merge list. Any bytes encode and
// decode to themselves, except for the added space and the normalization. A tokenizer is immutable
// after loading; every method is thread-safe.
#ifndef WATTLE_FORMATS_BYTE_PAIR_ENCODING_H_
#define WATTLE_FORMATS_BYTE_PAIR_ENCODING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::formats {

// How Encode treats text that spells a special token ("<|endoftext|>").
enum class SpecialTokens {
  kAsText,     // like any other text; required for users' data
  kRecognise,  // the text becomes that special token
};

struct TokenizerParts;

// A SentencePiece model and the files beside it that configure its use.
struct SentencePieceFiles {
  std::string model;                                 // tokenizer.model
  std::optional<std::string> tokenizer_config = {};  // tokenizer_config.json
  std::optional<std::string> added_tokens = {};      // added_tokens.json
};

class BytePairEncoding {
 public:
  // Reads dir/tokenizer.json if it exists, else dir/vocab.json and dir/merges.txt, else
  // dir/tokenizer.model. The last two are configured by tokenizer_config.json and
  // added_tokens.json. vocab.json and merges.txt are read the way of the class named by
  // tokenizer_config.json or config.json: GPT-2's, CodeGen's or Qwen 2's.
  // Errors: kNotFound (names the files that were tried), kInvalidArgument (not JSON, a merge of
  // unknown symbols, a byte without a token, a damaged tokenizer.model, files that contradict each
  // other), kUnimplemented (another kind of tokenizer, with the field that shows the kind).
  static absl::StatusOr<BytePairEncoding> LoadDirectory(const std::string& directory);
  // LoadDirectory for files that are not in a directory. read: the content of the named file, or
  // nullopt if there is no such file. place: prefix of file names in messages.
  using ReadNamedFile =
      absl::FunctionRef<absl::StatusOr<std::optional<std::string>>(absl::string_view name)>;
  static absl::StatusOr<BytePairEncoding> LoadFiles(ReadNamedFile read, absl::string_view place);
  // LoadDirectory from the files' contents. file: a name for messages. A vocabulary with merges and
  // no settings is read as GPT-2's.
  static absl::StatusOr<BytePairEncoding> ParseVocabularyAndMerges(
      absl::string_view vocabulary_json, absl::string_view merges, absl::string_view file);
  static absl::StatusOr<BytePairEncoding> ParseTokenizerJson(absl::string_view json,
                                                             absl::string_view file);
  static absl::StatusOr<BytePairEncoding> ParseSentencePiece(const SentencePieceFiles& files,
                                                             absl::string_view file);

  BytePairEncoding(BytePairEncoding&&) noexcept;
  BytePairEncoding& operator=(BytePairEncoding&&) noexcept;
  ~BytePairEncoding();

  // Token ids of `text`, without a begin token.
  [[nodiscard]] std::vector<int64_t> Encode(absl::string_view text,
                                            SpecialTokens special = SpecialTokens::kAsText) const;
  // Encode with the begin token in front, if the tokenizer puts one before a text.
  [[nodiscard]] std::vector<int64_t> EncodeDocument(absl::string_view text) const;
  // Token ids of text that follows other text: the tokenizer puts no space before it.
  [[nodiscard]] std::vector<int64_t> EncodeContinuation(absl::string_view text) const;
  // Bytes of `tokens`. An id outside the vocabulary has no bytes. If `tokens` end within a
  // character, the bytes end with invalid UTF-8.
  [[nodiscard]] std::string Decode(absl::Span<const int64_t> tokens) const;
  // Number of bytes that one token represents; 0 for an unknown id.
  [[nodiscard]] size_t TokenSizeBytes(int64_t token) const;

  // A special token spelled somewhere in `text`; nullopt if there is none.
  [[nodiscard]] std::optional<std::string> FindSpecialToken(absl::string_view text) const;
  [[nodiscard]] bool IsSpecial(int64_t token) const;

  [[nodiscard]] int64_t vocabulary_size() const;  // largest id + 1
  [[nodiscard]] std::optional<int64_t> begin_token_id() const;
  // Bytes that Encode may put before a text: 1 (a space) for tokenizers like Llama 2's and
  // Mistral's, else 0.
  [[nodiscard]] size_t added_prefix_bytes() const;
  // "<|endoftext|>", "<|end_of_text|>", "</s>" or "<eos>", if the tokenizer has one of these
  // tokens.
  [[nodiscard]] std::optional<int64_t> eos_token_id() const;

 private:
  struct Tables;
  static absl::StatusOr<std::unique_ptr<const Tables>> Assemble(TokenizerParts parts,
                                                                absl::string_view file);
  explicit BytePairEncoding(std::unique_ptr<const Tables> tables);

  std::unique_ptr<const Tables> tables_;
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_BYTE_PAIR_ENCODING_H_
