// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The counter-based generator (worker/engine/kernels/random.h) with libtorch's integer operators,
// on any device: the same bits, so that a run draws the same masks and signs on every device.
// Stateless.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ATEN_RANDOM_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ATEN_RANDOM_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace wattle::kernels {
struct RandomStream;
}  // namespace wattle::kernels

namespace wattle::engine {

// kernels::ApplyDropout's factors for the elements from first_element on: float, with the size and
// device of `like`.
at::Tensor DropoutFactors(const kernels::RandomStream& stream, double rate, int64_t first_element,
                          const at::Tensor& like);

// kernels::AddRandomSigns's addends for the same elements.
at::Tensor RandomSigns(const kernels::RandomStream& stream, float magnitude, int64_t first_element,
                       const at::Tensor& like);

// These addends for elements with the given numbers: int64, any shape.
at::Tensor RandomSignsAt(const kernels::RandomStream& stream, float magnitude,
                         const at::Tensor& elements);

// numbers: values, rounded by kernels::RoundBf16Stochastically from element 0 on. Both contiguous
// and of equal size: float and bfloat16.
void RoundToBf16Stochastically(const kernels::RandomStream& stream, const at::Tensor& values,
                               const at::Tensor& numbers);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ATEN_RANDOM_H_
