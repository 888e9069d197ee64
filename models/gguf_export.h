// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A model directory as one GGUF file, which llama.cpp reads. The tensors are written one after the
// other: the values of one are in memory, twice. Thread-safe.
#ifndef WATTLE_MODELS_GGUF_EXPORT_H_
#define WATTLE_MODELS_GGUF_EXPORT_H_

#include <string>

#include "absl/status/status.h"

#include "formats/gguf_blocks.h"
#include "formats/tensor_source.h"
#include "models/gguf_config.h"
#include "models/model_directory.h"

namespace wattle::models {

// type: of the matrices, kF32, kF16 or kQ8_0; norms, biases and positions are F32, and so are
// matrices whose rows are no whole blocks. gguf: the path of the file, which appears whole or not
// at all. Errors: those of InspectModelDirectory, GgufTokenizerOf and GgufFieldsOf;
// kFailedPrecondition for a quantized model; kUnimplemented for a tokenizer that begins a text with
// another token than config.json names; those of WriteGguf.
absl::Status ExportGguf(const std::string& directory, const std::string& gguf,
                        formats::GgufType type);

// The same of an unquantized model that is open. weights: the model's; fields: the whole metadata
// but that of the type. Errors: kDataLoss for values that are not finite; kOutOfRange for values
// that the type cannot hold, with the tensor; those of DurableFile and of the weights.
absl::Status WriteGguf(const ModelDirectory& model, const formats::TensorSource& weights,
                       GgufArchitectureFields fields, const std::string& gguf,
                       formats::GgufType type);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_EXPORT_H_
