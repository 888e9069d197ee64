// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Models with random weights, whose decoding the GPU benches count and time.
#ifndef WATTLE_BENCH_GPU_MODELS_H_
#define WATTLE_BENCH_GPU_MODELS_H_

#include "worker/engine/kernels/testing/test_decoder.h"

namespace wattle {

struct GpuModel {
  const char* name;
  kernels::DecoderSizes sizes;  // each bench sets the positions
};

// Vocabulary, width, heads of the files on which the reference implementation trained them.
inline constexpr GpuModel kGpuModels[] = {
    {"gpt2-small",
     {.layers = 12,
      .width = 768,
      .heads = 12,
      .kv_heads = 12,
      .head_size = 64,
      .mlp_width = 3072,
      .vocabulary = 50257}},
    {"tinyllama",
     {.layers = 22,
      .width = 2048,
      .heads = 32,
      .kv_heads = 4,
      .head_size = 64,
      .mlp_width = 5632,
      .vocabulary = 32000,
      .llama = true}},
};

}  // namespace wattle

#endif  // WATTLE_BENCH_GPU_MODELS_H_
