// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Computed (not learned) positions: rotary and sinusoidal ones. Tables work on any device.
#ifndef WATTLE_WORKER_ENGINE_MODELS_POSITIONS_H_
#define WATTLE_WORKER_ENGINE_MODELS_POSITIONS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"

namespace wattle::engine {

// Rotary positions: each pair of dimensions of a head is rotated by an angle that grows with the
// token's position. See models::Rotary for the formula and the pairing.
// Both: float [positions, dimensions / 2].
struct RotaryTable {
  at::Tensor cosines;
  at::Tensor sines;
};

[[nodiscard]] RotaryTable MakeRotaryTable(const models::Rotary& rotary, int64_t positions,
                                          at::Device device);

enum class Turn {
  kForward,
  kBack,  // the inverse rotation, for gradients
};

// x: float [..., tokens, head_size], in place; token t has position first_position + t.
void Rotate(const RotaryTable& table, int64_t first_position, Turn turn, at::Tensor& x);

// Fixed positions that are added to the embedding, Vaswani et al. 2017 in the form of
// tensor2tensor: with half = width / 2 and f(i) = 10000^(-i / (half - 1)), column i of position p
// is sin(p f(i)) and column half + i is cos(p f(i)).
// Returns float [positions, width]; row t is position t + offset. width: even, at least 4.
[[nodiscard]] at::Tensor SinusoidalPositions(int64_t positions, int64_t offset, int64_t width,
                                             at::Device device);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_POSITIONS_H_
