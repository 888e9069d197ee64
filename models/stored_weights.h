// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Bytes of a model's weights in the form of a recipe: in memory, while read, on their way to a GPU,
// and while written. Pure.
#ifndef WATTLE_MODELS_STORED_WEIGHTS_H_
#define WATTLE_MODELS_STORED_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "models/decoder_config.h"
#include "models/tensors.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::models {

// Size of the pieces in which a tensor is read from its file if it cannot be read in place
// (worker/engine/models/tensor_files.h).
inline constexpr int64_t kLoadingPieceBytes = int64_t{4} << 20;

// The format of a tensor under a recipe; FP32 for tensors that recipes do not cover.
v1::TensorFormat FormatIn(const v1::QuantizationRecipe& recipe, const DecoderConfig& config,
                          const ModelTensor& tensor);

// The blocks of a GPU's memory that hold these weights: one for all FP32 tensors
// (worker/engine/models/parameters.h), and one for each other matrix (packed_arena.h).
// bf16_matrices: matrices that the recipe leaves in FP32 are BF16. Tables of positions stay FP32.
std::vector<int64_t> WeightBlocks(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                                  bool bf16_matrices = false);
// Sum of these blocks.
int64_t StoredWeightsBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                           bool bf16_matrices = false);

// The largest of the tensors' parts in the files, in FP32.
int64_t LargestPartBytes(const std::vector<ModelTensor>& tensors);
// Buffer for writing the files of a model: a tensor with another layout in memory is copied first
// (worker/engine/models/tensor_files.cc, WriteFloats).
int64_t WritingBytes(const DecoderConfig& config);

// The peak while a model is read (worker/engine/models/tensor_files.h): all weights, and either a
// piece in the file's form beside its FP32 form, or a tensor that is held as a whole.
int64_t LoadingBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                     bool double_quantized = false);
// The host's part of that peak for a model that goes to a GPU: pieces, one more in transfer, and
// the tensor that is held as a whole, with the codes of a whole matrix.
int64_t StagingBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                     bool double_quantized = false);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_STORED_WEIGHTS_H_
