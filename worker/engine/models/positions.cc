// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/positions.h"

#include <cmath>

#include "worker/engine/torch_operators.h"

namespace wattle::engine {

RotaryTable MakeRotaryTable(const models::Rotary& rotary, int64_t positions, at::Device device) {
  const int64_t half = rotary.dimensions / 2;
  RotaryTable table{at::empty({positions, half}, at::kFloat),
                    at::empty({positions, half}, at::kFloat)};
  auto* cosines = table.cosines.data_ptr<float>();
  auto* sines = table.sines.data_ptr<float>();
  for (int64_t i = 0; i < half; ++i) {
    // Frequency and angle in single precision, as the models were trained.
    const auto frequency = static_cast<float>(rotary.Frequency(i));
    for (int64_t position = 0; position < positions; ++position) {
      const float angle = static_cast<float>(position) * frequency;
      cosines[position * half + i] = std::cos(angle);
      sines[position * half + i] = std::sin(angle);
    }
  }
  return {table.cosines.to(device), table.sines.to(device)};
}

void Rotate(const RotaryTable& table, int64_t first_position, Turn turn, at::Tensor& x) {
  const int64_t half = table.cosines.size(1);
  const at::Tensor cosines = table.cosines.narrow(0, first_position, x.size(-2));
  at::Tensor sines = table.sines.narrow(0, first_position, x.size(-2));
  if (turn == Turn::kBack) {
    sines = sines.neg();
  }
  at::Tensor first = x.narrow(-1, 0, half);
  at::Tensor second = x.narrow(-1, half, half);
  const at::Tensor turned = first * cosines - second * sines;
  second.mul_(cosines).add_(first * sines);
  first.copy_(turned);
}

at::Tensor SinusoidalPositions(int64_t positions, int64_t offset, int64_t width,
                               at::Device device) {
  constexpr double kBase = 10000.0;
  const int64_t half = width / 2;
  at::Tensor table = at::empty({positions, width}, at::kFloat);
  auto* values = table.data_ptr<float>();
  for (int64_t i = 0; i < half; ++i) {
    // Frequency and angle in single precision, as the models were trained.
    const auto frequency = static_cast<float>(
        std::pow(kBase, -static_cast<double>(i) / static_cast<double>(half - 1)));
    for (int64_t t = 0; t < positions; ++t) {
      const float angle = static_cast<float>(t + offset) * frequency;
      values[t * width + i] = std::sin(angle);
      values[t * width + half + i] = std::cos(angle);
    }
  }
  return table.to(device);
}

}  // namespace wattle::engine
