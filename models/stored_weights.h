// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the weights of a model take in the form that a recipe gives them: in memory, while they are
// read, on their way to a GPU, and while they are written. Pure.
#ifndef WATTLE_MODELS_STORED_WEIGHTS_H_
#define WATTLE_MODELS_STORED_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "models/decoder_config.h"
#include "models/tensors.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::models {

// What a tensor goes through on its way from its file, where it cannot be read into its place
// (worker/engine/models/tensor_files.h).
inline constexpr int64_t kLoadingPieceBytes = int64_t{4} << 20;

// The format of a tensor under a recipe; FP32 for what recipes do not speak of.
v1::TensorFormat FormatIn(const v1::QuantizationRecipe& recipe, const DecoderConfig& config,
                          const ModelTensor& tensor);

// The blocks of a GPU's memory that hold these weights: one for all that is FP32
// (worker/engine/models/parameters.h), and one for each other matrix (packed_arena.h).
// bf16_matrices: those that the recipe leaves in FP32 are BF16. Tables of positions stay FP32.
std::vector<int64_t> WeightBlocks(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                                  bool bf16_matrices = false);
// All of them.
int64_t StoredWeightsBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                           bool bf16_matrices = false);

// The largest tensor of the files that the tensors are made of, in FP32.
int64_t LargestPartBytes(const std::vector<ModelTensor>& tensors);
// What the files of a model are written through: a tensor that stands otherwise in memory is copied
// (worker/engine/models/tensor_files.cc, WriteFloats).
int64_t WritingBytes(const DecoderConfig& config);

// The peak while a model is read (worker/engine/models/tensor_files.h): all of it, and a piece as
// the file has it beside the same piece in FP32, or beside what is there as a whole.
int64_t LoadingBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                     bool double_quantized = false);
// What of that is in the host's memory where the model goes to a GPU's: pieces, one more on the
// way, and what is there as a whole, with the codes of a whole matrix.
int64_t StagingBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                     bool double_quantized = false);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_STORED_WEIGHTS_H_
