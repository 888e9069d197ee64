// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An NVIDIA GPU: libtorch's operators, except where the kernels of cuda/ are better: whole decoding
// steps (kernel_decode.h), products of up to eight rows with packed matrices, which need no
// dequantized matrix, BF16 tiles that tensor cores multiply with more rows (kernel_products.cc),
// and the training operations between products: dropout, RMSNorm, attention's softmax, the loss,
// the optimizers (cuda/training_step.h). If the kernels cannot run (no NVRTC, an old driver, a GPU
// or a file that NVRTC does not support), one line on standard error gives the reason, and
// libtorch's operators replace them, as they do for parts of a model that the kernels do not
// support. A GPU that fails throws, because its numbers would be wrong; so does a GPU without free
// memory.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_KERNEL_DEVICE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_KERNEL_DEVICE_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/cuda/driver_launcher.h"
#include "worker/engine/device/cuda/kernel_cache.h"
#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/device/cuda_capability.h"

namespace wattle::engine {

class KernelDevice final : public AtenDevice {
 public:
  using MakeLauncher =
      std::function<absl::StatusOr<std::unique_ptr<cuda::KernelLauncher>>(at::Device device)>;

  using FreeMemory = std::function<std::optional<int64_t>(at::Device device)>;

  using Capability = std::function<std::optional<ComputeCapability>(at::Device device)>;

  // make_launcher: called at the first product, for this process's GPU. free_memory: free bytes if
  // the GPU shares the host's memory, where the OS kernel kills a program rather than refuse
  // memory; nullopt, or null: the GPU itself refuses.
  // capability: called once.
  explicit KernelDevice(MakeLauncher make_launcher, FreeMemory free_memory = nullptr,
                        Capability capability = AskDriver)
      : make_launcher_(std::move(make_launcher)),
        free_memory_(std::move(free_memory)),
        capability_(std::move(capability)) {}

  [[nodiscard]] at::Tensor ZeroArena(int64_t elements,
                                     const at::TensorOptions& options) const override;
  [[nodiscard]] at::Tensor SessionMemory(int64_t elements,
                                         const at::TensorOptions& options) const override;
  void MakeRoom(int64_t bytes, at::Device device) const override;

  void ForEachFactorOf(
      kernels::FactorType factors, const MatrixWeights& matrix,
      absl::FunctionRef<void(int64_t first, const at::Tensor& rows)> body) const override;
  [[nodiscard]] at::Tensor StoredProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                         const at::Tensor& bias) const override;
  [[nodiscard]] bool keeps_probabilities() const override { return false; }
  at::Tensor Softmax(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                     const ProbabilityDropout& dropout, at::Tensor& scores) const override;
  at::Tensor SoftmaxBackward(kernels::FactorType factors, const std::vector<SeenKeys>& keys,
                             const ProbabilityDropout& dropout, const at::Tensor& scores,
                             at::Tensor& gradients) const override;
  DeviceNumber CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                      at::Tensor& logits) const override;
  [[nodiscard]] at::Tensor RmsNorm(const RmsGain& gain, double epsilon, const at::Tensor& x,
                                   at::Tensor& reciprocal) const override;
  [[nodiscard]] at::Tensor RmsNormBackward(const RmsGain& gain, const at::Tensor& reciprocal,
                                           const at::Tensor& x, const at::Tensor& grad_out,
                                           const at::Tensor& gain_gradient) const override;
  void DropOut(const kernels::RandomStream& stream, double rate, at::Tensor& x) const override;
  [[nodiscard]] at::Tensor DroppedOut(const kernels::RandomStream& stream, double rate,
                                      const at::Tensor& x) const override;
  [[nodiscard]] std::unique_ptr<DecodeOperator> MakeDecode(DecodeRequest request) const override;
  void Update(v1::Optimizer optimizer, const kernels::AdamWStep& step, const at::Tensor& decided,
              absl::Span<const UpdatedParameter> parameters) const override;

 private:
  static std::optional<ComputeCapability> AskDriver(at::Device device) {
    return CapabilityOf(device);
  }
  // Whether the GPU's tensor cores support BF16.
  [[nodiscard]] bool multiplies_bf16(at::Device device) const;
  // The product of more rows than the kernels take, in BF16.
  [[nodiscard]] at::Tensor TiledProduct(const MatrixWeights& matrix, const at::Tensor& x,
                                        const at::Tensor& bias) const;
  // Whether x has the form that the kernels read: contiguous floats.
  static bool IsDense(const at::Tensor& x);
  // The launcher of the device. Made at the first call.
  absl::StatusOr<cuda::KernelLauncher*> LauncherOn(at::Device device) const;
  // Uses libtorch's operators from now on; logs the reason. Throws if the GPU fails or is full.
  void GiveUp(const absl::Status& status) const;
  // Whether the kernels launched by `body` do its work; if not, libtorch's operators must.
  bool Carries(at::Device device,
               absl::FunctionRef<absl::Status(cuda::KernelLauncher&)> body) const;
  // Whether the kernels updated the parameters, all of which have the same number of state tensors.
  bool UpdatedByKernels(v1::Optimizer optimizer, const kernels::AdamWStep& step,
                        const at::Tensor& decided,
                        absl::Span<const UpdatedParameter> parameters) const;
  // Whether the kernels computed `out`.
  bool Multiply(const MatrixWeights& matrix, const at::Tensor& x, const at::Tensor& bias,
                const at::Tensor& out) const;

  // Throws unless so many more bytes are free.
  void AskFor(int64_t bytes, at::Device device) const;

  MakeLauncher make_launcher_;
  FreeMemory free_memory_;
  Capability capability_;
  mutable std::optional<bool> multiplies_bf16_;  // set at the first use
  mutable int64_t room_bytes_ = 0;  // largest room made so far, which libtorch's allocator keeps
  mutable std::unique_ptr<cuda::KernelLauncher> launcher_;
  mutable bool gave_up_ = false;
  mutable std::set<std::string> told_;  // gaps of the kernels that were already reported
};

// Launches through the driver on libtorch's current stream. Kernels compiled ahead are read from
// the directory in WATTLE_KERNEL_CACHE, if it is set.
absl::StatusOr<std::unique_ptr<cuda::DriverLauncher>> LauncherByDriver(at::Device device);

// MakeDriverLauncher with the given cache.
absl::StatusOr<std::unique_ptr<cuda::DriverLauncher>> LauncherWithCache(at::Device device,
                                                                        cuda::KernelCache cache);

// Free bytes if the GPU's memory is the host's. The driver's own figure is not used, because it
// excludes memory that the OS kernel can reclaim from cached files.
[[nodiscard]] std::optional<int64_t> FreeSharedMemory(at::Device device);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_KERNEL_DEVICE_H_
