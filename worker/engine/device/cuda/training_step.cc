// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/training_step.h"

#include <cstddef>
#include <cstdint>

#include "base/status_macros.h"

namespace wattle::cuda {
namespace {

// Limit of older drivers (CUDA C++ Programming Guide, "Function Parameters").
constexpr size_t kArgumentBytesMax = 4096;
static_assert(sizeof(AdamWArguments) <= kArgumentBytesMax);
static_assert(sizeof(AdamW8bitArguments) <= kArgumentBytesMax);

// One warp per row.
int BlocksOf(const SeenRows& shape) {
  return static_cast<int>((shape.rows + kWarpsOfBlock - 1) / kWarpsOfBlock);
}

int BlocksFor(int64_t elements, int64_t elements_of_block) {
  return static_cast<int>((elements + elements_of_block - 1) / elements_of_block);
}

// Assigns blocks to each parameter; returns their number.
template <typename Parameter>
int ShareBlocks(int64_t elements_of_block, Parameter (&parameters)[kUpdatedParameters]) {
  int blocks = 0;
  for (Parameter& parameter : parameters) {
    parameter.first_block = blocks;
    blocks += BlocksFor(parameter.count, elements_of_block);
  }
  return blocks;
}

}  // namespace

AdamWNumbers NumbersOf(const kernels::AdamWStep& step, const float* decided) {
  const kernels::AdamWScalars scalars = kernels::ScalarsOf(step);
  return {.beta1 = scalars.beta1,
          .rest1 = scalars.rest1,
          .beta2 = scalars.beta2,
          .rest2 = scalars.rest2,
          .rate = scalars.rate,
          .inverse_root = scalars.inverse_root,
          .epsilon = scalars.epsilon,
          .gradient_scale = scalars.gradient_scale,
          .decided = decided};
}

int ChunksOf(int rows) {
  return BlocksFor(rows, kRowsOfChunk);
}

absl::Status Launch(const MaskedSoftmaxArguments& softmax, KernelLauncher& launcher) {
  return launcher.Launch({.source = "masked_softmax",
                          .kernel = "masked_softmax",
                          .blocks = BlocksOf(softmax.shape),
                          .arguments = &softmax});
}

absl::Status Launch(const MaskedSoftmaxBackwardArguments& softmax, KernelLauncher& launcher) {
  return launcher.Launch({.source = "masked_softmax",
                          .kernel = "masked_softmax_backward",
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

absl::Status Launch(AdamWArguments update, WeightType type, KernelLauncher& launcher) {
  // Many small parameters share one launch, because a launch costs more than their update.
  const int blocks = ShareBlocks(kUpdatedElements, update.parameters);
  return launcher.Launch({.source = "adamw",
                          .kernel = type == WeightType::kBf16 ? "adamw_bf16" : "adamw",
                          .blocks = blocks,
                          .arguments = &update});
}

absl::Status Launch(AdamW8bitArguments update, WeightType type, KernelLauncher& launcher) {
  const int blocks = ShareBlocks(int64_t{kMomentsOfScale} * kWarpsOfBlock, update.parameters);
  return launcher.Launch({.source = "adamw_8bit",
                          .kernel = type == WeightType::kBf16 ? "adamw_8bit_bf16" : "adamw_8bit",
                          .blocks = blocks,
                          .arguments = &update});
}

absl::Status Launch(const AdafactorArguments& update, WeightType type, KernelLauncher& launcher) {
  const auto launch = [&](const char* kernel, int blocks, int threads) {
    return launcher.Launch({.source = "adafactor",
                            .kernel = kernel,
                            .blocks = blocks,
                            .threads = threads,
                            .arguments = &update});
  };
  // Separate launches, because each step needs the results of all blocks of the one before. The one
  // block more of adafactor_factors computes the factors of the rows.
  if (update.row_means != nullptr) {
    WATTLE_RETURN_IF_ERROR(launch("adafactor_rows", update.rows, kWideThreads));
  }
  WATTLE_RETURN_IF_ERROR(launch("adafactor_columns",
                                update.chunks * BlocksFor(update.columns, kBlockThreads),
                                kBlockThreads));
  WATTLE_RETURN_IF_ERROR(
      launch("adafactor_factors", BlocksFor(update.columns, kWideThreads) + 1, kWideThreads));
  WATTLE_RETURN_IF_ERROR(launch("adafactor_squares", update.rows, kWideThreads));
  // A single block adds the squares in a fixed order; atomics would change the bits from run to
  // run.
  WATTLE_RETURN_IF_ERROR(launch("adafactor_rate", 1, kWideThreads));
  return launch(type == WeightType::kBf16 ? "adafactor_update_bf16" : "adafactor_update",
                update.rows, kWideThreads);
}

absl::Status Launch(const RmsNormArguments& norm, int rows, KernelLauncher& launcher) {
  return launcher.Launch({.source = "rms_norm",
                          .kernel = "rms_norm",
                          .blocks = rows,
                          .threads = kWideThreads,
                          .arguments = &norm});
}

absl::Status Launch(const RmsNormBackwardArguments& norm, KernelLauncher& launcher) {
  const auto launch = [&](const char* kernel, int blocks, int threads) {
    return launcher.Launch({.source = "rms_norm",
                            .kernel = kernel,
                            .blocks = blocks,
                            .threads = threads,
                            .arguments = &norm});
  };
  WATTLE_RETURN_IF_ERROR(launch("rms_norm_backward", norm.rows, kWideThreads));
  if (norm.gain_gradient == nullptr) {
    return absl::OkStatus();
  }
  const int blocks = BlocksFor(norm.width, kBlockThreads);
  // Two launches with partial sums per chunk keep the order of additions fixed.
  WATTLE_RETURN_IF_ERROR(launch("rms_gain_sums", norm.chunks * blocks, kBlockThreads));
  return launch("rms_gain", blocks, kBlockThreads);
}

}  // namespace wattle::cuda
