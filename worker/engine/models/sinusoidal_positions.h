// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fixed positions that are added to the embedding, Vaswani et al. 2017 in the form of
// tensor2tensor: with half = width / 2 and f(i) = 10000^(-i / (half - 1)), column i of position p
// is sin(p f(i)) and column half + i is cos(p f(i)).
#ifndef WATTLE_WORKER_ENGINE_MODELS_SINUSOIDAL_POSITIONS_H_
#define WATTLE_WORKER_ENGINE_MODELS_SINUSOIDAL_POSITIONS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace wattle::engine {

// float [positions, width]; row t is position t + offset. width: even, from 4 on.
[[nodiscard]] at::Tensor SinusoidalPositions(int64_t positions, int64_t offset, int64_t width,
                                             at::Device device);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_SINUSOIDAL_POSITIONS_H_
