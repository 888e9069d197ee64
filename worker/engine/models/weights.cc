// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/weights.h"

#include "base/check.h"

namespace wattle::engine {
namespace {

BlockWeights& BlockAt(DecoderWeights& weights, int64_t layer) {
  const auto index = static_cast<size_t>(layer);
  if (weights.blocks.size() <= index) {
    weights.blocks.resize(index + 1);
  }
  return weights.blocks[index];
}

LinearWeights* LinearAt(DecoderWeights& weights, const models::ModelTensor& tensor) {
  switch (tensor.slot) {
    case models::Slot::kQkv:
      return &BlockAt(weights, tensor.layer).qkv;
    case models::Slot::kAttentionOutput:
      return &BlockAt(weights, tensor.layer).attention_output;
    case models::Slot::kUp:
      return &BlockAt(weights, tensor.layer).up;
    case models::Slot::kDown:
      return &BlockAt(weights, tensor.layer).down;
    default:
      return nullptr;
  }
}

NormWeights* NormAt(DecoderWeights& weights, const models::ModelTensor& tensor) {
  switch (tensor.slot) {
    case models::Slot::kAttentionNorm:
      return &BlockAt(weights, tensor.layer).attention_norm;
    case models::Slot::kAttentionInnerNorm:
      return &BlockAt(weights, tensor.layer).attention_inner_norm;
    case models::Slot::kAttentionPostNorm:
      return &BlockAt(weights, tensor.layer).attention_post_norm;
    case models::Slot::kMlpNorm:
      return &BlockAt(weights, tensor.layer).mlp_norm;
    case models::Slot::kMlpInnerNorm:
      return &BlockAt(weights, tensor.layer).mlp_inner_norm;
    case models::Slot::kMlpPostNorm:
      return &BlockAt(weights, tensor.layer).mlp_post_norm;
    case models::Slot::kFinalNorm:
      return &weights.final_norm;
    default:
      return nullptr;
  }
}

}  // namespace

bool IsMatrixSlot(const models::ModelTensor& tensor) {
  return tensor.is_matrix() && tensor.slot != models::Slot::kPositions;
}

MatrixWeights& MatrixAt(DecoderWeights& weights, const models::ModelTensor& tensor) {
  WATTLE_CHECK(IsMatrixSlot(tensor), "the tensor is a matrix that products or look-ups use");
  if (tensor.slot == models::Slot::kTokens) {
    return weights.tokens;
  }
  if (tensor.slot == models::Slot::kHead) {
    return weights.head;
  }
  return LinearAt(weights, tensor)->matrix;
}

at::Tensor& TensorAt(DecoderWeights& weights, const models::ModelTensor& tensor) {
  WATTLE_CHECK(!IsMatrixSlot(tensor), "the tensor is a norm, a bias or the position table");
  if (tensor.slot == models::Slot::kPositions) {
    return weights.positions;
  }
  if (tensor.slot == models::Slot::kHead) {
    return weights.head_bias;
  }
  if (NormWeights* norm = NormAt(weights, tensor); norm != nullptr) {
    return tensor.part == models::Part::kWeight ? norm->weight : norm->bias;
  }
  return LinearAt(weights, tensor)->bias;
}

bool HasAny(const BlockWeights& block) {
  for (const NormWeights* norm :
       {&block.attention_norm, &block.attention_inner_norm, &block.attention_post_norm,
        &block.mlp_norm, &block.mlp_inner_norm, &block.mlp_post_norm}) {
    if (norm->weight.defined() || norm->bias.defined()) {
      return true;
    }
  }
  for (const LinearWeights* linear :
       {&block.qkv, &block.attention_output, &block.up, &block.down}) {
    const MatrixWeights& matrix = linear->matrix;
    if (matrix.value.defined() || matrix.packed.defined() || linear->bias.defined() ||
        !linear->adapters.empty()) {
      return true;
    }
  }
  return false;
}

void TieHead(const models::DecoderConfig& config, DecoderWeights& weights) {
  if (config.tied_embeddings) {
    weights.head = weights.tokens;
  }
}

}  // namespace wattle::engine
