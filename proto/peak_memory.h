// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A runner's peak memory as the planner estimates it (models/memory_estimate.h), on each processor
// that the runner may use. A plain value.
#ifndef WATTLE_PROTO_PEAK_MEMORY_H_
#define WATTLE_PROTO_PEAK_MEMORY_H_

#include <cstdint>

namespace wattle {

// 0: unknown.
struct PeakMemory {
  [[nodiscard]] bool knows_gpu() const { return gpu_bytes > 0 || beside_gpu_bytes > 0; }

  int64_t cores_bytes = 0;  // Peak on the cores, entirely in the host's memory.
  // Peaks on a GPU: in its memory, without CUDA's own use, and beside it in the host's memory.
  // gpu_bytes 0 with host bytes above 0: the GPU holds nothing.
  int64_t gpu_bytes = 0;
  int64_t beside_gpu_bytes = 0;
};

}  // namespace wattle

#endif  // WATTLE_PROTO_PEAK_MEMORY_H_
