// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/kernels/cross_entropy.h"

#include <cmath>

namespace wattle::kernels {

double CrossEntropyAndGradient(float* logits, int64_t count, int64_t target, float gradient_scale,
                               const KernelTable& kernels) {
  const auto of_target = static_cast<double>(logits[target]);
  const SoftmaxSums sums = kernels.softmax(gradient_scale, count, logits);
  logits[target] -= gradient_scale;
  return std::log(sums.sum) + static_cast<double>(sums.largest) - of_target;
}

}  // namespace wattle::kernels
