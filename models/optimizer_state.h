// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an optimizer keeps of each trained tensor from step to step. The engine makes these tensors,
// checkpoints hold them under these names, and the memory estimate adds up their bytes. Pure;
// thread-safe.
#ifndef WATTLE_MODELS_OPTIMIZER_STATE_H_
#define WATTLE_MODELS_OPTIMIZER_STATE_H_

#include <cstdint>
#include <vector>

#include "wattle/v1/spec.pb.h"

namespace wattle::models {

// Moments in 8 bits have a scale for each block of this many numbers; smaller tensors keep theirs
// in FP32. Both numbers are those of bitsandbytes.
inline constexpr int64_t kMomentBlock = 256;
inline constexpr int64_t kSmallestIn8Bits = 4096;

struct OptimizerTensor {
  const char* name = "";  // behind the tensor's own in a checkpoint: "first_moment"
  bool in_bytes = false;  // codes of a byte each; otherwise floats
  std::vector<int64_t> shape;

  [[nodiscard]] int64_t size_bytes() const;
};

// Of a trained tensor of this shape. AdamW: both moments. AdamW in 8 bits: codes and scales of
// both. Adafactor: of a matrix the means of the second moment along rows and columns, of a vector
// the second moment.
[[nodiscard]] std::vector<OptimizerTensor> OptimizerTensors(v1::Optimizer optimizer,
                                                            const std::vector<int64_t>& shape);

// The bytes of all of them.
[[nodiscard]] int64_t OptimizerBytes(v1::Optimizer optimizer, const std::vector<int64_t>& shape);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_OPTIMIZER_STATE_H_
