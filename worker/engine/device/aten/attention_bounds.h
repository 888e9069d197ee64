// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The range of keys visible to each query, as numbers for a device.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_ATEN_ATTENTION_BOUNDS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_ATEN_ATTENTION_BOUNDS_H_

#include <vector>

#include <ATen/core/Tensor.h>

#include "worker/engine/kernels/random.h"
#include "worker/engine/models/masked_softmax.h"

namespace wattle::engine {

// int64 [5, queries] on the host, never a row of the square: the end of the keys, and begin and end
// of both hidden ranges.
at::Tensor BordersOf(const std::vector<SeenKeys>& keys);

// The random stream for the dropout of the probabilities.
kernels::RandomStream StreamOfProbabilities(const ProbabilityDropout& dropout);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_ATEN_ATTENTION_BOUNDS_H_
