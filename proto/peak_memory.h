// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A runner's peak memory as the planner estimates it (models/memory_estimate.h), on each processor
// that the runner may have. A plain value.
#ifndef WATTLE_PROTO_PEAK_MEMORY_H_
#define WATTLE_PROTO_PEAK_MEMORY_H_

#include <cstdint>

namespace wattle {

// 0: not known.
struct PeakMemory {
  [[nodiscard]] bool knows_gpu() const { return gpu_bytes > 0 || beside_gpu_bytes > 0; }

  int64_t cores_bytes = 0;  // On the cores, all of it in the host's memory.
  // On a GPU: what lies in its memory, without what CUDA itself takes there, and at most beside it
  // in the host's. 0 and more than 0: the GPU has nothing to hold.
  int64_t gpu_bytes = 0;
  int64_t beside_gpu_bytes = 0;
};

}  // namespace wattle

#endif  // WATTLE_PROTO_PEAK_MEMORY_H_
