// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tokenizer in GGUF metadata ("tokenizer.ggml.…"), converted to the files of a Hugging Face
// directory, and back. Two kinds are read: "gpt2", byte-level BPE with the name of its
// pre-tokenizer, and "llama", SentencePiece pieces with scores. Thread-safe.
#ifndef WATTLE_FORMATS_GGUF_TOKENIZER_H_
#define WATTLE_FORMATS_GGUF_TOKENIZER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "formats/gguf.h"

namespace wattle::formats {

struct NamedFile {
  std::string name;  // inside the model's directory
  std::string content;
};

// An alias for a pre-tokenizer found in files.
struct GgufPreTokenizerName {
  absl::string_view name;     // "stablelm2"
  absl::string_view same_as;  // "qwen2": the name that GgufTokenizerOf writes
};

// tokenizer.json or tokenizer.model, and tokenizer_config.json with the chat template. file: a name
// for messages. more_names: aliases of pre-tokenizers, in addition to the names that
// GgufTokenizerOf writes. Errors: kNotFound for metadata without a tokenizer; kInvalidArgument for
// a tokenizer that contradicts itself, kUnimplemented for one of another kind; both name the key.
absl::StatusOr<std::vector<NamedFile>> TokenizerFilesOfGguf(
    const GgufMetadata& metadata, absl::string_view file,
    absl::Span<const GgufPreTokenizerName> more_names = {});

// The inverse: the metadata keys for the tokenizer and the chat template of a directory. Ids up to
// `vocabulary` that have no token get tokens that no text encodes to. Errors: those of
// BytePairEncoding::LoadDirectory and of the chat template; kInvalidArgument for a token with an id
// outside `vocabulary`; kUnimplemented for a tokenizer that GGUF metadata cannot represent.
absl::StatusOr<GgufMetadata> GgufTokenizerOf(const std::string& directory, int64_t vocabulary);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_GGUF_TOKENIZER_H_
