// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/seen_softmax.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "worker/engine/device/aten/random.h"
#include "worker/engine/device/device_number.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/threads.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// In place of a hidden score: the largest is another one, and its power vanishes in the sum.
constexpr float kHiddenScore = -1e30F;
constexpr int64_t kPieceElements = 1 << 15;

// Calls body(first element of the row, its query's keys) for every row.
template <typename Body>
void ForEachRow(const std::vector<SeenKeys>& keys, const at::Tensor& rows, Body body) {
  WATTLE_CHECK(rows.is_contiguous() && rows.size(-2) == static_cast<int64_t>(keys.size()),
               "rows of the group's queries lie one behind the other");
  const int64_t seen = rows.size(-1);
  const int64_t queries = rows.size(-2);
  ForEachPiece(rows.numel() / seen, std::max<int64_t>(1, kPieceElements / seen),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   body(row * seen, keys[static_cast<size_t>(row % queries)]);
                 }
               });
}

void FillHidden(const SeenKeys& keys, float value, float* row) {
  for (const SeenKeys::Range& hidden : keys.hidden) {
    std::fill(row + hidden.begin, row + hidden.end, value);
  }
}

// Sets what the query does not see to 0.
void ClearUnseen(const SeenKeys& keys, int64_t seen, float* row) {
  FillHidden(keys, 0.0F, row);
  std::fill(row + keys.end, row + seen, 0.0F);
}

void Drop(const ProbabilityDropout& dropout, int64_t first, int64_t count, float* values) {
  kernels::ApplyDropout(
      DropoutStream(dropout.state, kernels::RandomUse::kAttentionDropout, dropout.layer),
      dropout.rate, dropout.first_element + first, count, values);
}

constexpr double kNever = -std::numeric_limits<double>::infinity();

// Of a token being decoded nothing is sent to the device.
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

// What each query sees goes to the device as five numbers, not as a row of the square.
void HideFromEach(const std::vector<SeenKeys>& keys, const at::Tensor& scores) {
  const auto queries = static_cast<int64_t>(keys.size());
  at::Tensor borders = at::empty({5, queries, 1}, at::kLong);
  auto* border = borders.data_ptr<int64_t>();
  bool hides = false;
  for (const SeenKeys& of_query : keys) {
    const SeenKeys::Range& first = of_query.hidden[0];
    const SeenKeys::Range& second = of_query.hidden[1];
    int64_t part = 0;
    for (const int64_t place : {of_query.end, first.begin, first.end, second.begin, second.end}) {
      border[part++ * queries] = place;
    }
    ++border;
    hides = hides || first.begin < first.end || second.begin < second.end;
  }
  const at::Tensor places = Upload(hides ? borders : borders.narrow(0, 0, 1), scores.device());
  const at::Tensor numbers =
      at::arange(scores.size(-1), at::dtype(at::kLong).device(scores.device()));
  at::Tensor unseen = numbers.ge(places[0]);
  for (int64_t part = 1; hides && part < places.size(0); part += 2) {
    unseen.logical_or_(numbers.ge(places[part]).logical_and_(numbers.lt(places[part + 1])));
  }
  scores.masked_fill_(unseen, kNever);
}

at::Tensor FactorsOf(const ProbabilityDropout& dropout, const at::Tensor& probabilities) {
  return DropoutFactors(
      DropoutStream(dropout.state, kernels::RandomUse::kAttentionDropout, dropout.layer),
      dropout.rate, dropout.first_element, probabilities);
}

}  // namespace

std::vector<SeenKeys> SeenKeysOf(const SequenceGroup& group, int64_t seen, int64_t window) {
  std::vector<SeenKeys> keys;
  const int64_t cached = seen - group.tokens;
  const auto first_seen = [&](int64_t position) {
    return window == 0 ? 0 : std::max<int64_t>(0, position + 1 - window);
  };
  if (group.branches.empty()) {
    for (int64_t key = cached; key < seen; ++key) {
      keys.push_back({.end = key + 1, .hidden = {{{0, first_seen(key)}}}});
    }
    return keys;
  }
  const std::vector<Stretch> stretches = StretchesOf(group);
  const int64_t beginning = stretches.front().tokens;
  for (const Stretch& own : stretches) {
    for (int64_t t = 0; t < own.tokens; ++t) {
      const int64_t first = first_seen(own.first_position + t);
      const int64_t first_of_own = own.begin + std::max<int64_t>(0, first - own.first_position);
      keys.push_back({.end = own.begin + t + 1,
                      .hidden = {{{0, std::min(first, beginning)},
                                  {std::min(beginning, first_of_own), first_of_own}}}});
    }
  }
  return keys;
}

at::Tensor SeenSoftmax(const std::vector<SeenKeys>& keys, const ProbabilityDropout& dropout,
                       at::Tensor& scores) {
  if (!scores.device().is_cpu()) {
    return SeenSoftmaxPlain(keys, dropout, scores);
  }
  at::Tensor after = dropout.active() ? at::empty_like(scores) : scores;
  auto* probabilities = scores.data_ptr<float>();
  auto* dropped = after.data_ptr<float>();
  const int64_t seen = scores.size(-1);
  const kernels::KernelTable& kernels = kernels::BestKernels();
  ForEachRow(keys, scores, [&](int64_t first, const SeenKeys& of_query) {
    float* row = probabilities + first;
    FillHidden(of_query, kHiddenScore, row);
    kernels.softmax(1.0F, of_query.end, row);
    ClearUnseen(of_query, seen, row);
    if (dropped != probabilities) {
      std::copy(row, row + seen, dropped + first);
      Drop(dropout, first, of_query.end, dropped + first);
    }
  });
  return after;
}

at::Tensor SeenSoftmaxBackward(const std::vector<SeenKeys>& keys, const ProbabilityDropout& dropout,
                               const at::Tensor& probabilities, at::Tensor& gradients) {
  if (!gradients.device().is_cpu()) {
    return SeenSoftmaxBackwardPlain(dropout, probabilities, gradients);
  }
  at::Tensor after = dropout.active() ? at::empty_like(probabilities) : probabilities;
  const auto* before = probabilities.data_ptr<float>();
  auto* dropped = after.data_ptr<float>();
  auto* of_scores = gradients.data_ptr<float>();
  const int64_t seen = probabilities.size(-1);
  const kernels::KernelTable& kernels = kernels::BestKernels();
  ForEachRow(keys, probabilities, [&](int64_t first, const SeenKeys& of_query) {
    float* factors = dropped == before ? nullptr : dropped + first;
    if (factors != nullptr) {
      std::fill(factors, factors + of_query.end, 1.0F);
      Drop(dropout, first, of_query.end, factors);
    }
    kernels.softmax_backward({.count = of_query.end,
                              .probabilities = before + first,
                              .dropped = factors,
                              .gradients = of_scores + first});
    // A hidden key has a probability of 0, and so a gradient of 0.
    std::fill(of_scores + first + of_query.end, of_scores + first + seen, 0.0F);
    if (factors != nullptr) {
      std::fill(factors + of_query.end, factors + seen, 0.0F);
    }
  });
  return after;
}

at::Tensor SeenSoftmaxPlain(const std::vector<SeenKeys>& keys, const ProbabilityDropout& dropout,
                            at::Tensor& scores) {
  if (keys.size() == 1) {
    HideFromOne(keys.front(), scores);
  } else {
    HideFromEach(keys, scores);
  }
  scores = at::_softmax(scores, -1, /*half_to_float=*/false);
  return dropout.active() ? scores * FactorsOf(dropout, scores) : scores;
}

at::Tensor SeenSoftmaxBackwardPlain(const ProbabilityDropout& dropout,
                                    const at::Tensor& probabilities, at::Tensor& gradients) {
  at::Tensor dropped = probabilities;
  if (dropout.active()) {
    const at::Tensor factors = FactorsOf(dropout, probabilities);
    dropped = probabilities * factors;
    gradients.mul_(factors);
  }
  // Where a query sees no key probabilities are 0, and so is the gradient of the scores.
  gradients = at::_softmax_backward_data(gradients, probabilities, -1, at::kFloat);
  return dropped;
}

}  // namespace wattle::engine
