// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The arithmetic that blocks are made of: linear layers, layer norm, dropout, tables. Each has its
// forward form and, where training needs it, a backward form that adds to the gradients of the
// weights and returns that of the input. Rows are tokens: x is float [rows, width]. Works on any
// device; on the CPU with our kernels where there is one.
#ifndef WATTLE_WORKER_ENGINE_MODELS_LAYERS_H_
#define WATTLE_WORKER_ENGINE_MODELS_LAYERS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/random.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

// Whether dropout is on, and from which numbers. Counter-based: forward and backward draw the same
// mask from it.
struct DropoutState {
  bool active = false;  // training
  uint64_t seed = 0;
  uint64_t counter = 0;  // of the micro-batch: each forward pass of a training has its own
};

// x in place: float, contiguous. Nothing happens where `state` is inactive or rate is 0.
void DropInPlace(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                 at::Tensor& x);

// As DropInPlace for x: float [sequences, tokens, tokens], the upper triangle of which is zero and
// stays so.
void DropCausalInPlace(const DropoutState& state, int64_t layer, double rate, at::Tensor& x);

// x: [rows, in] → [rows, out]. One row goes through a matrix-vector product: OpenBLAS is five times
// slower otherwise.
at::Tensor LinearForward(const LinearWeights& linear, const at::Tensor& x);

// x: input of the forward pass; grad_out: [rows, out]. FP32 weights only. Adds to gradients;
// returns [rows, in].
at::Tensor LinearBackward(const LinearWeights& linear, const at::Tensor& x,
                          const at::Tensor& grad_out, LinearWeights& gradients);

// What the backward pass of a norm needs.
struct NormActivations {
  at::Tensor mean;  // [rows, 1]
  at::Tensor reciprocal_deviation;
};

// saved: may be null.
at::Tensor NormForward(const NormWeights& norm, double epsilon, const at::Tensor& x,
                       NormActivations* saved);
// x: input of the forward pass. Adds to gradients; returns the gradient of x.
at::Tensor NormBackward(const NormWeights& norm, const NormActivations& saved, const at::Tensor& x,
                        const at::Tensor& grad_out, NormWeights& gradients);

// Rows of the table: tokens int64 [rows] → float [rows, width].
at::Tensor TableLookUp(const TableWeights& table, const at::Tensor& tokens);
// The head: x float [rows, width] → logits float [rows, vocabulary].
at::Tensor TableLogits(const TableWeights& table, const at::Tensor& x);

// The plain-ATen forms of int8 weights, for any device; the kernels are tested against them. float
// [out, in].
at::Tensor DequantizeRows(const at::Tensor& codes, const at::Tensor& scales);
// x codesᵀ scales (+ bias where it is defined).
at::Tensor Int8ProductPlain(const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& x,
                            const at::Tensor& bias);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_LAYERS_H_
