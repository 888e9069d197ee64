// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a decoder that the decode operators serve, with random weights.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_TESTING_TEST_WIDE_DECODER_H_
#define WATTLE_WORKER_ENGINE_GENERATE_TESTING_TEST_WIDE_DECODER_H_

#include <cstdint>
#include <vector>

#include "worker/engine/models/decoder.h"

namespace wattle::engine {

struct WideDecoder {
  const char* family;
  const char* format;  // of its matrices
  bool int8_keys_and_values = false;
  uint64_t seed = 8;
  at::Device device = at::Device(at::kCPU);
  bool dequantized = false;  // FP32, with the weights after rounding to `format`
  int64_t max_positions = 64;
};

// Families and formats for testing the kernels of a GPU.
const std::vector<WideDecoder>& WideForms();

// Two heads of half the width each, a window in the last layer, logits of several units.
Decoder MakeWideDecoder(const WideDecoder& wanted);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_TESTING_TEST_WIDE_DECODER_H_
