// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The launches of a training step except products: RMSNorm and attention's softmax, forward and
// backward, the loss with its gradient, the optimizers. kernels/arguments.h defines each; all
// pointers are device pointers. No count may be 0.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_TRAINING_STEP_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_TRAINING_STEP_H_

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/adamw.h"

namespace wattle::cuda {

// decided: see AdamWNumbers.
AdamWNumbers NumbersOf(const kernels::AdamWStep& step, const float* decided);

absl::Status Launch(const MaskedSoftmaxArguments& softmax, KernelLauncher& launcher);
absl::Status Launch(const MaskedSoftmaxBackwardArguments& softmax, KernelLauncher& launcher);
absl::Status Launch(const CrossEntropyArguments& loss, int rows, KernelLauncher& launcher);
// The type of the weights in an update, the same for all of one launch.
enum class WeightType { kFloat32, kBf16 };
// first_block of each parameter is set here.
absl::Status Launch(AdamWArguments update, WeightType type, KernelLauncher& launcher);
absl::Status Launch(AdamW8bitArguments update, WeightType type, KernelLauncher& launcher);
absl::Status Launch(const AdafactorArguments& update, WeightType type, KernelLauncher& launcher);
absl::Status Launch(const RmsNormArguments& norm, int rows, KernelLauncher& launcher);
// Computes of_x, and gain_gradient if it is not null.
absl::Status Launch(const RmsNormBackwardArguments& norm, KernelLauncher& launcher);
// Number of chunks for so many rows, for sizing the scratch memory.
int ChunksOf(int rows);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_TRAINING_STEP_H_
