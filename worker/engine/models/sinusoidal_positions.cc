// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/sinusoidal_positions.h"

#include <cmath>

#include "worker/engine/torch_operators.h"

namespace wattle::engine {

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
