// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The counter-based generator (worker/engine/kernels/random.h) by libtorch's operators on whole
// numbers, on any device: the same bits, so that a run draws the same masks and the same signs
// wherever its tensors lie. Stateless.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ATEN_RANDOM_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ATEN_RANDOM_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace wattle::kernels {
struct RandomStream;
}  // namespace wattle::kernels

namespace wattle::engine {

// What kernels::ApplyDropout multiplies the elements from first_element on with: float, as many and
// where `like` says.
at::Tensor DropoutFactors(const kernels::RandomStream& stream, double rate, int64_t first_element,
                          const at::Tensor& like);

// What kernels::AddRandomSigns adds, likewise.
at::Tensor RandomSigns(const kernels::RandomStream& stream, float magnitude, int64_t first_element,
                       const at::Tensor& like);

// The same for elements with these numbers: int64, any shape.
at::Tensor RandomSignsAt(const kernels::RandomStream& stream, float magnitude,
                         const at::Tensor& elements);

// numbers: values, rounded as kernels::RoundBf16Stochastically does from element 0 on. Both
// contiguous: float and bfloat16, as many.
void RoundToBf16Stochastically(const kernels::RandomStream& stream, const at::Tensor& values,
                               const at::Tensor& numbers);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ATEN_RANDOM_H_
