// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What libtorch's allocator takes of a GPU's memory. It asks the driver for segments, cuts blocks
// off them, and keeps what was let go. Pure.
#ifndef WATTLE_MODELS_CACHING_ALLOCATOR_H_
#define WATTLE_MODELS_CACHING_ALLOCATOR_H_

#include <cstdint>
#include <vector>

#include "models/tensor_plan.h"

namespace wattle::models {

// Tensors up to this size have segments of their own.
inline constexpr int64_t kSmallBlockBytes = int64_t{1} << 20;

// The segments for blocks of these sizes, taken one after the other and all held. A size of 0 is no
// block.
[[nodiscard]] int64_t CachingAllocatorBytes(const std::vector<int64_t>& blocks);

// The most that small tensors of the plan take at once, as whole blocks.
[[nodiscard]] int64_t SmallTensorsPeakBytes(const TensorPlan& plan);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_CACHING_ALLOCATOR_H_
