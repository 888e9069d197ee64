// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A GGUF file as a model directory: config.json and the tokenizer's files are made of its metadata
// once, and model.gguf stands beside them for the tensors. All other code reads such a directory
// like one with safetensors. Thread-safe.
#ifndef WATTLE_MODELS_GGUF_DIRECTORY_H_
#define WATTLE_MODELS_GGUF_DIRECTORY_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wattle::models {

// The GGUF file that `path` names: itself, or the only one of a directory without safetensors.
// Nothing where `path` is something else. Errors: kInvalidArgument for a directory with several.
absl::StatusOr<std::optional<std::string>> FindGguf(const std::string& path);

// Fills a directory: config.json, tokenizer.json or tokenizer.model, tokenizer_config.json,
// and model.gguf, a link to the file. Errors: those of DecoderConfigOfGguf, GgufWeights::Open and
// TokenizerFilesOfGguf, with the path that is given; those of DurableFile.
absl::Status ImportGguf(const std::string& gguf, const std::string& directory);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_DIRECTORY_H_
