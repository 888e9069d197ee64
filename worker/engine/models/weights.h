// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The weights of a decoder as one structure that the blocks read. The same structure holds
// gradients; an undefined tensor there means that no gradient is to be computed. The tensors are
// views: parameters.h documents the ownership of the bytes. Not thread-safe. Read next: block.h.
#ifndef WATTLE_WORKER_ENGINE_MODELS_WEIGHTS_H_
#define WATTLE_WORKER_ENGINE_MODELS_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"
#include "models/tensors.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::engine {

// A matrix [outputs, inputs] in one of the formats of worker/engine/kernels/weight_matrix.h.
struct MatrixWeights {
  at::Tensor value;  // float [outputs, inputs]; undefined in every format except FP32
  // The bytes of another format, uint8; for BF16 the numbers, bfloat16 [outputs, inputs] …
  at::Tensor packed;
  at::Tensor scales;  // … and its scales
  // Describes `packed` and `scales`; for FP32 only the shape. Has no pointers if they are on a
  // device other than the host (device/aten/stored_rows.h).
  kernels::WeightMatrix matrix;
  // With packed bytes on another device: float, the values of the format's codes.
  at::Tensor tables = {};
  // For a quantized matrix: products are FP32 with the dequantized weights, piece by piece, and
  // unrounded inputs. Training needs this, because the backward pass is exactly that function's.
  bool dequantized_products = false;
  // Among gradients: the contents of `value` belong to no pass yet, so the first product overwrites
  // instead of adding, and nothing has to clear them.
  bool unwritten = false;

  [[nodiscard]] bool is_float() const { return value.defined(); }
  [[nodiscard]] bool is_bf16() const {
    return matrix.format.scheme == kernels::WeightScheme::kBf16;
  }
};

// Adds scale * B A d(x) to `outputs` of the rows from first_row on, where d is dropout (LoRA, Hu et
// al. 2021). Among gradients only the two tensors are used.
struct LowRankAdapter {
  at::Tensor a;  // float [rank, inputs]
  at::Tensor b;  // float [outputs, rank]
  int64_t first_row = 0;
  double scale = 1.0;
  double dropout = 0.0;
  int64_t site = 0;  // of its random numbers: different for each adapter of a model
};

// y = W x + b, plus the results of the adapters.
struct LinearWeights {
  MatrixWeights matrix;
  at::Tensor bias;  // float [outputs], undefined if the layer has none
  std::vector<LowRankAdapter> adapters =
      {};  // in the order of their rows; empty outside of training
};

struct NormWeights {
  at::Tensor weight;  // float [width]
  at::Tensor bias;    // float [width], undefined for an RMSNorm
};

// Undefined for norms that a layer does not have.
struct BlockWeights {
  NormWeights attention_norm;
  LinearWeights qkv;  // rows: query, key, value
  NormWeights attention_inner_norm;
  LinearWeights attention_output;
  NormWeights attention_post_norm;
  NormWeights mlp_norm;
  LinearWeights up;  // rows: gate (of a gated MLP), up
  NormWeights mlp_inner_norm;
  LinearWeights down;
  NormWeights mlp_post_norm;
};

struct DecoderWeights {
  MatrixWeights tokens;  // one row per token
  at::Tensor positions;  // float [learned_offset + max_positions, width], or undefined
  std::vector<BlockWeights> blocks;
  NormWeights final_norm;
  MatrixWeights head;    // tied: the same tensors as `tokens`
  at::Tensor head_bias;  // float [vocabulary], undefined if the head has none
};

// The matrix of a tensor of models::ModelTensors that may have any format: slots kTokens, kHead,
// and the weights of the four linear layers.
MatrixWeights& MatrixAt(DecoderWeights& weights, const models::ModelTensor& tensor);
// Whether MatrixAt accepts the tensor; the others are plain tensors, found by TensorAt.
[[nodiscard]] bool IsMatrixSlot(const models::ModelTensor& tensor);
at::Tensor& TensorAt(DecoderWeights& weights, const models::ModelTensor& tensor);

// Whether any tensor of a block, or any adapter of it, is defined.
[[nodiscard]] bool HasAny(const BlockWeights& block);

// Ties the head to the token embedding if the config requires it. Call once all tensors are placed.
void TieHead(const models::DecoderConfig& config, DecoderWeights& weights);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_WEIGHTS_H_
