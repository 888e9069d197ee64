// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Peak memory of a runner process, computed from the sizes of its contents (not a fit), so that a
// job which does not fit is refused before it starts. The tensors of a pass are those of its plan
// (tensor_plan.h); added to them are the data's examples, weights, gradients, the optimizer's state
// and caches, and, before all these, the reading of data and weights.
// A job on a GPU has separate estimates for the GPU's memory and for the host's. The memory of CUDA
// itself is added where the device is known (scheduler/place/rules/memory_rule.cc). Pure;
// thread-safe.
#ifndef WATTLE_MODELS_MEMORY_ESTIMATE_H_
#define WATTLE_MODELS_MEMORY_ESTIMATE_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "proto/memory_workload.h"

namespace wattle::models {

// Tokens for compensated rounding if a job sets no number, and the most in one window
// (worker/engine/quant/calibrate.h).
inline constexpr int64_t kCalibrationTokens = 16384;
inline constexpr int64_t kCalibrationWindowTokens = 512;

struct MemoryEstimate {
  int64_t runtime_bytes = 0;  // process with libtorch loaded, no model
  int64_t reading_bytes = 0;  // while data are read, in addition to runtime_bytes
  int64_t data_bytes = 0;     // the data's examples, in addition to all below
  int64_t weights_bytes = 0;  // including tables of positions
  int64_t gradients_bytes = 0;
  int64_t optimizer_bytes = 0;  // the optimizer's state (optimizer_state.h)
  int64_t perturbed_bytes = 0;  // MeZO: the moved weights of one layer, or all moved adapters
  int64_t cache_bytes = 0;      // keys and values, or the stream of a calibration text
  // Two peaks in addition to all above, at different times: the arena of the largest pass with its
  // kernels' buffers, and the largest tensor through which a checkpoint is read or a result is
  // written.
  int64_t pass_bytes = 0;
  int64_t files_bytes = 0;
  // The peak while the model is read, including weights: before gradients, moments and passes.
  int64_t loading_bytes = 0;

  // On a GPU: bytes in its memory, as libtorch's allocator takes them (caching_allocator.h), and
  // the peak in the host's memory. Where the two share one memory, the sum counts.
  int64_t gpu_bytes = 0;
  int64_t beside_gpu_bytes = 0;

  // For a job on the cores.
  [[nodiscard]] int64_t total_bytes() const {
    const int64_t held = weights_bytes + gradients_bytes + optimizer_bytes + perturbed_bytes +
                         cache_bytes + std::max(pass_bytes, files_bytes);
    return runtime_bytes + std::max(reading_bytes, data_bytes + std::max(loading_bytes, held));
  }
};

// Errors: kInvalidArgument for batch < 1 or a sequence longer than the model allows.
absl::StatusOr<MemoryEstimate> EstimateMemory(const DecoderConfig& config,
                                              const MemoryWorkload& workload);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_MEMORY_ESTIMATE_H_
