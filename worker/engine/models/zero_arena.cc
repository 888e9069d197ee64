// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/zero_arena.h"

#include "worker/engine/kernels/aligned_buffer.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

at::Tensor ZeroArena(int64_t elements, const at::TensorOptions& options) {
  at::Tensor arena = at::empty({elements}, options);
  if (arena.device().is_cpu()) {
    // Before the first touch, so that pages are huge from the start.
    kernels::PreferHugePages(arena.data_ptr(), static_cast<int64_t>(arena.nbytes()));
  }
  return arena.zero_();
}

}  // namespace wattle::engine
