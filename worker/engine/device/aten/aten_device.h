// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Any device of libtorch, with only libtorch's operators. No function makes the host wait or sends
// weights; only numbers of the batch go to the device. Also correct on the host, where tests
// compare our kernels with these forms. device.h defines each function.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ATEN_ATEN_DEVICE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ATEN_ATEN_DEVICE_H_

#include "worker/engine/device/device.h"

namespace wattle::engine {

class AtenDevice : public DeviceOperations {
 public:
  [[nodiscard]] bool in_host_memory() const override;
  [[nodiscard]] at::Tensor ZeroArena(int64_t elements,
                                     const at::TensorOptions& options) const override;
  [[nodiscard]] at::Tensor SessionMemory(int64_t elements,
                                         const at::TensorOptions& options) const override;
  void MakeRoom(int64_t bytes, at::Device device) const override;
  void CopyFromHost(const at::Tensor& rows, at::Tensor& place) const override;
  [[nodiscard]] MatrixWeights Stored(MatrixWeights matrix, at::Device device) const override;
  [[nodiscard]] at::Tensor Factor(kernels::FactorType factors, const at::Tensor& x) const override;
  [[nodiscard]] int64_t PaddedRows(kernels::FactorType factors, int64_t rows) const override;
  [[nodiscard]] at::Tensor Product(kernels::FactorType factors, const at::Tensor& left,
                                   const at::Tensor& right, const at::Tensor& bias) const override;
  void ProductInto(kernels::FactorType factors, const at::Tensor& left, const at::Tensor& right,
                   const at::Tensor& out) const override;
  void AddProduct(kernels::FactorType factors, const at::Tensor& left, const at::Tensor& right,
                  const at::Tensor& out) const override;
  void BatchProductInto(kernels::FactorType factors, const at::Tensor& left,
                        const at::Tensor& right, const kernels::CausalMask& mask,
                        const at::Tensor& out) const override;
  void ForEachPieceOf(
      const MatrixWeights& matrix,
      absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const override;
  [[nodiscard]] at::Tensor StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                         const at::Tensor& bias) const override;
  [[nodiscard]] at::Tensor StoredRowsAt(const MatrixWeights& matrix,
                                        const at::Tensor& rows) const override;
  void RoundToCodes(kernels::WeightFormat format, const at::Tensor& weights,
                    const at::Tensor& rounded) const override;
  [[nodiscard]] at::Tensor Activate(models::Activation activation,
                                    const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor ActivateBackward(models::Activation activation,
                                            const at::Tensor& grad_out,
                                            const at::Tensor& x) const override;
  at::Tensor Softmax(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                     const ProbabilityDropout& dropout, at::Tensor& scores) const override;
  at::Tensor SoftmaxBackward(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                             const ProbabilityDropout& dropout, const at::Tensor& probabilities,
                             at::Tensor& gradients) const override;
  DeviceNumber CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                      at::Tensor& logits) const override;
  void DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const override;
  [[nodiscard]] at::Tensor DroppedOut(const kernels::RandomStream& stream, double rate,
                                      const at::Tensor& x) const override;
  void AddSigns(const kernels::RandomStream& stream, float magnitude, int64_t first_element,
                const at::Tensor& from, const at::Tensor& to) const override;
  void AddSignsToRows(const kernels::RandomStream& stream, float magnitude,
                      const at::Tensor& numbers, at::Tensor& x) const override;
  [[nodiscard]] std::unique_ptr<DecodeOperator> MakeDecode(DecodeRequest request) const override;
  [[nodiscard]] DeviceNumber NormOf(const at::Tensor& gradients) const override;
  [[nodiscard]] MomentLevels LevelsOfMoments(at::Device device) const override;
  void Update(v1::Optimizer optimizer, const kernels::AdamWStep& step, const at::Tensor& decided,
              absl::Span<const UpdatedParameter> parameters) const override;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ATEN_ATEN_DEVICE_H_
