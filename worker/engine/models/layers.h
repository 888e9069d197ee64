// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The arithmetic that blocks are made of: linear layers, norms, activations, dropout, tables. Each
// has a forward form and, if training needs it, a backward form that adds to the gradients of the
// weights and returns the gradient of the input. An undefined gradient is not computed. Rows are
// tokens: x is float [rows, width]. Works on any device; on the CPU with our kernels where they
// exist.
#ifndef WATTLE_WORKER_ENGINE_MODELS_LAYERS_H_
#define WATTLE_WORKER_ENGINE_MODELS_LAYERS_H_

#include <cstdint>
#include <initializer_list>

#include <ATen/core/Tensor.h>

namespace wattle::kernels {
enum class Nonlinearity : uint8_t;
enum class RandomUse : uint32_t;
struct RandomStream;
}  // namespace wattle::kernels
namespace wattle::models {
enum class Activation;
enum class Norm;
struct LayerDescription;
}  // namespace wattle::models

namespace wattle::engine {

struct LinearWeights;
struct MatrixWeights;
struct NormWeights;

// Whether dropout is active, and its random stream. Counter-based: forward and backward draw the
// same mask.
struct DropoutState {
  bool active = false;  // only in training
  uint64_t seed = 0;
  uint64_t counter = 0;  // of the micro-batch: different for each forward pass of a training run
};

// The random stream of one use in one layer.
kernels::RandomStream DropoutStream(const DropoutState& state, kernels::RandomUse use,
                                    int64_t layer);

// In place: x is float, contiguous. Does nothing if `state` is inactive or rate is 0.
void DropInPlace(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                 at::Tensor& x);
// DropInPlace on a contiguous copy of x.
at::Tensor Dropped(const DropoutState& state, kernels::RandomUse use, int64_t layer, double rate,
                   const at::Tensor& x);

// x Wᵀ (+ bias if it is defined): [rows, inputs] → [rows, outputs]. W in any format. One row of
// FP32 uses a matrix-vector product, because OpenBLAS would be five times slower.
at::Tensor MatrixProduct(const MatrixWeights& matrix, const at::Tensor& x, const at::Tensor& bias);

// Same result by dequantizing the whole matrix, as other devices do piece by piece.
at::Tensor MatrixProductPlain(const MatrixWeights& matrix, const at::Tensor& x,
                              const at::Tensor& bias);
// The matrix as float [outputs, inputs], on its own device.
at::Tensor Dequantize(const MatrixWeights& matrix);

// x W: [rows, outputs] → [rows, inputs], the backward form of MatrixProduct. A matrix that is not
// FP32 is dequantized piece by piece, unless it is BF16 and the product rounds its factors.
at::Tensor TransposedProduct(const MatrixWeights& matrix, const at::Tensor& x);

// The gradient of a matrix: the product of grad_out [rows, outputs], transposed, and x [rows,
// inputs]. If `gradient` is marked unwritten, it is overwritten and the mark removed; else the
// product is added.
void AddMatrixGradient(const at::Tensor& grad_out, const at::Tensor& x, MatrixWeights& gradient);

// x in the form that all of `readers` read, forward and backward: its Factor (products.h), unless
// one of them needs x itself.
at::Tensor LinearInput(std::initializer_list<const LinearWeights*> readers, const at::Tensor& x);

// x: may be a LinearInput. dropout: for the adapters' input.
at::Tensor LinearForward(const LinearWeights& linear, const at::Tensor& x,
                         const DropoutState& dropout = {});

// x: input of the forward pass; grad_out: [rows, outputs]; dropout: as in the forward pass. Adds to
// gradients; returns [rows, inputs]. Weights of any format, those with a gradient FP32.
at::Tensor LinearBackward(const LinearWeights& linear, const at::Tensor& x,
                          const at::Tensor& grad_out, LinearWeights& gradients,
                          const DropoutState& dropout = {});

// Kept by a norm for its backward pass.
struct NormActivations {
  at::Tensor mean;                  // [rows, 1]; undefined for an RMSNorm
  at::Tensor reciprocal_deviation;  // [rows, 1]
};

// saved: may be null.
at::Tensor NormForward(models::Norm kind, double epsilon, const NormWeights& norm,
                       const at::Tensor& x, NormActivations* saved);
// x: input of the forward pass. Adds to gradients; returns the gradient of x.
at::Tensor NormBackward(models::Norm kind, const NormWeights& norm, const NormActivations& saved,
                        const at::Tensor& x, const at::Tensor& grad_out, NormWeights& gradients);

// The kernels' enumerator of the activation.
[[nodiscard]] kernels::Nonlinearity NonlinearityOf(models::Activation activation);
// up: [rows, up_rows] → [rows, mlp_width].
at::Tensor ActivationForward(const models::LayerDescription& layer, const at::Tensor& up);
// up: input of the forward pass; grad_out: [rows, mlp_width] → gradient of up.
at::Tensor ActivationBackward(const models::LayerDescription& layer, const at::Tensor& up,
                              const at::Tensor& grad_out);

// Rows of the table: tokens int64 [rows] → float [rows, width].
at::Tensor LookUpRows(const MatrixWeights& table, const at::Tensor& tokens);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_LAYERS_H_
