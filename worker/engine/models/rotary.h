// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rotary positions: each pair of dimensions of a head is turned by an angle that grows with the
// token's position. See models::Rotary for the formula and the pairing. Works on any device.
#ifndef WATTLE_WORKER_ENGINE_MODELS_ROTARY_H_
#define WATTLE_WORKER_ENGINE_MODELS_ROTARY_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "models/decoder_config.h"

namespace wattle::engine {

// float [positions, dimensions / 2] each.
struct RotaryTable {
  at::Tensor cosines;
  at::Tensor sines;
};

[[nodiscard]] RotaryTable MakeRotaryTable(const models::Rotary& rotary, int64_t positions,
                                          at::Device device);

enum class Turn {
  kForward,
  kBack,  // the gradient's way
};

// x: float [..., tokens, head_size], in place; token t stands at first_position + t.
void Rotate(const RotaryTable& table, int64_t first_position, Turn turn, at::Tensor& x);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_ROTARY_H_
