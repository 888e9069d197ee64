// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/models/decoder.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {

DeviceNumber AtenDevice::CrossEntropyToGradient(const at::Tensor& targets, double gradient_scale,
                                                at::Tensor& logits) const {
  const at::Tensor log_probabilities = at::_log_softmax(logits, 1, /*half_to_float=*/false);
  at::exp_out(logits, log_probabilities);
  logits.scatter_add_(1, targets.unsqueeze(1),
                      at::full({targets.size(0), 1}, -1.0, logits.options()));
  logits.mul_(gradient_scale);
  return NegativeLogLikelihood(log_probabilities, targets);
}

}  // namespace wattle::engine
