// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_weights.h"
#include "models/tensors.h"
#include "models/testing/fuzz_files_internal.h"
#include "models/testing/gguf_fuzz_internal.h"

namespace wattle::models {
namespace {

// Plain rows (qwen2), pairs of rotary rows (llama3, with divisors of the frequencies), Conv1D
// (gpt2), interleaved heads (gpt_neox), 1 + w (gemma2); gpt2 and llama_tiny have a tokenizer too.
constexpr const char* kFiles[] = {"gpt2", "llama_tiny", "llama3", "qwen2", "gpt_neox", "gemma2"};

void CheckTensor(const GgufWeights& weights, const formats::TensorEntry& tensor) {
  std::vector<std::byte> whole(static_cast<size_t>(tensor.size_bytes()));
  WATTLE_CHECK(weights.Read(tensor, absl::MakeSpan(whole)).ok(), "an accepted tensor can be read");
  constexpr size_t kParts = 3;
  const size_t floats = whole.size() / sizeof(float);
  std::vector<std::byte> part;
  for (size_t i = 0; i < kParts; ++i) {
    const size_t begin = floats * i / kParts * sizeof(float);
    part.resize(floats * (i + 1) / kParts * sizeof(float) - begin);
    WATTLE_CHECK(weights.ReadPart(tensor, static_cast<int64_t>(begin), absl::MakeSpan(part)).ok() &&
                     std::memcmp(part.data(), whole.data() + begin, part.size()) == 0,
                 "a part is that of the whole tensor");
  }
}

absl::Status ReadAll(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const formats::GgufFile file, formats::GgufFile::Open(path));
  WATTLE_ASSIGN_OR_RETURN(const DecoderConfig config, DecoderConfigOfGguf(file));
  const std::string json = FormatDecoderConfig(config);
  const auto again = ParseDecoderConfig(json, path);
  WATTLE_CHECK(again.ok() && FormatDecoderConfig(*again) == json,
               "an accepted description is that of its config.json");
  WATTLE_ASSIGN_OR_RETURN(const GgufWeights weights, GgufWeights::Open(path, config));
  for (const formats::TensorEntry& tensor : weights.tensors()) {
    CheckTensor(weights, tensor);
  }
  return formats::TokenizerFilesOfGguf(file.header().metadata, path, GgufPreTokenizerNames())
      .status();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ValidGgufFiles() {
  std::vector<std::string> files;
  for (const char* name : kFiles) {
    WATTLE_ASSIGN_OR_RETURN(
        std::string file,
        ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/", name, ".gguf"),
                      kFuzzFileBytesMax));
    files.push_back(std::move(file));
  }
  return files;
}

absl::Status LookAtGguf(const std::string& path, absl::string_view file) {
  WATTLE_CHECK(WriteFuzzFile(path, file).ok(), "the directory can be written");
  const absl::Status status = ReadAll(path);
  if (!status.ok()) {
    CheckRefusal(status);
  }
  return status;
}

}  // namespace wattle::models
