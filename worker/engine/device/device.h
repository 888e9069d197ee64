// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the engine asks of the device on which its tensors lie. A device is a folder that answers:
// cpu/ with our kernels, aten/ with libtorch's operators, which every device of libtorch has.
// Nothing outside of these folders asks which device it is. The two answers agree: bit for bit in
// what is stored and drawn, else within rounding. Stateless; may throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_DEVICE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_DEVICE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include <ATen/core/Tensor.h>

#include "wattle/v1/spec.pb.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/kernels/float_matmul.h"
#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::kernels {
struct AdamWStep;
struct RandomStream;
}  // namespace wattle::kernels
namespace wattle::models {
enum class Activation;
}  // namespace wattle::models

namespace wattle::engine {

class DecodeOperator;
struct DecodeRequest;
struct MatrixWeights;
struct MomentLevels;
struct ProbabilityDropout;
struct RmsGain;
struct SeenKeys;
struct UpdatedParameter;

class DeviceOperations {
 public:
  virtual ~DeviceOperations() = default;

  // --- Memory. ---

  // Whether it is the host's: our kernels read it, and what was loaded need not be copied.
  [[nodiscard]] virtual bool in_host_memory() const = 0;
  // Zeros [elements] for what every step reads from end to end.
  [[nodiscard]] virtual at::Tensor ZeroArena(int64_t elements,
                                             const at::TensorOptions& options) const = 0;
  // Memory [elements] that a session of decoding keeps, and writes before it reads it.
  [[nodiscard]] virtual at::Tensor SessionMemory(int64_t elements,
                                                 const at::TensorOptions& options) const = 0;
  // Takes memory for a pass of so many bytes at once, and lets it go. An allocator that keeps what
  // was let go, as libtorch's for CUDA does, gives the pass's tensors from there. So a GPU without
  // that room refuses before the first step. Nothing on the host, where passes have their arena.
  virtual void MakeRoom(int64_t bytes, at::Device device) const = 0;
  // Copies rows of the host into `place`, of the same shape and of this device.
  virtual void CopyFromHost(const at::Tensor& rows, at::Tensor& place) const = 0;
  // A packed matrix of the host in this device's memory.
  [[nodiscard]] virtual MatrixWeights Stored(MatrixWeights matrix, at::Device device) const = 0;

  // --- Products of floats. factors: what both are rounded to, or are already. ---

  // What products are to read in place of x, where several read it: rounded once where the device
  // rounds a factor before its product, else x itself. x: of two or four dimensions.
  [[nodiscard]] virtual at::Tensor Factor(kernels::FactorType factors,
                                          const at::Tensor& x) const = 0;
  // Rows that a matrix of so many had better have, the further ones zeros, where products by these
  // factors read it often: products of an odd vocabulary are slow on a GPU.
  [[nodiscard]] virtual int64_t PaddedRows(kernels::FactorType factors, int64_t rows) const = 0;
  // left right (+ bias where it is defined).
  [[nodiscard]] virtual at::Tensor Product(kernels::FactorType factors, const at::Tensor& left,
                                           const at::Tensor& right,
                                           const at::Tensor& bias) const = 0;
  virtual void ProductInto(kernels::FactorType factors, const at::Tensor& left,
                           const at::Tensor& right, const at::Tensor& out) const = 0;
  virtual void AddProduct(kernels::FactorType factors, const at::Tensor& left,
                          const at::Tensor& right, const at::Tensor& out) const = 0;
  // Of each sequence and head. mask: what need not be computed.
  virtual void BatchProductInto(kernels::FactorType factors, const at::Tensor& left,
                                const at::Tensor& right, const kernels::CausalMask& mask,
                                const at::Tensor& out) const = 0;

  // --- Matrices in stored formats (kernels/weight_matrix.h). ---

  // Calls body(first row, float [rows, columns]) for pieces of the matrix, one after the other.
  virtual void ForEachPieceOf(
      const MatrixWeights& matrix,
      absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const = 0;
  // The same for products by these factors, in whose type the rows may come. Base: floats.
  virtual void ForEachFactorOf(
      kernels::FactorType /*factors*/, const MatrixWeights& matrix,
      absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const {
    ForEachPieceOf(matrix, body);
  }
  // x Wᵀ (+ bias) for inference: inputs may be rounded as kernels/matmul.h says, or with the
  // weights to BF16.
  [[nodiscard]] virtual at::Tensor StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                                 const at::Tensor& bias) const = 0;
  // These rows: int64 [count] → float [count, columns].
  [[nodiscard]] virtual at::Tensor StoredRowsAt(const MatrixWeights& matrix,
                                                const at::Tensor& rows) const = 0;

  // Each weight becomes the weight of its nearest code, as kernels::RoundToNearest chooses it.
  // Both: float [rows, columns], contiguous. The format has a codec.
  virtual void RoundToCodes(kernels::WeightFormat format, const at::Tensor& weights,
                            const at::Tensor& rounded) const = 0;

  // --- Between the products. ---

  [[nodiscard]] virtual at::Tensor Activate(models::Activation activation,
                                            const at::Tensor& x) const = 0;
  // → the gradient of x.
  [[nodiscard]] virtual at::Tensor ActivateBackward(models::Activation activation,
                                                    const at::Tensor& grad_out,
                                                    const at::Tensor& x) const = 0;
  // Whether attention keeps its probabilities for the backward pass. If not, the backward pass
  // makes the scores again: a product more, and a fifth less memory (docs/operate/performance.md).
  [[nodiscard]] virtual bool keeps_probabilities() const { return true; }
  // As SeenSoftmax and SeenSoftmaxBackward (models/seen_softmax.h).
  virtual at::Tensor Softmax(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                             const ProbabilityDropout& dropout, at::Tensor& scores) const = 0;
  virtual at::Tensor SoftmaxBackward(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                                     const ProbabilityDropout& dropout, const at::Tensor& rows,
                                     at::Tensor& gradients) const = 0;
  // The loss of rows of logits; these become its gradient. targets: int64 [rows].
  virtual DeviceNumber CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                              at::Tensor& logits) const = 0;

  // RMSNorm of rows; reciprocal becomes what the backward form needs: float [rows, 1]. Base: by
  // libtorch's operators.
  [[nodiscard]] virtual at::Tensor RmsNorm(const RmsGain& gain, double epsilon, const at::Tensor& x,
                                           at::Tensor& reciprocal) const;
  // → the gradient of x; that of the gain is added to gain_gradient where this is defined.
  [[nodiscard]] virtual at::Tensor RmsNormBackward(const RmsGain& gain,
                                                   const at::Tensor& reciprocal,
                                                   const at::Tensor& x, const at::Tensor& grad_out,
                                                   const at::Tensor& gain_gradient) const;

  // --- Random numbers (kernels/random.h). Elements count in memory order. ---

  // Dropout in place; x: float, contiguous.
  virtual void DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const = 0;
  // A contiguous copy of x in which it has happened.
  [[nodiscard]] virtual at::Tensor DroppedOut(const kernels::RandomStream& stream, double rate,
                                              const at::Tensor& x) const = 0;
  // to = from + magnitude times signs, the first of which is that of element first_element. `from`
  // may be `to`; both float and contiguous.
  virtual void AddSigns(const kernels::RandomStream& stream, float magnitude, int64_t first_element,
                        const at::Tensor& from, const at::Tensor& to) const = 0;
  // The same for rows of a table in place: x: float [rows, width]; numbers: int64 [rows], of the
  // table's rows.
  virtual void AddSignsToRows(const kernels::RandomStream& stream, float magnitude,
                              const at::Tensor& numbers, at::Tensor& x) const = 0;

  // --- Decoding (decode_operator.h). ---

  // Null: the device has no operator for the model.
  [[nodiscard]] virtual std::unique_ptr<DecodeOperator> MakeDecode(DecodeRequest request) const = 0;

  // --- The optimizer (train/optimizer.h). ---

  [[nodiscard]] virtual DeviceNumber NormOf(const at::Tensor& gradients) const = 0;
  // What Update reads beside the codes of moments in 8 bits.
  [[nodiscard]] virtual MomentLevels LevelsOfMoments(at::Device device) const = 0;
  // decided: float [1] of this device, in place of step.gradient_scale: below 0 nothing changes.
  // Undefined: the step's own. A device without a kernel for the optimizer waits to read it.
  virtual void Update(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                      const at::Tensor& decided,
                      absl::Span<const UpdatedParameter> parameters) const = 0;
};

// What a norm's rows are multiplied with: the weight, or one more.
struct RmsGain {
  const at::Tensor& weight;
  bool plus_one = false;
};

[[nodiscard]] const DeviceOperations& CpuOperations();
[[nodiscard]] const DeviceOperations& AtenOperations();

// What answers for libtorch's PrivateUse1 device from now on, in place of libtorch's operators;
// null: these again. For tests.
void SetPrivateUse1Operations(const DeviceOperations* operations);

// Those of the device.
[[nodiscard]] const DeviceOperations& OperationsOn(at::Device device);
[[nodiscard]] inline const DeviceOperations& OperationsOn(const at::Tensor& tensor) {
  return OperationsOn(tensor.device());
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_H_
