// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/dropout.h"

namespace wattle::cuda {

absl::Status Launch(const DropoutFactors& factors, KernelLauncher& launcher) {
  const kernels::PhiloxCounter counter = kernels::CounterOf(factors.stream);
  const DropoutArguments arguments = {
      .out = factors.out,
      .first = factors.first_element,
      .count = factors.count,
      .words = {counter.words[0], counter.words[1], counter.words[2]},
      .key = {counter.key[0], counter.key[1]},
      .threshold = static_cast<unsigned>(factors.rate * 0x1.0p32),
      .scale = static_cast<float>(1.0 / (1.0 - factors.rate))};
  // A block begins with a whole counter, of which the first elements may be those of others.
  const int64_t elements = factors.first_element % 4 + factors.count;
  return launcher.Launch(
      {.source = "dropout",
       .kernel = "dropout_factors",
       .blocks = static_cast<int>((elements + kDropoutElements - 1) / kDropoutElements),
       .arguments = &arguments});
}

}  // namespace wattle::cuda
