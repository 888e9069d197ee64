// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/stored_weights.h"

#include <algorithm>
#include <numeric>

#include "models/model_part.h"
#include "proto/quantization_recipe.h"

namespace wattle::models {

namespace {

int64_t StoredTensorBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                          const ModelTensor& tensor) {
  return tensor.is_matrix()
             ? static_cast<int64_t>(StoredBytes(FormatIn(recipe, config, tensor),
                                                static_cast<double>(tensor.shape[0]),
                                                static_cast<double>(tensor.shape[1])))
             : tensor.element_count() * kFloatBytes;
}

// The largest of the tensor's parts in the files, in FP32.
int64_t LargestPartBytes(const ModelTensor& tensor) {
  int64_t largest = 0;
  for (const FileTensor& part : tensor.files) {
    int64_t elements = 1;
    for (const int64_t size : part.shape) {
      elements *= size;
    }
    largest = std::max(largest, elements * kFloatBytes);
  }
  return largest;
}

// Whether its rows differ from those in its files. Such a tensor is copied as a whole, both to
// write it and before it is quantized.
bool StandsOtherwise(const ModelTensor& tensor) {
  return tensor.layout.transposed || tensor.layout.interleaved_heads > 0;
}

// If scales are quantized too, those of a whole matrix first exist in FP32.
int64_t FloatScalesBytes(const v1::TensorFormat& format, const ModelTensor& tensor,
                         bool double_quantized) {
  return double_quantized && format.scheme() == v1::NUMBER_SCHEME_NORMAL_FLOAT
             ? tensor.element_count() / format.group_size() * kFloatBytes
             : 0;
}

}  // namespace

v1::TensorFormat FormatIn(const v1::QuantizationRecipe& recipe, const DecoderConfig& config,
                          const ModelTensor& tensor) {
  const bool is_tokens = tensor.slot == Slot::kTokens;
  if (tensor.is_multiplied(config)) {
    return MatrixFormat(recipe, tensor.name, is_tokens || tensor.slot == Slot::kHead);
  }
  return is_tokens ? EmbeddingFormat(recipe) : EmbeddingFormat({});
}

std::vector<int64_t> WeightBlocks(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                                  bool bf16_matrices) {
  constexpr int64_t kBf16Bytes = 2;
  std::vector<int64_t> blocks = {0};
  for (const ModelTensor& tensor : ModelTensors(config)) {
    const bool is_float =
        !tensor.is_matrix() || FormatName(FormatIn(recipe, config, tensor)) == "fp32";
    if (!is_float) {
      blocks.push_back(StoredTensorBytes(config, recipe, tensor));
    } else if (bf16_matrices && tensor.is_matrix() && tensor.slot != Slot::kPositions) {
      blocks.push_back(tensor.element_count() * kBf16Bytes);
    } else {
      blocks.front() += tensor.element_count() * kFloatBytes;
    }
  }
  return blocks;
}

int64_t StoredWeightsBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                           bool bf16_matrices) {
  const std::vector<int64_t> blocks = WeightBlocks(config, recipe, bf16_matrices);
  return std::accumulate(blocks.begin(), blocks.end(), int64_t{0});
}

int64_t LargestPartBytes(const std::vector<ModelTensor>& tensors) {
  int64_t largest = 0;
  for (const ModelTensor& tensor : tensors) {
    largest = std::max(largest, LargestPartBytes(tensor));
  }
  return largest;
}

int64_t WritingBytes(const DecoderConfig& config) {
  int64_t largest = 0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    if (StandsOtherwise(tensor)) {
      largest = std::max(largest, LargestPartBytes(tensor));
    }
  }
  return largest;
}

int64_t LoadingBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                     bool double_quantized) {
  constexpr int64_t kPieces = 2 * kLoadingPieceBytes;
  int64_t held = 0;
  const auto is_float = [&](const ModelTensor& tensor) {
    return !tensor.is_matrix() || FormatName(FormatIn(recipe, config, tensor)) == "fp32";
  };
  for (const ModelTensor& tensor : ModelTensors(config)) {  // float tensors, allocated first
    held += is_float(tensor) ? tensor.element_count() * kFloatBytes : 0;
  }
  int64_t peak = held;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    if (is_float(tensor)) {
      continue;
    }
    held += StoredTensorBytes(config, recipe, tensor);
    const int64_t whole = StandsOtherwise(tensor) ? tensor.element_count() * kFloatBytes : 0;
    peak = std::max(
        peak, held + whole +
                  FloatScalesBytes(FormatIn(recipe, config, tensor), tensor, double_quantized));
  }
  return std::max(peak, held) + kPieces;
}

int64_t StagingBytes(const DecoderConfig& config, const v1::QuantizationRecipe& recipe,
                     bool double_quantized) {
  constexpr int64_t kPieces = 3 * kLoadingPieceBytes;
  int64_t largest = 0;
  for (const ModelTensor& tensor : ModelTensors(config)) {
    const v1::TensorFormat format = FormatIn(recipe, config, tensor);
    if (!tensor.is_matrix() || FormatName(format) == "fp32") {
      continue;
    }
    const int64_t whole = StandsOtherwise(tensor) ? tensor.element_count() * kFloatBytes +
                                                        StoredTensorBytes(config, recipe, tensor)
                                                  : 0;
    largest = std::max(largest, whole + FloatScalesBytes(format, tensor, double_quantized));
  }
  return largest + kPieces;
}

}  // namespace wattle::models
