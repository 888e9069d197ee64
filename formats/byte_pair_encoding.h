// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Byte-pair encoding of two kinds. Byte-level (GPT-2, GPT-NeoX, phi, Llama 3, Qwen 2, SmolLM2,
// StableLM 2): text is cut by regular expressions, some bring it to Unicode's normalization form C
// before, and the UTF-8 bytes of each piece become symbols. SentencePiece converted to
// tokenizer.json (Llama 2, Mistral, Gemma): the whole text is one piece, spaces are written "▁",
// most put one before the text, and its characters become symbols, or their bytes where a character
// has no token. Then neighbours are merged in the order of the merge list. Any bytes encode and
// decode to themselves, but for the added space and normalization. Immutable after loading, so
// every method may be called from many threads.
#ifndef WATTLE_FORMATS_BYTE_PAIR_ENCODING_H_
#define WATTLE_FORMATS_BYTE_PAIR_ENCODING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::formats {

// What to do with text that spells a special token ("<|endoftext|>").
enum class SpecialTokens {
  kAsText,     // as any other text: what a user's data must get
  kRecognise,  // becomes the one special token
};

class BytePairEncoding {
 public:
  // dir/tokenizer.json if there is one, else dir/vocab.json and dir/merges.txt.
  // Errors: kNotFound (names the files that were looked for), kInvalidArgument (not JSON, a merge
  // of unknown symbols, a byte without a token), kUnimplemented (tokenizer.json of another kind).
  static absl::StatusOr<BytePairEncoding> LoadDirectory(const std::string& directory);
  static absl::StatusOr<BytePairEncoding> LoadVocabularyAndMerges(
      const std::string& vocabulary_path, const std::string& merges_path);
  static absl::StatusOr<BytePairEncoding> LoadTokenizerJson(const std::string& path);
  // The same from text; the names are for messages.
  static absl::StatusOr<BytePairEncoding> ParseVocabularyAndMerges(
      absl::string_view vocabulary_json, absl::string_view merges, absl::string_view file);
  static absl::StatusOr<BytePairEncoding> ParseTokenizerJson(absl::string_view json,
                                                             absl::string_view file);

  BytePairEncoding(BytePairEncoding&&) noexcept;
  BytePairEncoding& operator=(BytePairEncoding&&) noexcept;
  ~BytePairEncoding();

  // Token ids of `text`, without a begin token.
  [[nodiscard]] std::vector<int64_t> Encode(absl::string_view text,
                                            SpecialTokens special = SpecialTokens::kAsText) const;
  // The same with the begin token before it, if the tokenizer puts one before a text.
  [[nodiscard]] std::vector<int64_t> EncodeDocument(absl::string_view text) const;
  // Token ids of text that follows other text: no space is put before it.
  [[nodiscard]] std::vector<int64_t> EncodeContinuation(absl::string_view text) const;
  // Bytes of `tokens`; an id outside the vocabulary gives nothing. A cut through a character leaves
  // invalid UTF-8.
  [[nodiscard]] std::string Decode(absl::Span<const int64_t> tokens) const;
  // How many bytes one token stands for; 0 for an unknown id.
  [[nodiscard]] size_t TokenSizeBytes(int64_t token) const;

  [[nodiscard]] int64_t vocabulary_size() const;  // largest id + 1
  [[nodiscard]] std::optional<int64_t> begin_token_id() const;
  // Bytes that Encode may put before a text: 1 (a space) of Llama 2's kind and Mistral's, else 0.
  [[nodiscard]] size_t added_prefix_bytes() const;
  // "<|endoftext|>", "<|end_of_text|>", "</s>" or "<eos>", if the tokenizer has one of them.
  [[nodiscard]] std::optional<int64_t> eos_token_id() const;

 private:
  struct Tables;
  explicit BytePairEncoding(std::unique_ptr<const Tables> tables);

  std::unique_ptr<const Tables> tables_;
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_BYTE_PAIR_ENCODING_H_
