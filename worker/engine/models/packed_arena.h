// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory for the packed matrices of a model. May throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_MODELS_PACKED_ARENA_H_
#define WATTLE_WORKER_ENGINE_MODELS_PACKED_ARENA_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::engine {

// Adjacent memory for the packed matrices of one model: a huge page serves many matrices, most of
// which are smaller than a page. A matrix without an arena owns its bytes. Not thread-safe.
class PackedArena {
 public:
  PackedArena() = default;
  // device: device of the matrices; on any other than the host each matrix has its own bytes.
  explicit PackedArena(const std::vector<kernels::WeightMatrix>& shapes,
                       at::Device device = at::kCPU);

  // uint8 [bytes], zero: from the arena while it has room, else separate memory.
  [[nodiscard]] at::Tensor Take(int64_t bytes);

 private:
  at::Device device_ = at::kCPU;
  at::Tensor memory_;
  int64_t taken_ = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PACKED_ARENA_H_
