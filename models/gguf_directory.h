// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Converts a GGUF file to a model directory, and a model directory to a GGUF file for llama.cpp. On
// import, config.json and the tokenizer's files are made from the metadata once, and model.gguf
// beside them provides the tensors: all other code reads such a directory like one with
// safetensors. On export, tensors are written one after the other, with two copies of one tensor in
// memory. Thread-safe.
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

// The GGUF file at `path`: the file itself, or the only one in a directory without safetensors;
// nullopt if `path` is anything else. Errors: kInvalidArgument for a directory with several.
absl::StatusOr<std::optional<std::string>> FindGguf(const std::string& path);

// Fills a directory: config.json, tokenizer.json or tokenizer.model, tokenizer_config.json, and
// model.gguf, a link to the file. Errors: those of DecoderConfigOfGguf, GgufWeights::Open and
// TokenizerFilesOfGguf, with the given path; those of DurableFile.
absl::Status ImportGguf(const std::string& gguf, const std::string& directory);

// Writes a directory as a GGUF file. type: kF32, kF16, kQ8_0 or kQ4_0, for the matrices; norms,
// biases and positions are F32, and so are matrices whose rows are not whole blocks. gguf: the path
// of the file, which is created atomically. Errors: those of InspectModelDirectory, GgufTokenizerOf
// and GgufFieldsOf; kFailedPrecondition for a quantized model; kUnimplemented for a tokenizer whose
// begin token differs from config.json's; those of WriteGguf.
absl::Status ExportGguf(const std::string& directory, const std::string& gguf,
                        formats::GgufType type);

// Writes an unquantized model that is already open. weights: the model's; fields: all metadata
// except the type. Errors: kDataLoss for non-finite values; kOutOfRange for values that the type
// cannot hold, with the tensor; those of DurableFile and of the weights.
absl::Status WriteGguf(const ModelDirectory& model, const formats::TensorSource& weights,
                       GgufArchitectureFields fields, const std::string& gguf,
                       formats::GgufType type);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_DIRECTORY_H_
