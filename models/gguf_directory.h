// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A GGUF file as a model directory, and a model directory as a GGUF file, which llama.cpp reads. On
// the way in, config.json and the tokenizer's files are made of the metadata once, and model.gguf
// stands beside them for the tensors: all other code reads such a directory like one with
// safetensors. On the way out the tensors are written one after the other: the values of one are in
// memory, twice. Thread-safe.
#ifndef WATTLE_MODELS_GGUF_DIRECTORY_H_
#define WATTLE_MODELS_GGUF_DIRECTORY_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "formats/gguf_blocks.h"
#include "formats/tensor_source.h"
#include "models/gguf_config.h"
#include "models/model_directory.h"

namespace wattle::models {

// The GGUF file that `path` names: itself, or the only one of a directory without safetensors.
// Nothing where `path` is something else. Errors: kInvalidArgument for a directory with several.
absl::StatusOr<std::optional<std::string>> FindGguf(const std::string& path);

// Fills a directory: config.json, tokenizer.json or tokenizer.model, tokenizer_config.json,
// and model.gguf, a link to the file. Errors: those of DecoderConfigOfGguf, GgufWeights::Open and
// TokenizerFilesOfGguf, with the path that is given; those of DurableFile.
absl::Status ImportGguf(const std::string& gguf, const std::string& directory);

// Writes a directory as a GGUF file. type: of the matrices, kF32, kF16, kQ8_0 or kQ4_0; norms,
// biases and positions are F32, and so are matrices whose rows are no whole blocks. gguf: the path
// of the file, which appears whole or not at all. Errors: those of InspectModelDirectory,
// GgufTokenizerOf and GgufFieldsOf; kFailedPrecondition for a quantized model; kUnimplemented for a
// tokenizer that begins a text with another token than config.json names; those of WriteGguf.
absl::Status ExportGguf(const std::string& directory, const std::string& gguf,
                        formats::GgufType type);

// The same of an unquantized model that is open. weights: the model's; fields: the whole metadata
// but that of the type. Errors: kDataLoss for values that are not finite; kOutOfRange for values
// that the type cannot hold, with the tensor; those of DurableFile and of the weights.
absl::Status WriteGguf(const ModelDirectory& model, const formats::TensorSource& weights,
                       GgufArchitectureFields fields, const std::string& gguf,
                       formats::GgufType type);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_DIRECTORY_H_
