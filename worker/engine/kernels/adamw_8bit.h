// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// AdamW whose moments are kept in 8 bits (Dettmers et al., "8-bit optimizers via block-wise
// quantization", 2022). Each block of 256 numbers has a scale, its largest magnitude, and each
// number has the code of one of 256 levels, which are denser towards zero ("dynamic" quantization).
// The update itself is adamw.h's in FP32, and uses the moments before they are rounded. Every
// processor gives the same bits. Thread-safe on disjoint blocks.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ADAMW_8BIT_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ADAMW_8BIT_H_

#include <cstdint>

#include "absl/types/span.h"

#include "worker/engine/kernels/adamw.h"

namespace wattle::kernels {

inline constexpr int64_t kMomentBlock = 256;

// The level of each code, in ascending order, computed like create_dynamic_map of bitsandbytes.
// First moments have a sign; second moments have none.
absl::Span<const float> FirstMomentLevels();   // from near -1 to 1; code 127 is 0
absl::Span<const float> SecondMomentLevels();  // from 0 to 1

// The code of the nearest level; the number must be within the levels' range. A second moment above
// 0 never gets the code of 0, because the next update would divide by the root of zero and be far
// too large.
uint8_t FirstMomentCode(float value);
uint8_t SecondMomentCode(float value);

// The arrays of one parameter, starting at a block's beginning. Codes have `count` elements, scales
// one per block; all of them are zero before the first step.
struct AdamW8bitState {
  float* weights = nullptr;
  const float* gradients = nullptr;
  uint8_t* first_codes = nullptr;
  float* first_scales = nullptr;
  uint8_t* second_codes = nullptr;
  float* second_scales = nullptr;
  int64_t count = 0;
};

void AdamW8bitUpdate(const AdamWStep& step, const AdamW8bitState& state);

}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ADAMW_8BIT_H_
