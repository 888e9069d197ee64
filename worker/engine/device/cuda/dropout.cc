// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/dropout.h"

#include "worker/engine/device/cuda/random_words.h"

namespace wattle::cuda {

DropoutMask MaskOf(const kernels::RandomStream& stream, double rate) {
  return {.stream = WordsOf(stream),
          .threshold = static_cast<unsigned>(rate * 0x1.0p32),
          .scale = static_cast<float>(1.0 / (1.0 - rate))};
}

absl::Status Launch(const Dropout& dropout, KernelLauncher& launcher) {
  const DropoutArguments arguments = {.mask = dropout.mask,
                                      .in = dropout.in,
                                      .out = dropout.out,
                                      .first = dropout.first_element,
                                      .count = dropout.count};
  // A block begins with a whole counter, whose first elements may belong to a preceding range.
  const int64_t elements = dropout.first_element % 4 + dropout.count;
  return launcher.Launch(
      {.source = "dropout",
       .kernel = "drop_out",
       .blocks = static_cast<int>((elements + kDropoutElements - 1) / kDropoutElements),
       .arguments = &arguments});
}

}  // namespace wattle::cuda
