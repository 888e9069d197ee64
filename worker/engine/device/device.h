// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The operations that the engine requires of the device of its tensors. Each device is a folder:
// cpu/ with our kernels, aten/ with libtorch's operators, which every device of libtorch has. No
// code outside of these folders checks which device it is. The implementations agree: bit for bit
// in stored and drawn values, else within rounding. Stateless; may throw libtorch's exceptions.
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

  // Whether tensors are in host memory, so that our kernels can read them and loaded data need not
  // be copied.
  [[nodiscard]] virtual bool in_host_memory() const = 0;
  // Zeros [elements] for data that every step reads from end to end.
  [[nodiscard]] virtual at::Tensor ZeroArena(int64_t elements,
                                             const at::TensorOptions& options) const = 0;
  // Memory [elements] that a decoding session keeps, and writes before it reads.
  [[nodiscard]] virtual at::Tensor SessionMemory(int64_t elements,
                                                 const at::TensorOptions& options) const = 0;
  // Allocates so many bytes at once for a pass, and frees them. An allocator that caches freed
  // memory, such as libtorch's for CUDA, then serves the pass's tensors from it. A GPU without that
  // room thus refuses before the first step. Does nothing on the host, where passes have an arena.
  virtual void MakeRoom(int64_t bytes, at::Device device) const = 0;
  // Copies rows from the host to `place`, of the same shape and on this device.
  virtual void CopyFromHost(const at::Tensor& rows, at::Tensor& place) const = 0;
  // A packed matrix of the host, in this device's memory.
  [[nodiscard]] virtual MatrixWeights Stored(MatrixWeights matrix, at::Device device) const = 0;

  // --- Products of floats. factors: the type to which both operands are, or will be, rounded. ---

  // The operand to use if several products read x: x rounded once if the device rounds factors
  // before a product, else x itself. x: of two or four dimensions.
  [[nodiscard]] virtual at::Tensor Factor(kernels::FactorType factors,
                                          const at::Tensor& x) const = 0;
  // The recommended number of rows for a matrix of `rows` rows, padded with zeros, if products by
  // these factors read it often: products of an odd vocabulary are slow on a GPU.
  [[nodiscard]] virtual int64_t PaddedRows(kernels::FactorType factors, int64_t rows) const = 0;
  // left right (+ bias if it is defined).
  [[nodiscard]] virtual at::Tensor Product(kernels::FactorType factors, const at::Tensor& left,
                                           const at::Tensor& right,
                                           const at::Tensor& bias) const = 0;
  virtual void ProductInto(kernels::FactorType factors, const at::Tensor& left,
                           const at::Tensor& right, const at::Tensor& out) const = 0;
  virtual void AddProduct(kernels::FactorType factors, const at::Tensor& left,
                          const at::Tensor& right, const at::Tensor& out) const = 0;
  // For each sequence and head. mask: the part that need not be computed.
  virtual void BatchProductInto(kernels::FactorType factors, const at::Tensor& left,
                                const at::Tensor& right, const kernels::CausalMask& mask,
                                const at::Tensor& out) const = 0;

  // --- Matrices in stored formats (kernels/weight_matrix.h). ---

  // Calls body(first row, float [rows, columns]) for pieces of the matrix, one after the other.
  virtual void ForEachPieceOf(
      const MatrixWeights& matrix,
      absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const = 0;
  // ForEachPieceOf for products by these factors; the rows may come in their type. Base: floats.
  virtual void ForEachFactorOf(
      kernels::FactorType /*factors*/, const MatrixWeights& matrix,
      absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const {
    ForEachPieceOf(matrix, body);
  }
  // x Wᵀ (+ bias) for inference: inputs may be rounded as in kernels/matmul.h, or with the weights
  // to BF16.
  [[nodiscard]] virtual at::Tensor StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                                 const at::Tensor& bias) const = 0;
  // The numbered rows: int64 [count] → float [count, columns].
  [[nodiscard]] virtual at::Tensor StoredRowsAt(const MatrixWeights& matrix,
                                                const at::Tensor& rows) const = 0;

  // Rounds each weight to the weight of its nearest code, chosen as by kernels::RoundToNearest.
  // Both: float [rows, columns], contiguous. The format must have a codec.
  virtual void RoundToCodes(kernels::WeightFormat format, const at::Tensor& weights,
                            const at::Tensor& rounded) const = 0;

  // --- Between the products. ---

  [[nodiscard]] virtual at::Tensor Activate(models::Activation activation,
                                            const at::Tensor& x) const = 0;
  // Returns the gradient of x.
  [[nodiscard]] virtual at::Tensor ActivateBackward(models::Activation activation,
                                                    const at::Tensor& grad_out,
                                                    const at::Tensor& x) const = 0;
  // Whether attention keeps its probabilities for the backward pass. Otherwise the backward pass
  // recomputes the scores, which costs one more product and saves a fifth of the memory
  // (docs/operate/performance.md).
  [[nodiscard]] virtual bool keeps_probabilities() const { return true; }
  // See MaskedSoftmax and MaskedSoftmaxBackward (models/masked_softmax.h).
  virtual at::Tensor Softmax(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                             const ProbabilityDropout& dropout, at::Tensor& scores) const = 0;
  virtual at::Tensor SoftmaxBackward(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                                     const ProbabilityDropout& dropout, const at::Tensor& rows,
                                     at::Tensor& gradients) const = 0;
  // The loss of rows of logits; replaces the logits by its gradient. targets: int64 [rows].
  virtual DeviceNumber CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                              at::Tensor& logits) const = 0;

  // RMSNorm of rows; sets reciprocal, which the backward form needs: float [rows, 1]. Base: by
  // libtorch's operators.
  [[nodiscard]] virtual at::Tensor RmsNorm(const RmsGain& gain, double epsilon, const at::Tensor& x,
                                           at::Tensor& reciprocal) const;
  // Returns the gradient of x; adds that of the gain to gain_gradient if this is defined.
  [[nodiscard]] virtual at::Tensor RmsNormBackward(const RmsGain& gain,
                                                   const at::Tensor& reciprocal,
                                                   const at::Tensor& x, const at::Tensor& grad_out,
                                                   const at::Tensor& gain_gradient) const;

  // --- Random numbers (kernels/random.h). Elements are numbered in memory order. ---

  // Dropout in place; x: float, contiguous.
  virtual void DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const = 0;
  // Dropout in a contiguous copy of x.
  [[nodiscard]] virtual at::Tensor DroppedOut(const kernels::RandomStream& stream, double rate,
                                              const at::Tensor& x) const = 0;
  // to = from + magnitude times signs, of which the first belongs to element first_element. `from`
  // may equal `to`; both float and contiguous.
  virtual void AddSigns(const kernels::RandomStream& stream, float magnitude, int64_t first_element,
                        const at::Tensor& from, const at::Tensor& to) const = 0;
  // AddSigns for rows of a table, in place: x: float [rows, width]; numbers: int64 [rows], row
  // numbers in the table.
  virtual void AddSignsToRows(const kernels::RandomStream& stream, float magnitude,
                              const at::Tensor& numbers, at::Tensor& x) const = 0;

  // --- Decoding (decode_operator.h). ---

  // Null if the device has no operator for the model.
  [[nodiscard]] virtual std::unique_ptr<DecodeOperator> MakeDecode(DecodeRequest request) const = 0;

  // --- The optimizer (train/optimizer.h). ---

  [[nodiscard]] virtual DeviceNumber NormOf(const at::Tensor& gradients) const = 0;
  // The tables that Update reads besides the codes of 8-bit moments.
  [[nodiscard]] virtual MomentLevels LevelsOfMoments(at::Device device) const = 0;
  // decided: float [1] on this device, replaces step.gradient_scale: below 0 nothing changes.
  // Undefined: the step's own. A device without a kernel for the optimizer waits to read it.
  virtual void Update(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                      const at::Tensor& decided,
                      absl::Span<const UpdatedParameter> parameters) const = 0;
};

// The factor of a norm's rows: the weight, or 1 + weight.
struct RmsGain {
  const at::Tensor& weight;
  bool plus_one = false;
};

[[nodiscard]] const DeviceOperations& CpuOperations();
[[nodiscard]] const DeviceOperations& AtenOperations();

// Sets the operations of libtorch's PrivateUse1 device; null: libtorch's operators. For tests.
void SetPrivateUse1Operations(const DeviceOperations* operations);

// The operations of a device.
[[nodiscard]] const DeviceOperations& OperationsOn(at::Device device);
[[nodiscard]] inline const DeviceOperations& OperationsOn(const at::Tensor& tensor) {
  return OperationsOn(tensor.device());
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_DEVICE_H_
