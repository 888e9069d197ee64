// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a step of training launches beside products: RMSNorm and attention's softmax both ways, the
// loss with its gradient, the optimizers. kernels/arguments.h says what each computes; all pointers
// are of the device. No counts are 0.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_TRAINING_STEP_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_TRAINING_STEP_H_

#include "absl/status/status.h"

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/adamw.h"

namespace wattle::cuda {

// decided: as AdamWNumbers has it.
AdamWNumbers NumbersOf(const kernels::AdamWStep& step, const float* decided);

absl::Status Launch(const SeenSoftmaxArguments& softmax, KernelLauncher& launcher);
absl::Status Launch(const SeenSoftmaxBackwardArguments& softmax, KernelLauncher& launcher);
absl::Status Launch(const CrossEntropyArguments& loss, int rows, KernelLauncher& launcher);
// In which the weights of an update are; all of one launch alike.
enum class WeightType { kFloat32, kBf16 };
// first_block of each parameter is filled in here.
absl::Status Launch(AdamWArguments update, WeightType type, KernelLauncher& launcher);
absl::Status Launch(AdamW8bitArguments update, WeightType type, KernelLauncher& launcher);
absl::Status Launch(const AdafactorArguments& update, WeightType type, KernelLauncher& launcher);
absl::Status Launch(const RmsNormArguments& norm, int rows, KernelLauncher& launcher);
// of_x, and gain_gradient where it is not null.
absl::Status Launch(const RmsNormBackwardArguments& norm, KernelLauncher& launcher);
// Chunks of so many rows: as the arguments want them.
int ChunksOf(int rows);

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_TRAINING_STEP_H_
