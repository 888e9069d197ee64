// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory for the arenas of training: weights, gradients, the optimizer's state.
#ifndef WATTLE_WORKER_ENGINE_MODELS_ZERO_ARENA_H_
#define WATTLE_WORKER_ENGINE_MODELS_ZERO_ARENA_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace wattle::engine {

// Zeros [elements]; of the host, on huge pages where the system grants them, because every step
// reads an arena from end to end.
[[nodiscard]] at::Tensor ZeroArena(int64_t elements, const at::TensorOptions& options);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_ZERO_ARENA_H_
