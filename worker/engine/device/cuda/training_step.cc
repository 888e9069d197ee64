// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/training_step.h"

#include <cstdint>

namespace wattle::cuda {
namespace {

// A warp has a row.
int BlocksOf(const SeenRows& shape) {
  return static_cast<int>((shape.rows + kWarpsOfBlock - 1) / kWarpsOfBlock);
}

}  // namespace

absl::Status Launch(const SeenSoftmaxArguments& softmax, KernelLauncher& launcher) {
  return launcher.Launch({.source = "seen_softmax",
                          .kernel = "seen_softmax",
                          .blocks = BlocksOf(softmax.shape),
                          .arguments = &softmax});
}

absl::Status Launch(const SeenSoftmaxBackwardArguments& softmax, KernelLauncher& launcher) {
  return launcher.Launch({.source = "seen_softmax",
                          .kernel = "seen_softmax_backward",
                          .blocks = BlocksOf(softmax.shape),
                          .arguments = &softmax});
}

absl::Status Launch(const CrossEntropyArguments& loss, int rows, KernelLauncher& launcher) {
  return launcher.Launch({.source = "cross_entropy",
                          .kernel = "cross_entropy",
                          .blocks = rows,
                          .threads = kWideThreads,
                          .arguments = &loss});
}

absl::Status Launch(AdamWArguments update, KernelLauncher& launcher) {
  int64_t blocks = 0;
  for (AdamWParameter& parameter : update.parameters) {
    parameter.first_block = static_cast<int>(blocks);
    blocks += (parameter.count + kUpdatedElements - 1) / kUpdatedElements;
  }
  return launcher.Launch({.source = "adamw",
                          .kernel = "adamw",
                          .blocks = static_cast<int>(blocks),
                          .arguments = &update});
}

}  // namespace wattle::cuda
