// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A stream of random numbers in the form that the kernels take.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_RANDOM_WORDS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_RANDOM_WORDS_H_

#include "worker/engine/device/cuda/kernel_launch.h"
#include "worker/engine/kernels/random.h"

namespace wattle::cuda {

inline RandomWords WordsOf(const kernels::RandomStream& stream) {
  const kernels::PhiloxCounter counter = kernels::CounterOf(stream);
  return {.words = {counter.words[0], counter.words[1], counter.words[2]},
          .key = {counter.key[0], counter.key[1]}};
}

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_RANDOM_WORDS_H_
