// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where the packed matrices of a model lie. May throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_MODELS_PACKED_ARENA_H_
#define WATTLE_WORKER_ENGINE_MODELS_PACKED_ARENA_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/weight_matrix.h"

namespace wattle::engine {

// Memory for the packed matrices of one model, side by side: a huge page serves many matrices, most
// of which are smaller than a page. A matrix without an arena owns its bytes. Not thread-safe.
class PackedArena {
 public:
  PackedArena() = default;
  // device: where they lie; on another one than the host each matrix has its own bytes.
  explicit PackedArena(const std::vector<kernels::WeightMatrix>& shapes,
                       at::Device device = at::kCPU);

  // uint8 [bytes], zero: of the arena while it has room, else memory of its own.
  [[nodiscard]] at::Tensor Take(int64_t bytes);

 private:
  at::Device device_ = at::kCPU;
  at::Tensor memory_;
  int64_t taken_ = 0;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_PACKED_ARENA_H_
