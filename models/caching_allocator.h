// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The GPU memory that libtorch's allocator takes. The allocator requests segments from the driver,
// splits blocks off them, and keeps freed blocks. Pure.
#ifndef WATTLE_MODELS_CACHING_ALLOCATOR_H_
#define WATTLE_MODELS_CACHING_ALLOCATOR_H_

#include <cstdint>
#include <vector>

#include "models/tensor_plan.h"

namespace wattle::models {

// Blocks up to this size have segments separate from those of larger blocks.
inline constexpr int64_t kSmallBlockBytes = int64_t{1} << 20;

// Total bytes of segments for blocks of these sizes, allocated in order and all held. Sizes of 0
// are ignored.
[[nodiscard]] int64_t CachingAllocatorBytes(const std::vector<int64_t>& blocks);

// The maximum that small tensors of the plan take at the same time, rounded up to whole blocks.
[[nodiscard]] int64_t SmallTensorsPeakBytes(const TensorPlan& plan);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_CACHING_ALLOCATOR_H_
