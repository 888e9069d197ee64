// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "worker/engine/device/aten/aten_device.h"
#include "worker/engine/device/aten/attention_bounds.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/models/masked_softmax.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// Decoding one token sends nothing to the device.
void HideFromOne(const SeenKeys& keys, const at::Tensor& scores) {
  const auto hide = [&](int64_t begin, int64_t end) {
    if (begin < end) {
      scores.narrow(-1, begin, end - begin).fill_(kNever);
    }
  };
  hide(keys.end, scores.size(-1));
  for (const SeenKeys::Range& hidden : keys.hidden) {
    hide(hidden.begin, hidden.end);
  }
}

void HideFromEach(const std::vector<SeenKeys>& keys, const at::Tensor& scores) {
  const at::Tensor borders = BordersOf(keys);
  const auto hidden = [](const SeenKeys& of_query) {
    return std::any_of(of_query.hidden.begin(), of_query.hidden.end(),
                       [](const SeenKeys::Range& range) { return range.begin < range.end; });
  };
  const bool hides = std::any_of(keys.begin(), keys.end(), hidden);
  const at::Tensor places =
      Upload(hides ? borders : borders.narrow(0, 0, 1), scores.device()).unsqueeze(2);
  const at::Tensor numbers =
      at::arange(scores.size(-1), at::dtype(at::kLong).device(scores.device()));
  at::Tensor unseen = numbers.ge(places[0]);
  for (int64_t part = 1; hides && part < places.size(0); part += 2) {
    unseen.logical_or_(numbers.ge(places[part]).logical_and_(numbers.lt(places[part + 1])));
  }
  scores.masked_fill_(unseen, kNever);
}

}  // namespace

at::Tensor BordersOf(const std::vector<SeenKeys>& keys) {
  const auto queries = static_cast<int64_t>(keys.size());
  at::Tensor borders = at::empty({5, queries}, at::kLong);
  auto* border = borders.data_ptr<int64_t>();
  for (const SeenKeys& of_query : keys) {
    const SeenKeys::Range& first = of_query.hidden[0];
    const SeenKeys::Range& second = of_query.hidden[1];
    int64_t part = 0;
    for (const int64_t place : {of_query.end, first.begin, first.end, second.begin, second.end}) {
      border[part++ * queries] = place;
    }
    ++border;
  }
  return borders;
}

kernels::RandomStream StreamOfProbabilities(const ProbabilityDropout& dropout) {
  return DropoutStream(dropout.state, kernels::RandomUse::kAttentionDropout, dropout.layer);
}

at::Tensor AtenDevice::Softmax(kernels::FactorType /*factors*/, const std::vector<SeenKeys>& keys,
                               const ProbabilityDropout& dropout, at::Tensor& scores) const {
  if (keys.size() == 1) {
    HideFromOne(keys.front(), scores);
  } else {
    HideFromEach(keys, scores);
  }
  scores = at::_softmax(scores, -1, /*half_to_float=*/false);
  return dropout.active() ? scores * DropoutFactors(StreamOfProbabilities(dropout), dropout.rate,
                                                    dropout.first_element, scores)
                          : scores;
}

at::Tensor AtenDevice::SoftmaxBackward(kernels::FactorType /*factors*/,
                                       const std::vector<SeenKeys>& /*keys*/,
                                       const ProbabilityDropout& dropout,
                                       const at::Tensor& probabilities,
                                       at::Tensor& gradients) const {
  at::Tensor dropped = probabilities;
  if (dropout.active()) {
    const at::Tensor factors = DropoutFactors(StreamOfProbabilities(dropout), dropout.rate,
                                              dropout.first_element, probabilities);
    dropped = probabilities * factors;
    gradients.mul_(factors);
  }
  // If a query sees no key, its probabilities are 0, and so is the gradient of the scores.
  gradients = at::_softmax_backward_data(gradients, probabilities, -1, at::kFloat);
  return dropped;
}

}  // namespace wattle::engine
