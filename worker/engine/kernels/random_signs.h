// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Random signs: a bit of the counter-based generator for each element, so that a block of ten
// rounds serves 128 of them. Moving a number by ±m rounds once, with nothing to reorder or fuse:
// the result is the same on every processor. No state; thread-safe on disjoint ranges.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_RANDOM_SIGNS_H_
#define WATTLE_WORKER_ENGINE_KERNELS_RANDOM_SIGNS_H_

#include <cstdint>

#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/random.h"

namespace wattle::kernels {

// values[i] moves by `magnitude`: up where the bit of element `first_element + i` is set, else
// down. Element e has bit e % 32 of the stream's number e / 32. Elements are below 2^39.
void AddRandomSigns(const RandomStream& stream, float magnitude, int64_t first_element,
                    int64_t count, float* values, const KernelTable& kernels = BestKernels());

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_RANDOM_SIGNS_H_
