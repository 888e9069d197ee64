// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The state that an optimizer keeps of each trained tensor from step to step. The engine makes
// these tensors, checkpoints store them by these names, and the memory estimate sums their bytes.
// Pure; thread-safe.
#ifndef WATTLE_MODELS_OPTIMIZER_STATE_H_
#define WATTLE_MODELS_OPTIMIZER_STATE_H_

#include <cstdint>
#include <vector>

#include "wattle/v1/spec.pb.h"

namespace wattle::models {

// 8-bit moments have one scale per block of this many numbers; smaller tensors keep their moments
// in FP32. Both constants are bitsandbytes'.
inline constexpr int64_t kMomentBlock = 256;
inline constexpr int64_t kSmallestIn8Bits = 4096;

struct OptimizerTensor {
  const char* name = "";  // behind the tensor's own in a checkpoint: "first_moment"
  bool in_bytes = false;  // one byte per code; otherwise floats
  std::vector<int64_t> shape;

  [[nodiscard]] int64_t size_bytes() const;
};

// State of a trained tensor of this shape. AdamW: both moments. 8-bit AdamW: codes and scales of
// both. Adafactor: the second moment's means along rows and columns of a matrix, or the second
// moment of a vector.
[[nodiscard]] std::vector<OptimizerTensor> OptimizerTensors(v1::Optimizer optimizer,
                                                            const std::vector<int64_t>& shape);

// Sum of their bytes.
[[nodiscard]] int64_t OptimizerBytes(v1::Optimizer optimizer, const std::vector<int64_t>& shape);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_OPTIMIZER_STATE_H_
